// CrlFetcher: lists are fetched, replaced whole, and kept when what comes is no better.
#include "mta/crl/crl_fetcher.hpp"

#include <atomic>
#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <gtest/gtest.h>

#include "mta/config/crl_files.hpp"
#include "mta/crl/kept_crl.hpp"
#include "mta/store/connection.hpp"
#include "tests/support/fake_resolver.hpp"
#include "tests/support/http_fixture.hpp"
#include "tests/support/log_capture.hpp"
#include "tests/support/test_ca.hpp"

namespace crl_fetcher_test {

using namespace mta;
using namespace std::chrono_literals;
using test::http_reply;
using test::HttpReply;

class Crl : public testing::Test {
protected:
  Crl() {
    server.emplace(nullptr, [this](const test::HttpSeen &) { return http_reply(200, "application/pkix-crl", list); });
    config.spool.path = folder.path();
    configure({url("/ca.crl"), "local.crl"});
  }
  std::string url(const std::string &target) const {
    return "http://127.0.0.1:" + std::to_string(server->port()) + target;
  }
  void configure(const std::vector<std::string> &crls) {
    policy::OutboundRule rule;
    if (!trust.empty()) rule.trust = trust;
    for (const auto &crl : crls)
      rule.crls.push_back(is_crl_url(crl) ? crl : folder.write("local.crl", ca.crl({.revoked = {}})));
    policy::Partner partner;
    partner.name = "Example";
    partner.domains = {smtp::DomainPattern::parse("example.gov.uk").value()};
    partner.outbound = std::move(rule);
    Config changed = config;
    changed.partners = policy::PartnerTable::build({partner}).value();
    snapshot.set(Snapshot::build(std::make_shared<const Config>(changed), std::make_shared<tls::TicketKeys>()).value());
  }
  std::size_t fetch() {
    io.restart();
    std::optional<std::size_t> count;
    asio::co_spawn(io, fetcher.fetch_due(), [&](const std::exception_ptr &thrown, std::size_t changed) {
      if (thrown) std::rethrow_exception(thrown);
      count = changed;
    });
    io.run();
    return count.value();
  }
  /// What is kept; empty: nothing.
  std::string kept(const std::string &target = "/ca.crl") const {
    return store::read_crl(store->reader(), url(target)).value_or(std::string());
  }
  static std::unique_ptr<store::Store> open_store(const std::string &place) {
    store::StoreOptions options;
    options.folder = place;
    return std::move(store::Store::open(std::move(options)).value());
  }
  void serve(HttpReply reply) {
    server->set_handler([reply](const auto &) { return reply; });
  }
  std::size_t requests() const { return server->seen().size(); }

  /// What comes next, ten minutes after a failure; the reason that the log gives, "" for none.
  std::string next(const std::string &octets, std::chrono::minutes later = 24h) {
    serve(http_reply(200, "application/pkix-crl", octets));
    now = now.load() + later;
    fetch();
    auto logged = log.all("crl").back();
    return logged.fields["result"] == "failed" ? logged.fields["detail"] : "";
  }

