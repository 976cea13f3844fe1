// The drive of libspf2: it evaluates a record whose names stand for questions that are answered through SpfAnswers.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/core/results.hpp"
#include "smtp/names/ip_address.hpp"

namespace auth {

/// Answers what libspf2 asks. Each gets the name as the record has it; nothing ends the evaluation at once.
class SpfAnswers {
public:
  virtual ~SpfAnswers() = default;
  /// For include and redirect: the record to go on with, of the same kind as the first one.
  [[nodiscard]] virtual std::optional<std::string> record(std::string_view name) = 0;
  /// For a, exists and the hosts of mx. Those of the other address family are passed over.
  [[nodiscard]] virtual std::optional<std::vector<smtp::IpAddress>> addresses(std::string_view name) = 0;
  /// For mx: at most 10 names.
  [[nodiscard]] virtual std::optional<std::vector<std::string>> hosts(std::string_view name) = 0;
};

/// Terms that one record may have: libspf2 compiles a record into 511 octets and leaves out what goes past them without
/// a word. An upper bound of what a mechanism takes there.
inline constexpr std::size_t spf_compiled_limit = 480;
[[nodiscard]] constexpr std::size_t spf_compiled_size(bool ip4, bool ip6) noexcept {
  return ip4 ? 8 : ip6 ? 20 : 32;
}

struct SpfOutcome {
  SpfResult result = SpfResult::temperror; ///< never none
  std::string problem;                     ///< for temperror and permerror: libspf2's word for it
};

/// Evaluates `record`, which the caller has made: it holds "v=spf1" and mechanisms with names of at most 30 letters,
/// digits and dots, no macro and no modifier but redirect. Anything else must not be given to libspf2 1.2.10, whose
/// macro expansion writes past its buffers (CVE-2023-42118). Never blocks, keeps nothing.
[[nodiscard]] SpfOutcome evaluate_with_libspf2(const std::string &record, const smtp::IpAddress &client,
                                               SpfAnswers &answers);

} // namespace auth
