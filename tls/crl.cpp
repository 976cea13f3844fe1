#include "tls/crl.hpp"

#include <algorithm>

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

CrlProof prove(X509_CRL &list, const TrustStore &trust) {
  const StoreContextPtr context(X509_STORE_CTX_new());
  if (!context || X509_STORE_CTX_init(context.get(), trust.impl().store.get(), nullptr, nullptr) != 1)
    return CrlProof::unknown_issuer;
  const X509StackPtr issuers(X509_STORE_CTX_get1_certs(context.get(), X509_CRL_get_issuer(&list)));
  const int count = issuers ? sk_X509_num(issuers.get()) : 0;
  for (int i = 0; i < count; ++i) {
    EVP_PKEY *key = X509_get0_pubkey(sk_X509_value(issuers.get(), i));
    if (key != nullptr && X509_CRL_verify(&list, key) == 1) return CrlProof::verified;
  }
  return count > 0 ? CrlProof::refuted : CrlProof::unknown_issuer;
}

CrlProof prove(X509_CRL &list, const std::vector<std::shared_ptr<const TrustStore>> &trust) {
  CrlProof proof = CrlProof::unknown_issuer;
  for (const auto &store : trust) {
    const CrlProof one = prove(list, *store);
    if (one == CrlProof::verified) return one;
    if (one == CrlProof::refuted) proof = one;
  }
  return proof;
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

smtp::Result<std::vector<CrlFacts>> read_crls(std::string_view octets,
                                              const std::vector<std::shared_ptr<const TrustStore>> &trust) {
  auto lists = parse_crls(octets);
  if (!lists) return tl::unexpected(std::move(lists.error()));
  std::vector<CrlFacts> all;
  for (const CrlPtr &list : *lists) {
    all.push_back(facts_of(*list));
    all.back().proof = prove(*list, trust);
  }
  ERR_clear_error();
  return all;
}

CrlFacts first_to_end(const std::vector<CrlFacts> &lists) {
  CrlFacts facts = *std::min_element(lists.begin(), lists.end(), ends_before);
  facts.lists = lists.size();
  return facts;
}

smtp::Result<CrlFacts> read_crl(std::string_view octets) {
  auto lists = read_crls(octets, {});
  if (!lists) return tl::unexpected(std::move(lists.error()));
  return first_to_end(*lists);
}

} // namespace tls
