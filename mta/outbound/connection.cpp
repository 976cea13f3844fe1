// Connection: see connection.hpp.
#include "mta/outbound/connection.hpp"

#include <sys/socket.h>

namespace mta {

namespace {

tls::Facts facts_against(Connection &connection, const std::shared_ptr<const tls::TrustStore> &trust,
                         std::chrono::system_clock::time_point now) {
  tls::Facts facts = connection.stream.facts();
  if (!facts.encrypted) return facts;
  if (!trust) {
    facts.verdict = tls::ChainVerdict{false, "the trust store is not loaded", tls::ChainFault::untrusted};
    return facts;
  }
  if (connection.verified_against != trust) {
    connection.chain_verdict =
        tls::verify_chain(connection.stream.peer_chain().get(), *trust, tls::Purpose::server, now);
    connection.verified_against = trust;
  }
  facts.verdict = connection.chain_verdict;
  return facts;
}

} // namespace

void judge(Connection &connection, std::shared_ptr<const Plan> plan, std::chrono::system_clock::time_point now) {
  if (connection.judged_for == plan) return;
  connection.judged_for = std::move(plan);
  const Plan &judged = *connection.judged_for;
  connection.verdict = policy::judge_tls(judged.required(), facts_against(connection, judged.trust, now));
  connection.observed.reset();
  if (judged.decision.observed)
    connection.observed =
        policy::judge_tls(*judged.decision.observed, facts_against(connection, judged.observed_trust, now));
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
