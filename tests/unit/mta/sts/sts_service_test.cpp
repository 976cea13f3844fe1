// StsService: discovery, keeping and refresh, against a policy host that is good, hostile, down or changing.
#include "mta/sts/sts_service.hpp"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <gtest/gtest.h>

#include "mta/store/connection.hpp"
#include "mta/sts/kept_policy.hpp"
#include "tests/support/fake_resolver.hpp"
#include "tests/support/http_fixture.hpp"
#include "tests/support/log_capture.hpp"
#include "tests/support/test_ca.hpp"

namespace sts_service_test {

using namespace mta;
using namespace std::chrono_literals;
using policy::StsFacts;
using policy::TlsFault;
using State = StsFacts::State;
using test::http_reply;
using test::HttpReply;
namespace fs = std::filesystem;

std::string policy_text(const std::string &mode, std::chrono::seconds age = 24h,
                        const std::string &mx = "mx.example.org") {
  return "version: STSv1\r\nmode: " + mode + "\r\nmx: " + mx + "\r\nmax_age: " + std::to_string(age.count()) + "\r\n";
}

class Sts : public testing::Test {
protected:
  Sts() : leaf(ca.issue({.names = {"mta-sts.example.org", "mta-sts.b.example"}}).write_to(folder, "host")) {
    tls::ServerContextOptions options;
    options.certificates = {{leaf.chain_file, leaf.key_file}};
    host.emplace(tls::Context::server(options, std::make_shared<tls::TicketKeys>()).value(),
                 [](const auto &) { return http_reply(200, "text/plain", policy_text("enforce")); });
    resolver.add_txt("_mta-sts.example.org", "v=STSv1; id=1;");
    for (const char *name : {"mta-sts.example.org", "mta-sts.b.example"}) resolver.add_address(name, "127.0.0.1");
    config.mta_sts.trust = folder.write("ca.pem", ca.pem());
    config.mta_sts.port = host->port();
    config.mta_sts.timeout = 20s;
    config.mta_sts.allow_private_addresses = true;
    configure();
    open();
  }
  ~Sts() override { close(); }

  void configure() {
    snapshot.set(Snapshot::build(std::make_shared<const Config>(config), std::make_shared<tls::TicketKeys>()).value());
  }
  StsService::Services services() {
    return {snapshot,
            resolver,
            log,
            main.get_executor(),
            *store,
            [this] { return now.load(); },
            [this] { return steady.load(); },
            [this](std::string domain) { passed_over.push_back(std::move(domain)); }};
  }
  void open() {
    work.emplace(main.get_executor());
    main.restart();
    thread = std::thread([this] { main.run(); });
    if (!store) open_store();
    auto opened = StsService::open(services());
    ASSERT_TRUE(opened) << opened.error().detail;
    service = std::move(*opened);
  }
  void close() {
    if (!service) return;
    service->stop();
    service.reset();
    work.reset();
    thread.join();
  }
  void restart() {
    close();
    open();
  }
  void open_store() {
    store::StoreOptions options;
    options.folder = folder.file("state");
    options.commit_every = 10ms;
    auto opened = store::Store::open(std::move(options));
    ASSERT_TRUE(opened) << opened.error().detail;
    store = std::move(*opened);
  }
  /// What a hand does to the rows.
  void change(const std::string &statement) {
    ASSERT_TRUE(store->commit([&](store::Connection &connection) { connection.database().exec(statement); }));
  }
  [[nodiscard]] bool is_kept(const std::string &domain) {
    store->flush();
    return store::read_sts_policy(store->reader(), domain).has_value();
  }