  test::TempFolder folder;
  std::string trust; ///< of the rule; empty: the default
  test::TestCa ca;
  std::string list = ca.crl({.revoked = {}, .ends = 24h * 7});
  test::FakeResolver resolver;
  support::LogCapture log;
  Config config;
  CurrentSnapshot snapshot;
  std::atomic<std::chrono::system_clock::time_point> now{std::chrono::system_clock::now()};
  std::size_t told = 0; ///< calls of changed
  asio::io_context io{1};
  std::optional<test::HttpFixture> server;
  std::unique_ptr<store::Store> store = open_store(folder.file("state"));
  CrlFetcher fetcher{
      {snapshot, resolver, log, io.get_executor(), *store, [this] { return now.load(); }, [this] { ++told; }}};
};

TEST_F(Crl, a_list_is_fetched_at_once_and_written_for_the_trust_store) {
  EXPECT_EQ(fetch(), 1U);
  EXPECT_EQ(kept(), list);
  EXPECT_EQ(told, 1U);
  const auto logged = log.all("crl").back();
  EXPECT_EQ(logged.fields.at("result"), "fetched");
  EXPECT_EQ(logged.fields.at("url"), url("/ca.crl"));
  EXPECT_EQ(fetch(), 0U) << "not due";
  EXPECT_EQ(requests(), 1U) << "files are not fetched";
}

TEST_F(Crl, the_same_list_changes_nothing) {
  fetch();
  now = now.load() + 24h;
  EXPECT_EQ(fetch(), 0U);
  EXPECT_EQ(requests(), 2U) << "once a day at least";
  EXPECT_EQ(told, 1U);
}

TEST_F(Crl, half_way_to_the_next_update_it_is_fetched_again) {
  list = ca.crl({.revoked = {}, .ends = 4h});
  fetch();
  now = now.load() + 110min;
  fetch();
  EXPECT_EQ(requests(), 1U);
  now = now.load() + 15min;
  list = ca.crl({.revoked = {}, .starts = 0h, .ends = 8h});
  EXPECT_EQ(fetch(), 1U);
  EXPECT_EQ(kept(), list);
  EXPECT_EQ(told, 2U);
}

TEST_F(Crl, what_is_no_list_or_no_better_one_leaves_the_old) {
  fetch();
  const std::string old = kept();
  const struct {
    const char *name;
    HttpReply reply;
    std::string why;
  } rows[] = {
      {"not found", http_reply(404, "text/html", "no"), "status 404"},
      {"a redirect",
       {"HTTP/1.1 301 Moved\r\nLocation: http://example.org/\r\nContent-Length: 0\r\n\r\n"},
       "status 301"},
      {"a web page", http_reply(200, "text/html", "<html></html>"), ""},
      {"nothing", http_reply(200, "application/pkix-crl", ""), ""},
      {"closed early", {"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc"}, "the connection ended"},
      {"over 32 MiB", {"HTTP/1.1 200 OK\r\nContent-Length: 33554433\r\n\r\n"}, "33554432 octets, the limit"},
      {"older", http_reply(200, "application/pkix-crl", ca.crl({.revoked = {}, .starts = -48h, .ends = 24h * 7})),
       "older than the one kept"},
      {"expired", http_reply(200, "application/pkix-crl", ca.crl({.revoked = {}, .starts = -48h, .ends = -1h})),
       "has expired"},
  };
  now = now.load() + 24h - 11min;
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    serve(row.reply);
    const auto before = requests();
    now = now.load() + 11min; // ten minutes after a failure
    EXPECT_EQ(fetch(), 0U);
    EXPECT_EQ(requests(), before + 1);
    auto logged = log.all("crl").back();
    EXPECT_EQ(logged.fields["result"], "failed");
    EXPECT_NE(logged.fields["detail"].find(row.why), std::string::npos) << logged.fields["detail"];
    EXPECT_NE(logged.fields["kept_until"].find('T'), std::string::npos) << logged.fields["kept_until"];
    EXPECT_EQ(kept(), old);
  }
  EXPECT_EQ(told, 1U);
}

TEST_F(Crl, another_issuers_list_is_no_step_back_to_an_old_one) {
  const test::TestCa other("Other CA");
  const std::string old = ca.crl({.revoked = {}, .starts = -48h, .ends = 24h * 14});
  fetch();
  const std::string refusal = next(other.crl({.revoked = {}, .ends = 24h * 30}));
  EXPECT_NE(
      refusal.find("is of another issuer, CN=Other CA, than the one kept, CN=Test Root CA, which is in date until"),
      std::string::npos)
      << refusal;
  EXPECT_NE(refusal.find("portcullis crl forget " + url("/ca.crl")), std::string::npos) << refusal;
  EXPECT_NE(next(old, 11min).find("older than the one kept"), std::string::npos);
  EXPECT_EQ(kept(), list);
  EXPECT_EQ(next(other.crl({.revoked = {}, .ends = 24h * 30}), 24h * 7), "") << "the kept one has expired";
  EXPECT_NE(next(old).find("is of another issuer"), std::string::npos);
}

TEST_F(Crl, an_expired_list_is_followed_by_no_older_one) {
  const test::TestCa other("Other CA");
  fetch();
  EXPECT_NE(next(other.crl({.revoked = {}, .starts = -48h, .ends = 24h * 30}), 24h * 8).find("older than the one kept"),
            std::string::npos);
}

TEST_F(Crl, a_list_from_the_future_is_not_taken) {
  EXPECT_NE(next(ca.crl({.revoked = {}, .starts = 48h}), 0min).find("the list that came is valid from "),
            std::string::npos);
  EXPECT_EQ(kept(), "");
}

