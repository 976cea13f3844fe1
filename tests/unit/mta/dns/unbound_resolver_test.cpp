// The resolver over libunbound against a real DNS server on loopback, signed, unsigned and broken zones, and dead
// servers.
#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "mta/dns/resolver.hpp"

namespace unbound_resolver_test {

namespace asio = boost::asio;
using smtp::DnsStatus;
using smtp::DnsTrust;
namespace fs = std::filesystem;

/// Bound, so that nobody else listens there, and silent.
struct DeadServer {
  asio::io_context context;
  asio::ip::udp::socket socket{context, asio::ip::udp::endpoint(asio::ip::address_v4::loopback(), 0)};
  [[nodiscard]] smtp::SocketAddress address() const {
    return {smtp::IpAddress::parse("127.0.0.1").value(), socket.local_endpoint().port()};
  }
};

std::uint16_t free_port() {
  asio::io_context context;
  for (;;) {
    asio::ip::tcp::acceptor tcp(context, asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    const auto port = tcp.local_endpoint().port();
    boost::system::error_code error;
    asio::ip::udp::socket udp(context, asio::ip::udp::v4());
    udp.bind(asio::ip::udp::endpoint(asio::ip::address_v4::loopback(), port), error);
    if (!error) return port;
  }
}

std::string output_of(const std::string &command) {
  std::string text;
  if (FILE *pipe = ::popen(command.c_str(), "r")) {
    std::array<char, 512> part{};
    while (std::fgets(part.data(), part.size(), pipe) != nullptr) text += part.data();
    ::pclose(pipe);
  }
  return text;
}

/// Runs one question on a context of its own, with the resolver's callbacks on another thread.
template <typename Answer> Answer run(mta::Task<Answer> task) {
  asio::io_context context;
  std::optional<Answer> answer;
  asio::co_spawn(context, std::move(task), [&](std::exception_ptr error, Answer value) {
    if (error) std::rethrow_exception(error);
    answer = std::move(value);
  });
  context.run(); // ends only if the question keeps the context busy until it is answered
  return answer.value();
}

class ResolverThread {
public:
  ResolverThread() : guard_(context.get_executor()), thread_([this] { context.run(); }) {}
  ~ResolverThread() {
    guard_.reset();
    thread_.join();
  }
  asio::io_context context;

private:
  asio::executor_work_guard<asio::io_context::executor_type> guard_;
  std::thread thread_;
};

const char *const zone_text = R"($ORIGIN {0}.
$TTL 300
@ SOA ns.{0}. host.{0}. 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
@ MX 10 mx1
@ MX 20 MX2
mx1 A 192.0.2.1
mx1 A 192.0.2.2
mx1 AAAA 2001:db8::1
mx2 A 192.0.2.3
null MX 0 .
alias CNAME mx1
text TXT "v=spf1 " "-all"
_25._tcp.mx1 TLSA 3 1 1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
_25._tcp.mx1 TLSA 2 0 0 3003
_25._tcp.alias CNAME _25._tcp.mx1
inward CNAME mx1.signed.test.
outward CNAME mx1.plain.test.
outward-broken CNAME mx1.broken.test.
nowhere CNAME missing
empty TXT "only text"
)";

/// knotd with plain.test and signed.test, which it signs by itself.
class KnotTest : public testing::Test {
protected:
  static void SetUpTestSuite() {
    if (!fs::exists("/usr/sbin/knotd") || !fs::exists("/usr/sbin/keymgr")) return;
    std::string pattern = (fs::temp_directory_path() / "portcullis-knot-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) return;
    folder_ = pattern;
    fs::create_directory(folder_ / "db");
    port_ = free_port();
    std::ofstream(folder_ / "plain.zone") << fmt::format(fmt::runtime(zone_text), "plain.test");
    std::ofstream many(folder_ / "plain.zone", std::ios::app);
    for (int i = 0; i < 101; ++i) many << fmt::format("many MX {} host{}\n", i, i);
    for (int i = 0; i < 101; ++i) many << fmt::format("_25._tcp.many TLSA 3 1 1 {:064x}\n", i);
    many.close();
    std::ofstream(folder_ / "signed.zone") << fmt::format(fmt::runtime(zone_text), "signed.test");
    std::ofstream(folder_ / "broken.zone") << fmt::format(fmt::runtime(zone_text), "broken.test");
    std::ofstream(folder_ / "knot.conf") << fmt::format(R"(server:
  listen: 127.0.0.1@{1}
  rundir: {0}
database:
  storage: {0}/db
log:
  - target: {0}/log
    any: info
zone:
  - domain: plain.test
    file: {0}/plain.zone
    zonefile-sync: -1
    journal-content: none
  - domain: signed.test
    file: {0}/signed.zone
    dnssec-signing: on
    zonefile-sync: -1
    journal-content: changes
  - domain: broken.test
    file: {0}/broken.zone
    dnssec-signing: on
    zonefile-sync: -1
    journal-content: changes
)",
                                                        folder_.string(), port_);
    knot_ = ::fork();
    if (knot_ == 0) {
      const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
      ::dup2(null, 1);
      ::dup2(null, 2);
      const std::string config = (folder_ / "knot.conf").string();
      ::execl("/usr/sbin/knotd", "knotd", "-c", config.c_str(), nullptr);
      ::_exit(127);
    }
    anchor_ = wait_for_anchor();
  }
  static void TearDownTestSuite() {
    if (knot_ > 0) {
      ::kill(knot_, SIGTERM);
      ::waitpid(knot_, nullptr, 0);
      knot_ = -1;
    }
    std::error_code ignored;
    if (!folder_.empty()) fs::remove_all(folder_, ignored);
  }
  void SetUp() override {
    if (folder_.empty()) GTEST_SKIP() << "knotd is not installed";
    ASSERT_FALSE(anchor_.empty()) << "knotd gave no key: " << output_of("cat " + (folder_ / "log").string());
  }

