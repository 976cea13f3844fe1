#include "tls/certificate.hpp"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include "smtp/base/text.hpp"
#include "tls/key_pair.hpp"
#include "tls/openssl.hpp"

namespace tls {
namespace {

constexpr std::size_t max_common_name = 64; // RFC 5280 appendix A: ub-common-name
constexpr std::size_t max_organisation = 64;
constexpr int max_days = 36'500;

tl::unexpected<smtp::Error> library_error(std::string_view what) {
  return smtp::fail(smtp::ErrorCode::tls, fmt::format("{}: {}", what, take_error_text("the TLS library refused it")));
}

/// A host name as a dNSName may carry it: RFC 5280 section 4.2.1.6, with an optional "*." in front.
smtp::Result<void> check_name(std::string_view name) {
  const std::string_view host = name.starts_with("*.") ? name.substr(2) : name;
  if (host.size() > 253) {
    return smtp::fail(smtp::ErrorCode::too_long,
                      fmt::format("the name is {} octets, limit is 253: \"{}\"", host.size(), smtp::escape(name)));
  }
  for (const std::string_view label : smtp::split(host, '.')) {
    const bool fine = !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
                      std::all_of(label.begin(), label.end(), [](char c) {
                        const char l = smtp::to_lower(c);
                        return (l >= 'a' && l <= 'z') || (l >= '0' && l <= '9') || l == '-';
                      });
    if (!fine) {
      return smtp::fail(smtp::ErrorCode::bad_syntax, fmt::format("not a host name: \"{}\"", smtp::escape(name)));
    }
  }
  return {};
}

smtp::Result<void> check_names(const std::vector<std::string> &names) {
  if (names.empty()) return smtp::fail(smtp::ErrorCode::bad_syntax, "a certificate needs at least one name");
  if (names.size() > max_certificate_names) {
    return smtp::fail(smtp::ErrorCode::too_long,
                      fmt::format("{} names, limit is {}", names.size(), max_certificate_names));
  }
  for (const std::string &name : names) {
    if (auto fine = check_name(name); !fine) return fine;
  }
  return {};
}

smtp::Result<KeyPtr> make_key(KeyType type) {
  ERR_clear_error();
  KeyPtr key;
  switch (type) {
  case KeyType::rsa_2048: key.reset(EVP_RSA_gen(2048U)); break;
  case KeyType::rsa_3072: key.reset(EVP_RSA_gen(3072U)); break;
  case KeyType::ec_p256: key.reset(EVP_EC_gen("P-256")); break;
  }
  if (!key) return library_error("the key cannot be made");
  return key;
}

bool add_entry(X509_NAME &name, const char *field, const std::string &value) {
  return X509_NAME_add_entry_by_txt(&name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char *>(value.data()),
                                    static_cast<int>(value.size()), -1, 0) == 1;
}

/// The names go into a subjectAltName as they are, never through OpenSSL's configuration language.
GeneralNamesPtr alternative_names(const std::vector<std::string> &names) {
  GeneralNamesPtr list(GENERAL_NAMES_new());
  for (const std::string &name : names) {
    GENERAL_NAME *entry = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    const std::string lower = smtp::to_lower(name);
    if (!list || entry == nullptr || text == nullptr ||
        ASN1_STRING_set(text, lower.data(), static_cast<int>(lower.size())) != 1 ||
        sk_GENERAL_NAME_push(list.get(), entry) <= 0) {
      GENERAL_NAME_free(entry);
      ASN1_IA5STRING_free(text);
      return nullptr;
    }
    GENERAL_NAME_set0_value(entry, GEN_DNS, text);
  }
  return list;
}

bool add_extension(X509 &certificate, int type, const char *value) {
  const std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, nullptr, type, value));
  return extension && X509_add_ext(&certificate, extension.get(), -1) == 1;
}

bool add_key_identifier(X509 &certificate) {
  X509V3_CTX context{};
  X509V3_set_ctx(&context, nullptr, &certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, NID_subject_key_identifier, "hash"));
  return extension && X509_add_ext(&certificate, extension.get(), -1) == 1;
}