TEST_F(Crl, the_signature_must_be_of_the_ca_that_the_rule_trusts) {
  const test::TestCa forger("Test Root CA"); // the same name, another key
  const test::TestCa other("Other CA");
  const std::string forged = forger.crl({.revoked = {}, .ends = 24h * 30});
  const std::string foreign = other.crl({.revoked = {}, .ends = 24h * 30});
  EXPECT_EQ(next(foreign, 0min), "") << "nothing is known of its issuer yet";
  trust = folder.write("ca.pem", ca.pem());
  configure({url("/ca.crl")});
  EXPECT_NE(next(forged).find("is not signed by its issuer, CN=Test Root CA, whose certificate `trust` holds"),
            std::string::npos);
  EXPECT_EQ(kept(), foreign);
  EXPECT_EQ(next(list, 11min), "") << "verified, it takes the place of what was not";
  EXPECT_EQ(kept(), list);
  EXPECT_NE(next(foreign).find("is of CN=Other CA, which is not a CA of `trust`"), std::string::npos);
  EXPECT_NE(next(foreign, 24h * 20).find("which is not a CA of `trust`"), std::string::npos)
      << "the kept one has expired";
  EXPECT_EQ(kept(), list);
}

TEST_F(Crl, a_file_of_several_lists_is_followed_issuer_by_issuer) {
  const test::TestCa other("Other CA");
  const auto both = [&](std::chrono::hours first, std::chrono::hours second) {
    return ca.crl({.revoked = {}, .starts = first, .ends = 24h * 7 + first}) +
           other.crl({.revoked = {}, .starts = second, .ends = 24h * 7 + second});
  };
  EXPECT_EQ(next(both(-30h, -20h), 0min), "");
  EXPECT_EQ(next(both(-10h, -20h)), "") << "now the other ends first";
  EXPECT_NE(next(both(-10h, -25h)).find("older than the one kept"), std::string::npos);
  EXPECT_NE(next(list, 11min).find("another issuer"), std::string::npos) << "one is missing";
}

TEST_F(Crl, without_any_list_the_log_says_what_that_means) {
  serve(http_reply(500, "text/plain", ""));
  EXPECT_EQ(fetch(), 0U);
  EXPECT_EQ(log.all("crl").back().fields["kept_until"], "nothing is kept: chains that need it fail");
  EXPECT_EQ(kept(), "");
}

TEST_F(Crl, a_damaged_list_is_replaced_even_by_an_older_one) {
  ASSERT_TRUE(store::keep_crl(*store, url("/ca.crl"), "damage", {}));
  EXPECT_EQ(fetch(), 1U);
  EXPECT_EQ(kept(), list);
}

TEST_F(Crl, a_store_that_cannot_be_written_is_a_failure) {
  SQLite::Database other(store::store_file(store->folder()), SQLite::OPEN_READWRITE);
  other.exec("BEGIN IMMEDIATE");
  EXPECT_EQ(fetch(), 0U);
  EXPECT_NE(log.all("crl").back().fields["detail"].find("locked by another process"), std::string::npos);
  EXPECT_EQ(kept(), "");
}

TEST_F(Crl, an_operator_may_forget_one_and_then_another_issuers_is_taken) {
  const test::TestCa other("Other CA");
  const std::string foreign = other.crl({.revoked = {}, .ends = 24h * 30});
  fetch();
  EXPECT_NE(next(foreign), "");
  ASSERT_TRUE(store::forget_crl(store->folder(), url("/ca.crl")));
  EXPECT_FALSE(store::forget_crl(store->folder(), url("/ca.crl")));
  EXPECT_EQ(next(foreign, 11min), "");
  EXPECT_EQ(kept(), foreign);
}

TEST_F(Crl, lists_that_nobody_names_any_more_go) {
  fetch();
  configure({url("/other.crl")});
  fetch();
  store->flush();
  EXPECT_EQ(kept(), "");
  EXPECT_EQ(kept("/other.crl"), list);
}

TEST_F(Crl, addresses_of_a_reload_are_fetched) {
  fetch();
  configure({url("/ca.crl"), url("/other.crl")});
  EXPECT_EQ(fetch(), 1U);
  EXPECT_EQ(server->seen().back().target, "/other.crl");
  EXPECT_EQ(kept("/other.crl"), list);
}

TEST_F(Crl, an_address_that_is_none_is_logged) {
  configure({"http://exa mple.org/ca.crl"});
  EXPECT_EQ(fetch(), 0U);
  EXPECT_EQ(log.all("crl").back().fields["result"], "failed");
  EXPECT_EQ(requests(), 0U);
}

TEST_F(Crl, start_fetches_and_stop_ends_it) {
  fetcher.start();
  while (told == 0) io.run_one();
  fetcher.stop();
  io.run(); // runs out of work
  EXPECT_EQ(kept(), list);
}

} // namespace crl_fetcher_test
