// AuthorDomains: the domains of header From, which DMARC starts from (RFC 9989 section 5.3.1), or why there are none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "auth/core/header_fields.hpp"

namespace auth {

enum class FromStatus : std::uint8_t {
  ok,             ///< every address has a domain; or the field breaks RFC 5322, and only one domain can be its author
  no_field,       ///< no From field
  several_fields, ///< more than one From field (RFC 5322 section 3.6 allows one)
  malformed,      ///< it cannot be told who the author is, or a limit is passed
  no_domain,      ///< an address with a domain literal
  no_author,      ///< no address at all, nor what a reader could take for one: "MAILER-DAEMON <>", an empty group
};

/// "ok", "no_field", …: for logs.
[[nodiscard]] std::string_view to_string(FromStatus status) noexcept;

struct AuthorDomains {
  FromStatus status = FromStatus::no_field;
  std::vector<std::string>
      domains;           ///< distinct, lower case, A-labels, as they come; those that were read, whatever the status
  bool salvaged = false; ///< ok, although the field is not as RFC 5322 has it
  std::string problem;   ///< for people, printable ASCII, why it is not ok; empty for ok

  [[nodiscard]] bool is_ok() const noexcept { return status == FromStatus::ok; }
};

inline constexpr std::size_t longest_from_field = 64 * 1024;
inline constexpr std::size_t most_from_addresses = 100;
inline constexpr std::size_t deepest_from_comment = 64;

/// Of all From fields of the header.
[[nodiscard]] AuthorDomains find_author_domains(const HeaderFields &fields);

/// Of the value of one From field, folds included.
[[nodiscard]] AuthorDomains parse_from_field(std::string_view value);

} // namespace auth
