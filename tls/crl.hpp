// Certificate revocation lists as octets: what a list says of itself, for those who fetch and check them.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "smtp/base/result.hpp"

namespace tls {

/// Of one file or fetch; more is refused with a text that names the limit.
inline constexpr std::size_t max_crl_octets = 32 * 1024 * 1024;
inline constexpr std::size_t max_crls_in_file = 100;

/// One list (RFC 5280 section 5.1).
struct CrlFacts {
  std::string issuer; ///< RFC 2253 text
  std::chrono::system_clock::time_point this_update;
  std::optional<std::chrono::system_clock::time_point>
      next_update;         ///< nothing: the list says no end (RFC 5280 forbids)
  std::size_t revoked = 0; ///< how many certificates it lists
  std::size_t lists = 1;   ///< how many lists the octets hold
  friend bool operator==(const CrlFacts &, const CrlFacts &) = default;
};

/// Reads DER (one list) or PEM (one or more). With several, the facts are those of the one that ends first. No
/// signature is verified: that is done with each chain. Errors: too_long, bad_syntax.
[[nodiscard]] smtp::Result<CrlFacts> read_crl(std::string_view octets);

} // namespace tls