  static mta::DnsConfig config_for(const std::string &anchor) {
    mta::DnsConfig config;
    config.resolvers.push_back({smtp::IpAddress::parse("127.0.0.1").value(), port_});
    config.trust_anchor.clear();
    if (!anchor.empty()) config.extra_anchors.push_back(anchor);
    return config;
  }
  std::unique_ptr<mta::Resolver> resolver_for(const mta::DnsConfig &config) {
    auto made = mta::make_resolver(config, thread_.context.get_executor());
    EXPECT_TRUE(made) << made.error().detail;
    return made ? std::move(*made) : nullptr;
  }

  static std::string anchor_;
  static fs::path folder_;
  static std::uint16_t port_;
  ResolverThread thread_;

private:
  /// The DS of signed.test, once the server has the zone signed and answers.
  static std::string wait_for_anchor() {
    ResolverThread thread;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (std::chrono::steady_clock::now() < end) {
      const auto lines =
          output_of(fmt::format("/usr/sbin/keymgr -c {}/knot.conf signed.test ds 2>/dev/null", folder_.string()));
      for (std::size_t at = 0; at < lines.size();) {
        const auto stop = std::min(lines.find('\n', at), lines.size());
        const auto line = lines.substr(at, stop - at);
        at = stop + 1;
        // "signed.test. DS 12345 13 2 ABCD…": the SHA-256 one
        if (line.find(" 13 2 ") == std::string::npos) continue;
        auto resolver = mta::make_resolver(config_for(line), thread.context.get_executor());
        if (resolver && run((*resolver)->mx("signed.test")).trust == DnsTrust::secure) return line;
      }
      std::this_thread::yield();
    }
    return {};
  }
  static pid_t knot_;
};
std::string KnotTest::anchor_;
fs::path KnotTest::folder_;
std::uint16_t KnotTest::port_ = 0;
pid_t KnotTest::knot_ = -1;

TEST_F(KnotTest, answers_every_type) {
  auto resolver = resolver_for(config_for(""));
  const auto mx = run(resolver->mx("plain.test"));
  EXPECT_EQ(mx.status, DnsStatus::ok) << mx.detail;
  EXPECT_EQ(mx.trust, DnsTrust::insecure);
  EXPECT_GT(mx.ttl.count(), 0);
  EXPECT_EQ(mx.canonical_name, "");
  auto records = mx.records;
  std::sort(records.begin(), records.end());
  EXPECT_EQ(records, (std::vector<smtp::MxRecord>{{10, "mx1.plain.test"}, {20, "mx2.plain.test"}}));

  const auto v4 = run(resolver->addresses_v4("mx1.plain.test"));
  EXPECT_EQ(v4.records.size(), 2U);
  const auto v6 = run(resolver->addresses_v6("mx1.plain.test"));
  ASSERT_EQ(v6.records.size(), 1U);
  EXPECT_EQ(v6.records[0].to_string(), "2001:db8::1");
  EXPECT_EQ(run(resolver->txt("text.plain.test")).records, std::vector<std::string>{"v=spf1 -all"});
  EXPECT_EQ(run(resolver->mx("null.plain.test")).records, (std::vector<smtp::MxRecord>{{0, ""}}));

  const auto alias = run(resolver->addresses_v6("alias.plain.test"));
  EXPECT_EQ(alias.status, DnsStatus::ok);
  EXPECT_EQ(alias.canonical_name, "mx1.plain.test");
}

TEST_F(KnotTest, tells_absence_apart) {
  auto resolver = resolver_for(config_for(""));
  EXPECT_EQ(run(resolver->mx("nowhere.plain.test")).status, DnsStatus::no_name);
  EXPECT_EQ(run(resolver->mx("empty.plain.test")).status, DnsStatus::no_data);
  EXPECT_EQ(run(resolver->addresses_v6("mx2.plain.test")).status, DnsStatus::no_data);
  const auto refused = run(resolver->mx("not-served.example"));
  EXPECT_EQ(refused.status, DnsStatus::temporary);
  EXPECT_NE(refused.detail.find("SERVFAIL"), std::string::npos) << refused.detail;
}

TEST_F(KnotTest, refuses_more_records_than_the_limit) {
  auto resolver = resolver_for(config_for(""));
  const auto many = run(resolver->mx("many.plain.test"));
  EXPECT_EQ(many.status, DnsStatus::temporary);
  EXPECT_EQ(many.detail, "more than 100 records in the answer");
}

TEST_F(KnotTest, validates_a_signed_zone) {
  auto resolver = resolver_for(config_for(anchor_));
  const auto mx = run(resolver->mx("signed.test"));
  EXPECT_EQ(mx.status, DnsStatus::ok) << mx.detail;
  EXPECT_EQ(mx.trust, DnsTrust::secure);
  const auto nothing = run(resolver->mx("empty.signed.test"));
  EXPECT_EQ(nothing.status, DnsStatus::no_data);
  EXPECT_EQ(nothing.trust, DnsTrust::secure) << "absence is proven too";
  EXPECT_EQ(run(resolver->mx("plain.test")).trust, DnsTrust::insecure);
}

TEST_F(KnotTest, tlsa_records_come_with_their_dnssec_state) {
  auto resolver = resolver_for(config_for(anchor_));
  const auto signed_answer = run(resolver->tlsa("_25._tcp.mx1.signed.test"));
  EXPECT_EQ(signed_answer.status, DnsStatus::ok) << signed_answer.detail;
  EXPECT_EQ(signed_answer.trust, DnsTrust::secure);
  auto records = signed_answer.records;
  std::sort(records.begin(), records.end());
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0], (smtp::TlsaRecord{2, 0, 0, std::string("\x30\x03")}));
  EXPECT_EQ(records[1].data.size(), 32U);
  EXPECT_EQ(records[1].data.substr(0, 3), std::string("\0\1\2", 3));

  const auto alias = run(resolver->tlsa("_25._tcp.alias.signed.test"));
  EXPECT_EQ(alias.status, DnsStatus::ok);
  EXPECT_EQ(alias.trust, DnsTrust::secure);
  EXPECT_EQ(alias.canonical_name, "_25._tcp.mx1.signed.test");

  const auto plain = run(resolver->tlsa("_25._tcp.mx1.plain.test"));
  EXPECT_EQ(plain.records.size(), 2U);
  EXPECT_EQ(plain.trust, DnsTrust::insecure);
}

