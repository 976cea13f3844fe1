// Certificate revocation lists: see crl.hpp.
#include "tls/crl.hpp"

#include <fmt/format.h>
#include <openssl/pem.h>

#include "tls/openssl.hpp"

namespace tls {
namespace {

constexpr std::string_view pem_begin = "-----BEGIN ";

/// RFC 5280 section 4.2.1.13: what a distribution point serves is one list in DER, and nothing else.
smtp::Result<std::vector<CrlPtr>> parse_der(std::string_view octets) {
  const auto *at = reinterpret_cast<const unsigned char *>(octets.data());
  const unsigned char *const end = at + octets.size();
  CrlPtr list(d2i_X509_CRL(nullptr, &at, static_cast<long>(octets.size())));
  if (!list) return smtp::fail(smtp::ErrorCode::bad_syntax, "not a revocation list: " + take_error_text("not valid"));
  if (at != end) {
    return smtp::fail(smtp::ErrorCode::bad_syntax, fmt::format("{} octets follow the revocation list", end - at));
  }
  std::vector<CrlPtr> lists;
  lists.push_back(std::move(list));
  return lists;
}

smtp::Result<std::vector<CrlPtr>> parse_pem(std::string_view octets) {
  const BioPtr bio(BIO_new_mem_buf(octets.data(), static_cast<int>(octets.size())));
  std::vector<CrlPtr> lists;
  while (X509_CRL *list = PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr)) {
    lists.emplace_back(list);
    if (lists.size() > max_crls_in_file) {
      return smtp::fail(smtp::ErrorCode::too_long, fmt::format("more than {} revocation lists", max_crls_in_file));
    }
  }
  if (!is_end_of_pem()) {
    return smtp::fail(smtp::ErrorCode::bad_syntax, fmt::format("revocation list {} cannot be read: {}",
                                                               lists.size() + 1, take_error_text("not valid")));
  }
  if (lists.empty()) return smtp::fail(smtp::ErrorCode::bad_syntax, "contains no revocation list");
  return lists;
}

CrlFacts facts_of(X509_CRL &list) {
  CrlFacts facts;
  facts.issuer = text_of(X509_CRL_get_issuer(&list));
  facts.this_update = time_of(X509_CRL_get0_lastUpdate(&list));
  if (const ASN1_TIME *next = X509_CRL_get0_nextUpdate(&list); next != nullptr) facts.next_update = time_of(next);
  if (STACK_OF(X509_REVOKED) *revoked = X509_CRL_get_REVOKED(&list); revoked != nullptr) {
    facts.revoked = static_cast<std::size_t>(sk_X509_REVOKED_num(revoked));
  }
  return facts;
}

bool ends_before(const CrlFacts &first, const CrlFacts &second) {
  return first.next_update && (!second.next_update || *first.next_update < *second.next_update);
}

} // namespace

smtp::Result<std::vector<CrlPtr>> parse_crls(std::string_view octets) {
  if (octets.size() > max_crl_octets) {
    return smtp::fail(smtp::ErrorCode::too_long,
                      fmt::format("{} octets, the limit is {}", octets.size(), max_crl_octets));
  }
  ERR_clear_error();
  // DER begins with the tag of a SEQUENCE, "0"; PEM may begin with words of explanation.
  const bool is_pem = octets.find(pem_begin) != std::string_view::npos && !octets.starts_with('0');
  auto lists = is_pem ? parse_pem(octets) : parse_der(octets);
  ERR_clear_error();
  return lists;
}

smtp::Result<CrlFacts> read_crl(std::string_view octets) {
  auto lists = parse_crls(octets);
  if (!lists) return tl::unexpected(std::move(lists.error()));
  CrlFacts facts = facts_of(*lists->front());
  for (std::size_t i = 1; i < lists->size(); ++i) {
    CrlFacts other = facts_of(*(*lists)[i]);
    if (ends_before(other, facts)) facts = std::move(other);
  }
  facts.lists = lists->size();
  ERR_clear_error();
  return facts;
}

} // namespace tls
