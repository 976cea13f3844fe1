// ResolverHealth: see the header.
#include "mta/dns/resolver_health.hpp"

#include <algorithm>
#include <array>
#include <mutex>
#include <optional>
#include <random>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "smtp/base/text.hpp"

namespace mta {

namespace {

using Server = HealthReport::Server;

constexpr auto probe_timeout = std::chrono::seconds(2);
constexpr int probe_tries = 2; ///< a packet may be lost
constexpr std::size_t own_names = 3;
constexpr int more_tries = 4;

std::uint32_t random_number() {
  thread_local std::mt19937 engine{std::random_device{}()};
  return static_cast<std::uint32_t>(engine());
}

const char *to_string(Server server) noexcept {
  switch (server) {
  case Server::answers: return "answers";
  case Server::refuses: return "refuses";
  case Server::silent: return "silent";
  }
  return "silent";
}

/// One question to one server; any reply to it is an answer.
Task<Server> probe(smtp::SocketAddress server, std::string name) {
  using namespace asio::experimental::awaitable_operators;
  constexpr auto quiet = asio::as_tuple(asio::use_awaitable);
  const auto executor = co_await asio::this_coro::executor;
  boost::system::error_code failed;
  const auto address = asio::ip::make_address(server.address.to_string(), failed);
  if (failed) co_return Server::silent;
  const asio::ip::udp::endpoint endpoint(address, server.port);
  asio::ip::udp::socket socket(executor);
  socket.open(endpoint.protocol(), failed);
  if (failed) co_return Server::silent;
  socket.connect(endpoint, failed); // nobody else's packets are seen, and a closed port is told
  if (failed) co_return Server::silent;
  for (int tries = 0; tries < probe_tries; ++tries) {
    const auto id = static_cast<std::uint16_t>(random_number());
    const std::string question = encode_question(id, name);
    socket.send(asio::buffer(question), 0, failed);
    std::array<unsigned char, 512> reply{};
    asio::steady_timer timer(executor, probe_timeout);
    auto either = socket.async_receive(asio::buffer(reply), quiet) || timer.async_wait(quiet);
    auto outcome = co_await std::move(either);
    if (outcome.index() != 0) continue;
    const auto [error, size] = std::get<0>(outcome);
    if (error || size < 12 || reply[0] != id >> 8U || reply[1] != (id & 0xffU)) continue;
    constexpr int refused = 5;
    co_return (reply[3] & 0x0fU) == refused ? Server::refuses : Server::answers;
  }
  co_return Server::silent;
}

std::string text_of(const smtp::SocketAddress &address) {
  return fmt::format("{}:{}", address.address.to_string(), address.port);
}

} // namespace

bool HealthReport::is_good() const noexcept {
  return answers && std::all_of(forwarders.begin(), forwarders.end(),
                                [](const Forwarder &forwarder) { return forwarder.state == Server::answers; });
}

std::string HealthReport::silent() const {
  std::vector<std::string> found;
  for (const Forwarder &forwarder : forwarders)
    if (forwarder.state == Server::silent) found.push_back(text_of(forwarder.address));
  return fmt::format("{}", fmt::join(found, " "));
}

std::vector<smtp::SocketAddress> HealthReport::usable() const {
  std::vector<smtp::SocketAddress> all, answering;
  for (const Forwarder &forwarder : forwarders) {
    all.push_back(forwarder.address);
    if (forwarder.state == Server::answers) answering.push_back(forwarder.address);
  }
  return answering.empty() ? all : answering;
}

std::string encode_question(std::uint16_t id, std::string_view name) {
  std::string packet{static_cast<char>(id >> 8U), static_cast<char>(id & 0xffU), '\1', '\0', '\0', '\1'};
  packet.append(6, '\0');
  while (!name.empty()) {
    const auto label = name.substr(0, std::min(name.find('.'), name.size()));
    if (!label.empty()) {
      packet += static_cast<char>(label.size());
      packet += label;
    }
    name.remove_prefix(std::min(label.size() + 1, name.size()));
  }
  constexpr std::string_view soa_in("\0\0\6\0\1", 5); // the root, SOA, IN
  packet += soa_in;
  return packet;
}

Task<HealthReport> ask_health(Resolver &resolver, std::vector<smtp::SocketAddress> forwarders,
                              std::vector<std::string> names) {
  HealthReport report;
  for (const auto &name : names) {
    auto answer = co_await resolver.addresses_v4(fmt::format("_health-{:08x}.{}", random_number(), name));
    // Bogus is an answer too; what it means the truth test says.
    report.answers = answer.status != smtp::DnsStatus::temporary || answer.detail.starts_with("bogus: ");
    if (report.answers) break;
    if (report.problem.empty()) report.problem = fmt::format("a name below {}: {}", name, smtp::escape(answer.detail));
  }
  if (report.answers) report.problem.clear();
  const std::string asked = names.empty() ? std::string() : names.front();
  for (const auto &forwarder : forwarders) {
    const Server state = co_await probe(forwarder, asked);
    report.forwarders.push_back({forwarder, state});
  }
  co_return report;
}

struct ResolverHealth::State {
  State(Services the_services, Waits the_waits)
      : services(std::move(the_services)), waits(the_waits), timer(services.executor) {}

  bool is_stopped() {
    const std::lock_guard lock(mutex);
    return stopped;
  }
  void note(const HealthReport &report, const std::vector<std::string> &names);
  /// It does not answer, and did before, or was never asked.
  bool is_news(const HealthReport &report);

