#include "policy/requirement.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "policy/chain_judgement.hpp"
#include "smtp/base/text.hpp"
#include "tls/core/name_match.hpp"
#include "tls/core/profile.hpp"

namespace policy {

const char *to_string(Source source) noexcept {
  switch (source) {
  case Source::defaults: return "default";
  case Source::route: return "route";
  case Source::partner: return "partner";
  case Source::dane: return "dane";
  case Source::mta_sts: return "mta-sts";
  case Source::memory: return "memory";
  case Source::exception: return "exception";
  case Source::requiretls: return "requiretls";
  case Source::tls_required_no: return "tls-required-no";
  case Source::report: return "report";
  case Source::operator_act: return "operator";
  }
  return "?";
}

namespace {

bool contains(const std::vector<std::string> &values, const std::string &value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

/// "a, b, c and 4 more": names come from the peer, so each is escaped and few are shown.
std::string list_names(const std::vector<std::string> &names) {
  constexpr std::size_t shown = 3;
  if (names.empty()) return "no name";
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < shown; ++i) {
    if (i != 0) text += ", ";
    text += smtp::escape(names[i], 100);
  }
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

bool leaf_is_pinned(const CertificateDemand &demand, const tls::Facts &facts) {
  return !facts.chain.empty() && contains(demand.pins, facts.chain.front().spki_sha256);
}

/// A pin on the leaf speaks for itself: only the holder of the key can have made the handshake. Not so beside lists of
/// revoked certificates: who stole a key that was taken back could put it into a certificate of his own, which no list
/// knows; then the chain must be trusted, too.
bool is_trusted_by_pin(const CertificateDemand &demand, const tls::Facts &facts) {
  return demand.crls.empty() && leaf_is_pinned(demand, facts);
}

/// A pin on the leaf counts by itself. One further up counts only in the chain that was verified: the peer chooses what
/// it sends, so a copy of the pinned CA's certificate, or a forged one with its name and key, may lie beside a chain
/// that the key never signed.
bool pin_is_met(const CertificateDemand &demand, const tls::Facts &facts, const tls::ChainVerdict *verdict) {
  if (leaf_is_pinned(demand, facts)) return true;
  return verdict != nullptr && verdict->trusted &&
         std::any_of(verdict->keys.begin(), verdict->keys.end(),
                     [&](const std::string &key) { return contains(demand.pins, key); });
}

/// The demand that stands in the requirement itself.
CertificateDemand first_demand(const Requirement &requirement) {
  return {.trust = requirement.trust,
          .references = requirement.references,
          .pins = requirement.pins,
          .crls = requirement.crls,
          .rule = requirement.rule};
}

const tls::ChainVerdict *first_verdict(const tls::Facts &facts) noexcept {
  return facts.verdict ? &*facts.verdict : nullptr;
}

/// What the demand's own store said; null: it was not asked.
const tls::ChainVerdict *find_verdict(const Requirement &requirement, const CertificateDemand &demand,
                                      const tls::Facts &facts) {
  if (demand.trust == requirement.trust && demand.crls == requirement.crls) return first_verdict(facts);
  const std::string key = trust_key(demand.trust, demand.crls);
  for (const auto &other : facts.others)
    if (other.store == key) return &other.verdict;
  return nullptr;
}

/// What the certificate proves about the peer, whatever was demanded; satisfied: a trusted certificate with the right
/// name and pin. `chain`: what the demand's store said; null: it was not asked.
Verdict judge_certificate(const CertificateDemand &demand, const tls::Facts &facts, const tls::ChainVerdict *chain) {
  Verdict verdict{.kind = VerdictKind::satisfied, .got = tls::Level::encrypted, .reason = {}, .matched_name = {}};
  if (facts.chain.empty()) {
    verdict.kind = VerdictKind::no_certificate;
    verdict.reason = "no certificate was shown";
    return verdict;
  }
  const bool trusted = chain != nullptr && chain->trusted;
  if (chain != nullptr && !trusted) verdict.chain_fault = chain->fault;
  // A certificate that its CA took back, or of which that cannot be known, is not good for its key alone, pinned or
  // not.
  if (verdict.chain_fault == tls::ChainFault::revoked || verdict.chain_fault == tls::ChainFault::no_revocation) {
    verdict.kind = VerdictKind::revoked;
    verdict.reason =
        fmt::format("{}: {}",
                    chain->fault == tls::ChainFault::revoked ? "the certificate is revoked"
                                                             : "whether the certificate is revoked cannot be checked",
                    smtp::escape(chain->reason));
    return verdict;
  }
  if (!trusted && !is_trusted_by_pin(demand, facts)) {
    verdict.kind = VerdictKind::untrusted;
    if (chain == nullptr)
      verdict.reason = "the certificate chain was not verified";
    else
      verdict.reason = fmt::format("the certificate is not trusted: {}", smtp::escape(chain->reason));
    return verdict;
  }
  verdict.chain_fault = tls::ChainFault::none;
  const auto &names = facts.chain.front().dns_names;
  const auto reference = tls::first_match(demand.references, names);
  // Without references the pinned key of the leaf is the identity (an inbound rule may say so: see judge_sender).
  if (reference.empty() && !(demand.references.empty() && leaf_is_pinned(demand, facts))) {
    verdict.kind = VerdictKind::wrong_name;
    if (demand.references.empty())
      verdict.reason = "there is no name that the certificate could prove";
    else
      verdict.reason =
          fmt::format("the certificate is for {}, not for {}", list_names(names), list_names(demand.references));
    return verdict;
  }
  if (!demand.pins.empty() && !pin_is_met(demand, facts, chain)) {
    verdict.kind = VerdictKind::wrong_pin;
    verdict.reason = "no key in the certificate chain is pinned";
    return verdict;
  }
  verdict.got = tls::Level::authenticated;
  if (demand.references.empty()) {
    verdict.reason = "the certificate's key is pinned";
    return verdict;
  }
  verdict.matched_name = std::string(reference);
  for (const auto &name : names)
    if (tls::reference_matches(reference, name)) {
      verdict.matched_name = name;
      break;
    }
  verdict.reason = fmt::format("the certificate proves {}", smtp::escape(verdict.matched_name));
  return verdict;
}

/// The same for everything that the requirement demands of a certificate: the first that does not hold, or the first.
Verdict judge_certificates(const Requirement &requirement, const tls::Facts &facts) {
  Verdict verdict = judge_certificate(first_demand(requirement), facts, first_verdict(facts));
  if (!verdict.ok()) return verdict;
  for (const CertificateDemand &demand : requirement.also) {
    Verdict other = judge_certificate(demand, facts, find_verdict(requirement, demand, facts));
    if (other.ok()) continue;
    other.reason = fmt::format("{} also has to be satisfied: {}", demand.rule, other.reason);
    return other;
  }
  return verdict;
}

} // namespace

const char *to_string(NameTrust trust) noexcept {
  switch (trust) {
  case NameTrust::none: return "none";
  case NameTrust::sts: return "sts";
  case NameTrust::dnssec: return "dnssec";
  case NameTrust::configured: return "configured";
  }
  return "?";
}

const char *to_string(Mode mode) noexcept {
  switch (mode) {
  case Mode::observe: return "observe";
  case Mode::enforce: return "enforce";
  }
  return "?";
}

const char *to_string(VerdictKind kind) noexcept {
  switch (kind) {
  case VerdictKind::satisfied: return "satisfied";
  case VerdictKind::not_encrypted: return "not_encrypted";
  case VerdictKind::no_certificate: return "no_certificate";
  case VerdictKind::untrusted: return "untrusted";
  case VerdictKind::wrong_name: return "wrong_name";
  case VerdictKind::wrong_pin: return "wrong_pin";
  case VerdictKind::no_dane_match: return "no_dane_match";
  case VerdictKind::revoked: return "revoked";
  case VerdictKind::no_requiretls: return "no_requiretls";
  case VerdictKind::outside_profile: return "outside_profile";
  }
  return "?";
}

namespace {

/// RFC 7672 section 2.2; `certificate` is what the certificate proves beside the TLSA records.
Verdict judge_dane(const Requirement &requirement, const tls::Facts &facts, Verdict certificate) {
  if (facts.chain.empty() || (requirement.and_certificate && certificate.kind == VerdictKind::no_certificate)) {
    certificate.kind = VerdictKind::no_certificate;
    return certificate;
  }
  if (requirement.tlsa.empty() || !facts.dane || !facts.dane->matched) {
    certificate.kind = VerdictKind::no_dane_match;
    certificate.matched_name.clear();
    if (requirement.tlsa.empty() || !facts.dane)
      certificate.reason = "DANE is demanded and no TLSA record was matched";
    else
      certificate.reason = fmt::format("no TLSA record matches the certificate: {}", smtp::escape(facts.dane->reason));
    return certificate;
  }
  if (requirement.and_certificate && certificate.kind != VerdictKind::satisfied) {
    certificate.reason = "DANE matches, and the partner's rule holds beside it: " + certificate.reason;
    return certificate;
  }
  return {.kind = VerdictKind::satisfied,
          .got = tls::Level::dane,
          .reason = fmt::format("the TLSA record matches: {}", smtp::escape(facts.dane->reason)),
          .matched_name = requirement.and_certificate ? certificate.matched_name : facts.dane->name};
}

} // namespace

bool allows_clear_text(const Requirement &requirement) noexcept {
  return requirement.level <= tls::Level::opportunistic && !requirement.implicit_tls && !requirement.requiretls;
}

Verdict judge_tls(const Requirement &requirement, const tls::Facts &facts) {
  if (!facts.encrypted) {
    return {.kind = allows_clear_text(requirement) ? VerdictKind::satisfied : VerdictKind::not_encrypted,
            .got = tls::Level::none,
            .reason = "the session is not encrypted",
            .matched_name = {}};
  }
  Verdict verdict = judge_certificates(requirement, facts);
  switch (requirement.level) {
  case tls::Level::none:
  case tls::Level::opportunistic:
    verdict.kind = VerdictKind::satisfied; // recorded in `got` and `reason`, never refused
    return verdict;
  case tls::Level::encrypted:
    // A pin is a demand of its own: the table does not allow it at this level, but where one stands it is kept.
    if (requirement.pins.empty() || pin_is_met(first_demand(requirement), facts, first_verdict(facts)))
      verdict.kind = VerdictKind::satisfied;
    else if (facts.chain.empty())
      verdict.kind = VerdictKind::no_certificate;
    else {
      verdict.kind = VerdictKind::wrong_pin;
      verdict.reason = "no key in the certificate chain is pinned";
    }
    return verdict;
  case tls::Level::authenticated: return verdict;
  case tls::Level::dane: return judge_dane(requirement, facts, std::move(verdict));
  }
  return verdict;
}

Verdict judge_profile(const Requirement &requirement, Verdict verdict, const tls::Facts &facts) {
  // Below `encrypted` a handshake that fails is followed by clear text, not by a refusal.
  if (!verdict.ok() || requirement.level < tls::Level::encrypted) return verdict;
  const tls::Profile *profile = tls::find_profile(requirement.profile);
  const std::string outside = profile ? tls::describe_outside(*profile, facts) : std::string();
  if (outside.empty()) return verdict;
  verdict.kind = VerdictKind::outside_profile;
  verdict.reason = outside + "; the peer may offer more: --probe tells";
  verdict.matched_name.clear();
  return verdict;
}

bool partner_refuses(const Decision &decision, const tls::Facts &facts) {
  if (decision.partner_level < tls::Level::encrypted) return false;
  if (decision.unusable) return decision.partner_level == tls::Level::dane && decision.unusable->source == Source::dane;
  // By its own means: beside it other rules may have theirs.
  Requirement own = decision.enforced;
  own.level = decision.partner_level;
  own.requiretls = false;
  own.and_certificate = false;
  own.also.clear();
  tls::Facts judged = facts;
  const CertificateDemand &demand = decision.partner_demand;
  if (const auto *verdict = find_verdict(decision.enforced, demand, facts))
    judged.verdict = *verdict;
  else
    judged.verdict.reset();
  own.trust = demand.trust;
  own.references = demand.references;
  own.crls = demand.crls;
  own.pins = own.level >= tls::Level::authenticated ? demand.pins : std::vector<std::string>();
  return !judge_tls(own, judged).ok();
}

std::optional<Verdict> judge_observed(const Decision &decision, const tls::Facts &facts) {
  if (!decision.observed) return std::nullopt;
  Verdict verdict = judge_tls(*decision.observed, facts);
  if (!decision.observed_unusable) return judge_profile(*decision.observed, std::move(verdict), facts);
  if (verdict.ok()) verdict.kind = VerdictKind::wrong_name; // the wrong host
  verdict.reason = decision.observed_unusable->reason;
  verdict.matched_name.clear();
  return verdict;
}

bool is_final(const Unusable &unusable) noexcept {
  return unusable.source == Source::requiretls;
}

bool is_final(const Requirement &requirement, const Verdict &verdict) noexcept {
  return requirement.requiretls && !verdict.ok() && verdict.chain_fault != tls::ChainFault::no_revocation;
}

Verdict judge_requiretls(const Requirement &requirement, Verdict verdict, bool offered) {
  if (!requirement.requiretls || !verdict.ok() || (offered && verdict.got != tls::Level::none)) return verdict;
  verdict.kind = VerdictKind::no_requiretls;
  verdict.reason = "the message demands REQUIRETLS and the host does not offer it";
  return verdict;
}

TlsFault fault_of(const Requirement &requirement, const Verdict &verdict, const tls::Facts &facts) noexcept {
  switch (verdict.kind) {
  case VerdictKind::satisfied:
  case VerdictKind::no_requiretls: return TlsFault::none;
  case VerdictKind::not_encrypted: return TlsFault::starttls_not_supported;
  case VerdictKind::wrong_name: return TlsFault::certificate_host_mismatch;
  case VerdictKind::untrusted:
    return verdict.chain_fault == tls::ChainFault::expired ? TlsFault::certificate_expired
                                                           : TlsFault::certificate_not_trusted;
  case VerdictKind::revoked: return TlsFault::certificate_not_trusted;
  case VerdictKind::no_dane_match:
    if (requirement.tlsa.empty()) return TlsFault::dane_required;
    // RFC 8460 section 4.3.1: the words for names and dates are those of both kinds of policy.
    switch (facts.dane ? facts.dane->fault : tls::DaneFault::none) {
    case tls::DaneFault::wrong_name: return TlsFault::certificate_host_mismatch;
    case tls::DaneFault::expired: return TlsFault::certificate_expired;
    case tls::DaneFault::none:
    case tls::DaneFault::no_match: break;
    }
    return TlsFault::validation_failure;
  case VerdictKind::no_certificate:
  case VerdictKind::outside_profile:
  case VerdictKind::wrong_pin: return TlsFault::validation_failure;
  }
  return TlsFault::validation_failure;
}

namespace {

void add_list(std::string &key, std::string_view title, const std::vector<std::string> &values) {
  if (values.empty()) return;
  (key += '\n') += title;
  for (const auto &value : values) (key += '\t') += value;
}

void add_tlsa(std::string &key, const std::vector<smtp::TlsaRecord> &records) {
  constexpr std::string_view digits = "0123456789abcdef";
  key += "\ntlsa";
  for (const auto &record : records) {
    key += fmt::format("\t{} {} {} ", record.usage, record.selector, record.matching_type);
    for (const char octet : record.data) {
      const auto value = static_cast<unsigned char>(octet);
      key += digits[value >> 4U];
      key += digits[value & 0xfU];
    }
  }
}

} // namespace

std::string requirement_key(const Requirement &requirement) {
  // '\n' and '\t' cannot stand in any part. What is not demanded at a level does not keep connections apart.
  std::string key = fmt::format("{}\n{}\n{}\n{}", tls::to_string(requirement.level), requirement.profile,
                                requirement.client_certificate, requirement.implicit_tls ? "implicit" : "starttls");
  if (requirement.requiretls) key += "\nrequiretls";
  if (!requirement.server_name.empty()) (key += "\nsni ") += requirement.server_name;
  if (requirement.level == tls::Level::dane) {
    add_tlsa(key, requirement.tlsa);
    add_list(key, "names", requirement.dane_names);
  }
  if (requirement.level == tls::Level::authenticated || requirement.and_certificate) {
    (key += "\ntrust ") += requirement.trust;
    add_list(key, "references", requirement.references);
    add_list(key, "crls", requirement.crls);
    for (const auto &demand : requirement.also) {
      (key += "\nalso ") += demand.trust;
      add_list(key, "references", demand.references);
      add_list(key, "pins", demand.pins);
      add_list(key, "crls", demand.crls);
    }
  }
  if (requirement.level >= tls::Level::encrypted) add_list(key, "pins", requirement.pins);
  return key;
}

} // namespace policy
