#include "mta/tally/evidence_row.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "mta/tally/row_octets.hpp"
#include "tls/core/name_match.hpp"

namespace mta {

namespace {

/// Still read: version 1, without suite, group and key type; version 2, with the keys as sent and whether they were
/// linked by name, and without those of the verified chains, of which only the leaf's proves anything; version 3, which
/// does not say whether an inbound session was proven to be its domain's.
constexpr std::uint64_t evidence_row_version = 4;
constexpr std::uint64_t proven_since_version = 4;
constexpr std::uint64_t first_evidence_row_version = 1;
constexpr auto last_direction = policy::Direction::inbound;
constexpr auto last_trust = policy::NameTrust::configured;
constexpr auto last_verdict_kind = policy::VerdictKind::outside_profile;
constexpr auto last_fault = policy::TlsFault::sts_webpki_invalid;
/// Seconds since 1970 beyond which the clock's unit would not hold them.
constexpr auto last_time = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::duration::max());

/// The names that satisfied a rule, or that one for this host or domain would ask for, stand first, so that the limit
/// does not cut them off.
std::vector<std::string> choose_names(const std::vector<std::string> &names, const TlsSession &session,
                                      std::string_view domain, std::size_t limit) {
  std::vector<std::string> chosen;
  const auto wanted = [&](const std::string &name) {
    return tls::name_covers(name, session.host) || tls::name_covers(name, domain) ||
           (session.verdict && session.verdict->matched_name == name) ||
           (session.observed && session.observed->matched_name == name);
  };
  const auto take = [&](const std::string &name) {
    if (chosen.size() < limit) chosen.push_back(name.substr(0, EvidenceLimits::name));
  };
  for (const std::string &name : names)
    if (wanted(name)) take(name);
  for (const std::string &name : names)
    if (!wanted(name)) take(name);
  return chosen;
}

void note_certificate(policy::EvidenceRow &row, const TlsSession &session) {
  const auto &chain = session.facts.chain;
  if (chain.empty()) return;
  const tls::CertificateFacts &leaf = chain.front();
  row.names = choose_names(leaf.dns_names, session, row.domain, EvidenceLimits::names);
  row.issuer = leaf.issuer.substr(0, EvidenceLimits::issuer);
  row.key_type = leaf.key_type.substr(0, EvidenceLimits::word);
  row.not_after = std::chrono::floor<std::chrono::seconds>(leaf.not_after);
  if (row.not_after->time_since_epoch().count() < 0) row.not_after = std::chrono::sys_seconds{};
  for (std::size_t i = 0; i < chain.size() && i < EvidenceLimits::keys; ++i)
    row.keys.push_back({chain[i].spki_sha256.substr(0, EvidenceLimits::key)});
  row.chain_digest = session.chain_digest.substr(0, EvidenceLimits::key);
  row.system_trusted = session.system_trusted;
  for (const policy::ChainJudgement &judgement : session.judgements) {
    if (row.judgements.size() >= EvidenceLimits::judgements) break;
    policy::ChainJudgement kept{judgement.store.substr(0, EvidenceLimits::store),
                                {judgement.verdict.trusted, judgement.verdict.reason.substr(0, EvidenceLimits::reason),
                                 judgement.verdict.fault}};
    for (const std::string &key : judgement.verdict.keys)
      if (kept.verdict.keys.size() < EvidenceLimits::verified_keys)
        kept.verdict.keys.push_back(key.substr(0, EvidenceLimits::key));
    row.judgements.push_back(std::move(kept));
  }
}

void write_verdict(RowWriter &out, const tls::ChainVerdict &verdict) {
  out.number(verdict.trusted);
  out.text(verdict.reason, EvidenceLimits::reason);
  out.word(verdict.fault);
  out.number(std::min(verdict.keys.size(), EvidenceLimits::verified_keys));
  for (std::size_t i = 0; i < verdict.keys.size() && i < EvidenceLimits::verified_keys; ++i)
    out.text(verdict.keys[i], EvidenceLimits::key);
}

tls::ChainVerdict read_verdict(RowReader &in, std::uint64_t version) {
  tls::ChainVerdict verdict;
  verdict.trusted = in.truth("trusted");
  verdict.reason = in.text("reason of the chain", EvidenceLimits::reason);
  verdict.fault = in.word("fault of the chain", tls::ChainFault::no_revocation);
  if (version >= 3)
    for (auto left = in.number("verified key count", EvidenceLimits::verified_keys); left > 0; --left)
      verdict.keys.push_back(in.text("verified key", EvidenceLimits::key));
  return verdict;
}

void write_certificate(RowWriter &out, const policy::EvidenceRow &row) {
  out.number(row.not_after ? 1 + static_cast<std::uint64_t>(row.not_after->time_since_epoch().count()) : 0);
  if (!row.not_after) return;
  out.number(std::min(row.names.size(), EvidenceLimits::names));
  for (std::size_t i = 0; i < row.names.size() && i < EvidenceLimits::names; ++i)
    out.text(row.names[i], EvidenceLimits::name);
  out.text(row.issuer, EvidenceLimits::issuer);
  out.number(std::min(row.keys.size(), EvidenceLimits::keys));
  for (std::size_t i = 0; i < row.keys.size() && i < EvidenceLimits::keys; ++i)
    out.text(row.keys[i].spki_sha256, EvidenceLimits::key);
  out.text(row.chain_digest, EvidenceLimits::key);
  out.number(row.system_trusted);
  out.number(std::min(row.judgements.size(), EvidenceLimits::judgements));
  for (std::size_t i = 0; i < row.judgements.size() && i < EvidenceLimits::judgements; ++i) {
    out.text(row.judgements[i].store, EvidenceLimits::store);
    write_verdict(out, row.judgements[i].verdict);
  }
}

void read_certificate(RowReader &in, policy::EvidenceRow &row, std::uint64_t version) {
  const auto not_after = in.number("not after", static_cast<std::uint64_t>(last_time.count()) + 1);
  if (not_after == 0) return;
  row.not_after = std::chrono::sys_seconds(std::chrono::seconds(static_cast<std::int64_t>(not_after - 1)));
  for (auto left = in.number("name count", EvidenceLimits::names); left > 0; --left)
    row.names.push_back(in.text("name", EvidenceLimits::name));
  row.issuer = in.text("issuer", EvidenceLimits::issuer);
  for (auto left = in.number("key count", EvidenceLimits::keys); left > 0; --left) {
    policy::EvidenceKey key;
    key.spki_sha256 = in.text("key", EvidenceLimits::key);
    if (version < 3) (void)in.truth("linked");
    row.keys.push_back(std::move(key));
  }
  row.chain_digest = in.text("chain digest", EvidenceLimits::key);
  row.system_trusted = in.truth("system trusted");
  for (auto left = in.number("judgement count", EvidenceLimits::judgements); left > 0; --left) {
    policy::ChainJudgement judgement;
    judgement.store = in.text("store", EvidenceLimits::store);
    judgement.verdict = read_verdict(in, version);
    row.judgements.push_back(std::move(judgement));
  }
}

} // namespace

