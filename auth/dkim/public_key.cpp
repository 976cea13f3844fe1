// PublicKey: see the header.
#include "auth/dkim/public_key.hpp"

#include <array>

#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "auth/dkim/evp.hpp"

namespace auth {

namespace {

const unsigned char *const_octets(std::string_view text) {
  return reinterpret_cast<const unsigned char *>(text.data());
}

/// Built from its numbers: the library's decoders cost more than the check of a signature.
evp::Key make_rsa(const RsaNumbers &numbers) {
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> n(
      BN_bin2bn(const_octets(numbers.modulus), static_cast<int>(numbers.modulus.size()), nullptr), BN_free);
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> e(
      BN_bin2bn(const_octets(numbers.exponent), static_cast<int>(numbers.exponent.size()), nullptr), BN_free);
  const std::unique_ptr<OSSL_PARAM_BLD, decltype(&OSSL_PARAM_BLD_free)> builder(OSSL_PARAM_BLD_new(),
                                                                                OSSL_PARAM_BLD_free);
  if (!n || !e || !builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
    return nullptr;
  const std::unique_ptr<OSSL_PARAM, decltype(&OSSL_PARAM_free)> parameters(OSSL_PARAM_BLD_to_param(builder.get()),
                                                                           OSSL_PARAM_free);
  const evp::KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  EVP_PKEY *key = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1)
    return nullptr;
  return evp::Key(key);
}

/// Ready to verify signatures of digests of that kind; null: the library has no memory, or cannot do it.
evp::KeyContext make_rsa_context(EVP_PKEY *key, const EVP_MD *md) {
  evp::KeyContext context(EVP_PKEY_CTX_new(key, nullptr));
  if (!context || EVP_PKEY_verify_init(context.get()) != 1 ||
      EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) != 1 ||
      EVP_PKEY_CTX_set_signature_md(context.get(), md) != 1)
    return nullptr;
  return context;
}

} // namespace

class PublicKey::Implementation {
public:
  KeyType type = KeyType::rsa;
  unsigned bits = 0;
  evp::Key key;
  evp::KeyContext rsa_sha256; ///< ready to verify; each check takes a copy
};

PublicKey::PublicKey(std::shared_ptr<const Implementation> implementation)
    : implementation_(std::move(implementation)) {}

smtp::Result<PublicKey> PublicKey::make(KeyType type, std::string_view public_key) {
  using smtp::ErrorCode;
  auto made = std::make_shared<Implementation>();
  made->type = type;
  if (type == KeyType::ed25519) {
    if (public_key.size() != 32)
      return smtp::fail(ErrorCode::bad_syntax, fmt::format("ed25519 key is {} octets, not 32", public_key.size()));
    made->bits = 256;
    made->key.reset(
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, const_octets(public_key), public_key.size()));
  } else {
    const auto numbers = parse_rsa_key(public_key);
    if (!numbers) return smtp::fail(ErrorCode::bad_syntax, "key record does not hold an RSA key");
    made->bits = numbers->bits();
    if (made->bits > max_rsa_bits)
      return smtp::fail(ErrorCode::too_long, fmt::format("RSA key is {} bits, limit is {}", made->bits, max_rsa_bits));
    if (numbers->exponent.size() > 8 || made->bits < 384 || (numbers->modulus.back() & 1) == 0 ||
        (numbers->exponent.back() & 1) == 0 || numbers->exponent == std::string_view("\x01"))
      return smtp::fail(ErrorCode::bad_syntax, "key record holds an RSA key that cannot be one");
    made->key = make_rsa(*numbers);
    if (made->key) made->rsa_sha256 = make_rsa_context(made->key.get(), EVP_sha256());
  }
  if (!made->key || (type == KeyType::rsa && !made->rsa_sha256)) {
    evp::clear_errors();
    return smtp::fail(ErrorCode::bad_syntax, fmt::format("key record holds a broken {} key", to_string(type)));
  }
  return PublicKey(std::move(made));
}

unsigned PublicKey::bits() const noexcept {
  return implementation_->bits;
}

bool PublicKey::verify(HashKind hash, std::string_view digest, std::string_view signature) const {
  EVP_PKEY *const key = implementation_->key.get();
  int verified = 0;
  if (implementation_->type == KeyType::ed25519) {
    const evp::HashContext context(EVP_MD_CTX_new());
    verified = context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key) == 1
                   ? EVP_DigestVerify(context.get(), const_octets(signature), signature.size(), const_octets(digest),
                                      digest.size())
                   : 0;
  } else {
    // A context made anew looks up algorithms by name, which costs half as much as the check itself.
    const evp::KeyContext context = hash == HashKind::sha1
                                        ? make_rsa_context(key, EVP_sha1())
                                        : evp::KeyContext(EVP_PKEY_CTX_dup(implementation_->rsa_sha256.get()));
    if (context)
      verified = EVP_PKEY_verify(context.get(), const_octets(signature), signature.size(), const_octets(digest),
                                 digest.size());
  }
  if (verified != 1) evp::clear_errors();
  return verified == 1;
}

} // namespace auth
