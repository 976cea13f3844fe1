#include "mta/outbound/observe.hpp"

#include "mta/tally/evidence_row.hpp"
#include "tls/digest.hpp"

namespace mta {

namespace {

std::shared_ptr<TlsSession> begin_session(const HostPlan &plan, std::chrono::system_clock::time_point now) {
  auto session = std::make_shared<TlsSession>();
  session->direction = TlsSession::Direction::outbound;
  session->time = now;
  session->domain = plan.plan->domain;
  session->host = plan.host.name;
  session->by_route = plan.plan->hosts.route != nullptr;
  session->dane = plan.dane;
  session->sts = plan.plan->sts;
  session->name_trust = plan.decision.name_trust;
  session->wanted = plan.required().level;
  session->rule = plan.required().rule;
  if (const auto &observed = plan.decision.observed) {
    session->observed_rule = observed->rule;
    session->observed_level = observed->level;
  }
  return session;
}

void note_partner(TlsSession &session, const policy::Decision &decision) {
  if (session.refused && policy::partner_refuses(decision, session.facts))
    session.refused_by_partner = decision.partner_rule;
}

std::string local_address(Connection &connection) {
  boost::system::error_code error;
  const auto endpoint = connection.stream.socket().local_endpoint(error);
  return error ? std::string() : endpoint.address().to_string();
}

void note_judgements(TlsSession &session, const HostPlan &plan, Connection &connection,
                     std::chrono::system_clock::time_point now) {
  const auto note = [&](const std::string &key, const std::shared_ptr<const tls::TrustStore> &trust) {
    for (const auto &known : session.judgements)
      if (known.store == key) return;
    session.judgements.push_back({key, verify_against(connection, trust, now)});
  };
  const auto &required = plan.required();
  if (plan.trust) note(policy::trust_key(required.trust, required.crls), plan.trust);
  if (const auto &observed = plan.decision.observed)
    note(policy::trust_key(observed->trust, observed->crls), plan.observed_trust);
  for (const auto &[key, store] : plan.stores) note(key, store);
  note(policy::trust_key("system", {}), plan.system_trust);
  for (const auto &judgement : session.judgements)
    if (judgement.store == "system") session.system_trusted = judgement.verdict.trusted;
}

} // namespace

std::shared_ptr<const TlsSession> make_session(const HostPlan &plan, Connection &connection, SessionEnd end,
                                               std::chrono::system_clock::time_point now) {
  auto session = begin_session(plan, now);
  session->address = connection.address_text;
  session->local_address = local_address(connection);
  session->starttls_offered = connection.session.capabilities().starttls || connection.stream.is_tls();
  session->fallback = connection.fallback;
  session->tls_problem = std::move(end.tls_problem);
  session->refused = end.refused;
  session->facts = session->tls_problem.empty() ? connection.judged_facts : tls::Facts{};
  if (session->facts.encrypted) {
    session->chain_digest = tls::chain_digest(session->facts.chain);
    note_judgements(*session, plan, connection, now);
  }
  if (session->tls_problem.empty()) {
    session->verdict = connection.verdict;
    session->observed = connection.observed;
    session->fault = policy::fault_of(plan.required(), connection.verdict, session->facts);
    if (session->fault != policy::TlsFault::none) session->fault_detail = connection.verdict.reason;
  } else {
    session->verdict = policy::judge_tls(plan.required(), tls::Facts{});
    session->observed = policy::judge_observed(plan.decision, tls::Facts{});
    session->fault = end.fault;
    session->fault_detail = session->tls_problem;
  }
  note_partner(*session, plan.decision);
  keep_few_names(*session);
  return session;
}

std::shared_ptr<const TlsSession> make_passed_over(const HostPlan &plan, std::chrono::system_clock::time_point now) {
  auto session = begin_session(plan, now);
  session->refused = true;
  session->fault = plan.decision.unusable->fault;
  session->fault_detail = plan.decision.unusable->reason;
  note_partner(*session, plan.decision);
  return session;
}

} // namespace mta
