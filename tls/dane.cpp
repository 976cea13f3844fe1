#include "tls/dane.hpp"

#include <algorithm>
#include <ctime>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "tls/core/name_match.hpp"
#include "tls/openssl.hpp"

namespace tls {
namespace {

using smtp::TlsaRecord;

// RFC 7218: the names of the numbers.
constexpr int dane_ta = 2, dane_ee = 3;
constexpr int whole_certificate = 0, public_key = 1;
constexpr int exact = 0, sha2_256 = 1, sha2_512 = 2;

const unsigned char *octets_of(const TlsaRecord &record) noexcept {
  return reinterpret_cast<const unsigned char *>(record.data.data());
}

bool is_certificate(const TlsaRecord &record) noexcept {
  const unsigned char *at = octets_of(record);
  const X509Ptr certificate(d2i_X509(nullptr, &at, static_cast<long>(record.data.size())));
  return certificate && at == octets_of(record) + record.data.size() && X509_get0_pubkey(certificate.get()) != nullptr;
}

bool is_public_key(const TlsaRecord &record) noexcept {
  const unsigned char *at = octets_of(record);
  const KeyPtr key(d2i_PUBKEY(nullptr, &at, static_cast<long>(record.data.size())));
  return key && at == octets_of(record) + record.data.size();
}

/// "3 1 1"
std::string text_of(const TlsaRecord &record) {
  return fmt::format("{} {} {}", record.usage, record.selector, record.matching_type);
}

std::string list_of(const std::vector<std::string> &names) {
  constexpr std::size_t shown = 5;
  if (names.empty()) return "no name";
  std::string text = names.front();
  for (std::size_t i = 1; i < std::min(names.size(), shown); ++i) text += ", " + names[i];
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

DaneVerdict refusal(std::string reason, DaneFault fault = DaneFault::no_match) {
  return {.matched = false, .reason = std::move(reason), .name = {}, .fault = fault};
}

/// RFC 7671 section 9, digest agility: of the records of one usage and selector, those with the strongest digest, and
/// the exact ones (matching type 0) always.
std::vector<const TlsaRecord *> strongest(std::span<const TlsaRecord *const> records) {
  std::vector<const TlsaRecord *> kept;
  for (const TlsaRecord *record : records) {
    const bool stronger_exists = std::any_of(records.begin(), records.end(), [record](const TlsaRecord *other) {
      return other->usage == record->usage && other->selector == record->selector &&
             other->matching_type > record->matching_type;
    });
    if (record->matching_type == exact || !stronger_exists) kept.push_back(record);
  }
  return kept;
}

/// What a record of the selector is compared with: DER.
std::string selected(X509 &certificate, int selector) {
  unsigned char *der = nullptr;
  const int size = selector == whole_certificate ? i2d_X509(&certificate, &der)
                                                 : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(&certificate), &der);
  if (size <= 0) return {};
  std::string text(reinterpret_cast<const char *>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return text;
}

std::string digest_of(const std::string &octets, int matching_type) {
  if (matching_type == exact) return octets;
  std::string digest(matching_type == sha2_256 ? 32 : 64, '\0');
  const EVP_MD *algorithm = matching_type == sha2_256 ? EVP_sha256() : EVP_sha512();
  const int done = EVP_Digest(octets.data(), octets.size(), reinterpret_cast<unsigned char *>(digest.data()), nullptr,
                              algorithm, nullptr);
  return done == 1 ? digest : std::string();
}

/// RFC 7672 section 3.1.1: usage 3 speaks of the leaf alone; neither names nor dates nor issuers are looked at.
const TlsaRecord *match_leaf(X509 &leaf, std::span<const TlsaRecord *const> records) {
  for (const TlsaRecord *record : records) {
    if (record->usage != dane_ee) continue;
    const std::string presented = digest_of(selected(leaf, record->selector), record->matching_type);
    if (!presented.empty() && presented == record->data) return record;
  }
  return nullptr;
}

/// OpenSSL's own engine for usage 2, because it also knows anchors that the peer did not send (2 0 0, 2 1 0). It hangs
/// on an SSL object that never sees a socket.
class AnchorEngine {
public:
  AnchorEngine() : context_(SSL_CTX_new(TLS_client_method())) {
    if (!context_ || SSL_CTX_dane_enable(context_.get()) != 1) return;
    SslPtr ssl(SSL_new(context_.get()));
    // The name is for SNI and OpenSSL's name check, and neither takes place here.
    if (ssl && SSL_dane_enable(ssl.get(), "dane") == 1) ssl_ = std::move(ssl);
  }
  [[nodiscard]] bool add(const TlsaRecord &record) {
    return ssl_ && SSL_dane_tlsa_add(ssl_.get(), record.usage, record.selector, record.matching_type, octets_of(record),
                                     record.data.size()) == 1;
  }
  /// Not matched, or matched without a name: whether the chain leads to an anchor in time.
  [[nodiscard]] DaneVerdict verify(const PeerChain::Impl &chain, std::time_t now) {
    const StorePtr store(X509_STORE_new());
    const StoreContextPtr context(X509_STORE_CTX_new());
    if (!ssl_ || !store || !context ||
        X509_STORE_CTX_init(context.get(), store.get(), chain.leaf.get(), chain.others.get()) != 1 ||
        X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_SERVER) != 1) {
      return refusal(take_error_text("the chain cannot be checked"));
    }
    X509_VERIFY_PARAM *parameters = X509_STORE_CTX_get0_param(context.get());
    X509_VERIFY_PARAM_set_time(parameters, now);
    X509_VERIFY_PARAM_set_depth(parameters, static_cast<int>(max_chain_certificates));
    X509_VERIFY_PARAM_set_auth_level(parameters, chain_security_level);
    X509_STORE_CTX_set0_dane(context.get(), SSL_get0_dane(ssl_.get()));
    if (X509_verify_cert(context.get()) == 1) return {.matched = true, .reason = {}, .name = {}};
    const int error = X509_STORE_CTX_get_error(context.get());
    if (error == X509_V_ERR_DANE_NO_MATCH) return refusal("no record matches the chain");
    return refusal(failure_text(*context),
                   chain_fault(error) == ChainFault::expired ? DaneFault::expired : DaneFault::no_match);
  }
  /// After a verify() that was good: "2 1 1 at depth 1".
  [[nodiscard]] std::string matched() const {
    std::uint8_t usage = 0, selector = 0, type = 0;
    const int depth = SSL_get0_dane_tlsa(ssl_.get(), &usage, &selector, &type, nullptr, nullptr);
    // A bare key counts as standing above the certificate that it signed.
    EVP_PKEY *key = nullptr;
    (void)SSL_get0_dane_authority(ssl_.get(), nullptr, &key);
    return fmt::format("{} {} {} {} depth {}", usage, selector, type, key == nullptr ? "at" : "above", depth);
  }

private:
  SslCtxPtr context_;
  SslPtr ssl_;
};

/// RFC 7672 section 3.1.2 with 3.2: a chain to the anchor, and a reference identifier in the leaf.
DaneVerdict verify_anchor(const PeerChain::Impl &chain, std::span<const TlsaRecord *const> records,
                          const std::vector<std::string> &names, std::time_t now) {
  AnchorEngine engine;
  bool any = false;
  for (const TlsaRecord *record : records) any = (record->usage == dane_ta && engine.add(*record)) || any;
  if (!any) return refusal(take_error_text("the chain cannot be checked"));
  if (DaneVerdict chain_verdict = engine.verify(chain, now); !chain_verdict.matched) return chain_verdict;
  const std::vector<std::string> presented = names_for_dane(*chain.leaf);
  const auto covers = [&names](const std::string &name) {
    return std::any_of(names.begin(), names.end(),
                       [&name](const std::string &reference) { return name_covers(name, reference); });
  };
  const auto found = std::find_if(presented.begin(), presented.end(), covers);
  if (found == presented.end()) {
    return refusal(fmt::format("{} matches, but the certificate is for {}, not for {}", engine.matched(),
                               list_of(presented), list_of(names)),
                   DaneFault::wrong_name);
  }
  return {.matched = true, .reason = engine.matched(), .name = *found};
}

DaneVerdict verify(const PeerChain::Impl &chain, std::span<const TlsaRecord> records,
                   const std::vector<std::string> &names, std::time_t now) {
  if (records.size() > max_tlsa_records) {
    return refusal(fmt::format("{} TLSA records, the limit is {}", records.size(), max_tlsa_records));
  }
  std::vector<const TlsaRecord *> usable;
  for (const TlsaRecord &record : records) {
    if (is_usable(record)) usable.push_back(&record);
  }
  if (usable.empty()) {
    return refusal(fmt::format("none of {} TLSA records can be used", records.size()));
  }
  const auto judged = strongest(usable);
  if (const TlsaRecord *record = match_leaf(*chain.leaf, judged); record != nullptr) {
    return {.matched = true, .reason = text_of(*record) + " at depth 0", .name = {}};
  }
  const bool has_anchor =
      std::any_of(judged.begin(), judged.end(), [](const TlsaRecord *record) { return record->usage == dane_ta; });
  DaneVerdict verdict = refusal("no record matches the certificate");
  if (has_anchor) verdict = verify_anchor(chain, judged, names, now);
  if (verdict.matched) return verdict;
  std::string seen;
  for (const TlsaRecord *record : judged) {
    const std::string text = text_of(*record);
    if (seen.find(text) == std::string::npos) seen += (seen.empty() ? "" : ", ") + text;
  }
  verdict.reason = fmt::format("{} (TLSA {})", verdict.reason, seen);
  return verdict;
}

} // namespace

bool is_usable(const TlsaRecord &record) noexcept {
  if (record.usage != dane_ta && record.usage != dane_ee) return false;
  if (record.selector != whole_certificate && record.selector != public_key) return false;
  switch (record.matching_type) {
  case sha2_256: return record.data.size() == 32;
  case sha2_512: return record.data.size() == 64;
  case exact: break;
  default: return false;
  }
  const bool good = record.selector == whole_certificate ? is_certificate(record) : is_public_key(record);
  ERR_clear_error();
  return good;
}

DaneVerdict verify_dane(const PeerChain *chain, std::span<const TlsaRecord> records,
                        const std::vector<std::string> &names, std::chrono::system_clock::time_point now) {
  if (chain == nullptr) return refusal("no certificate was presented");
  ERR_clear_error();
  DaneVerdict verdict = verify(chain->impl(), records, names, std::chrono::system_clock::to_time_t(now));
  ERR_clear_error();
  return verdict;
}

} // namespace tls
