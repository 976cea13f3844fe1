#include "mta/dns/truth_test.hpp"

#include <algorithm>
#include <mutex>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace mta {

namespace {

using smtp::DnsStatus;
using smtp::DnsTrust;
using Address = smtp::DnsAnswer<smtp::IpAddress>;

bool is_bogus(const Address &answer) {
  return answer.status == DnsStatus::temporary && answer.detail.starts_with("bogus: ");
}

/// IPv4, and IPv6 where there is only that. A resolver that is shut down says "temporary", so that no second question
/// follows.
Task<Address> addresses(Resolver &resolver, std::string name) {
  auto answer = co_await resolver.addresses_v4(name);
  if (answer.status != DnsStatus::no_data) co_return answer;
  auto second = co_await resolver.addresses_v6(name);
  if (second.status == DnsStatus::ok) co_return second;
  co_return answer;
}

void add(TruthReport &report, TruthReport::State state, std::string problem) {
  report.state = std::max(report.state, state);
  report.problems.push_back(std::move(problem));
}

void judge_signed(TruthReport &report, const std::string &name, const Address &answer) {
  using State = TruthReport::State;
  if (is_bogus(answer))
    add(report, State::bogus, fmt::format("the signed name {} is {}", name, answer.detail));
  else if (answer.status == DnsStatus::temporary)
    add(report, State::unknown, fmt::format("the signed name {} cannot be asked for: {}", name, answer.detail));
  else if (answer.trust != DnsTrust::secure)
    add(report, State::does_not_validate, fmt::format("the signed name {} is not secure", name));
}

void judge_unsigned(TruthReport &report, const std::string &name, const Address &answer) {
  using State = TruthReport::State;
  if (is_bogus(answer))
    add(report, State::bogus, fmt::format("the unsigned name {} is {}", name, answer.detail));
  else if (answer.status == DnsStatus::temporary)
    add(report, State::unknown, fmt::format("the unsigned name {} cannot be asked for: {}", name, answer.detail));
  else if (answer.trust == DnsTrust::secure)
    add(report, State::unknown, fmt::format("the unsigned name {} is secure: name one whose zone is not signed", name));
  else if (answer.status == DnsStatus::no_name)
    add(report, State::unknown, fmt::format("the unsigned name {} does not exist", name));
}

std::string_view describe(const Address &answer) {
  switch (answer.status) {
  case DnsStatus::no_name: return "does not exist, and that";
  case DnsStatus::no_data: return "has no address, and that";
  case DnsStatus::ok:
  case DnsStatus::temporary: break;
  }
  return "has an address that";
}

void judge_bogus(TruthReport &report, const std::string &name, const Address &answer) {
  // A forwarder that validates by itself says SERVFAIL: that is as good as our own "bogus".
  if (answer.status == DnsStatus::temporary) return;
  // What was validated, be it that the name does not exist, comes of a resolver that validates: the name is the wrong
  // one. Only an answer without validation says something of the resolver.
  if (answer.trust == DnsTrust::secure)
    return add(report, TruthReport::State::unknown,
               fmt::format("the bogus name {} {} validates: name one that is signed wrongly", name, describe(answer)));
  add(report, TruthReport::State::does_not_validate,
      fmt::format("the bogus name {} is answered as if it were unsigned", name));
}

} // namespace

Task<TruthReport> ask_truth(Resolver &resolver, TruthTestConfig config, std::function<bool()> stopped) {
  TruthReport report;
  const auto signed_answer = co_await addresses(resolver, config.signed_name);
  if (stopped && stopped()) co_return report;
  const auto unsigned_answer = co_await addresses(resolver, config.unsigned_name);
  if (stopped && stopped()) co_return report;
  const auto bogus_answer = co_await addresses(resolver, config.bogus_name);
  report.state = TruthReport::State::validates;
  judge_signed(report, config.signed_name, signed_answer);
  judge_unsigned(report, config.unsigned_name, unsigned_answer);
  judge_bogus(report, config.bogus_name, bogus_answer);
  co_return report;
}

