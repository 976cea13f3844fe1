#include "mta/inbound/observe.hpp"

#include "mta/tally/evidence_row.hpp"
#include "tls/digest.hpp"

namespace mta::inbound {

namespace {

void judge_chain(TlsSession &session, ClientJudge &judge, const policy::NeededVerdict &needed, ClientJudge::Now now) {
  tls::Facts facts = judge.facts_for(needed, now);
  std::string key = policy::trust_key(needed.trust, needed.crls, needed.accept_server_auth);
  for (const auto &known : session.judgements)
    if (known.store == key) return;
  session.judgements.push_back({std::move(key), *facts.verdict});
  if (session.judgements.size() == 1) session.facts = std::move(facts); // the rule's own comes first
}

} // namespace

std::shared_ptr<const TlsSession> make_session(ClientJudge &judge, const Config &config,
                                               const smtp::ReversePath &sender, const ObservedSender &observed,
                                               ClientJudge::Now now) {
  auto session = std::make_shared<TlsSession>();
  const policy::SenderVerdict &verdict = observed.verdict;
  session->direction = TlsSession::Direction::inbound;
  session->time = now;
  session->domain = sender.mailbox()->domain()->ascii();
  session->host = observed.helo;
  session->address = observed.client;
  session->starttls_offered = true;
  if (judge.facts() != nullptr) {
    session->facts = *judge.facts();
    session->chain_digest = tls::chain_digest(session->facts.chain);
    if (!session->facts.chain.empty()) {
      if (const auto needed = policy::needed_verdict(config.partners, sender, judge.listener()))
        judge_chain(*session, judge, *needed, now);
      judge_chain(*session, judge, {.trust = "system", .crls = {}, .accept_server_auth = true}, now);
      session->system_trusted = session->judgements.back().verdict.trusted;
    }
  }
  if (verdict.mode == policy::Mode::observe && !verdict.rule.empty()) {
    session->observed_rule = verdict.rule;
    session->observed_level = verdict.wanted;
    session->observed = verdict.verdict;
  } else {
    session->wanted = verdict.wanted;
    session->rule = verdict.rule;
  }
  session->verdict = verdict.verdict;
  if (!session->verdict) {
    policy::Requirement nothing;
    nothing.level = tls::Level::none;
    nothing.references = {session->domain};
    session->verdict = policy::judge_tls(nothing, session->facts);
  }
  session->refused = verdict.refusal.has_value();
  session->is_proven = verdict.is_proven;
  if (session->refused) {
    session->fault_detail = verdict.reason;
    session->refused_by_partner = verdict.rule;
  }
  keep_few_names(*session);
  return session;
}

} // namespace mta::inbound
