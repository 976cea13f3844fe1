// The summary is in evidence_summary.cpp.
#include "policy/evidence.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace policy {

namespace {

/// What the session knew of the domain's MTA-STS policy, as far as its name trust tells: the patterns are not kept.
StsFacts sts_of(const EvidenceRow &row, std::chrono::system_clock::time_point now) {
  StsFacts sts;
  switch (row.sts) {
  case StsFacts::State::off:
  case StsFacts::State::none: sts.state = row.sts; return sts;
  case StsFacts::State::failed: sts.state = StsFacts::State::none; return sts;
  case StsFacts::State::testing:
  case StsFacts::State::enforce: break;
  }
  sts.state = row.sts;
  sts.domain = row.domain;
  sts.fetched = now;
  sts.expires = now + std::chrono::days(1);
  // A host that an enforced policy does not list is passed over, so one with a session was listed.
  const bool is_listed = row.name_trust == NameTrust::sts || row.sts == StsFacts::State::enforce;
  sts.mx = {is_listed ? row.host : "not-listed.invalid"};
  return sts;
}

/// The records themselves are not kept; judge_tls() goes by what they said of the chain.
DaneFacts dane_of(const EvidenceRow &row) {
  DaneFacts dane;
  dane.state = row.dane;
  if (row.dane == DaneFacts::State::failed) dane.state = DaneFacts::State::off;
  // The message was exempt from DANE, so that the chain was not judged against the records.
  if (row.dane == DaneFacts::State::usable && row.is_encrypted && !row.dane_verdict) dane.state = DaneFacts::State::off;
  if (dane.state != DaneFacts::State::usable && dane.state != DaneFacts::State::unusable) return dane;
  dane.base_domain = row.dane_base.empty() ? row.host : row.dane_base;
  smtp::TlsaRecord record;
  record.usage = dane.state == DaneFacts::State::usable ? 3 : 0;
  record.selector = 1;
  record.matching_type = 1;
  record.data.assign(32, '\0');
  dane.records.push_back(std::move(record));
  return dane;
}

tls::ChainVerdict verdict_of(const EvidenceRow &row, const std::string &store) {
  const auto judged = std::find_if(row.judgements.begin(), row.judgements.end(),
                                   [&](const ChainJudgement &judgement) { return judgement.store == store; });
  if (judged != row.judgements.end()) return judged->verdict;
  if (store == "system" && row.system_trusted) return {.trusted = true, .reason = {}, .fault = tls::ChainFault::none};
  if (store == "system")
    return {.trusted = false, .reason = "the system's CAs do not vouch for it", .fault = tls::ChainFault::untrusted};
  return {.trusted = false,
          .reason = fmt::format("no session was judged against {}", store),
          .fault = tls::ChainFault::untrusted};
}

/// A chain that was never judged against the CAs of a demand may be good or bad for it, unless another one says bad.
void mark_unknown(Judged &judged, const EvidenceRow &row, const std::vector<std::string> &stores) {
  if (!judged.is_refused || judged.kind != VerdictKind::untrusted || !row.not_after) return;
  bool unjudged = false;
  for (const std::string &store : stores) {
    const bool was_judged =
        store == "system" || std::any_of(row.judgements.begin(), row.judgements.end(),
                                         [&](const auto &judgement) { return judgement.store == store; });
    if (was_judged && !verdict_of(row, store).trusted) return;
    unjudged = unjudged || !was_judged;
  }
  if (!unjudged) return;
  judged.is_refused = false;
  judged.is_unknown = true;
}

Judged judge_outbound(const EvidenceQuestion &question, const EvidenceRow &row) {
  const auto domain = smtp::Domain::parse(row.domain);
  TlsSources sources;
  sources.partners = question.partners;
  if (domain) {
    sources.domain = &*domain;
    if (question.defaults) sources.defaults = question.defaults(*domain);
    if (row.by_route && question.route) sources.route = question.route(*domain);
  }
  sources.host = row.host;
  sources.mx_trust = row.name_trust == NameTrust::sts ? NameTrust::none : row.name_trust;
  sources.dane = dane_of(row);
  sources.sts = sts_of(row, question.now);
  sources.now = question.now;
  const Decision decision = decide_tls(sources);
  if (decision.unusable)
    return {.is_refused = true,
            .is_unknown = false,
            .kind = decision.unusable->source == Source::dane ? VerdictKind::no_dane_match : VerdictKind::wrong_name,
            .got = tls::Level::none,
            .reason = decision.unusable->reason};
  const Requirement &required = decision.enforced;
  const tls::Facts facts = facts_of(row, trust_key(required.trust, required.crls));
  const Verdict verdict = judge_profile(required, judge_tls(required, facts), facts);
  Judged judged{.is_refused = !verdict.ok(),
                .is_unknown = false,
                .kind = verdict.kind,
                .got = verdict.got,
                .reason = verdict.reason};
  std::vector<std::string> stores{trust_key(required.trust, required.crls)};
  for (const CertificateDemand &other : required.also) stores.push_back(trust_key(other.trust, other.crls));
  mark_unknown(judged, row, stores);
  return judged;
}

Judged judge_inbound(const EvidenceQuestion &question, const EvidenceRow &row) {
  static const PartnerTable nobody;
  const PartnerTable &partners = question.partners ? *question.partners : nobody;
  const auto mailbox = smtp::Mailbox::parse("postmaster@" + row.domain);
  const auto client = smtp::IpAddress::parse(row.address);
  Judged judged{.is_refused = false, .is_unknown = false, .kind = VerdictKind::satisfied, .got = row.got, .reason = {}};
  if (!mailbox || !mailbox->domain()) return judged;
  const smtp::ReversePath sender(*mailbox);
  const auto needed = needed_verdict(partners, sender);
  const tls::Facts facts = facts_of(row, needed ? trust_key(needed->trust, needed->crls, needed->accept_server_auth)
                                                : std::string("system"));
  SenderFacts known;
  known.client = client ? *client : smtp::IpAddress::v4({});
  known.facts = &facts;
  const SenderVerdict verdict = judge_sender(partners, sender, known, question.now);
  if (verdict.rule.empty()) return judged;
  judged.is_refused = !verdict.satisfied;
  judged.reason = verdict.reason;
  judged.got = verdict.satisfied  ? std::max(verdict.wanted, row.got)
               : row.is_encrypted ? tls::Level::encrypted
                                  : tls::Level::none;
  if (judged.is_refused && verdict.verdict) judged.kind = verdict.verdict->kind;
  if (needed) mark_unknown(judged, row, {trust_key(needed->trust, needed->crls, needed->accept_server_auth)});
  return judged;
}

} // namespace