void keep_few_names(TlsSession &session) {
  bool is_leaf = true;
  for (tls::CertificateFacts &certificate : session.facts.chain) {
    if (!is_leaf)
      certificate.dns_names.clear();
    else if (certificate.dns_names.size() > EvidenceLimits::session_names)
      certificate.dns_names =
          choose_names(certificate.dns_names, session, session.domain, EvidenceLimits::session_names);
    is_leaf = false;
  }
}

policy::EvidenceRow make_evidence_row(const TlsSession &session, std::string_view domain) {
  policy::EvidenceRow row;
  const bool is_inbound = session.direction == TlsSession::Direction::inbound;
  row.direction = is_inbound ? policy::Direction::inbound : policy::Direction::outbound;
  row.domain = domain.substr(0, EvidenceLimits::name);
  row.host = session.host.substr(0, EvidenceLimits::name);
  if (is_inbound) row.address = session.address.substr(0, EvidenceLimits::name);
  row.is_connected = !session.address.empty();
  row.by_route = session.by_route;
  row.name_trust = session.name_trust;
  row.dane = session.dane.state;
  if (session.dane.base_domain != session.host)
    row.dane_base = session.dane.base_domain.substr(0, EvidenceLimits::name);
  row.sts = session.sts.state;
  row.is_offered = session.starttls_offered;
  row.is_fallback = session.fallback;
  row.is_encrypted = session.facts.encrypted;
  if (row.is_encrypted) {
    row.version = session.facts.version;
    row.suite = session.facts.suite.substr(0, EvidenceLimits::word);
    row.group = session.facts.group.substr(0, EvidenceLimits::word);
    row.dane_verdict = session.facts.dane;
    if (row.dane_verdict) {
      row.dane_verdict->reason.resize(std::min(row.dane_verdict->reason.size(), EvidenceLimits::reason));
      row.dane_verdict->name.resize(std::min(row.dane_verdict->name.size(), EvidenceLimits::name));
    }
    note_certificate(row, session);
  }
  row.wanted = session.wanted;
  row.got = session.got();
  row.rule = session.rule.substr(0, EvidenceLimits::rule);
  if (session.verdict) {
    row.verdict = session.verdict->kind;
    if (!session.verdict->ok()) row.reason = session.verdict->reason.substr(0, EvidenceLimits::reason);
  }
  if (!session.tls_problem.empty()) row.reason = session.tls_problem.substr(0, EvidenceLimits::reason);
  row.observed_rule = session.observed_rule.substr(0, EvidenceLimits::rule);
  if (session.observed) row.observed = session.observed->kind;
  row.is_refused = session.refused;
  row.fault = session.fault;
  row.is_proven = session.is_proven;
  return row;
}

