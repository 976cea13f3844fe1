// Certificate revocation lists as octets: what a list says of itself, for those who fetch and check them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/base/result.hpp"

namespace tls {

/// Of one file or fetch; more is refused with a text that names the limit.
inline constexpr std::size_t max_crl_octets = 32 * 1024 * 1024;
inline constexpr std::size_t max_crls_in_file = 100;

class TrustStore;

/// What CAs at hand say of a list's signature.
enum class CrlProof : std::uint8_t {
  unknown_issuer, ///< none of them has the issuer's name
  verified,
  refuted, ///< one has that name, and its key did not sign the list
};

/// One list (RFC 5280 section 5.1).
struct CrlFacts {
  std::string issuer; ///< RFC 2253 text
  std::chrono::system_clock::time_point this_update;
  std::optional<std::chrono::system_clock::time_point>
      next_update;         ///< nothing: the list says no end (RFC 5280 forbids)
  std::size_t revoked = 0; ///< how many certificates it lists
  std::size_t lists = 1;   ///< how many lists the octets hold
  CrlProof proof = CrlProof::unknown_issuer;
  friend bool operator==(const CrlFacts &, const CrlFacts &) = default;
};

/// Reads DER (one list) or PEM (one or more), at least one, in their order. The signatures are tried with the CAs of
/// `trust`; whether such a CA may sign lists, and its own dates, are judged with each chain. Errors: too_long,
/// bad_syntax.
[[nodiscard]] smtp::Result<std::vector<CrlFacts>>
read_crls(std::string_view octets, const std::vector<std::shared_ptr<const TrustStore>> &trust);
/// The one that ends first, with the number of all. At least one.
[[nodiscard]] CrlFacts first_to_end(const std::vector<CrlFacts> &lists);
/// The same of the octets, without any CA.
[[nodiscard]] smtp::Result<CrlFacts> read_crl(std::string_view octets);

} // namespace tls
