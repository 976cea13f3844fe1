// KeyRecord: a domain's public key as its DNS TXT record publishes it (RFC 6376 section 3.6.1, RFC 8463).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "smtp/base/result.hpp"

namespace auth {

enum class KeyType : std::uint8_t { rsa, ed25519 };

/// "rsa", "ed25519".
[[nodiscard]] std::string_view to_string(KeyType type) noexcept;

/// No longer record is read: an RSA key of 16384 bits fits.
inline constexpr std::size_t max_key_record = 4096;

struct KeyRecord {
  KeyType type = KeyType::rsa;
  std::string public_key;    ///< p=, base64 undone; empty: the key is revoked
  bool allows_sha1 = true;   ///< h= is absent or names sha1
  bool allows_sha256 = true; ///< h= is absent or names sha256
  bool allows_email = true;  ///< s= is absent or names "*" or "email"
  bool testing = false;      ///< t=y
  /// g= of RFC 4871, which RFC 6376 dropped: only the verifier's mode for old test corpora looks at it.
  std::optional<std::string> granularity;
  bool no_subdomain = false; ///< t=s: the domain of i= is d= itself

  /// Errors: too_long over max_key_record octets; bad_syntax for octets that are not text, a broken tag list, a v= that
  /// is not DKIM1 or not first, an unknown k=, no p=, base64 that does not decode. g= of RFC 4871 and n= are passed
  /// over (RFC 6376 section 3.6.1: unrecognized tags MUST be ignored).
  [[nodiscard]] static smtp::Result<KeyRecord> parse(std::string_view text);
};

} // namespace auth