TEST_F(KnotTest, absence_is_as_secure_as_its_proof) {
  auto resolver = resolver_for(config_for(anchor_));
  struct Row {
    const char *name;
    DnsStatus status;
    DnsTrust trust;
  };
  const Row rows[] = {
      {"_25._tcp.mx2.signed.test", DnsStatus::no_name, DnsTrust::secure},
      {"_tcp.mx1.signed.test", DnsStatus::no_data, DnsTrust::secure}, // an empty non-terminal
      {"mx1.signed.test", DnsStatus::no_data, DnsTrust::secure},
      {"nowhere.signed.test", DnsStatus::no_name, DnsTrust::secure},
      {"_25._tcp.mx2.plain.test", DnsStatus::no_name, DnsTrust::insecure},
      {"mx1.plain.test", DnsStatus::no_data, DnsTrust::insecure},
      {"outward.signed.test", DnsStatus::no_data, DnsTrust::insecure},
  };
  for (const Row &row : rows) {
    const auto answer = run(resolver->tlsa(row.name));
    EXPECT_EQ(answer.status, row.status) << row.name << ' ' << answer.detail;
    EXPECT_EQ(answer.trust, row.trust) << row.name;
    EXPECT_TRUE(answer.records.empty()) << row.name;
  }
}

TEST_F(KnotTest, an_alias_is_secure_only_when_all_of_its_chain_is) {
  std::string wrong = anchor_; // the anchor of signed.test, with another owner: broken.test never validates
  wrong.replace(wrong.find("signed.test"), std::string_view("signed.test").size(), "broken.test");
  auto config = config_for(anchor_);
  config.extra_anchors.push_back(wrong);
  auto resolver = resolver_for(config);
  struct Row {
    const char *name;
    DnsTrust trust;
    const char *canonical;
  };
  const Row rows[] = {
      {"alias.signed.test", DnsTrust::secure, "mx1.signed.test"},
      {"outward.signed.test", DnsTrust::insecure, "mx1.plain.test"},
      {"inward.plain.test", DnsTrust::insecure, "mx1.signed.test"},
      {"mx1.signed.test", DnsTrust::secure, ""},
  };
  for (const Row &row : rows) {
    const auto answer = run(resolver->addresses_v4(row.name));
    EXPECT_EQ(answer.status, DnsStatus::ok) << row.name << ' ' << answer.detail;
    EXPECT_EQ(answer.trust, row.trust) << row.name;
    EXPECT_EQ(answer.canonical_name, row.canonical) << row.name;
  }
  const auto gone = run(resolver->addresses_v4("nowhere.signed.test"));
  EXPECT_EQ(gone.status, DnsStatus::no_name);
  EXPECT_EQ(gone.canonical_name, "missing.signed.test") << "also of what is not there";
  for (const auto *name : {"mx1.broken.test", "outward-broken.signed.test", "outward-broken.plain.test"}) {
    const auto bogus = run(resolver->addresses_v4(name));
    EXPECT_EQ(bogus.status, DnsStatus::temporary) << name;
    EXPECT_TRUE(bogus.detail.starts_with("bogus: ")) << name << ": " << bogus.detail;
    EXPECT_TRUE(bogus.records.empty()) << name;
  }
  const auto bogus = run(resolver->tlsa("_25._tcp.mx1.broken.test"));
  EXPECT_EQ(bogus.status, DnsStatus::temporary);
  EXPECT_TRUE(bogus.detail.starts_with("bogus: ")) << bogus.detail;
  const auto absent = run(resolver->tlsa("_25._tcp.mx2.broken.test"));
  EXPECT_EQ(absent.status, DnsStatus::temporary) << "absence that is not proven is no absence";
}