  StsFacts find(const std::string &domain = "example.org") {
    asio::io_context worker{1};
    std::optional<StsFacts> facts;
    asio::co_spawn(worker, service->find(domain), [&](const std::exception_ptr &thrown, StsFacts found) {
      if (thrown) std::rethrow_exception(thrown);
      facts = std::move(found);
    });
    worker.run();
    return std::move(facts.value());
  }
  std::size_t refresh() {
    asio::io_context worker{1};
    std::optional<std::size_t> count;
    asio::co_spawn(worker, service->refresh_due(), [&](const std::exception_ptr &thrown, std::size_t due) {
      if (thrown) std::rethrow_exception(thrown);
      count = due;
    });
    worker.run();
    return count.value();
  }
  void set_record(const std::string &text) {
    resolver.forget("_mta-sts.example.org");
    if (!text.empty()) resolver.add_txt("_mta-sts.example.org", text);
  }
  void serve(HttpReply reply) {
    host->set_handler([reply](const auto &) { return reply; });
  }
  void advance(std::chrono::seconds time) {
    set_clock(time);
    steady = steady.load() + time;
  }
  /// The wall clock alone.
  void set_clock(std::chrono::seconds step) { now = now.load() + step; }
  /// Asks until the record was looked up so often: the look-up goes on behind the answers.
  void look_again(std::size_t times) {
    while (resolver.asked("txt _mta-sts.example.org") < times) find();
  }
  [[nodiscard]] std::size_t passed_over_events() const {
    const auto events = log.all("mta_sts");
    return static_cast<std::size_t>(std::count_if(events.begin(), events.end(), [](const auto &event) {
      const auto result = event.fields.find("result");
      return result != event.fields.end() && result->second == "passed over";
    }));
  }
  [[nodiscard]] std::size_t fetches() const { return host->seen().size(); }

