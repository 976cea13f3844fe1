#include "tests/support/test_ca.hpp"

#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

namespace test {
namespace {

template <auto function> struct Free {
  template <typename T> void operator()(T *object) const noexcept { function(object); }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, Free<X509_free>>;
using BioPtr = std::unique_ptr<BIO, Free<BIO_free_all>>;

void demand(bool condition, const char *what) {
  if (!condition) throw std::runtime_error(std::string("test certificates: ") + what);
}

KeyPtr make_key(Key kind) {
  static const KeyPtr rsa_1024(EVP_RSA_gen(1024U));
  static const KeyPtr rsa_2048(EVP_RSA_gen(2048U));
  KeyPtr key;
  switch (kind) {
  case Key::ec_p256: key.reset(EVP_EC_gen("P-256")); break;
  case Key::ec_p384: key.reset(EVP_EC_gen("P-384")); break;
  case Key::rsa_1024:
  case Key::rsa_2048: {
    EVP_PKEY *shared = kind == Key::rsa_1024 ? rsa_1024.get() : rsa_2048.get();
    EVP_PKEY_up_ref(shared);
    key.reset(shared);
  }
  }
  demand(key != nullptr, "key");
  return key;
}

void add_extension(X509 &certificate, int type, const char *value) {
  const std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, nullptr, type, value));
  demand(extension && X509_add_ext(&certificate, extension.get(), -1) == 1, value);
}

void add_names(X509 &certificate, const std::vector<std::string> &names) {
  const std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>> list(GENERAL_NAMES_new());
  for (const std::string &name : names) {
    GENERAL_NAME *entry = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, name.data(), static_cast<int>(name.size()));
    GENERAL_NAME_set0_value(entry, GEN_DNS, text);
    sk_GENERAL_NAME_push(list.get(), entry);
  }
  demand(X509_add1_ext_i2d(&certificate, NID_subject_alt_name, list.get(), 0, X509V3_ADD_DEFAULT) == 1, "names");
}

X509Ptr start(const std::string &common_name, EVP_PKEY &key, std::chrono::hours starts, std::chrono::hours ends) {
  X509Ptr certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  unsigned char serial[8] = {};
  RAND_bytes(serial, sizeof serial);
  serial[0] = static_cast<unsigned char>((serial[0] & 0x3f) | 0x40);
  const std::unique_ptr<BIGNUM, Free<BN_free>> number(BN_bin2bn(serial, sizeof serial, nullptr));
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate.get()));
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), std::chrono::seconds(starts).count());
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), std::chrono::seconds(ends).count());
  demand(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char *>(common_name.data()),
                                    static_cast<int>(common_name.size()), -1, 0) == 1,
         "common name");
  demand(X509_set_pubkey(certificate.get(), &key) == 1, "public key");
  return certificate;
}