TEST_F(KnotTest, a_tlsa_set_larger_than_the_limit_is_refused) {
  auto resolver = resolver_for(config_for(""));
  const auto many = run(resolver->tlsa("_25._tcp.many.plain.test"));
  EXPECT_EQ(many.status, DnsStatus::temporary);
  EXPECT_EQ(many.detail, "more than 100 records in the answer");
}

TEST_F(KnotTest, a_bogus_zone_is_temporary_and_says_why) {
  std::string wrong = anchor_;
  auto &digit = wrong[wrong.find_last_not_of(" \r\n")];
  digit = digit == '0' ? '1' : '0';
  auto resolver = resolver_for(config_for(wrong));
  const auto mx = run(resolver->mx("signed.test"));
  EXPECT_EQ(mx.status, DnsStatus::temporary);
  EXPECT_TRUE(mx.records.empty());
  EXPECT_TRUE(mx.detail.starts_with("bogus: ")) << mx.detail;
  EXPECT_EQ(run(resolver->mx("plain.test")).status, DnsStatus::ok) << "other zones are not affected";
}

TEST_F(KnotTest, an_insecure_domain_is_not_validated) {
  std::string wrong = anchor_;
  auto &digit = wrong[wrong.find_last_not_of(" \r\n")];
  digit = digit == '0' ? '1' : '0';
  auto config = config_for(wrong);
  config.insecure_domains.push_back("signed.test");
  config.extra_anchors.clear();
  auto resolver = resolver_for(config);
  const auto mx = run(resolver->mx("signed.test"));
  EXPECT_EQ(mx.status, DnsStatus::ok);
  EXPECT_EQ(mx.trust, DnsTrust::insecure);
}

