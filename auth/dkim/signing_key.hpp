// SigningKey: a private key for DKIM and ARC, parsed once and shared by all threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "auth/dkim/key_record.hpp"
#include "smtp/base/result.hpp"

namespace auth {

/// The name of a key (RFC 6376 section 3.1), lower case: labels of letters, digits, '-' and '_' of at most 63 octets
/// with dots between, at most 190 octets in all. Errors: bad_syntax.
[[nodiscard]] smtp::Result<std::string> parse_selector(std::string_view text);

/// Cannot be printed; to_pem() is the only way out, for the file that keeps it.
class SigningKey {
public:
  /// PKCS#8 or PKCS#1 PEM, without a passphrase: RSA of 1024 bits (RFC 8301) up to 8192, or Ed25519.
  [[nodiscard]] static smtp::Result<SigningKey> parse(std::string_view pem);
  /// A new RSA key of 2048 or 3072 bits (any from 1024 to 8192 is made).
  [[nodiscard]] static smtp::Result<SigningKey> generate_rsa(unsigned bits);
  [[nodiscard]] static smtp::Result<SigningKey> generate_ed25519();

  [[nodiscard]] KeyType type() const noexcept;
  /// "rsa-sha256" or "ed25519-sha256".
  [[nodiscard]] std::string_view algorithm() const noexcept;
  [[nodiscard]] unsigned bits() const noexcept;
  /// The text of the DNS record: "v=DKIM1; k=rsa; p=…".
  [[nodiscard]] std::string public_record() const;
  /// p= without its base64, as KeyRecord::public_key has it: the SubjectPublicKeyInfo for RSA, the 32 octets for
  /// Ed25519.
  [[nodiscard]] std::string public_key() const;
  /// PKCS#8 PEM, not encrypted.
  [[nodiscard]] std::string to_pem() const;
  /// Signs a SHA-256 digest: RSASSA-PKCS1-v1_5, or PureEdDSA over the digest (RFC 8463 section 3). Any thread.
  [[nodiscard]] smtp::Result<std::string> sign_digest(std::string_view sha256) const;

private:
  class Implementation;
  explicit SigningKey(std::shared_ptr<const Implementation> implementation);
  std::shared_ptr<const Implementation> implementation_;
};

} // namespace auth