std::string text_of(BIO &bio) {
  char *data = nullptr;
  const long size = BIO_get_mem_data(&bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string pem_of(X509 &certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  demand(PEM_write_bio_X509(bio.get(), &certificate) == 1, "PEM");
  return text_of(*bio);
}

std::string pem_of(EVP_PKEY &key) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  demand(PEM_write_bio_PKCS8PrivateKey(bio.get(), &key, nullptr, nullptr, 0, nullptr, nullptr) == 1, "PEM key");
  return text_of(*bio);
}

/// Null issuer: self-signed.
X509Ptr make_leaf(const LeafOptions &options, EVP_PKEY &key, X509 *issuer, EVP_PKEY &issuer_key) {
  const std::string common_name = !options.common_name.empty() ? options.common_name
                                  : options.names.empty()      ? std::string("leaf")
                                                               : options.names.front().substr(0, 60);
  X509Ptr leaf = start(common_name, key, options.starts, options.ends);
  X509_set_issuer_name(leaf.get(), X509_get_subject_name(issuer == nullptr ? leaf.get() : issuer));
  add_extension(*leaf, NID_basic_constraints, "critical,CA:FALSE");
  switch (options.usage) {
  case Usage::server: add_extension(*leaf, NID_ext_key_usage, "serverAuth"); break;
  case Usage::client: add_extension(*leaf, NID_ext_key_usage, "clientAuth"); break;
  case Usage::both: add_extension(*leaf, NID_ext_key_usage, "serverAuth,clientAuth"); break;
  case Usage::unlimited: break;
  }
  if (!options.names.empty()) add_names(*leaf, options.names);
  const EVP_MD *digest = options.signature == Signature::sha1 ? EVP_sha1() : EVP_sha256();
  demand(X509_sign(leaf.get(), &issuer_key, digest) > 0, "signature");
  return leaf;
}

X509Ptr make_ca(const std::string &common_name, EVP_PKEY &key, X509 *issuer, EVP_PKEY &issuer_key) {
  X509Ptr ca = start(common_name, key, std::chrono::hours(-24 * 365), std::chrono::hours(24 * 3650));
  X509_set_issuer_name(ca.get(), X509_get_subject_name(issuer == nullptr ? ca.get() : issuer));
  add_extension(*ca, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(*ca, NID_key_usage, "critical,keyCertSign,cRLSign");
  demand(X509_sign(ca.get(), &issuer_key, EVP_sha256()) > 0, "signature");
  return ca;
}

} // namespace

Leaf &Leaf::write_to(const TempFolder &folder, const std::string &name) {
  chain_file = folder.write(name + ".pem", chain);
  key_file = folder.write(name + ".key", key);
  return *this;
}

struct TestCa::Impl {
  KeyPtr key;
  X509Ptr certificate;
  std::string above; ///< the intermediates from this one up, as a server sends them; empty for a root
};

TestCa::TestCa(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TestCa::TestCa(TestCa &&) noexcept = default;
TestCa::~TestCa() = default;

TestCa::TestCa(const std::string &common_name) : impl_(std::make_unique<Impl>()) {
  impl_->key = make_key(Key::ec_p256);
  impl_->certificate = make_ca(common_name, *impl_->key, nullptr, *impl_->key);
}

TestCa TestCa::intermediate(const std::string &common_name) const {
  auto impl = std::make_unique<Impl>();
  impl->key = make_key(Key::ec_p256);
  impl->certificate = make_ca(common_name, *impl->key, impl_->certificate.get(), *impl_->key);
  impl->above = pem_of(*impl->certificate) + impl_->above;
  return TestCa(std::move(impl));
}

Leaf TestCa::issue(const LeafOptions &options) const {
  const KeyPtr key = make_key(options.key);
  const X509Ptr certificate = make_leaf(options, *key, impl_->certificate.get(), *impl_->key);
  Leaf leaf;
  leaf.certificate = pem_of(*certificate);
  leaf.chain = leaf.certificate + impl_->above;
  leaf.key = pem_of(*key);
  return leaf;
}

std::string TestCa::pem() const {
  return pem_of(*impl_->certificate);
}

std::string TestCa::crl(const CrlOptions &options) const {
  const std::unique_ptr<X509_CRL, Free<X509_CRL_free>> list(X509_CRL_new());
  const std::unique_ptr<ASN1_TIME, Free<ASN1_TIME_free>> starts(
      X509_gmtime_adj(nullptr, std::chrono::seconds(options.starts).count()));
  const std::unique_ptr<ASN1_TIME, Free<ASN1_TIME_free>> ends(
      X509_gmtime_adj(nullptr, std::chrono::seconds(options.ends).count()));
  demand(X509_CRL_set_version(list.get(), X509_CRL_VERSION_2) == 1 &&
             X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(impl_->certificate.get())) == 1 &&
             X509_CRL_set1_lastUpdate(list.get(), starts.get()) == 1 &&
             X509_CRL_set1_nextUpdate(list.get(), ends.get()) == 1,
         "CRL");
  for (const std::string &pem : options.revoked) {
    const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    const X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    demand(certificate != nullptr, "the certificate to revoke");
    X509_REVOKED *revoked = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(revoked, X509_get_serialNumber(certificate.get()));
    X509_REVOKED_set_revocationDate(revoked, starts.get());
    demand(X509_CRL_add0_revoked(list.get(), revoked) == 1, "CRL entry");
  }
  if (!options.only_for.empty()) {
    const std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>> extension(X509V3_EXT_conf_nid(
        nullptr, nullptr, NID_issuing_distribution_point, ("critical," + options.only_for).c_str()));
    demand(extension && X509_CRL_add_ext(list.get(), extension.get(), -1) == 1, "issuingDistributionPoint");
  }
  X509_CRL_sort(list.get());
  demand(X509_CRL_sign(list.get(), impl_->key.get(), EVP_sha256()) > 0, "CRL signature");
  const BioPtr bio(BIO_new(BIO_s_mem()));
  demand(PEM_write_bio_X509_CRL(bio.get(), list.get()) == 1, "PEM CRL");
  return text_of(*bio);
}

std::string der_of(const std::string &pem) {
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  char *name = nullptr, *header = nullptr;
  unsigned char *data = nullptr;
  long size = 0;
  demand(PEM_read_bio(bio.get(), &name, &header, &data, &size) == 1, "PEM");
  std::string der(reinterpret_cast<const char *>(data), static_cast<std::size_t>(size));
  OPENSSL_free(name);
  OPENSSL_free(header);
  OPENSSL_free(data);
  return der;
}

Leaf self_signed(const LeafOptions &options) {
  const KeyPtr key = make_key(options.key);
  const X509Ptr certificate = make_leaf(options, *key, nullptr, *key);
  Leaf leaf;
  leaf.certificate = leaf.chain = pem_of(*certificate);
  leaf.key = pem_of(*key);
  return leaf;
}

} // namespace test