TEST_F(KnotTest, many_questions_for_one_name_are_all_answered) {
  auto resolver = resolver_for(config_for(""));
  asio::io_context context;
  int answered = 0;
  for (int i = 0; i < 500; ++i)
    asio::co_spawn(context, resolver->mx("plain.test"),
                   [&](std::exception_ptr, smtp::DnsAnswer<smtp::MxRecord> answer) {
                     answered += answer.status == DnsStatus::ok ? 1 : 0;
                   });
  context.run();
  EXPECT_EQ(answered, 500);
}

TEST_F(KnotTest, names_of_the_hosts_file_need_no_server) {
  std::ofstream(folder_ / "hosts") << "192.0.2.77 relay.private\n";
  auto config = config_for("");
  config.hosts_file = (folder_ / "hosts").string();
  auto resolver = resolver_for(config);
  const auto found = run(resolver->addresses_v4("relay.private"));
  ASSERT_EQ(found.records.size(), 1U) << found.detail;
  EXPECT_EQ(found.records[0].to_string(), "192.0.2.77");
}

TEST(Resolver, a_dead_server_is_temporary_within_the_deadline) {
  DeadServer dead;
  ResolverThread thread;
  mta::DnsConfig config;
  config.resolvers.push_back(dead.address());
  config.trust_anchor.clear();
  config.timeout = std::chrono::milliseconds(300);
  auto resolver = mta::make_resolver(config, thread.context.get_executor());
  ASSERT_TRUE(resolver) << resolver.error().detail;
  const auto mx = run((*resolver)->mx("plain.test"));
  EXPECT_EQ(mx.status, DnsStatus::temporary);
  EXPECT_EQ(mx.detail, "no answer in 0.3 s");
}

TEST(Resolver, may_be_destroyed_with_questions_open) {
  DeadServer dead;
  ResolverThread thread;
  mta::DnsConfig config;
  config.resolvers.push_back(dead.address());
  config.trust_anchor.clear();
  config.timeout = std::chrono::seconds(60);
  auto resolver = mta::make_resolver(config, thread.context.get_executor());
  ASSERT_TRUE(resolver);
  asio::io_context context;
  std::vector<std::string> details;
  for (int i = 0; i < 20; ++i)
    asio::co_spawn(
        context, (*resolver)->mx(fmt::format("n{}.test", i)),
        [&](std::exception_ptr, smtp::DnsAnswer<smtp::MxRecord> answer) { details.push_back(answer.detail); });
  context.poll(); // all are asked
  resolver->reset();
  context.run();
  EXPECT_EQ(details, std::vector<std::string>(20, "the resolver is shutting down"));
}

