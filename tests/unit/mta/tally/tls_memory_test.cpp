// TlsMemory: what is recalled after each history, who is protected and until when, which events are raised, and that a
// restart forgets nothing.
#include "mta/tally/tls_memory.hpp"

#include <gtest/gtest.h>

#include "mta/store/connection.hpp"
#include "tests/support/memory_log.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/tls_sessions.hpp"

namespace tls_memory_test {

using namespace mta;
using namespace std::chrono_literals;
using support::a_clear_session;
using support::a_tls_session;

constexpr const char *government = "example.gov.uk";
constexpr const char *stranger = "example.net";

TlsMemoryConfig released_after(std::chrono::seconds time) {
  TlsMemoryConfig config;
  config.release_after = time;
  return config;
}

class TlsMemoryTest : public testing::Test {
protected:
  TlsMemoryTest() {
    config_.protect = {smtp::DomainPattern::parse("*.gov.uk").value()};
    config_.place = "portcullis.toml:41";
    open();
  }
  void open() {
    memory_.reset();
    if (!store_) open_store();
    store_->flush();
    TlsMemoryOptions options;
    options.max_domains = max_domains_;
    options.now = [this] { return now_; };
    options.steady_now = [this] {
      using Steady = std::chrono::steady_clock;
      return Steady::time_point(std::chrono::duration_cast<Steady::duration>(now_.time_since_epoch() - jumped_));
    };
    auto opened = TlsMemory::open(options, *store_, config_, log_);
    ASSERT_TRUE(opened) << opened.error().detail;
    memory_ = std::move(*opened);
  }
  void open_store() {
    memory_.reset();
    store_.reset();
    store::StoreOptions options;
    options.folder = place();
    auto opened = store::Store::open(std::move(options));
    ASSERT_TRUE(opened) << opened.error().detail;
    store_ = std::move(*opened);
  }
  std::string place() const { return folder_.file("state"); }
  /// What a hand does to the rows, the memory being closed.
  void change(const std::string &statement) {
    memory_.reset();
    ASSERT_TRUE(store_->commit([&](store::Connection &connection) { connection.database().exec(statement); }));
  }
  /// As it is on the disk now.
  store::StoredTlsMemory stored() const {
    store::Reader reader(place());
    return store::read_tls_memory(reader).value();
  }
  void tls(const std::string &domain, const std::string &host = "mx1.mail.example.net") {
    memory_->session(support::shared(a_tls_session(domain, host)));
  }
  void clear(const std::string &domain, const std::string &host = "mx1.mail.example.net") {
    memory_->session(support::shared(a_clear_session(domain, host)));
  }
  policy::MemoryFacts recall(const std::string &domain) const { return memory_->recall(domain); }
  /// After TLS with a.gov.uk and b.gov.uk: the row of the first is damaged, the memory closed.
  void damage_first_of_two() {
    tls("a.gov.uk");
    tls("b.gov.uk");
    change("UPDATE tls_memory SET first_tls = first_tls + 1 WHERE domain = 'a.gov.uk'");
  }

