// CertificateFacts read from an X.509 certificate.
#include <algorithm>
#include <ctime>

#include <fmt/format.h>

#include "smtp/base/base64.hpp"
#include "smtp/base/text.hpp"
#include "tls/openssl.hpp"

namespace tls {
namespace {

constexpr int max_subject_octets = 1024;

/// A name from a certificate that can be compared: printable ASCII without spaces. An embedded NUL, the old trick to
/// make C programs read "mx.example.org\0.evil.example" as another name, drops it.
bool is_usable_name(std::string_view name) {
  return !name.empty() && name.size() <= max_name_octets &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

std::string_view octets_of(const ASN1_STRING *string) {
  const int size = ASN1_STRING_length(string);
  if (size <= 0) return {};
  return {reinterpret_cast<const char *>(ASN1_STRING_get0_data(string)), static_cast<std::size_t>(size)};
}

using Digest = std::array<unsigned char, 32>;

} // namespace

std::string key_digest(X509 &certificate) {
  unsigned char *der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(&certificate), &der);
  if (size <= 0) return {};
  Digest digest{};
  const int done = EVP_Digest(der, static_cast<std::size_t>(size), digest.data(), nullptr, EVP_sha256(), nullptr);
  OPENSSL_free(der);
  return done == 1 ? smtp::to_base64({reinterpret_cast<const char *>(digest.data()), digest.size()}) : std::string();
}

/// RFC 9525 section 2: the common name is not an identifier.
std::vector<std::string> names_of(X509 &certificate) {
  std::vector<std::string> names;
  const GeneralNamesPtr alternatives(
      static_cast<GENERAL_NAMES *>(X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; alternatives && i < sk_GENERAL_NAME_num(alternatives.get()); ++i) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(alternatives.get(), i);
    if (name->type != GEN_DNS) continue;
    const std::string_view text = octets_of(name->d.dNSName);
    if (is_usable_name(text)) names.push_back(smtp::to_lower(text));
  }
  return names;
}

std::vector<std::string> names_for_dane(X509 &certificate) {
  std::vector<std::string> names = names_of(certificate);
  const GeneralNamesPtr alternatives(
      static_cast<GENERAL_NAMES *>(X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; alternatives && i < sk_GENERAL_NAME_num(alternatives.get()); ++i)
    if (sk_GENERAL_NAME_value(alternatives.get(), i)->type == GEN_DNS)
      return names; // usable or not, it rules the CN out

  const X509_NAME *subject = X509_get_subject_name(&certificate);
  const int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (index < 0) return names;
  unsigned char *utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index)));
  if (size >= 0) {
    const std::string_view text(reinterpret_cast<const char *>(utf8), static_cast<std::size_t>(size));
    if (is_usable_name(text)) names.push_back(smtp::to_lower(text));
    OPENSSL_free(utf8);
  }
  return names;
}

std::string text_of(const X509_NAME *name) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || name == nullptr || X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253) < 0) return {};
  char *data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  if (size <= 0) return {};
  return std::string(data, static_cast<std::size_t>(std::min<long>(size, max_subject_octets)));
}

std::chrono::system_clock::time_point time_of(const ASN1_TIME *time) {
  using Clock = std::chrono::system_clock;
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return {};
  const std::chrono::seconds seconds(timegm(&parts));
  const auto lowest = std::chrono::ceil<std::chrono::seconds>(Clock::duration::min());
  const auto highest = std::chrono::floor<std::chrono::seconds>(Clock::duration::max());
  return Clock::time_point(std::clamp(seconds, lowest, highest));
}

std::string subject_of(const X509 &certificate) {
  return text_of(X509_get_subject_name(&certificate));
}

CertificateFacts certificate_facts(X509 &certificate) {
  CertificateFacts facts;
  facts.subject = subject_of(certificate);
  facts.issuer = text_of(X509_get_issuer_name(&certificate));
  facts.dns_names = names_of(certificate);
  facts.spki_sha256 = key_digest(certificate);
  Digest digest{};
  if (X509_digest(&certificate, EVP_sha256(), digest.data(), nullptr) == 1) {
    facts.fingerprint_sha256 = fmt::format("{:02x}", fmt::join(digest, ""));
  }
  if (EVP_PKEY *key = X509_get0_pubkey(&certificate); key != nullptr) {
    const char *type = EVP_PKEY_get0_type_name(key);
    facts.key_type = type == nullptr ? "unknown" : type;
    facts.key_bits = EVP_PKEY_get_bits(key);
  } else {
    facts.key_type = "unknown";
  }
  facts.not_before = time_of(X509_get0_notBefore(&certificate));
  facts.not_after = time_of(X509_get0_notAfter(&certificate));
  ERR_clear_error();
  return facts;
}

} // namespace tls