/// One name server for every name: each question gets these records (RDATA as it stands on the wire).
class ScriptedServer {
public:
  explicit ScriptedServer(std::vector<std::string> records) : records_(std::move(records)) {
    thread_ = std::thread([this] { serve(); });
  }
  ~ScriptedServer() {
    stopping_ = true;
    asio::ip::udp::socket other(context_, asio::ip::udp::v4());
    other.send_to(asio::buffer("x", 1), socket_.local_endpoint());
    thread_.join();
  }
  [[nodiscard]] smtp::SocketAddress address() const {
    return {smtp::IpAddress::parse("127.0.0.1").value(), socket_.local_endpoint().port()};
  }

private:
  void serve() {
    std::array<char, 1500> packet{};
    while (!stopping_) {
      asio::ip::udp::endpoint peer;
      const std::size_t size = socket_.receive_from(asio::buffer(packet), peer);
      if (size < 17) continue;
      std::size_t end = 12;
      while (end < size && packet.at(end) != 0) end += static_cast<unsigned char>(packet.at(end)) + 1U;
      const std::string question(packet.data() + 12, end + 5 - 12);
      const std::string type = question.substr(question.size() - 4, 2);
      std::string reply(packet.data(), 2);
      reply += std::string("\x81\x80\0\1\0", 5) + static_cast<char>(records_.size()) + std::string(4, '\0') + question;
      for (const std::string &record : records_) {
        reply += "\xc0\x0c" + type + std::string("\0\1\0\0\1\x2c", 6);
        reply += static_cast<char>(record.size() >> 8U);
        reply += static_cast<char>(record.size() & 0xffU);
        reply += record;
      }
      socket_.send_to(asio::buffer(reply), peer);
    }
  }
  asio::io_context context_;
  asio::ip::udp::socket socket_{context_, asio::ip::udp::endpoint(asio::ip::address_v4::loopback(), 0)};
  std::vector<std::string> records_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

/// A resolver that asks only this server.
struct Scripted {
  explicit Scripted(std::vector<std::string> records) : server(std::move(records)) {
    mta::DnsConfig config;
    config.resolvers.push_back(server.address());
    config.dnssec = false;
    resolver = std::move(mta::make_resolver(config, thread.context.get_executor()).value());
  }
  ScriptedServer server;
  ResolverThread thread;
  std::unique_ptr<mta::Resolver> resolver;
};

TEST(Resolver, a_record_that_cannot_be_read_takes_nothing_from_the_others) {
  using namespace std::string_literals;
  {
    Scripted t({"\0\x0a\7foo bar\4test\0"s, "\0\x14\2mx\4test\0"s});
    const auto mx = run(t.resolver->mx("plain.test"));
    EXPECT_EQ(mx.status, DnsStatus::ok) << mx.detail;
    EXPECT_EQ(mx.records, (std::vector<smtp::MxRecord>{{20, "mx.test"}}));
    EXPECT_EQ(mx.unreadable, 1U);
    const auto ptr = run(t.resolver->ptr(smtp::IpAddress::parse("192.0.2.1").value()));
    EXPECT_NE(ptr.status, DnsStatus::ok) << "those are no names at all";
  }
  {
    Scripted t({"\0\x0a\7foo bar\4test\0"s});
    const auto mx = run(t.resolver->mx("plain.test"));
    EXPECT_EQ(mx.status, DnsStatus::ok) << "there are MX records: the domain's own address is not a host";
    EXPECT_TRUE(mx.records.empty());
    EXPECT_EQ(mx.unreadable, 1U);
    EXPECT_EQ(mx.detail, "a name holds the octet 0x20");
  }
  {
    Scripted t({"\3\1\1"s, "\3\1\1"s + std::string(32, 'x')});
    const auto tlsa = run(t.resolver->tlsa("_25._tcp.mx.test"));
    EXPECT_EQ(tlsa.status, DnsStatus::ok) << tlsa.detail;
    auto records = tlsa.records;
    std::sort(records.begin(), records.end());
    EXPECT_EQ(records, (std::vector<smtp::TlsaRecord>{{3, 1, 1, ""}, {3, 1, 1, std::string(32, 'x')}}));
  }
  {
    Scripted t({"\x06v=spf1"s, "\x20too short"s, "\5other"s});
    const auto txt = run(t.resolver->txt("plain.test"));
    EXPECT_EQ(txt.status, DnsStatus::ok) << txt.detail;
    EXPECT_EQ(txt.records.size(), 2U);
    EXPECT_EQ(txt.unreadable, 1U);
  }
  {
    Scripted t({"\x20too short"s});
    EXPECT_EQ(run(t.resolver->txt("plain.test")).status, DnsStatus::no_data);
  }
  {
    Scripted t({"\xc0\0\2\1\5"s, "\xc0\0\2\1"s});
    const auto v4 = run(t.resolver->addresses_v4("mx.test"));
    ASSERT_EQ(v4.status, DnsStatus::ok) << v4.detail;
    ASSERT_EQ(v4.records.size(), 1U);
    EXPECT_EQ(v4.records[0].to_string(), "192.0.2.1");
  }
  {
    Scripted t({"\3a b\4test\0"s, "\4host\4test\0"s});
    const auto ptr = run(t.resolver->ptr(smtp::IpAddress::parse("192.0.2.1").value()));
    EXPECT_EQ(ptr.status, DnsStatus::ok) << ptr.detail;
    EXPECT_EQ(ptr.records, std::vector<std::string>{"host.test"});
  }
}

TEST(Resolver, what_is_past_its_deadline_still_counts_until_the_library_has_done_with_it) {
  DeadServer dead;
  ResolverThread thread;
  mta::DnsConfig config;
  config.resolvers.push_back(dead.address());
  config.dnssec = false;
  config.timeout = std::chrono::milliseconds(300);
  config.questions = 16;
  auto resolver = mta::make_resolver(config, thread.context.get_executor());
  ASSERT_TRUE(resolver) << resolver.error().detail;
  EXPECT_EQ((*resolver)->status().limit, 16U);
  asio::io_context context;
  std::vector<std::string> details;
  for (int i = 0; i < 40; ++i)
    asio::co_spawn(
        context, (*resolver)->mx(fmt::format("n{}.test", i)),
        [&](std::exception_ptr, smtp::DnsAnswer<smtp::MxRecord> answer) { details.push_back(answer.detail); });
  context.poll();
  EXPECT_EQ((*resolver)->status().under_way, 16U);
  EXPECT_EQ((*resolver)->status().waiting, 24U);
  context.run();
  EXPECT_EQ(std::count(details.begin(), details.end(), "no answer in 0.3 s"), 16);
  EXPECT_EQ(std::count(details.begin(), details.end(), "not asked in 0.3 s: 16 questions are under way, the limit"),
            24);
  EXPECT_EQ((*resolver)->status().under_way, 16U) << "their memory is still held";
  EXPECT_EQ((*resolver)->status().abandoned, 16U);
  EXPECT_EQ((*resolver)->status().unanswered, 16U);
}

TEST(Resolver, a_silent_name_says_nothing_of_the_forwarder) {
  // A forwarder that answers for one name and is silent for all others.
  asio::io_context context;
  asio::ip::udp::socket socket(context, asio::ip::udp::endpoint(asio::ip::address_v4::loopback(), 0));
  std::atomic<bool> stopping = false;
  std::thread server([&] {
    std::array<char, 1500> packet{};
    while (!stopping) {
      asio::ip::udp::endpoint peer;
      const std::size_t size = socket.receive_from(asio::buffer(packet), peer);
      const std::string_view text(packet.data(), size);
      if (size < 17 || text.find("honest") == std::string_view::npos) continue;
      packet[2] = '\x81';
      packet[3] = '\x83'; // NXDOMAIN
      packet[11] = 0;     // without the OPT record
      std::size_t end = 12;
      while (packet.at(end) != 0) end += static_cast<unsigned char>(packet.at(end)) + 1U;
      socket.send_to(asio::buffer(packet.data(), end + 5), peer);
    }
  });
  {
    ResolverThread thread;
    mta::DnsConfig config;
    config.resolvers.push_back({smtp::IpAddress::parse("127.0.0.1").value(), socket.local_endpoint().port()});
    config.dnssec = false;
    config.timeout = std::chrono::seconds(3);
    auto resolver = mta::make_resolver(config, thread.context.get_executor());
    ASSERT_TRUE(resolver);
    asio::io_context silent;
    for (int i = 0; i < 300; ++i)
      asio::co_spawn(silent, (*resolver)->txt(fmt::format("n{}.silent.test", i)), asio::detached);
    silent.poll();
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(4);
    for (int i = 0; std::chrono::steady_clock::now() < end; ++i) {
      const auto began = std::chrono::steady_clock::now();
      EXPECT_EQ(run((*resolver)->txt(fmt::format("n{}.honest.test", i))).status, DnsStatus::no_name) << i;
      EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(2)) << i;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    silent.run();
  }
  stopping = true;
  asio::ip::udp::socket other(context, asio::ip::udp::v4());
  other.send_to(asio::buffer("x", 1), socket.local_endpoint());
  server.join();
}

TEST_F(KnotTest, forwarders_can_be_left_out_and_taken_back) {
  DeadServer dead;
  auto config = config_for("");
  const auto live = config.resolvers.front();
  config.resolvers = {dead.address()};
  config.timeout = std::chrono::milliseconds(300);
  auto resolver = resolver_for(config);
  EXPECT_EQ(run(resolver->mx("plain.test")).status, DnsStatus::temporary);
  ASSERT_TRUE(resolver->use_forwarders({live}));
  EXPECT_EQ(run(resolver->mx("plain.test")).status, DnsStatus::ok);
  // What is under way with the one before ends with the resolver at the latest.
  ASSERT_TRUE(resolver->use_forwarders({dead.address()}));
  asio::io_context context;
  std::string detail;
  asio::co_spawn(context, resolver->mx("other.test"),
                 [&](std::exception_ptr, smtp::DnsAnswer<smtp::MxRecord> answer) { detail = answer.detail; });
  context.poll();
  ASSERT_TRUE(resolver->use_forwarders({live}));
  ASSERT_TRUE(resolver->use_forwarders({})) << "nobody: nothing changes";
  EXPECT_EQ(run(resolver->mx("plain.test")).status, DnsStatus::ok);
  resolver.reset();
  context.run();
  EXPECT_TRUE(detail == "the resolver is shutting down" || detail == "no answer in 0.3 s") << detail;
}

/// libevent ends the process that has no descriptors for it: so it must not be asked then.
TEST(Resolver, does_not_start_without_descriptors) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = ::open("/dev/null", O_RDONLY);
  ::close(next);
  ResolverThread thread;
  mta::DnsConfig config;
  config.trust_anchor.clear();
  rlimit low = before;
  low.rlim_cur = static_cast<rlim_t>(next) + 14;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  const auto resolver = mta::make_resolver(config, thread.context.get_executor());
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(resolver);
  EXPECT_NE(resolver.error().detail.find("the resolver needs 16 to start"), std::string::npos)
      << resolver.error().detail;
}

struct BadConfig {
  const char *name;
  std::function<void(mta::DnsConfig &)> spoil;
  const char *detail;
};

TEST(Resolver, says_which_option_or_file_is_wrong) {
  ResolverThread thread;
  const BadConfig rows[] = {
      {"a trust anchor file that is not there", [](auto &c) { c.trust_anchor = "/nowhere/root.key"; },
       "/nowhere/root.key"},
      {"an anchor that is not a record", [](auto &c) { c.extra_anchors.push_back("this is not a record"); }, ""},
      {"a hosts file that is not there", [](auto &c) { c.hosts_file = "/nowhere/hosts"; }, "/nowhere/hosts"},
      {"a timeout of nothing", [](auto &c) { c.timeout = std::chrono::milliseconds(0); }, "timeout"},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    mta::DnsConfig config;
    config.trust_anchor.clear();
    row.spoil(config);
    const auto resolver = mta::make_resolver(config, thread.context.get_executor());
    ASSERT_FALSE(resolver);
    EXPECT_NE(resolver.error().detail.find(row.detail), std::string::npos) << resolver.error().detail;
  }
}

} // namespace unbound_resolver_test
