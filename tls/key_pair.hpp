// KeyPair: one of our own certificates with its chain and key, loaded and checked against a profile; only for
// tls/*.cpp.
#pragma once

#include <string>

#include "tls/openssl.hpp"

namespace tls {

struct KeyPair {
  KeyPairFiles files;
  X509Ptr leaf;
  X509StackPtr others; ///< the rest of the file, as it will be sent
  KeyPtr key;
  CertificateFacts facts; ///< of the leaf
};

/// Errors name the file: missing, unreadable, not PEM, key does not match.
[[nodiscard]] smtp::Result<KeyPair> load_key_pair(const KeyPairFiles &files);
/// "RSA", "EC", …
[[nodiscard]] std::string key_type_of(const EVP_PKEY &key);
/// Whether certificates with keys of this type are used with the profile at all.
[[nodiscard]] bool profile_uses(const Profile &profile, const EVP_PKEY &key);
/// Fails with what is too weak: bits, curve, a signature in the chain.
[[nodiscard]] smtp::Result<void> check_strength(const KeyPair &pair, const Profile &profile);
/// Puts the pair into the context; it replaces one with the same type of key.
[[nodiscard]] smtp::Result<void> use_key_pair(SSL_CTX &context, const KeyPair &pair);

} // namespace tls