/// 127 random bits: positive, unpredictable, and within the 20 octets of RFC 5280 section 4.1.2.2.
bool set_random_serial(X509 &certificate) {
  std::array<unsigned char, 16> octets{};
  if (RAND_bytes(octets.data(), static_cast<int>(octets.size())) != 1) return false;
  octets[0] = static_cast<unsigned char>((octets[0] & 0x7f) | 0x40);
  const std::unique_ptr<BIGNUM, Free<BN_free>> number(
      BN_bin2bn(octets.data(), static_cast<int>(octets.size()), nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(&certificate)) != nullptr;
}

std::string octets_in(BIO &bio) {
  char *data = nullptr;
  const long size = BIO_get_mem_data(&bio, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

smtp::Result<std::string> key_pem(EVP_PKEY &key) {
  const BioPtr bio(BIO_new(BIO_s_secmem()));
  if (!bio || PEM_write_bio_PKCS8PrivateKey(bio.get(), &key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return library_error("the key cannot be written");
  }
  return octets_in(*bio);
}

/// An empty common name is legal beside a subjectAltName (RFC 5280 section 4.1.2.6); one that is too long is not.
bool set_common_name(X509_NAME &subject, const std::string &name) {
  return name.size() > max_common_name || add_entry(subject, "CN", name);
}

} // namespace

smtp::Result<std::vector<CertificateFacts>> read_certificates(const std::string &path) {
  auto certificates = load_pem_certificates(path);
  if (!certificates) return tl::unexpected(certificates.error());
  std::vector<CertificateFacts> facts;
  facts.reserve(certificates->size());
  for (const X509Ptr &certificate : *certificates) facts.push_back(certificate_facts(*certificate));
  return facts;
}

smtp::Result<void> check_key_pair(const std::string &certificate_path, const std::string &key_path) {
  auto pair = load_key_pair({certificate_path, key_path});
  if (!pair) return tl::unexpected(pair.error());
  return {};
}

smtp::Result<GeneratedPem> make_self_signed(KeyType type, const std::vector<std::string> &dns_names,
                                            std::chrono::days lifetime) {
  if (auto fine = check_names(dns_names); !fine) return tl::unexpected(fine.error());
  if (lifetime.count() < 1 || lifetime.count() > max_days) {
    return smtp::fail(smtp::ErrorCode::bad_syntax,
                      fmt::format("a lifetime of {} days, limits are 1 and {}", lifetime.count(), max_days));
  }
  auto key = make_key(type);
  if (!key) return tl::unexpected(key.error());
  const X509Ptr certificate(X509_new());
  const GeneralNamesPtr names = alternative_names(dns_names);
  if (!certificate || !names) return library_error("the certificate cannot be made");
  X509_NAME &subject = *X509_get_subject_name(certificate.get());
  const char *const usage =
      type == KeyType::ec_p256 ? "critical,digitalSignature" : "critical,digitalSignature,keyEncipherment";
  const bool critical_names = dns_names.front().size() > max_common_name; // RFC 5280 section 4.2.1.6: subject is empty
  const bool done =
      X509_set_version(certificate.get(), X509_VERSION_3) == 1 && set_random_serial(*certificate) &&
      set_common_name(subject, dns_names.front()) && X509_set_issuer_name(certificate.get(), &subject) == 1 &&
      X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600) != nullptr &&
      X509_time_adj_ex(X509_getm_notAfter(certificate.get()), static_cast<int>(lifetime.count()), 0, nullptr) !=
          nullptr &&
      X509_set_pubkey(certificate.get(), key->get()) == 1 &&
      add_extension(*certificate, NID_basic_constraints, "critical,CA:FALSE") &&
      add_extension(*certificate, NID_key_usage, usage) &&
      add_extension(*certificate, NID_ext_key_usage, "serverAuth,clientAuth") && add_key_identifier(*certificate) &&
      X509_add1_ext_i2d(certificate.get(), NID_subject_alt_name, names.get(), critical_names ? 1 : 0,
                        X509V3_ADD_DEFAULT) == 1 &&
      X509_sign(certificate.get(), key->get(), EVP_sha256()) > 0;
  if (!done) return library_error("the certificate cannot be made");
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_X509(bio.get(), certificate.get()) != 1) {
    return library_error("the certificate cannot be written");
  }
  auto pem = key_pem(**key);
  if (!pem) return tl::unexpected(pem.error());
  return GeneratedPem{.key = std::move(*pem), .certificate = octets_in(*bio)};
}

smtp::Result<GeneratedPem> make_request(KeyType type, const std::vector<std::string> &dns_names,
                                        const std::string &organisation, const std::string &country) {
  if (auto fine = check_names(dns_names); !fine) return tl::unexpected(fine.error());
  if (organisation.size() > max_organisation) {
    return smtp::fail(smtp::ErrorCode::too_long,
                      fmt::format("the organisation is {} octets, limit is {}", organisation.size(), max_organisation));
  }
  if (!smtp::is_utf8(organisation)) return smtp::fail(smtp::ErrorCode::bad_syntax, "the organisation is not UTF-8");
  const auto is_letter = [](char c) { return c >= 'A' && c <= 'Z'; };
  if (!country.empty() && (country.size() != 2 || !std::all_of(country.begin(), country.end(), is_letter))) {
    return smtp::fail(smtp::ErrorCode::bad_syntax,
                      fmt::format("the country is two capital letters, not \"{}\"", smtp::escape(country)));
  }
  auto key = make_key(type);
  if (!key) return tl::unexpected(key.error());
  const RequestPtr request(X509_REQ_new());
  const GeneralNamesPtr names = alternative_names(dns_names);
  STACK_OF(X509_EXTENSION) *list = nullptr;
  if (!request || !names || X509V3_add1_i2d(&list, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) != 1) {
    return library_error("the request cannot be made");
  }
  const ExtensionStackPtr extensions(list);
  X509_NAME &subject = *X509_REQ_get_subject_name(request.get());
  const bool done = X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1 &&
                    (country.empty() || add_entry(subject, "C", country)) &&
                    (organisation.empty() || add_entry(subject, "O", organisation)) &&
                    set_common_name(subject, dns_names.front()) &&
                    X509_REQ_set_pubkey(request.get(), key->get()) == 1 &&
                    X509_REQ_add_extensions(request.get(), extensions.get()) == 1 &&
                    X509_REQ_sign(request.get(), key->get(), EVP_sha256()) > 0;
  if (!done) return library_error("the request cannot be made");
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_X509_REQ(bio.get(), request.get()) != 1) {
    return library_error("the request cannot be written");
  }
  auto pem = key_pem(**key);
  if (!pem) return tl::unexpected(pem.error());
  return GeneratedPem{.key = std::move(*pem), .certificate = octets_in(*bio)};
}

} // namespace tls