  test::TempFolder folder;
  test::TestCa ca;
  test::Leaf leaf;
  test::FakeResolver resolver;
  support::LogCapture log;
  std::vector<std::string> passed_over;
  Config config;
  CurrentSnapshot snapshot;
  std::atomic<std::chrono::system_clock::time_point> now{std::chrono::system_clock::now()};
  std::atomic<std::chrono::steady_clock::time_point> steady{std::chrono::steady_clock::now()};
  std::optional<test::HttpFixture> host;
  asio::io_context main{1};
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work;
  std::thread thread;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<StsService> service;
};

TEST_F(Sts, a_policy_is_found_once_and_then_known) {
  const auto facts = find();
  EXPECT_EQ(facts.state, State::enforce) << facts.detail;
  EXPECT_EQ(facts.domain, "example.org");
  EXPECT_EQ(facts.id, "1");
  EXPECT_EQ(facts.mx, std::vector<std::string>{"mx.example.org"});
  EXPECT_EQ(facts.fetched, now.load());
  EXPECT_EQ(facts.expires, now.load() + 24h);
  EXPECT_EQ(facts.policy_text, policy_text("enforce"));
  EXPECT_EQ(facts.fault, TlsFault::none);
  EXPECT_EQ(host->seen().at(0).target, "/.well-known/mta-sts.txt");
  EXPECT_NE(host->seen().at(0).head.find("\r\nHost: mta-sts.example.org"), std::string::npos);

  EXPECT_EQ(find(), facts);
  EXPECT_EQ(fetches(), 1U);
  EXPECT_EQ(resolver.asked("txt _mta-sts.example.org"), 1U) << "the record is known for as long as it lives";
}

TEST_F(Sts, the_modes_are_told) {
  serve(http_reply(200, "text/plain", policy_text("testing")));
  EXPECT_EQ(find().state, State::testing);
  serve(http_reply(200, "text/plain", policy_text("none")));
  resolver.add_txt("_mta-sts.b.example", "v=STSv1; id=7");
  const auto none = find("b.example");
  EXPECT_EQ(none.state, State::none);
  EXPECT_EQ(none.id, "7");
  EXPECT_EQ(none.detail, "the policy has mode none");
}

TEST_F(Sts, without_a_record_there_is_no_policy_and_no_fetch) {
  const struct {
    const char *name;
    std::vector<std::string> texts;
    const char *why;
  } rows[] = {
      {"no such name", {}, "has no record"},
      {"another record", {"v=spf1 -all"}, "no record that begins with v=STSv1"},
      {"two records", {"v=STSv1; id=1", "v=STSv1; id=2"}, "several records"},
      {"no id", {"v=STSv1;"}, "no id"},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    resolver.forget("_mta-sts.example.org");
    for (const auto &text : row.texts) resolver.add_txt("_mta-sts.example.org", text);
    advance(2h); // past the record seen before
    const auto facts = find();
    EXPECT_EQ(facts.state, State::none);
    EXPECT_NE(facts.detail.find(row.why), std::string::npos) << facts.detail;
    EXPECT_EQ(facts.fault, TlsFault::none);
  }
  EXPECT_EQ(fetches(), 0U);
}

TEST_F(Sts, a_look_up_that_fails_is_temporary_and_never_no_policy) {
  resolver.fail("_mta-sts.example.org", "bogus: signature expired");
  const auto facts = find();
  EXPECT_EQ(facts.state, State::failed);
  EXPECT_NE(facts.detail.find("bogus: signature expired"), std::string::npos) << facts.detail;
  EXPECT_EQ(fetches(), 0U);
  set_record("v=STSv1; id=1");
  advance(10s);
  EXPECT_EQ(find().state, State::enforce);
}

TEST_F(Sts, fetches_that_fail_leave_no_policy_and_say_why) {
  const struct {
    const char *name;
    HttpReply reply;
    TlsFault fault;
    std::string why;
  } rows[] = {
      {"a redirect",
       {"HTTP/1.1 302 Found\r\nLocation: https://example.net/\r\nContent-Length: 0\r\n\r\n"},
       TlsFault::sts_policy_fetch_error,
       "status 302: redirects are not followed"},
      {"not found", http_reply(404, "text/plain", policy_text("enforce")), TlsFault::sts_policy_fetch_error,
       "status 404"},
      {"another good status", http_reply(203, "text/plain", policy_text("enforce")), TlsFault::sts_policy_fetch_error,
       "status 203"},
      {"a web page", http_reply(200, "text/html", policy_text("enforce")), TlsFault::sts_policy_invalid,
       "media type \"text/html\""},
      {"no media type",
       {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
       TlsFault::sts_policy_invalid,
       "media type \"\""},
      {"no policy", http_reply(200, "text/plain", "hello\n"), TlsFault::sts_policy_invalid, "line 1 of the policy"},
      {"too large", http_reply(200, "text/plain", std::string(65'537, 'a')), TlsFault::sts_policy_fetch_error,
       "65536 octets, the limit"},
      {"closed early",
       {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"},
       TlsFault::sts_policy_fetch_error,
       "the connection ended"},
      {"endless fields",
       {"HTTP/1.1 200 OK\r\n", HttpReply::Then::endless, "X: y\r\n"},
       TlsFault::sts_policy_fetch_error,
       "16384 octets, the limit"},
  };
  int id = 1;
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    set_record("v=STSv1; id=" + std::to_string(++id));
    advance(2h);
    serve(row.reply);
    const auto facts = find();
    EXPECT_EQ(facts.state, State::none);
    EXPECT_EQ(facts.fault, row.fault);
    EXPECT_NE(facts.detail.find(row.why), std::string::npos) << facts.detail;
    EXPECT_EQ(facts.id, std::to_string(id));
  }
}

TEST_F(Sts, a_certificate_for_another_name_is_a_fault_of_its_own) {
  resolver.add_txt("_mta-sts.c.example", "v=STSv1; id=1").add_address("mta-sts.c.example", "127.0.0.1");
  const auto facts = find("c.example");
  EXPECT_EQ(facts.state, State::none);
  EXPECT_EQ(facts.fault, TlsFault::sts_webpki_invalid);
  EXPECT_NE(facts.detail.find("not for this host"), std::string::npos) << facts.detail;
  EXPECT_EQ(fetches(), 0U);
}

TEST_F(Sts, a_policy_host_without_address_is_a_failed_fetch) {
  resolver.forget("mta-sts.example.org");
  EXPECT_EQ(find().fault, TlsFault::sts_policy_fetch_error);
}

TEST_F(Sts, a_policy_host_within_our_own_network_is_not_connected_to) {
  config.mta_sts.allow_private_addresses = false;
  configure();
  const auto facts = find();
  EXPECT_EQ(facts.state, State::none);
  EXPECT_EQ(facts.fault, TlsFault::sts_policy_fetch_error);
  EXPECT_EQ(facts.detail, "mta-sts.example.org: its address 127.0.0.1 is not of the internet: loopback; "
                          "allow_private_addresses = false forbids it");
  EXPECT_EQ(fetches(), 0U);
}

TEST_F(Sts, a_slow_policy_host_meets_the_deadline) {
  config.mta_sts.timeout = 1s;
  configure();
  serve({"HTTP/1.1 200 OK\r\n", HttpReply::Then::silent});
  const auto facts = find();
  EXPECT_EQ(facts.state, State::none);
  EXPECT_EQ(facts.fault, TlsFault::sts_policy_fetch_error);
  EXPECT_NE(facts.detail.find("not done in 1 s, the limit"), std::string::npos) << facts.detail;
}

TEST_F(Sts, a_failed_fetch_is_repeated_after_some_minutes_or_for_a_new_id) {
  serve(http_reply(404, "text/plain", ""));
  EXPECT_EQ(find().state, State::none);
  EXPECT_EQ(find().fault, TlsFault::sts_policy_fetch_error);
  advance(299s);
  find();
  EXPECT_EQ(fetches(), 1U) << "RFC 8461 section 3.3: five minutes or longer";
  advance(2s);
  find();
  EXPECT_EQ(fetches(), 2U);
  set_record("v=STSv1; id=2");
  serve(http_reply(200, "text/plain", policy_text("enforce")));
  advance(1h);
  EXPECT_EQ(find().state, State::enforce);
}

TEST_F(Sts, one_fetch_at_a_time_and_the_others_wait_for_it) {
  auto reply = http_reply(200, "text/plain", policy_text("enforce"));
  reply.held = true;
  serve(reply);
  std::vector<std::thread> threads;
  std::vector<StsFacts> found(8);
  for (auto &facts : found) threads.emplace_back([&] { facts = find(); });
  host->wait_for(1);
  host->release();
  for (auto &asker : threads) asker.join();
  for (const auto &facts : found) EXPECT_EQ(facts.state, State::enforce) << facts.detail;
  EXPECT_EQ(fetches(), 1U);
}

TEST_F(Sts, a_new_id_is_fetched_behind_the_answer) {
  find();
  set_record("v=STSv1; id=2");
  serve(http_reply(200, "text/plain", policy_text("testing")));
  EXPECT_EQ(find().id, "1") << "the record seen still lives";
  advance(2h);
  EXPECT_EQ(find().id, "1") << "a known policy answers at once";
  log.wait_for("mta_sts", 2);
  const auto facts = find();
  EXPECT_EQ(facts.id, "2");
  EXPECT_EQ(facts.state, State::testing);
  EXPECT_EQ(fetches(), 2U);
}

TEST_F(Sts, the_same_id_is_not_fetched_again) {
  find();
  advance(2h);
  look_again(2);
  EXPECT_EQ(find().state, State::enforce);
  EXPECT_EQ(fetches(), 1U);
}

TEST_F(Sts, a_failed_fetch_keeps_the_old_policy) {
  find();
  set_record("v=STSv1; id=2");
  serve(http_reply(500, "text/plain", ""));
  advance(2h);
  find();
  log.wait_for("mta_sts", 2);
  const auto facts = find();
  EXPECT_EQ(facts.state, State::enforce);
  EXPECT_EQ(facts.id, "1");
  EXPECT_EQ(facts.fault, TlsFault::sts_policy_fetch_error);
  EXPECT_NE(facts.detail.find("the last fetch failed: mta-sts.example.org: status 500"), std::string::npos)
      << facts.detail;
}

TEST_F(Sts, a_record_that_is_never_to_be_had_is_waited_for_and_then_passed_over) {
  config.mta_sts.unknown_wait = 1h;
  configure();
  resolver.fail("_mta-sts.example.org");
  auto facts = find();
  EXPECT_EQ(facts.state, State::failed);
  EXPECT_NE(facts.detail.find("mail waits for it another 60 min at most, then goes without a policy"),
            std::string::npos)
      << facts.detail;
  service->pass_over();
  EXPECT_EQ(passed_over_events(), 0U);
  advance(59min);
  EXPECT_EQ(find().state, State::failed);
  advance(1min);
  facts = find();
  EXPECT_EQ(facts.state, State::none);
  EXPECT_NE(facts.detail.find("so for 60 min, and no policy is kept: mail goes without one (unknown_wait = 60 min)"),
            std::string::npos)
      << facts.detail;
  service->pass_over();
  service->pass_over();
  EXPECT_EQ(passed_over_events(), 1U) << "told once";
  EXPECT_EQ(passed_over, std::vector<std::string>{"example.org"});
  advance(2h);
  EXPECT_EQ(find().state, State::none) << "the next message does not wait again";
  // It comes back: the policy is found, and a later failure goes on by what is kept.
  set_record("v=STSv1; id=1");
  advance(10s);
  EXPECT_EQ(find().state, State::enforce);
  resolver.fail("_mta-sts.example.org");
  advance(5h);
  look_again(resolver.asked("txt _mta-sts.example.org") + 1);
  EXPECT_EQ(find().state, State::enforce);
  service->pass_over();
  EXPECT_EQ(passed_over_events(), 1U) << "a kept policy is no unknown one";
}

TEST_F(Sts, a_series_of_failures_ends_with_an_answer_or_a_day) {
  config.mta_sts.unknown_wait = 1h;
  configure();
  resolver.fail("_mta-sts.example.org");
  EXPECT_EQ(find().state, State::failed);
  advance(25h);
  EXPECT_EQ(find().state, State::failed) << "nobody asked for a day: the wait begins again";
  advance(50min);
  resolver.forget("_mta-sts.example.org");
  EXPECT_EQ(find().state, State::none) << "no record";
  resolver.fail("_mta-sts.example.org");
  advance(2h);
  EXPECT_EQ(find().state, State::failed) << "an answer came between";
  config.mta_sts.unknown_wait = 0s;
  configure();
  advance(10s);
  EXPECT_EQ(find().state, State::none) << "0s: it is not waited for";
}

TEST_F(Sts, a_kept_policy_counts_without_a_record_and_without_a_dns) {
  find();
  set_record("");
  advance(2h);
  look_again(2);
  EXPECT_EQ(find().state, State::enforce) << "a domain ends its policy with mode none";
  resolver.fail("_mta-sts.example.org");
  advance(2h);
  look_again(3);
  EXPECT_EQ(find().state, State::enforce);
  EXPECT_EQ(fetches(), 1U);
}

TEST_F(Sts, an_expired_policy_no_longer_counts) {
  find();
  set_record("");
  advance(24h);
  EXPECT_EQ(find().state, State::none);
}

TEST_F(Sts, max_age_0_still_serves_who_asked) {
  serve(http_reply(200, "text/plain", policy_text("enforce", 0s)));
  EXPECT_EQ(find().state, State::enforce);
  EXPECT_EQ(find().state, State::enforce);
  EXPECT_EQ(fetches(), 1U);
  advance(61s);
  EXPECT_EQ(find().state, State::enforce);
  EXPECT_EQ(fetches(), 2U);
}

TEST_F(Sts, policies_survive_a_restart) {
  const auto before = find();
  restart();
  resolver.fail("_mta-sts.example.org");
  serve(http_reply(500, "text/plain", ""));
  auto after = find();
  EXPECT_EQ(after.state, State::enforce);
  EXPECT_EQ(after.id, before.id);
  EXPECT_EQ(after.policy_text, before.policy_text);
  EXPECT_EQ(std::chrono::floor<std::chrono::seconds>(before.expires), after.expires);
  close();
  advance(24h);
  open();
  EXPECT_EQ(find().state, State::failed) << "expired, and the look-up fails";
  EXPECT_EQ(service->size(), 0U);
}

TEST_F(Sts, an_expired_policy_is_removed_after_its_grace) {
  find();
  const auto kept = [this] {
    refresh();
    return is_kept("example.org");
  };
  advance(24h + 29 * 24h);
  EXPECT_TRUE(kept());
  EXPECT_EQ(fetches(), 1U) << "what has expired is not refreshed";
  advance(24h);
  EXPECT_FALSE(kept());
}

TEST_F(Sts, a_clock_that_was_ahead_costs_no_policy) {
  const auto year = 365 * 24h;
  find();
  set_record("");
  const struct {
    const char *name;
    bool restarts;
  } rows[] = {{"while the daemon runs", false}, {"at its start", true}};
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    set_clock(year);
    if (row.restarts) restart();
    advance(2h);
    EXPECT_EQ(refresh(), 0U);
    // Since the start two hours have passed, whatever the clock says; before a start nobody knows.
    EXPECT_EQ(find().state, row.restarts ? State::none : State::enforce);
    EXPECT_TRUE(is_kept("example.org"));
    set_clock(-year);
    EXPECT_EQ(find().state, State::enforce) << "at once";
    if (row.restarts) restart();
    EXPECT_EQ(find().state, State::enforce);
    EXPECT_EQ(fetches(), 1U);
  }
}

TEST_F(Sts, a_clock_set_back_lengthens_no_pause) {
  const auto year = 365 * 24h;
  set_record("");
  set_clock(year);
  EXPECT_EQ(find().state, State::none);
  set_record("v=STSv1; id=1");
  serve(http_reply(404, "text/plain", ""));
  set_clock(-year);
  advance(1h);
  EXPECT_EQ(find().fault, TlsFault::sts_policy_fetch_error) << "the record is looked up again";
  set_clock(-year);
  serve(http_reply(200, "text/plain", policy_text("enforce")));
  advance(301s);
  EXPECT_EQ(find().state, State::enforce) << "the policy is fetched again";
}

TEST_F(Sts, a_clock_set_back_delays_no_refresh) {
  set_clock(365 * 24h);
  find();
  set_clock(-365 * 24h);
  advance(13h);
  EXPECT_EQ(refresh(), 1U);
  EXPECT_EQ(find().expires, now.load() + 24h);
}

TEST_F(Sts, a_damaged_row_is_never_no_policy) {
  find();
  close();
  change("UPDATE sts_policies SET text = text || 'x'");
  serve(http_reply(500, "text/plain", ""));
  set_record("");
  open();
  EXPECT_EQ(log.all("mta_sts").back().fields["result"], "damaged");
  for (int i = 0; i < 3; ++i) {
    const auto facts = find();
    EXPECT_EQ(facts.state, State::failed) << facts.detail;
    EXPECT_NE(facts.detail.find("the fingerprint does not fit"), std::string::npos) << facts.detail;
    EXPECT_NE(facts.detail.find("status 500"), std::string::npos) << facts.detail;
  }
  EXPECT_EQ(fetches(), 2U);
  serve(http_reply(200, "text/plain", policy_text("testing")));
  advance(10min);
  EXPECT_EQ(find().state, State::testing) << "a fetch mends it";
  restart();
  EXPECT_EQ(find().state, State::testing);
}

TEST_F(Sts, a_damaged_row_may_be_removed) {
  find();
  close();
  change("UPDATE sts_policies SET text = 'nothing'");
  set_record("");
  serve(http_reply(404, "text/plain", ""));
  open();
  EXPECT_EQ(find().state, State::failed);
  ASSERT_TRUE(store::forget_sts_policy(store->folder(), "example.org"));
  EXPECT_EQ(find().state, State::none);
}

TEST_F(Sts, while_the_store_cannot_be_written_the_policy_is_used_and_kept_later) {
  {
    SQLite::Database other(store::store_file(store->folder()), SQLite::OPEN_READWRITE);
    other.exec("BEGIN IMMEDIATE");
    EXPECT_EQ(find().state, State::enforce);
    EXPECT_EQ(find().state, State::enforce);
  }
  for (int i = 0; i < 1'000 && !is_kept("example.org"); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(is_kept("example.org"));
}

TEST_F(Sts, a_store_that_cannot_be_read_is_not_empty) {
  close();
  store.reset();
  folder.write("state/state.sqlite", "");
  fs::remove(folder.file("state/state.sqlite"));
  fs::create_directory(folder.file("state/state.sqlite"));
  open_store();
  const auto refused = StsService::open(services());
  ASSERT_FALSE(refused);
  fs::remove(folder.file("state/state.sqlite"));
}

TEST_F(Sts, refresh_fetches_before_the_end_even_the_same_id) {
  find();
  EXPECT_EQ(refresh(), 0U);
  advance(13h); // a refresh is due at the latest after half of max_age
  EXPECT_EQ(refresh(), 1U);
  EXPECT_EQ(fetches(), 2U);
  EXPECT_EQ(find().expires, now.load() + 24h);
  EXPECT_EQ(refresh(), 0U);
}

TEST_F(Sts, a_refresh_that_fails_is_warned_of_and_tried_again) {
  find();
  serve(http_reply(500, "text/plain", ""));
  advance(13h);
  EXPECT_EQ(refresh(), 1U);
  auto warned = log.all("mta_sts").back();
  EXPECT_EQ(warned.fields["result"], "failed");
  EXPECT_EQ(warned.fields["kept"], "true");
  EXPECT_EQ(find().state, State::enforce);
  EXPECT_EQ(refresh(), 0U);
  set_record(""); // without a record too: it may be an attacker who hides it
  advance(1h);
  serve(http_reply(200, "text/plain", policy_text("none")));
  EXPECT_EQ(refresh(), 1U);
  EXPECT_EQ(find().state, State::none) << "mode none ends it";
}

TEST_F(Sts, over_the_limit_what_expires_first_goes) {
  config.mta_sts.max_policies = 1;
  configure();
  resolver.add_txt("_mta-sts.b.example", "v=STSv1; id=9");
  serve(http_reply(200, "text/plain", policy_text("enforce", 1h)));
  find("example.org");
  serve(http_reply(200, "text/plain", policy_text("enforce", 2h)));
  find("b.example");
  EXPECT_EQ(service->size(), 1U);
  EXPECT_FALSE(is_kept("example.org"));
  EXPECT_TRUE(is_kept("b.example"));
}

TEST_F(Sts, switched_off_nothing_is_asked) {
  config.mta_sts.enabled = false;
  configure();
  EXPECT_EQ(find().state, State::off);
  EXPECT_EQ(resolver.asked("txt _mta-sts.example.org"), 0U);
}

TEST_F(Sts, names_without_a_policy_host) {
  for (const auto &domain :
       {std::string("not a domain"), std::string("../etc/passwd"), std::string(""), std::string("EXAMPLE.org"),
        std::string(61, 'a') + "." + std::string(61, 'b') + "." + std::string(61, 'c') + "." + std::string(61, 'd')}) {
    const auto facts = find(domain);
    EXPECT_EQ(facts.state, State::none) << domain;
    EXPECT_NE(facts.detail.find("is not a domain with a policy host"), std::string::npos) << facts.detail;
  }
}

TEST_F(Sts, stopping_answers_who_waits) {
  auto reply = http_reply(200, "text/plain", policy_text("enforce"));
  reply.held = true;
  serve(reply);
  StsFacts facts;
  std::thread waiting([&] { facts = find(); });
  host->wait_for(1);
  service->stop();
  waiting.join();
  EXPECT_EQ(facts.state, State::failed);
  EXPECT_EQ(facts.detail, "the daemon is shutting down");
  EXPECT_EQ(find().state, State::failed);
  host->release();
}

TEST_F(Sts, start_and_stop) {
  service->start();
  EXPECT_EQ(find().state, State::enforce);
}

TEST_F(Sts, ten_thousand_kept_policies_are_looked_up_without_a_disk) {
  close();
  for (int i = 0; i < 10'000; ++i) {
    KeptPolicy kept;
    kept.domain = "d" + std::to_string(i) + ".example";
    kept.id = "1";
    kept.fetched = now.load();
    kept.expires = now.load() + 1000h;
    kept.text = policy_text("enforce");
    kept.policy = policy::parse_sts_policy(kept.text).value();
    ASSERT_TRUE(store::keep_sts_policy(*store, to_row(kept)));
  }
  store->flush();
  open();
  EXPECT_EQ(service->size(), 10'000U);
  fs::remove_all(store->folder());
  for (int i = 0; i < 10'000; i += 7) EXPECT_EQ(find("d" + std::to_string(i) + ".example").state, State::enforce);
  EXPECT_EQ(fetches(), 0U);
}

} // namespace sts_service_test
