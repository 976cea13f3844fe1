// ArcValidator: validates the ARC chain of one message while its body streams by (RFC 8617 section 5.2).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "auth/core/dns_facts.hpp"
#include "auth/core/header_fields.hpp"
#include "auth/core/results.hpp"
#include "auth/dkim/verify.hpp"

namespace auth {

/// RFC 8617 section 4.2.1: a chain of more sets fails.
inline constexpr unsigned max_arc_sets = 50;

/// Used like DkimVerifier. One thread at a time; each message has its own validator.
class ArcValidator {
public:
  /// `fields` is kept as DkimVerifier keeps it. Of the options max_signatures is not used.
  ArcValidator(const HeaderFields &fields, const DkimOptions &options);
  ~ArcValidator();
  ArcValidator(ArcValidator &&) noexcept;
  ArcValidator &operator=(ArcValidator &&) noexcept;

  /// As DkimVerifier has them.
  [[nodiscard]] bool work();
  void give_up(const std::string &reason);
  [[nodiscard]] bool is_busy() const noexcept;

  /// CRLF lines, any cut; nothing of it is kept. Does nothing for a message without a chain.
  void body(std::string_view octets);
  /// The body is complete.
  void end();
  /// Notes the questions for the keys: may be called before the body came, so that they are fetched meanwhile.
  void ask_for_keys(DnsFacts &facts) const;
  /// Only behind end(). A key that is missing in `facts` makes a temporary fail in this run: fetch what is missing and
  /// call again. The chain lists every set that is whole, also of a chain that fails.
  [[nodiscard]] ArcVerdict verdict(DnsFacts &facts);

private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

} // namespace auth