std::string encode_evidence(EvidenceKind kind, const policy::EvidenceRow &row) {
  RowWriter out;
  out.number(evidence_row_version);
  out.word(kind);
  out.word(row.direction);
  out.text(row.domain, EvidenceLimits::name);
  out.text(row.host, EvidenceLimits::name);
  out.text(row.address, EvidenceLimits::name);
  for (const bool flag : {row.is_connected, row.by_route, row.is_offered, row.is_fallback, row.is_refused})
    out.number(flag);
  out.word(row.name_trust);
  out.word(row.dane);
  out.text(row.dane_base, EvidenceLimits::name);
  out.word(row.sts);
  out.optional_word(row.is_encrypted ? std::optional(row.version) : std::nullopt);
  if (row.is_encrypted) {
    for (const std::string *word : {&row.suite, &row.group, &row.key_type}) out.text(*word, EvidenceLimits::word);
    out.number(row.dane_verdict.has_value());
    if (row.dane_verdict) {
      out.number(row.dane_verdict->matched);
      out.text(row.dane_verdict->reason, EvidenceLimits::reason);
      out.text(row.dane_verdict->name, EvidenceLimits::name);
    }
    write_certificate(out, row);
  }
  out.word(row.wanted);
  out.word(row.got);
  out.text(row.rule, EvidenceLimits::rule);
  out.optional_word(row.verdict);
  out.text(row.reason, EvidenceLimits::reason);
  out.text(row.observed_rule, EvidenceLimits::rule);
  out.optional_word(row.observed);
  out.word(row.fault);
  out.number(row.is_proven);
  return std::move(out).take();
}

smtp::Result<EvidenceRecord> decode_evidence(std::string_view octets) {
  RowReader in(octets);
  const auto written = in.number("version", std::numeric_limits<std::int64_t>::max());
  if (written < first_evidence_row_version || written > evidence_row_version)
    in.fail(
        fmt::format("version is {}, known are {} to {}", written, first_evidence_row_version, evidence_row_version));
  EvidenceRecord record;
  policy::EvidenceRow &row = record.row;
  record.kind = in.word("kind", EvidenceKind::message);
  row.direction = in.word("direction", last_direction);
  row.domain = in.text("domain", EvidenceLimits::name);
  row.host = in.text("host", EvidenceLimits::name);
  row.address = in.text("address", EvidenceLimits::name);
  row.is_connected = in.truth("connected");
  row.by_route = in.truth("route");
  row.is_offered = in.truth("offered");
  row.is_fallback = in.truth("fallback");
  row.is_refused = in.truth("refused");
  row.name_trust = in.word("name trust", last_trust);
  row.dane = in.word("dane", policy::DaneFacts::State::failed);
  row.dane_base = in.text("dane base", EvidenceLimits::name);
  row.sts = in.word("sts", policy::StsFacts::State::failed);
  const auto version = in.optional_word("TLS version", tls::Version::tls1_3);
  row.is_encrypted = version.has_value();
  if (version) {
    row.version = *version;
    if (written > first_evidence_row_version)
      for (std::string *word : {&row.suite, &row.group, &row.key_type}) *word = in.text("suite", EvidenceLimits::word);
    if (in.truth("dane verdict")) {
      row.dane_verdict.emplace();
      row.dane_verdict->matched = in.truth("dane match");
      row.dane_verdict->reason = in.text("dane reason", EvidenceLimits::reason);
      row.dane_verdict->name = in.text("dane name", EvidenceLimits::name);
    }
    read_certificate(in, row, written);
  }
  row.wanted = in.word("wanted", tls::Level::dane);
  row.got = in.word("got", tls::Level::dane);
  row.rule = in.text("rule", EvidenceLimits::rule);
  row.verdict = in.optional_word("verdict", last_verdict_kind);
  row.reason = in.text("reason", EvidenceLimits::reason);
  row.observed_rule = in.text("observed rule", EvidenceLimits::rule);
  row.observed = in.optional_word("observed verdict", last_verdict_kind);
  row.fault = in.word("fault", last_fault);
  if (written >= proven_since_version) row.is_proven = in.truth("proven");
  if (in.error().empty() && !in.is_at_end()) in.fail("octets after the last field");
  if (!in.error().empty()) return smtp::fail(smtp::ErrorCode::bad_syntax, "row: " + in.error());
  return record;
}

} // namespace mta
