// SigningKey: see the header.
#include "auth/dkim/signing_key.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "auth/dkim/evp.hpp"
#include "auth/dkim/public_key.hpp"
#include "smtp/base/base64.hpp"
#include "smtp/base/text.hpp"

namespace auth {

using smtp::ErrorCode;

class SigningKey::Implementation {
public:
  KeyType type = KeyType::rsa;
  unsigned bits = 0;
  evp::Key key;
};

namespace {

/// No key file is encrypted: nobody is there to type a passphrase.
int no_passphrase(char *, int, int, void *) {
  return 0;
}

bool is_selector_label(std::string_view label) {
  return !label.empty() && label.size() <= 63 && std::all_of(label.begin(), label.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

} // namespace

smtp::Result<std::string> parse_selector(std::string_view text) {
  std::string selector = smtp::to_lower(text);
  const auto labels = smtp::split(selector, '.');
  if (selector.size() > 190 || !std::all_of(labels.begin(), labels.end(), is_selector_label))
    return smtp::fail(
        ErrorCode::bad_syntax,
        fmt::format("\"{}\" is not a selector: labels of letters, digits, '-' and '_' of at most 63 octets, "
                    "with dots between, at most 190 octets in all",
                    smtp::escape(text, 80)));
  return selector;
}

SigningKey::SigningKey(std::shared_ptr<const Implementation> implementation)
    : implementation_(std::move(implementation)) {}

smtp::Result<SigningKey> SigningKey::parse(std::string_view pem) {
  const evp::Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(std::min<std::size_t>(pem.size(), 65536))));
  auto made = std::make_shared<Implementation>();
  made->key.reset(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr) : nullptr);
  evp::clear_errors();
  if (!made->key)
    return smtp::fail(ErrorCode::bad_syntax, "no private key in PEM form without a passphrase (RSA or Ed25519)");
  if (EVP_PKEY_get_id(made->key.get()) == EVP_PKEY_ED25519) {
    made->type = KeyType::ed25519;
    made->bits = 256;
  } else if (EVP_PKEY_get_id(made->key.get()) == EVP_PKEY_RSA) {
    made->bits = static_cast<unsigned>(EVP_PKEY_get_bits(made->key.get()));
    // RFC 8301 section 3.2: signers MUST use at least 1024 bits; no verifier must handle more than 4096.
    if (made->bits < min_rsa_bits || made->bits > max_rsa_bits)
      return smtp::fail(ErrorCode::bad_syntax, fmt::format("RSA key is {} bits, limits are {} and {}", made->bits,
                                                           min_rsa_bits, max_rsa_bits));
  } else {
    return smtp::fail(ErrorCode::bad_syntax, "private key is neither RSA nor Ed25519");
  }
  return SigningKey(std::move(made));
}

smtp::Result<SigningKey> SigningKey::generate_rsa(unsigned bits) {
  if (bits < min_rsa_bits || bits > max_rsa_bits)
    return smtp::fail(ErrorCode::bad_syntax,
                      fmt::format("RSA key of {} bits, limits are {} and {}", bits, min_rsa_bits, max_rsa_bits));
  auto made = std::make_shared<Implementation>();
  made->bits = bits;
  made->key.reset(EVP_RSA_gen(bits));
  if (!made->key) return smtp::fail(ErrorCode::protocol, "the library cannot make an RSA key");
  return SigningKey(std::move(made));
}

smtp::Result<SigningKey> SigningKey::generate_ed25519() {
  auto made = std::make_shared<Implementation>();
  made->type = KeyType::ed25519;
  made->bits = 256;
  made->key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  if (!made->key) return smtp::fail(ErrorCode::protocol, "the library cannot make an Ed25519 key");
  return SigningKey(std::move(made));
}

KeyType SigningKey::type() const noexcept {
  return implementation_->type;
}
unsigned SigningKey::bits() const noexcept {
  return implementation_->bits;
}
std::string_view SigningKey::algorithm() const noexcept {
  return implementation_->type == KeyType::rsa ? "rsa-sha256" : "ed25519-sha256";
}

std::string SigningKey::public_key() const {
  EVP_PKEY *const key = implementation_->key.get();
  if (implementation_->type == KeyType::ed25519) { // RFC 8463 section 4.2: without ASN.1 around it
    std::string octets(32, '\0');
    std::size_t size = octets.size();
    if (EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char *>(octets.data()), &size) != 1) return {};
    return octets;
  }
  unsigned char *der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  if (size <= 0) return {};
  std::string octets(reinterpret_cast<const char *>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return octets;
}

std::string SigningKey::public_record() const {
  return fmt::format("v=DKIM1; k={}; p={}", to_string(type()), smtp::to_base64(public_key()));
}

std::string SigningKey::to_pem() const {
  const evp::Bio bio(BIO_new(BIO_s_mem()));
  if (!bio ||
      PEM_write_bio_PKCS8PrivateKey(bio.get(), implementation_->key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return {};
  const char *text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

smtp::Result<std::string> SigningKey::sign_digest(std::string_view sha256) const {
  EVP_PKEY *const key = implementation_->key.get();
  const auto *const digest = reinterpret_cast<const unsigned char *>(sha256.data());
  std::string signature(
      implementation_->type == KeyType::ed25519 ? 64 : static_cast<std::size_t>(EVP_PKEY_get_size(key)), '\0');
  auto *const out = reinterpret_cast<unsigned char *>(signature.data());
  std::size_t size = signature.size();
  bool made = false;
  if (implementation_->type == KeyType::ed25519) {
    const evp::HashContext context(EVP_MD_CTX_new());
    made = context && EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key) == 1 &&
           EVP_DigestSign(context.get(), out, &size, digest, sha256.size()) == 1;
  } else {
    const evp::KeyContext context(EVP_PKEY_CTX_new(key, nullptr));
    made = context && EVP_PKEY_sign_init(context.get()) == 1 &&
           EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) == 1 &&
           EVP_PKEY_CTX_set_signature_md(context.get(), EVP_sha256()) == 1 &&
           EVP_PKEY_sign(context.get(), out, &size, digest, sha256.size()) == 1;
  }
  if (!made) {
    evp::clear_errors();
    return smtp::fail(ErrorCode::protocol, "the library cannot sign");
  }
  signature.resize(size);
  return signature;
}

} // namespace auth
