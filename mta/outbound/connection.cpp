#include "mta/outbound/connection.hpp"

#include <sys/socket.h>

#include "tls/dane.hpp"

namespace mta {

namespace {

tls::Facts facts_against(Connection &connection, const policy::Requirement &requirement,
                         const std::shared_ptr<const tls::TrustStore> &trust, const NamedStores &stores,
                         std::chrono::system_clock::time_point now) {
  tls::Facts facts = connection.stream.facts();
  if (!facts.encrypted) return facts;
  facts.verdict = verify_against(connection, trust, now);
  for (const auto &[key, store] : stores) facts.others.push_back({key, verify_against(connection, store, now)});
  if (!requirement.tlsa.empty())
    facts.dane = tls::verify_dane(connection.stream.peer_chain().get(), requirement.tlsa, requirement.dane_names, now);
  return facts;
}

} // namespace

const tls::ChainVerdict &verify_against(Connection &connection, const std::shared_ptr<const tls::TrustStore> &trust,
                                        std::chrono::system_clock::time_point now) {
  for (const auto &[store, verdict] : connection.chain_verdicts)
    if (store == trust) return verdict;
  auto verdict = trust ? tls::verify_chain(connection.stream.peer_chain().get(), *trust, tls::Purpose::server, now)
                       : tls::ChainVerdict{false, "the trust store is not loaded", tls::ChainFault::untrusted};
  return connection.chain_verdicts.emplace_back(trust, std::move(verdict)).second;
}

void judge(Connection &connection, std::shared_ptr<const HostPlan> plan, std::chrono::system_clock::time_point now) {
  if (connection.judged_for == plan) return;
  connection.judged_for = std::move(plan);
  const HostPlan &judged = *connection.judged_for;
  connection.observed.reset();
  if (const auto &observed = judged.decision.observed)
    connection.observed = policy::judge_observed(
        judged.decision, facts_against(connection, *observed, judged.observed_trust, judged.stores, now));
  const policy::Requirement &required = judged.required();
  connection.judged_facts = facts_against(connection, required, judged.trust, judged.stores, now);
  connection.verdict = policy::judge_tls(required, connection.judged_facts);
}

bool is_alive(Connection &connection) {
  if (!connection.stream.is_open()) return false;
  // A server that talks unasked says 421, or goodbye. Looking also takes in TLS records that are no data (tickets, the
  // end of the session).
  if (connection.stream.readable_now()) return false;
  if (!connection.stream.is_open()) return false;
  char octet = 0;
  const auto got = ::recv(connection.stream.socket().native_handle(), &octet, 1, MSG_PEEK | MSG_DONTWAIT);
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

} // namespace mta