  Services services;
  const Waits waits;
  asio::steady_timer timer; ///< used on its executor alone
  std::mutex mutex;
  bool stopped = false; ///< under `mutex`; nothing is touched after it: resolver and log may be gone
  std::optional<HealthReport> last;
  std::optional<HealthReport> told;
  std::chrono::steady_clock::time_point told_at;
};

void ResolverHealth::State::note(const HealthReport &report, const std::vector<std::string> &names) {
  const std::lock_guard lock(mutex);
  if (stopped) return;
  // To ask a dead one costs each question that it is given to up to three seconds, while silent names make the others
  // look no better.
  std::string problem = report.problem;
  if (report.forwarders.size() > 1)
    for (Resolver *follower : services.followers)
      if (auto done = follower->use_forwarders(report.usable()); !done) problem = std::move(done.error().detail);
  last = report;
  const auto now = std::chrono::steady_clock::now();
  const bool same = told && told->answers == report.answers && told->forwarders == report.forwarders;
  if (same && (report.is_good() || now - told_at < waits.told_again)) return;
  told = report;
  told_at = now;
  std::string message = "the resolver answers";
  if (!report.answers)
    message =
        "the resolver does not answer: mail from outside is put off and nothing is delivered by MX; look at [dns]";
  else if (!report.is_good())
    message = "a resolver of [dns] resolvers does not answer; the others are used";
  std::string states;
  for (const auto &forwarder : report.forwarders)
    states +=
        fmt::format("{}{} {}", states.empty() ? "" : ", ", text_of(forwarder.address), to_string(forwarder.state));
  const ResolverStatus counts = services.resolver.status();
  services.log.write(Event("resolver_health", report.is_good() ? LogLevel::info : LogLevel::warning)
                         .with("answers", report.answers)
                         .with("asked", fmt::format("{}", fmt::join(names, " ")))
                         .with_if("resolvers", states)
                         .with_if("silent", report.silent())
                         .with_if("problem", problem)
                         .with("under_way", static_cast<std::uint64_t>(counts.under_way))
                         .with("answered", counts.answered)
                         .with("unanswered", counts.unanswered)
                         .with("message", message));
}

ResolverHealth::ResolverHealth(Services services, Waits waits)
    : state_(std::make_shared<State>(std::move(services), waits)) {}

std::optional<HealthReport> ResolverHealth::last() const {
  const std::lock_guard lock(state_->mutex);
  return state_->last;
}

ResolverHealth::~ResolverHealth() {
  stop();
}

bool ResolverHealth::State::is_news(const HealthReport &report) {
  const std::lock_guard lock(mutex);
  return !report.answers && (!last || last->answers);
}

Task<> ResolverHealth::run(std::shared_ptr<State> state) {
  while (!state->is_stopped()) {
    const auto names = state->services.names();
    bool good = true;
    if (!names.empty()) {
      const auto began = std::chrono::steady_clock::now();
      auto report = co_await ask_health(state->services.resolver, state->services.forwarders, names);
      // A moment's failure is none: the first questions of a start may be late, and a SERVFAIL comes quickly.
      for (int tries = 0; tries < more_tries && state->is_news(report) &&
                          std::chrono::steady_clock::now() - began < state->waits.patience;
           ++tries) {
        state->timer.expires_after(state->waits.again);
        const auto [error] = co_await state->timer.async_wait(asio::as_tuple(asio::use_awaitable));
        if (error || state->is_stopped()) co_return;
        report = co_await ask_health(state->services.resolver, state->services.forwarders, names);
      }
      state->note(report, names);
      good = report.is_good();
    }
    if (state->is_stopped()) co_return;
    state->timer.expires_after(good ? state->waits.good : state->waits.bad);
    const auto [error] = co_await state->timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error) co_return;
  }
}

void ResolverHealth::start() {
  asio::co_spawn(state_->timer.get_executor(), run(state_), asio::detached);
}

void ResolverHealth::stop() {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->stopped) return;
    state_->stopped = true;
  }
  asio::post(state_->timer.get_executor(), [state = state_] { state->timer.cancel(); });
}

namespace {

/// In a private network nothing may: no check of senders, and a route for everything whose hosts need no look-up.
bool asks_the_dns(const Config &config) {
  if (config.authentication.enabled)
    for (const ListenerConfig &listener : config.listeners)
      if (listener.role == policy::ListenerRole::mx && listener.check_senders) return true;
  return std::none_of(config.routes.begin(), config.routes.end(), [&config](const RouteConfig &route) {
    const bool is_for_all = std::any_of(route.domains.begin(), route.domains.end(),
                                        [](const smtp::DomainPattern &pattern) { return pattern.to_string() == "*"; });
    const bool is_known = !config.dns.hosts_file.empty() ||
                          std::all_of(route.route.hosts.begin(), route.route.hosts.end(),
                                      [](const auto &host) { return smtp::IpAddress::parse(host.host).has_value(); });
    return is_for_all && is_known;
  });
}

} // namespace

std::vector<std::string> health_names(const Config &config) {
  if (!config.dns.health_names.empty()) return config.dns.health_names;
  if (!asks_the_dns(config)) return {};
  std::vector<std::string> names;
  for (const auto &[name, domain] : config.domains) names.push_back(name);
  std::sort(names.begin(), names.end());
  names.insert(names.begin(), config.server.hostname);
  if (names.size() > own_names) names.resize(own_names);
  return names;
}

} // namespace mta