const char *to_string(Direction direction) noexcept {
  switch (direction) {
  case Direction::outbound: return "outbound";
  case Direction::inbound: return "inbound";
  }
  return "?";
}

Partner as_enforced(Partner partner) {
  if (partner.outbound) {
    partner.outbound->mode = Mode::enforce;
    partner.outbound->from.reset();
  }
  if (partner.inbound) {
    partner.inbound->mode = Mode::enforce;
    partner.inbound->from.reset();
  }
  return partner;
}

tls::Facts facts_of(const EvidenceRow &row, const std::string &store) {
  tls::Facts facts;
  facts.encrypted = row.is_encrypted;
  if (!row.is_encrypted) return facts;
  facts.version = row.version;
  facts.suite = row.suite;
  facts.group = row.group;
  facts.dane = row.dane_verdict;
  if (!row.not_after) return facts;
  for (const EvidenceKey &key : row.keys) {
    tls::CertificateFacts certificate;
    certificate.spki_sha256 = key.spki_sha256;
    facts.chain.push_back(std::move(certificate));
  }
  if (facts.chain.empty()) facts.chain.emplace_back();
  facts.chain.front().issuer = row.issuer;
  facts.chain.front().dns_names = row.names;
  facts.chain.front().key_type = row.key_type;
  facts.chain.front().not_after = *row.not_after;
  facts.verdict = verdict_of(row, store);
  facts.others = row.judgements;
  const bool has_system = std::any_of(row.judgements.begin(), row.judgements.end(),
                                      [](const ChainJudgement &judgement) { return judgement.store == "system"; });
  if (!has_system) facts.others.push_back({"system", verdict_of(row, "system")});
  return facts;
}

Judged judge_evidence(const EvidenceQuestion &question, const EvidenceRow &row) {
  Judged judged = row.direction == Direction::outbound ? judge_outbound(question, row) : judge_inbound(question, row);
  // What the session itself said is closer than "not encrypted".
  if (judged.is_refused && !row.is_encrypted && !row.reason.empty())
    judged.reason = fmt::format("{} ({})", judged.reason, row.reason);
  return judged;
}

} // namespace policy
