// PublicKey: the key of a key record, made ready to check signatures of digests.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "auth/dkim/digest.hpp"
#include "auth/dkim/key_record.hpp"
#include "smtp/base/result.hpp"

namespace auth {

/// The numbers of an RSA key, big endian, without leading zeros.
struct RsaNumbers {
  std::string_view modulus;
  std::string_view exponent;

  [[nodiscard]] unsigned bits() const noexcept;
};

/// RFC 8301 section 3.2: verifiers handle 1024 to 4096 bits; more is not computed.
inline constexpr unsigned max_rsa_bits = 4096;
inline constexpr unsigned min_rsa_bits = 1024;

/// Reads a DER SubjectPublicKeyInfo of an RSA key, or a bare RSAPublicKey (RFC 8017 appendix A.1.1): RFC 6376 section
/// 3.6.1 names the latter, its examples and everyone's keys are the former. Views into `der`.
[[nodiscard]] std::optional<RsaNumbers> parse_rsa_key(std::string_view der);
/// The SubjectPublicKeyInfo of an RSA key.
[[nodiscard]] std::string format_rsa_key(const RsaNumbers &key);

class PublicKey {
public:
  /// Errors (bad_syntax): no RSA key in DER, an even or tiny modulus, an exponent over 64 bits, over max_rsa_bits; an
  /// Ed25519 key that is not 32 octets.
  [[nodiscard]] static smtp::Result<PublicKey> make(KeyType type, std::string_view public_key);

  [[nodiscard]] unsigned bits() const noexcept;
  /// RSASSA-PKCS1-v1_5, or Ed25519 over the digest as its message (RFC 8463 section 3).
  [[nodiscard]] bool verify(HashKind hash, std::string_view digest, std::string_view signature) const;

private:
  class Implementation;
  explicit PublicKey(std::shared_ptr<const Implementation> implementation);
  std::shared_ptr<const Implementation> implementation_;
};

} // namespace auth
