// MTA-STS (RFC 8461): the record, the policy, and the match of an MX host, as pure functions.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/base/result.hpp"

namespace policy {

enum class StsMode : std::uint8_t { none, testing, enforce };
[[nodiscard]] const char *to_string(StsMode mode) noexcept;

/// RFC 8461 section 3.2.
struct StsPolicy {
  StsMode mode = StsMode::none;
  std::vector<std::string>
      mx; ///< patterns, lower-case A-labels; "*." stands for exactly one label; U-labels match nothing
  std::chrono::seconds max_age{0};
  friend bool operator==(const StsPolicy &, const StsPolicy &) = default;
};

inline constexpr std::chrono::seconds sts_longest_age{31'557'600}; ///< section 3.2: about a year
inline constexpr std::size_t sts_id_limit = 32;                    ///< octets, section 3.1
inline constexpr std::size_t sts_mx_limit = 1000;                  ///< patterns that one policy may have
inline constexpr std::size_t sts_text_limit = 65'536;              ///< octets of a policy, section 3.3

/// The id of the one record of `_mta-sts.DOMAIN` that is MTA-STS; nothing when there is none. `texts`: each record's
/// strings joined. Error bad_syntax: several of them, or the one does not follow its grammar; the domain has no policy
/// then either (section 3.1).
[[nodiscard]] smtp::Result<std::optional<std::string>> find_sts_record(const std::vector<std::string> &texts);

/// The body of a policy file. Errors: bad_syntax, too_long.
[[nodiscard]] smtp::Result<StsPolicy> parse_sts_policy(std::string_view text);

/// One `mx` value in lower case: a domain, or "*." in front of one. Error: bad_syntax.
[[nodiscard]] smtp::Result<std::string> parse_sts_pattern(std::string_view text);

/// Section 4.1: the name itself, or exactly one label in the place of "*". Without case; `host` has no final dot.
[[nodiscard]] bool sts_pattern_matches(std::string_view pattern, std::string_view host) noexcept;
[[nodiscard]] bool sts_policy_covers(const std::vector<std::string> &patterns, std::string_view host) noexcept;

/// The policy file as it is served, lines ending in CRLF (section 3.2).
[[nodiscard]] std::string format_sts_policy(const StsPolicy &policy);
/// The record of a policy: "v=STSv1; id=…;". The id comes from the policy's text, so that it changes when that does.
[[nodiscard]] std::string format_sts_record(const StsPolicy &policy);

/// 16 hexadecimal digits (FNV-1a, 64 bits) by which two texts are told apart; no protection against who means harm.
[[nodiscard]] std::string sts_fingerprint(std::string_view text);

} // namespace policy
