// ResolverHealth: what is asked, what it means, and when it is told.
#include "mta/dns/resolver_health.hpp"

#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include "tests/support/fake_resolver.hpp"
#include "tests/support/memory_log.hpp"

namespace resolver_health_test {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using mta::HealthReport;
using Server = HealthReport::Server;

/// Answers nothing of what it was not told to fail, and that it has nothing: both are answers.
class FailingResolver : public test::FakeResolver {
public:
  mta::Task<smtp::DnsAnswer<smtp::IpAddress>> addresses_v4(std::string name) override {
    asked.push_back(name);
    smtp::DnsAnswer<smtp::IpAddress> answer;
    const std::string below = name.substr(name.find('.') + 1);
    answer.status = below == silent || silent == "*" ? smtp::DnsStatus::temporary : smtp::DnsStatus::no_name;
    answer.detail = detail;
    co_return answer;
  }
  smtp::Result<void> use_forwarders(const std::vector<smtp::SocketAddress> &forwarders) override {
    used = forwarders;
    return {};
  }
  std::vector<smtp::SocketAddress> used;
  std::string silent;
  std::string detail = "no answer in 10 s";
  std::vector<std::string> asked;
};

/// A name server that gives each question an empty reply with the rcode, or nothing.
struct FakeServer {
  explicit FakeServer(asio::io_context &context, std::optional<int> code = 0)
      : socket(context, asio::ip::udp::endpoint(asio::ip::address_v4::loopback(), 0)), rcode(code) {
    asio::co_spawn(context, serve(), asio::detached);
  }
  asio::awaitable<void> serve() {
    std::array<unsigned char, 512> packet{};
    for (;;) {
      asio::ip::udp::endpoint peer;
      const auto size = co_await socket.async_receive_from(asio::buffer(packet), peer, asio::use_awaitable);
      last.assign(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(size));
      if (!rcode) continue;
      packet[2] |= 0x80U;
      packet[3] = static_cast<unsigned char>(*rcode);
      co_await socket.async_send_to(asio::buffer(packet, size), peer, asio::use_awaitable);
    }
  }
  [[nodiscard]] smtp::SocketAddress address() const {
    return {smtp::IpAddress::parse("127.0.0.1").value(), socket.local_endpoint().port()};
  }
  asio::ip::udp::socket socket;
  std::optional<int> rcode;
  std::string last;
};

HealthReport ask(asio::io_context &context, mta::Resolver &resolver, std::vector<smtp::SocketAddress> forwarders,
                 std::vector<std::string> names) {
  std::optional<HealthReport> report;
  context.restart();
  asio::co_spawn(context, mta::ask_health(resolver, std::move(forwarders), std::move(names)),
                 [&](std::exception_ptr, HealthReport value) { report = std::move(value); });
  while (!report) context.run_one();
  return *report;
}

TEST(Question, IsOnTheWireAsRfc1035Says) {
  using namespace std::string_literals;
  EXPECT_EQ(mta::encode_question(0x1234, "mx.Example.org"),
            "\x12\x34\1\0\0\1\0\0\0\0\0\0\2mx\7Example\3org\0\0\6\0\1"s);
  EXPECT_EQ(mta::encode_question(0xffff, ""), "\xff\xff\1\0\0\1\0\0\0\0\0\0\0\0\6\0\1"s);
}

TEST(ResolverHealth, OneNameThatIsAnsweredIsEnough) {
  asio::io_context context;
  FailingResolver resolver;
  resolver.silent = "first.example";
  const auto report = ask(context, resolver, {}, {"first.example", "second.example", "third.example"});
  EXPECT_TRUE(report.answers);
  EXPECT_TRUE(report.is_good());
  EXPECT_EQ(resolver.asked.size(), 2U) << "the first answer ends it";
  EXPECT_TRUE(resolver.asked[0].starts_with("_health-")) << "a name that no cache has: " << resolver.asked[0];
  resolver.silent = "*";
  const auto silent = ask(context, resolver, {}, {"first.example", "second.example"});
  EXPECT_FALSE(silent.answers);
  EXPECT_EQ(silent.problem, "a name below first.example: no answer in 10 s");
  resolver.detail = "bogus: no signatures";
  EXPECT_TRUE(ask(context, resolver, {}, {"first.example"}).answers);
}

TEST(ResolverHealth, EachForwarderIsAskedByItself) {
  asio::io_context context;
  FailingResolver resolver;
  FakeServer good(context), refusing(context, 5), failing(context, 2), silent(context, std::nullopt);
  const auto report = ask(context, resolver, {good.address(), refusing.address(), failing.address(), silent.address()},
                          {"ours.example"});
  std::vector<Server> states;
  for (const auto &one : report.forwarders) states.push_back(one.state);
  EXPECT_EQ(states, (std::vector<Server>{Server::answers, Server::refuses, Server::answers, Server::silent}))
      << "SERVFAIL is an answer: it says nothing of the forwarder";
  EXPECT_FALSE(report.is_good());
  EXPECT_EQ(report.usable(), (std::vector<smtp::SocketAddress>{good.address(), failing.address()}));
  const auto none = ask(context, resolver, {silent.address(), refusing.address()}, {"ours.example"});
  EXPECT_EQ(none.usable().size(), 2U) << "none answers: all are tried";
  EXPECT_NE(good.last.find("\4ours\7example"), std::string::npos);
}

TEST(ResolverHealth, ChangesAreTold) {
  asio::io_context context;
  FailingResolver resolver;
  support::MemoryLog log;
  mta::ResolverHealth health(
      {resolver, log, context.get_executor(), {}, {}, [] { return std::vector<std::string>{"ours.example"}; }},
      {.good = 0ms, .bad = 0ms, .again = 0ms, .told_again = 1h});
  EXPECT_FALSE(health.last()) << "nothing was asked yet";
  health.start();
  const auto run_to = [&](std::size_t rounds) {
    while (resolver.asked.size() < rounds) context.run_one();
  };
  run_to(4);
  EXPECT_EQ(log.lines.size(), 1U) << "the first round is told, and then nothing new";
  EXPECT_EQ(log.count({"event=resolver_health", "answers=true", "asked=ours.example"}), 1U);
  resolver.silent = "*";
  run_to(resolver.asked.size() + 1);
  resolver.silent.clear();
  run_to(8);
  EXPECT_EQ(log.lines.size(), 1U) << "one question without an answer is none of its changes";
  resolver.silent = "*";
  run_to(14);
  EXPECT_EQ(log.count({"event=resolver_health", "answers=false", "the resolver does not answer"}), 1U);
  ASSERT_TRUE(health.last());
  EXPECT_FALSE(health.last()->answers);
  resolver.silent.clear();
  run_to(20);
  EXPECT_EQ(log.count({"event=resolver_health", "answers=true"}), 2U);
  EXPECT_TRUE(health.last()->answers);
  health.stop();
  context.run();
  EXPECT_EQ(log.lines.size(), 3U);
}

TEST(ResolverHealth, OfSeveralForwardersTheOnesThatAnswerAreUsed) {
  asio::io_context context;
  FailingResolver resolver;
  support::MemoryLog log;
  FakeServer good(context), refusing(context, 5);
  mta::ResolverHealth health(
      {resolver, log, context.get_executor(), {good.address(), refusing.address()}, {&resolver}, [] {
         return std::vector<std::string>{"ours.example"};
       }});
  health.start();
  while (log.lines.empty()) context.run_one();
  EXPECT_EQ(resolver.used, std::vector<smtp::SocketAddress>{good.address()});
  EXPECT_EQ(log.count({"answers=true", "refuses", "the others are used"}), 1U);
  health.stop();
  context.poll();
}

TEST(ResolverHealth, NamesOfOursAreAskedAbout) {
  mta::Config config;
  config.server.hostname = "mx.ours.example";
  for (const char *name : {"c.example", "a.example", "b.example"})
    config.domains.emplace(name, mta::DomainConfig{.domain = smtp::Domain::parse(name).value(),
                                                   .recipients = {},
                                                   .recipients_file = {},
                                                   .route = {},
                                                   .place = {}});
  EXPECT_EQ(mta::health_names(config), (std::vector<std::string>{"mx.ours.example", "a.example", "b.example"}));
  // A private network: everything goes by a route, and no sender is checked.
  mta::ListenerConfig listener;
  listener.role = policy::ListenerRole::mx;
  listener.check_senders = false;
  config.listeners.push_back(listener);
  mta::RouteConfig route;
  route.domains.push_back(smtp::DomainPattern::parse("*").value());
  route.route.hosts.push_back({});
  route.route.hosts[0].host = "10.0.0.1";
  config.routes.push_back(route);
  EXPECT_TRUE(mta::health_names(config).empty());
  config.routes[0].route.hosts[0].host = "hub.example";
  EXPECT_FALSE(mta::health_names(config).empty()) << "the name of the host is looked up";
  config.dns.hosts_file = "/etc/hosts";
  EXPECT_TRUE(mta::health_names(config).empty());
  config.listeners[0].check_senders = true;
  EXPECT_FALSE(mta::health_names(config).empty());
  config.dns.health_names = {"known.example"};
  EXPECT_EQ(mta::health_names(config), std::vector<std::string>{"known.example"});
}

} // namespace resolver_health_test
