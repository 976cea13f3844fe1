#include "mta/outbound/explain_probe.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include "mta/outbound/open.hpp"
#include "mta/outbound/session_io.hpp"

namespace mta {

namespace {

constexpr std::size_t names_shown = 100; ///< of a certificate

/// Ends the attempt when its time is over; shared with the timer's coroutine, which may end later.
struct Attention {
  explicit Attention(asio::any_io_executor executor) : timer(std::move(executor)) {}
  asio::steady_timer timer;
  ActiveConnection active;
  bool over = false;
};

Task<> watch(std::shared_ptr<Attention> attention) {
  const auto [error] = co_await attention->timer.async_wait(asio::as_tuple(asio::use_awaitable));
  if (error) co_return;
  attention->over = true;
  if (attention->active.connection != nullptr) attention->active.connection->stream.expire();
}

void read_session(ExplainedProbe &probe, const TlsSession &session) {
  probe.got = session.got();
  if (session.facts.encrypted) {
    probe.version = tls::to_string(session.facts.version);
    probe.suite = session.facts.suite;
  }
  if (!session.facts.chain.empty()) {
    const tls::CertificateFacts &leaf = session.facts.chain.front();
    probe.names = leaf.dns_names; // all were compared, but not all are shown
    if (probe.names.size() > names_shown) probe.names.resize(names_shown);
    probe.issuer = leaf.issuer;
    probe.not_after = leaf.not_after;
  }
  probe.chain_digest = session.chain_digest;
  if (session.verdict) {
    probe.verdict = policy::to_string(session.verdict->kind);
    probe.reason = session.verdict->reason;
    probe.matched_name = session.verdict->matched_name;
  }
  if (!session.tls_problem.empty()) probe.reason = session.tls_problem;
  probe.would_deliver = !session.refused;
  if (session.observed) {
    probe.would_refuse = !session.observed->ok();
    if (probe.would_refuse) probe.would_refuse_reason = session.observed->reason;
  }
}

/// As far as the judgement of its TLS.
struct Asked {
  std::shared_ptr<const TlsSession> session; ///< null: none came about
  std::string problem;
};

Task<Asked> ask_address(Worker &worker, std::shared_ptr<const HostPlan> plan, smtp::IpAddress address,
                        std::chrono::seconds limit) {
  Asked asked;
  auto attention = std::make_shared<Attention>(worker.context.get_executor());
  attention->timer.expires_after(limit);
  asio::co_spawn(worker.context, watch(attention), asio::detached);
  Attempt attempt;
  std::vector<smtp::SocketAddress> addresses;
  addresses.push_back({address, plan->host.port});
  OpenRequest request{plan, std::move(addresses), false};
  auto opened = co_await open_connection(worker, attention->active, std::move(request), attempt);
  attention->timer.cancel();
  asked.session = opened.session;
  if (opened.failure && !opened.session)
    asked.problem = attention->over ? fmt::format("no session within {} s", limit.count()) : opened.failure->detail;
  if (opened.connection) co_await say_goodbye(std::move(opened.connection), worker.scratch);
  co_return asked;
}

Task<ExplainedProbe> probe_address(Worker &worker, std::shared_ptr<const HostPlan> plan, smtp::IpAddress address,
                                   std::chrono::seconds limit) {
  ExplainedProbe probe;
  probe.address = address.to_string();
  const Asked asked = co_await ask_address(worker, plan, address, limit);
  probe.problem = asked.problem;
  if (asked.session) read_session(probe, *asked.session);
  // The session above was made with the profile in force. What the observing rule would have had, its own profile
  // tells.
  auto observed_plan = asked.session ? make_observed_plan(*plan) : nullptr;
  if (!observed_plan) co_return probe;
  const Asked observed = co_await ask_address(worker, std::move(observed_plan), address, limit);
  if (!observed.session) co_return probe;
  probe.would_refuse = observed.session->refused;
  probe.would_refuse_reason.clear();
  if (probe.would_refuse) {
    const TlsSession &session = *observed.session;
    probe.would_refuse_reason =
        session.tls_problem.empty() && session.verdict ? session.verdict->reason : session.tls_problem;
  }
  co_return probe;
}

} // namespace

Task<Explanation> probe_explained(Worker &worker, Explanation explanation, ProbeLimits limits) {
  std::size_t tried = 0;
  for (auto &host : explanation.hosts) {
    if (!host.plan || host.plan->decision.unusable) continue;
    for (const auto &address : host.plan->addresses.addresses) {
      if (tried++ >= limits.addresses) co_return explanation;
      auto probe = co_await probe_address(worker, host.plan, address, limits.each);
      host.probes.push_back(std::move(probe));
    }
  }
  co_return explanation;
}

} // namespace mta