  test::TempFolder folder_;
  support::MemoryLog log_;
  TlsMemoryConfig config_ = released_after(72h); // the default waits for an operator
  std::size_t max_domains_ = 1000;
  std::chrono::system_clock::time_point now_ = std::chrono::sys_days(2026y / 11 / 20) + 12h;
  std::chrono::hours jumped_{0}; ///< by so much the wall clock was set forward
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<TlsMemory> memory_;
};

struct HistoryRow {
  const char *name;
  const char *domain;
  /// t: a session with TLS; c: one without; d: a day passes; h: an hour; r: an operator's release.
  std::string history;
  bool known = true;
  bool always = true;
  bool protect = true;
};

const std::vector<HistoryRow> histories = {
    {"of a domain never seen nothing is known", government, "", false, false, false},
    {"a domain that never had TLS is not remembered", government, "ccc", false, false, false},
    {"one session with TLS is enough to protect", government, "t"},
    {"a clear session before the first with TLS does not count", government, "ct"},
    {"a protected domain that loses TLS stays protected", government, "tc"},
    {"and so two days later", government, "tcdcdc"},
    {"after three days of failing sessions it is let go", government, "tcdcdcdc", true, false, false},
    {"three days without any session release nothing", government, "tcddd"},
    {"and the stretch begins anew with the next failing session", government, "tcddddcdc"},
    {"TLS that comes back in time leaves it as it was", government, "tcdct"},
    {"an operator lets it go at once", government, "tcr", true, false, false},
    {"and so it stays for later sessions", government, "tcrcdddddc", true, false, false},
    {"TLS that comes back after a release protects at once, but is no longer always", government, "tcrct", true, false,
     true},
    {"it is always again after a day", government, "tcrctdh", true, true, true},
    {"losing it again after a release makes mail wait again", government, "tcrctdtc", true, true, true},
    {"a stranger is remembered, not protected", stranger, "t", true, true, false},
    {"a stranger that loses TLS is let go at once", stranger, "tc", true, false, false},
    {"a stranger whose TLS is back is not always until a day has passed", stranger, "tct", true, false, false},
    {"and then is", stranger, "tctdh", true, true, false},
};

TEST_F(TlsMemoryTest, histories_end_as_the_table_says) {
  for (const HistoryRow &row : histories) {
    SCOPED_TRACE(row.name);
    for (const bool restarts : {false, true}) {
      change("DELETE FROM tls_memory");
      open();
      for (const char step : row.history) {
        if (step == 't') tls(row.domain);
        if (step == 'c') clear(row.domain);
        if (step == 'd') now_ += 24h;
        if (step == 'h') now_ += 1h;
        if (step == 'r') {
          EXPECT_TRUE(memory_->release(row.domain, "they know", "ann"));
        }
        if (!restarts) continue;
        open();
      }
      const auto facts = recall(row.domain);
      EXPECT_EQ(facts.known, row.known) << "restarts: " << restarts;
      EXPECT_EQ(facts.always, row.always) << "restarts: " << restarts;
      EXPECT_EQ(facts.protect, row.protect) << "restarts: " << restarts;
    }
  }
}

TEST_F(TlsMemoryTest, release_after_0s_waits_for_an_operator) {
  config_.release_after = 0s;
  memory_->configure(config_);
  tls(government);
  for (int day = 0; day < 30; ++day) {
    now_ += 24h;
    clear(government);
  }
  EXPECT_TRUE(recall(government).protect);
  ASSERT_TRUE(memory_->release(government, "their gateway has none", "ann"));
  EXPECT_FALSE(recall(government).protect);
}

TEST_F(TlsMemoryTest, the_best_of_all_hosts_is_recalled_with_the_rule_that_protects) {
  auto old = a_tls_session(government, "mx2.mail.example.net");
  old.facts.version = tls::Version::tls1_2;
  memory_->session(support::shared(old));
  EXPECT_EQ(recall(government).best_version, tls::Version::tls1_2);
  EXPECT_FALSE(recall(government).authenticated);
  const auto first = now_;
  now_ += 48h;
  auto best = a_tls_session(government, "mx1.mail.example.net");
  best.verdict->got = tls::Level::authenticated;
  memory_->session(support::shared(best));
  const auto facts = recall(government);
  EXPECT_EQ(facts.best_version, tls::Version::tls1_3);
  EXPECT_TRUE(facts.authenticated);
  EXPECT_EQ(facts.first_seen, first);
  EXPECT_EQ(facts.last_seen, now_);
  EXPECT_EQ(facts.rule, "portcullis.toml:41 [tls_memory] *.gov.uk");
}

TEST_F(TlsMemoryTest, sessions_that_say_nothing_of_the_hosts_tls_change_nothing) {
  tls(government);
  auto inbound = a_clear_session(government);
  inbound.direction = TlsSession::Direction::inbound;
  auto route = a_clear_session(government);
  route.by_route = true;
  auto passed_over = a_clear_session(government);
  passed_over.address.clear();
  auto not_wanted = a_clear_session(government);
  not_wanted.starttls_offered = true;
  not_wanted.wanted = tls::Level::none;
  for (const auto &session : {inbound, route, passed_over, not_wanted}) memory_->session(support::shared(session));
  EXPECT_EQ(memory_->show(government)->memory.failing_sessions, 0U);
  EXPECT_EQ(log_.count({"tls_stripped"}), 0U);
  auto new_by_route = a_tls_session("other.gov.uk");
  new_by_route.by_route = true;
  memory_->session(support::shared(new_by_route));
  EXPECT_FALSE(recall("other.gov.uk").known);
}

TEST_F(TlsMemoryTest, a_handshake_that_fails_is_a_session_without_TLS) {
  tls(government);
  auto failed = a_clear_session(government);
  failed.starttls_offered = true;
  failed.tls_problem = "the TLS handshake failed: wrong version number";
  memory_->session(support::shared(failed));
  EXPECT_EQ(memory_->show(government)->memory.failing_why, "the TLS handshake failed: wrong version number");
  EXPECT_EQ(log_.count({"event=tls_stripped", "domain=example.gov.uk", "mail=waits"}), 1U);
}

TEST_F(TlsMemoryTest, switched_off_it_neither_learns_nor_recalls) {
  tls(government);
  config_.enabled = false;
  memory_->configure(config_);
  tls("other.gov.uk");
  EXPECT_FALSE(recall(government).known);
  config_.enabled = true;
  memory_->configure(config_);
  EXPECT_TRUE(recall(government).known);
  EXPECT_FALSE(recall("other.gov.uk").known);
}

TEST_F(TlsMemoryTest, stripping_is_told_once_an_hour_while_mail_waits) {
  tls(government);
  for (int session = 0; session < 10; ++session) clear(government);
  EXPECT_EQ(log_.count({"event=tls_stripped "}), 1U);
  now_ += 30min;
  clear(government);
  EXPECT_EQ(log_.count({"event=tls_stripped "}), 1U);
  now_ += 31min;
  clear(government);
  EXPECT_EQ(log_.count({"event=tls_stripped "}), 2U);
  ASSERT_TRUE(memory_->release(government, "known", "ann"));
  now_ += 2h;
  clear(government);
  EXPECT_EQ(log_.count({"event=tls_stripped "}), 2U) << "what an operator released is not told again";
  EXPECT_EQ(log_.count({"event=tls_memory_release", "by=ann", "reason=known"}), 1U);
  tls(government);
  EXPECT_EQ(log_.count({"event=tls_returned", "sessions=13"}), 1U);
}

TEST_F(TlsMemoryTest, a_stranger_with_a_good_and_a_bad_host_is_told_once) {
  for (int hour = 0; hour < 20; ++hour) {
    tls(stranger, "good.example.net");
    clear(stranger, "bad.example.net");
    now_ += 1h;
  }
  EXPECT_EQ(log_.count({"event=tls_stripped "}), 1U);
  EXPECT_EQ(log_.count({"mail=\"goes in clear where nothing else forbids it\""}), 1U);
}

TEST_F(TlsMemoryTest, many_unrelated_domains_at_once_are_a_fault_near_us) {
  config_.many_domains = 3;
  memory_->configure(config_);
  const auto host = [](int i) { return "mx." + std::to_string(i) + ".provider.example"; };
  for (int i = 0; i < 6; ++i) tls("d" + std::to_string(i) + ".example", host(i));
  clear("d0.example", host(0));
  clear("d1.example", host(1));
  EXPECT_EQ(log_.count({"tls_stripped_widely"}), 0U);
  clear("d2.example", host(2));
  EXPECT_EQ(log_.count({"event=tls_stripped_widely", "domains=3", "providers=3", "limit=3"}), 1U);
  clear("d3.example", host(3));
  EXPECT_EQ(log_.count({"tls_stripped_widely"}), 1U) << "once an hour";
  now_ += 61min;
  clear("d4.example", host(4));
  EXPECT_EQ(log_.count({"tls_stripped_widely"}), 1U) << "the others stopped more than an hour ago";
}

TEST_F(TlsMemoryTest, many_domains_of_one_provider_are_its_fault) {
  config_.many_domains = 3;
  memory_->configure(config_);
  for (int i = 0; i < 20; ++i)
    tls("d" + std::to_string(i) + ".example", "d" + std::to_string(i) + ".mail.provider.example");
  for (int i = 0; i < 20; ++i) clear("d" + std::to_string(i) + ".example", "forged.example");
  EXPECT_EQ(log_.count({"event=tls_stripped "}), 20U);
  EXPECT_EQ(log_.count({"tls_stripped_widely"}), 0U);
}

TEST_F(TlsMemoryTest, a_release_is_refused_without_cause) {
  tls(government);
  const auto refused = [&](const char *domain, const char *reason) {
    const auto result = memory_->release(domain, reason, "ann");
    return result ? std::string() : result.error().detail;
  };
  EXPECT_EQ(refused(government, "x"), "nothing holds mail for example.gov.uk: its last session had TLS");
  EXPECT_EQ(refused("unknown.gov.uk", "x"), "unknown.gov.uk is not remembered");
  clear(government);
  EXPECT_EQ(refused(government, " "), "a release needs a reason, which is kept and logged");
  EXPECT_EQ(refused(government, std::string(1001, 'x').c_str()), "the reason is 1001 octets, limit is 1000");
  EXPECT_TRUE(recall(government).protect);
}

TEST_F(TlsMemoryTest, a_release_is_durable_without_a_flush) {
  tls(government);
  clear(government);
  ASSERT_TRUE(memory_->release(government, "known", "ann"));
  const auto kept = stored(); // as if the daemon had been killed
  ASSERT_EQ(kept.domains.size(), 1U);
  EXPECT_EQ(kept.domains[0].release->by, "ann");
  open();
  EXPECT_FALSE(recall(government).protect);
}

TEST_F(TlsMemoryTest, damage_costs_only_the_row_that_it_hit) {
  damage_first_of_two();
  open();
  EXPECT_FALSE(recall("a.gov.uk").known);
  EXPECT_TRUE(recall("b.gov.uk").known);
  EXPECT_EQ(log_.count({"event=tls_memory", "a part of the memory was lost", "rows=1"}), 1U);
  open();
  EXPECT_TRUE(recall("b.gov.uk").known);
  EXPECT_EQ(log_.count({"a part of the memory was lost", "rows=0"}), 1U) << "a reminder";
  EXPECT_TRUE(stored().damaged.empty());
}

TEST_F(TlsMemoryTest, every_changed_column_is_damage) {
  for (const char *statement :
       {"UPDATE tls_memory SET last_tls = last_tls + 1", "UPDATE tls_memory SET always_since = 0",
        "UPDATE tls_memory SET was_let_go = 1", "UPDATE tls_memory SET released = 5, release_by = 'eve'",
        "UPDATE tls_memory SET fingerprint = ''", "UPDATE tls_memory_hosts SET name = 'other.example'",
        "UPDATE tls_memory_hosts SET best_version = 'SSLv3'", "UPDATE tls_memory_hosts SET is_authenticated = 1",
        "DELETE FROM tls_memory_hosts"}) {
    SCOPED_TRACE(statement);
    change("DELETE FROM tls_memory");
    open();
    tls("a.gov.uk");
    store_->flush();
    EXPECT_TRUE(stored().damaged.empty());
    change(statement);
    EXPECT_EQ(stored().damaged.size(), 1U);
  }
}

TEST_F(TlsMemoryTest, after_damage_mail_for_what_may_be_forgotten_waits) {
  damage_first_of_two();
  open();
  EXPECT_EQ(memory_->damaged_since(), now_);
  for (int restarts = 0; restarts < 2; ++restarts, open()) {
    EXPECT_TRUE(recall("a.gov.uk").protect) << "it was remembered, and who knows of it now?";
    EXPECT_TRUE(recall("never-seen.gov.uk").protect);
    EXPECT_NE(recall("a.gov.uk").rule.find("the memory was found damaged at 2"), std::string::npos);
    EXPECT_FALSE(recall("a.gov.uk").known);
    EXPECT_TRUE(memory_->show("a.gov.uk"));
    EXPECT_FALSE(recall("unprotected.example").protect);
    now_ += 1h;
  }
  ASSERT_TRUE(memory_->release("never-seen.gov.uk", "they have no TLS", "ann"));
  EXPECT_FALSE(recall("never-seen.gov.uk").protect) << "an operator's act";
  EXPECT_FALSE(memory_->release("unprotected.example", "no reason", "ann")) << "nothing holds it";
  tls("a.gov.uk");
  EXPECT_TRUE(recall("a.gov.uk").known) << "TLS was seen again";
  open();
  EXPECT_FALSE(recall("never-seen.gov.uk").protect);
  EXPECT_TRUE(recall("third.gov.uk").protect);
  now_ += 72h;
  EXPECT_FALSE(recall("third.gov.uk").protect) << "time has released it";
  EXPECT_FALSE(memory_->damaged_since());
  open();
  now_ -= 72h;
  EXPECT_FALSE(recall("third.gov.uk").protect) << "and the note is gone";
}

TEST_F(TlsMemoryTest, an_operator_may_accept_the_loss) {
  config_.release_after = 0s;
  EXPECT_FALSE(memory_->accept_loss("none", "ann")) << "nothing was lost";
  damage_first_of_two();
  open();
  now_ += 1000h;
  EXPECT_TRUE(recall("never-seen.gov.uk").protect);
  EXPECT_FALSE(memory_->accept_loss(" ", "ann")) << "without a reason";
  ASSERT_TRUE(memory_->accept_loss("the disk is mended", "ann"));
  EXPECT_EQ(log_.count({"event=tls_memory_release", "by=ann", "reason=\"the disk is mended\""}), 1U);
  for (int restarts = 0; restarts < 2; ++restarts, open()) {
    EXPECT_FALSE(recall("never-seen.gov.uk").protect);
    EXPECT_TRUE(recall("b.gov.uk").protect);
  }
}

TEST_F(TlsMemoryTest, a_damaged_file_of_the_store_forgets_nobody) {
  constexpr int count = 300;
  for (int i = 0; i < count; ++i) tls("d" + std::to_string(i) + ".gov.uk");
  memory_.reset();
  store_.reset();
  const std::string file = store::store_file(place());
  std::string octets;
  {
    std::ifstream in(file, std::ios::binary);
    octets.assign(std::istreambuf_iterator<char>(in), {});
  }
  constexpr std::size_t page = 4'096;
  std::size_t rows = 0;
  for (std::size_t at = page; at + page <= octets.size(); at += page) {
    if (octets.find("mail.example.net", at) > at + page && octets.find(".gov.uk", at) > at + page) continue;
    if (++rows % 6 == 2) std::fill_n(octets.begin() + static_cast<std::ptrdiff_t>(at), page, '\xff');
  }
  ASSERT_GT(rows, 12U);
  folder_.write("state/state.sqlite", octets);
  open();
  std::size_t known = 0;
  for (int i = 0; i < count; ++i) {
    const auto facts = recall("d" + std::to_string(i) + ".gov.uk");
    EXPECT_TRUE(facts.protect) << i;
    known += facts.known ? 1U : 0U;
  }
  EXPECT_LT(known, static_cast<std::size_t>(count));
  EXPECT_GT(known, 30U) << "what could be read was brought over";
  EXPECT_TRUE(recall("never-seen.gov.uk").protect);
  EXPECT_FALSE(recall("stranger.example").protect);
  EXPECT_TRUE(memory_->damaged_since());
}

TEST_F(TlsMemoryTest, a_store_that_is_no_database_any_more_leaves_every_protected_domain_in_doubt) {
  tls("a.gov.uk");
  memory_.reset();
  store_.reset();
  folder_.write("state/state.sqlite", std::string(50'000, 'x'));
  open();
  EXPECT_TRUE(recall("a.gov.uk").protect);
  EXPECT_FALSE(recall("a.gov.uk").known);
}

TEST_F(TlsMemoryTest, while_the_store_cannot_be_written_it_learns_and_keeps_it_later) {
  {
    SQLite::Database other(store::store_file(place()), SQLite::OPEN_READWRITE);
    other.exec("BEGIN IMMEDIATE");
    tls("a.gov.uk");
    EXPECT_TRUE(recall("a.gov.uk").known);
    clear("a.gov.uk");
    EXPECT_FALSE(memory_->release("a.gov.uk", "known", "ann")) << "an act that is not durable is none";
    EXPECT_TRUE(recall("a.gov.uk").protect);
  }
  store_->flush();
  ASSERT_EQ(stored().domains.size(), 1U);
  EXPECT_FALSE(stored().domains[0].release);
}

TEST_F(TlsMemoryTest, a_busy_domain_is_written_once_a_day) {
  store_->flush();
  const auto before = store_->status().committed;
  for (int i = 0; i < 100; ++i) {
    tls(government);
    now_ += 1min;
  }
  store_->flush();
  EXPECT_EQ(store_->status().committed - before, 1U);
}

TEST_F(TlsMemoryTest, over_the_limit_the_oldest_go_and_the_protected_last) {
  max_domains_ = 10;
  open();
  tls("old.gov.uk");
  for (int i = 0; i < 30; ++i) {
    now_ += 1min;
    tls("d" + std::to_string(i) + ".example");
  }
  EXPECT_LE(memory_->size(), 10U);
  EXPECT_TRUE(recall("old.gov.uk").known) << "a flood of strangers does not wash away what is protected";
  EXPECT_TRUE(recall("d29.example").known);
  EXPECT_FALSE(recall("d0.example").known);
  store_->flush();
  EXPECT_EQ(stored().domains.size(), memory_->size());
}

TEST_F(TlsMemoryTest, domains_without_sessions_are_forgotten_after_keep_days) {
  config_.keep_days = 10;
  memory_->configure(config_);
  tls("gone.example");
  now_ += 9 * 24h;
  tls("here.example");
  EXPECT_TRUE(recall("gone.example").known);
  now_ += 2 * 24h;
  tls("new.example");
  EXPECT_FALSE(recall("gone.example").known);
  EXPECT_TRUE(recall("here.example").known);
  now_ += 24h; // a row may be a day late
  tls("new.example");
  store_->flush();
  EXPECT_EQ(stored().domains.size(), 2U) << "the row as well";
}

TEST_F(TlsMemoryTest, a_clock_that_is_ahead_erases_nothing) {
  config_.keep_days = 10;
  memory_->configure(config_);
  tls(government);
  now_ += 48h;
  const auto jump = [&](std::chrono::hours by) {
    now_ += by;
    jumped_ += by;
  };
  const auto look = [&] { tls("other.example"); }; // old ones are looked for when a session comes
  look();
  jump(500 * 24h);
  look();
  EXPECT_TRUE(recall(government).known);
  open(); // also at a start
  look();
  EXPECT_TRUE(recall(government).known);
  jump(-500 * 24h);
  now_ += 1h;
  look();
  open();
  EXPECT_TRUE(recall(government).known);
  look();
  now_ += 11 * 24h; // even for long enough: the day when it is forgotten
  look();
  EXPECT_FALSE(recall(government).known);
}

TEST_F(TlsMemoryTest, a_domain_keeps_the_eight_hosts_seen_last) {
  for (int i = 0; i < 12; ++i) {
    now_ += 1s;
    tls(government, "mx" + std::to_string(i) + ".example");
  }
  const auto hosts = memory_->show(government)->memory.hosts;
  ASSERT_EQ(hosts.size(), MemoryLimits::hosts);
  for (const auto &host : hosts) EXPECT_NE(host.name, "mx0.example");
}

TEST_F(TlsMemoryTest, the_list_begins_with_those_that_fail) {
  tls("a.example");
  tls("b.gov.uk");
  tls("c.example");
  clear("c.example");
  const auto all = memory_->list(10, false);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].memory.domain, "c.example");
  EXPECT_EQ(all[1].memory.domain, "a.example");
  EXPECT_EQ(memory_->list(10, true).size(), 1U);
  EXPECT_EQ(memory_->list(2, false).size(), 2U);
}

TEST_F(TlsMemoryTest, all_that_is_remembered_reads_back) {
  DomainMemory memory;
  memory.domain = "example.gov.uk";
  memory.first_tls = std::chrono::sys_seconds(1'000'000s);
  memory.last_tls = std::chrono::sys_seconds(2'000'000s);
  memory.failing_since = std::chrono::sys_seconds(2'000'001s);
  memory.failing_sessions = 300;
  memory.failing_why = "STARTTLS was not offered";
  memory.was_let_go = true;
  memory.release = MemoryRelease{std::chrono::sys_seconds(2'000'002s), "known", "ann"};
  HostMemory host;
  host.name = "mx1.example";
  host.best_version = tls::Version::tls1_2;
  host.authenticated = true;
  memory.hosts = {host, HostMemory{}};
  ASSERT_TRUE(store::keep_tls_memory_now(*store_, memory));
  EXPECT_EQ(stored().domains, std::vector<DomainMemory>{memory});
  memory.release.reset();
  memory.hosts.pop_back();
  ASSERT_TRUE(store::keep_tls_memory_now(*store_, memory));
  EXPECT_EQ(stored().domains, std::vector<DomainMemory>{memory});
}

} // namespace tls_memory_test