struct TruthTest::State {
  State(Resolver &the_resolver, TruthTestConfig the_config, MailLog &the_log, asio::any_io_executor executor,
        Waits the_waits)
      : resolver(the_resolver), config(std::move(the_config)), log(the_log), waits(the_waits), timer(executor) {}

  bool is_stopped() {
    const std::lock_guard lock(mutex);
    return stopped;
  }
  /// Nothing is touched after a stop: resolver and log may be gone then.
  void note(const TruthReport &report) {
    const std::lock_guard lock(mutex);
    if (stopped) return;
    // Bogus answers are validated, and do not hold: they come of a wrong anchor, a wrong clock, or someone who forges.
    // None of them may switch DANE off, be it at start: the mail of signed domains waits, as for any bogus answer.
    if (report.state == TruthReport::State::validates) good = true;
    if (report.state == TruthReport::State::does_not_validate) good = false;
    write(report.state, fmt::format("{}", fmt::join(report.problems, "; ")));
  }

  void write(TruthReport::State state, const std::string &problems) {
    switch (state) {
    case TruthReport::State::validates:
      log.write(Event("resolver_truth").with("validates", true).with("dane", "on"));
      return;
    case TruthReport::State::bogus:
      log.write(Event("resolver_truth", LogLevel::error)
                    .with("validates", "bogus")
                    .with("dane", good ? "on" : "off")
                    .with("problem", problems)
                    .with("message",
                          fmt::format("a name with right data is bogus: the trust anchor or the clock is wrong, or "
                                      "answers are forged on the way; {}",
                                      good ? "mail to domains whose answers are bogus waits"
                                           : "DANE stays off until the resolver validates again")));
      return;
    case TruthReport::State::does_not_validate:
      log.write(
          Event("resolver_truth", LogLevel::warning)
              .with("validates", false)
              .with("dane", "off")
              .with("problem", problems)
              .with("message", "the resolver does not validate DNSSEC: DANE is off until it does; look at [dns]"));
      return;
    case TruthReport::State::unknown:
      log.write(Event("resolver_truth", LogLevel::warning)
                    .with("validates", "unknown")
                    .with("dane", good ? "on" : "off")
                    .with("problem", problems)
                    .with("message", "the test says nothing of the resolver; nothing changes"));
      return;
    }
  }

  Resolver &resolver;
  const TruthTestConfig config;
  MailLog &log;
  const Waits waits;
  asio::steady_timer timer; ///< used on its executor alone
  std::atomic<bool> good{true};
  std::mutex mutex;
  bool stopped = false; ///< under `mutex`
};

/// One round after the other until the test is stopped.
Task<> TruthTest::run(std::shared_ptr<State> state) {
  while (!state->is_stopped()) {
    auto report = co_await ask_truth(state->resolver, state->config, [&state] { return state->is_stopped(); });
    state->note(report);
    if (state->is_stopped()) co_return;
    state->timer.expires_after(report.state == TruthReport::State::validates ? state->waits.good : state->waits.other);
    const auto [error] = co_await state->timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error) co_return;
  }
}

TruthTest::TruthTest(Resolver &resolver, TruthTestConfig config, MailLog &log, asio::any_io_executor executor,
                     Waits waits)
    : state_(std::make_shared<State>(resolver, std::move(config), log, std::move(executor), waits)) {}

TruthTest::~TruthTest() {
  stop();
}

void TruthTest::start() {
  if (!state_->config.is_set()) return;
  asio::co_spawn(state_->timer.get_executor(), run(state_), asio::detached);
}

void TruthTest::stop() {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->stopped) return;
    state_->stopped = true;
  }
  asio::post(state_->timer.get_executor(), [state = state_] { state->timer.cancel(); });
}

bool TruthTest::validates() const noexcept {
  return state_->good.load(std::memory_order_relaxed);
}

} // namespace mta
