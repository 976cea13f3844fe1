// PartnerWatch: too many deferrals call for people once an hour, and what is about to expire is told once a day.
#include "mta/tally/partner_watch.hpp"

#include <gtest/gtest.h>

#include <map>

#include "mta/tally/tls_evidence.hpp"
#include "tests/support/dmarc_rows.hpp"
#include "tests/support/memory_log.hpp"
#include "tests/support/tls_sessions.hpp"

namespace partner_watch_test {

using namespace mta;
using namespace std::chrono_literals;

constexpr const char *outbound_place = "partners.d/x.toml:4";

policy::Partner a_partner() {
  policy::Partner partner;
  partner.name = "Example Department";
  partner.domains = {smtp::DomainPattern::parse("example.gov.uk").value()};
  partner.contact = "postmaster@example.gov.uk";
  partner.outbound.emplace().place = outbound_place;
  partner.inbound.emplace().place = "partners.d/x.toml:9";
  return partner;
}

std::shared_ptr<const Config> config_with(policy::Partner partner, unsigned alert = 3) {
  auto config = std::make_shared<Config>();
  std::vector<policy::Partner> partners;
  partners.push_back(std::move(partner));
  config->partners = policy::PartnerTable::build(std::move(partners)).value();
  config->tls_evidence.alert_deferrals = alert;
  return config;
}

class PartnerWatchTest : public testing::Test {
protected:
  std::unique_ptr<PartnerWatch> watch(std::shared_ptr<const Config> config) {
    return std::make_unique<PartnerWatch>(
        PartnerWatch::Services{log_, [config] { return config; }, folder_.file("tally"), [this] { return now_; }});
  }
  /// `rule` empty: another source than the partner's refused.
  static std::shared_ptr<const TlsSession> refused(const std::string &rule = std::string(outbound_place) +
                                                                             " Example Department [outbound]") {
    TlsSession session = support::a_clear_session("example.gov.uk");
    session.refused = true;
    session.rule = "TLSA of mx1.mail.example.net"; // whoever won
    session.refused_by_partner = rule;
    session.verdict->reason = "the session is not encrypted";
    return support::shared(session);
  }
  test::TempFolder folder_;
  support::MemoryLog log_;
  std::chrono::system_clock::time_point now_ = std::chrono::sys_days(2026y / 11 / 20) + 12h;
};

TEST_F(PartnerWatchTest, the_limit_within_an_hour_raises_one_alert) {
  const auto watcher = watch(config_with(a_partner()));
  watcher->session(refused());
  watcher->session(refused());
  EXPECT_TRUE(log_.lines.empty());
  watcher->session(refused());
  EXPECT_EQ(log_.count({"event=partner_deferrals", "partner=\"Example Department\"", "count=3", "limit=3",
                        "direction=outbound", "3 x the session is not encrypted"}),
            1U);
  for (int i = 0; i < 20; ++i) watcher->session(refused());
  EXPECT_EQ(log_.lines.size(), 1U) << "once an hour";
  now_ += 61min;
  for (int i = 0; i < 3; ++i) watcher->session(refused());
  EXPECT_EQ(log_.count({"event=partner_deferrals"}), 2U);
}

TEST_F(PartnerWatchTest, deferrals_that_are_spread_raise_none) {
  const auto watcher = watch(config_with(a_partner()));
  for (int i = 0; i < 20; ++i) {
    watcher->session(refused());
    now_ += 31min;
  }
  EXPECT_TRUE(log_.lines.empty());
}

TEST_F(PartnerWatchTest, only_refusals_by_the_partners_own_rule_count) {
  const auto watcher = watch(config_with(a_partner(), 1));
  watcher->session(support::shared(support::a_tls_session("example.gov.uk")));
  watcher->session(refused(""));
  auto stranger = *refused();
  stranger.domain = "stranger.example";
  watcher->session(support::shared(stranger));
  EXPECT_TRUE(log_.lines.empty());
  auto inbound = *refused("partners.d/x.toml:9 Example Department [inbound]");
  inbound.direction = TlsSession::Direction::inbound;
  for (int i = 0; i < 50; ++i) watcher->session(support::shared(inbound));
  EXPECT_TRUE(log_.lines.empty()) << "anybody may claim to be the partner";
  auto proven = inbound;
  proven.is_proven = true; // SPF said so of an earlier message from there
  watcher->messages(support::shared(proven), proven.domain, 1);
  auto elsewhere = inbound;
  elsewhere.address = "203.0.113.77";
  watcher->session(support::shared(elsewhere));
  EXPECT_TRUE(log_.lines.empty()) << "another address";
  watcher->session(support::shared(inbound));
  EXPECT_EQ(log_.count({"event=partner_deferrals", "direction=inbound",
                        "rule=\"partners.d/x.toml:9 Example Department [inbound]\""}),
            1U);
}

TEST_F(PartnerWatchTest, a_limit_of_0_raises_none) {
  const auto watcher = watch(config_with(a_partner(), 0));
  for (int i = 0; i < 50; ++i) watcher->session(refused());
  EXPECT_TRUE(log_.lines.empty());
}

struct ExpiryRow {
  const char *name;
  int days;                          ///< from today to the last day
  std::vector<std::string> expected; ///< parts of the line; empty: none
};

TEST_F(PartnerWatchTest, exceptions_are_warned_of_from_30_days_before) {
  const std::vector<ExpiryRow> rows = {
      {"more than 30 days are left", 31, {}},
      {"30 days are left", 30, {"days=30", "state=counts"}},
      {"today is the last day", 0, {"days=0", "state=counts"}},
      {"yesterday was the last day", -1, {"days=-1", "state=\"expired: it no longer counts\""}},
  };
  for (const ExpiryRow &row : rows) {
    SCOPED_TRACE(row.name);
    log_.lines.clear();
    auto partner = a_partner();
    partner.exceptions.push_back({.domain = smtp::DomainPattern::parse("example.gov.uk").value(),
                                  .level = tls::Level::opportunistic,
                                  .owner = "mail team",
                                  .reason = "replaced in March",
                                  .expires = std::chrono::floor<std::chrono::days>(now_) + std::chrono::days(row.days),
                                  .place = "partners.d/x.toml:20"});
    watch(config_with(partner))->run_daily();
    auto expected = row.expected;
    expected.insert(expected.end(), {"event=exception_expires", "owner=\"mail team\""});
    EXPECT_EQ(log_.count(expected), row.expected.empty() ? 0U : 1U);
    EXPECT_EQ(log_.lines.size(), row.expected.empty() ? 0U : 1U);
  }
}

TEST_F(PartnerWatchTest, our_certificates_are_told_at_each_step) {
  auto config = std::make_shared<Config>();
  config->certificates.push_back({.name = "main", .files = {}, .place = "portcullis.toml:7"});
  config->certificates.back().not_after = now_ + std::chrono::days(31) + 1h;
  const auto watcher = watch(config);
  const auto told = [&] { return log_.count({"event=certificate_expires", "whose=ours", "certificate=main"}); };
  watcher->run_daily();
  EXPECT_EQ(told(), 0U) << "31 days are left";
  std::map<int, std::size_t> lines;
  for (int left = 30; left >= -2; --left) {
    now_ += 24h;
    log_.lines.clear();
    watcher->run_daily();
    lines[left] = told();
    if (left == 7) {
      EXPECT_EQ(log_.count({"event=certificate_expires", "days=7", "state=valid"}), 1U);
    }
    if (left == -2) {
      EXPECT_EQ(log_.count({"event=certificate_expires", "state=expired"}), 1U);
    }
  }
  for (const auto &[left, count] : lines)
    EXPECT_EQ(count, left == 30 || left == 14 || left == 7 || left <= 1 ? 1U : 0U) << left << " days are left";
  EXPECT_EQ(watcher->ending().size(), 1U);
}

TEST_F(PartnerWatchTest, a_new_configurations_certificates_are_told_the_same_day) {
  auto config = std::make_shared<Config>();
  config->certificates.push_back({.name = "main", .files = {}, .place = "portcullis.toml:7"});
  config->certificates.back().not_after = now_ + std::chrono::days(90);
  const auto in_force = [&config] { return std::shared_ptr<const Config>(config); };
  PartnerWatch watcher(PartnerWatch::Services{log_, in_force, folder_.file("tally"), [this] { return now_; }});
  watcher.run_daily();
  config = std::make_shared<Config>(*config);
  config->certificates.back().not_after = now_ + std::chrono::days(5) + 1h;
  watcher.run_daily();
  EXPECT_TRUE(log_.lines.empty()) << "once a day";
  watcher.reconfigured();
  for (int i = 0; i < 3; ++i) watcher.run_daily();
  EXPECT_EQ(log_.count({"event=certificate_expires", "whose=ours", "days=5"}), 1U);
  EXPECT_EQ(watcher.ending().size(), 1U);
  config = std::make_shared<Config>(*config);
  config->certificates.back().not_after = now_ + std::chrono::days(90);
  watcher.reconfigured();
  watcher.run_daily();
  EXPECT_TRUE(watcher.ending().empty()) << "it was renewed";
}

TEST_F(PartnerWatchTest, warnings_come_once_a_day) {
  auto partner = a_partner();
  partner.exceptions.push_back({.domain = smtp::DomainPattern::parse("example.gov.uk").value(),
                                .level = tls::Level::opportunistic,
                                .owner = "o",
                                .reason = "r",
                                .expires = std::chrono::floor<std::chrono::days>(now_),
                                .place = "p"});
  const auto watcher = watch(config_with(partner));
  for (int i = 0; i < 5; ++i) watcher->run_daily();
  EXPECT_EQ(log_.lines.size(), 1U);
  now_ += 24h;
  watcher->run_daily();
  EXPECT_EQ(log_.lines.size(), 2U);
}

TEST_F(PartnerWatchTest, a_pinned_leaf_is_warned_of_from_60_days_before) {
  for (const int days : {61, 60}) {
    SCOPED_TRACE(days);
    log_.lines.clear();
    const test::TempFolder folder;
    auto session = support::a_tls_session("example.gov.uk");
    session.time = now_;
    session.facts.chain[0].not_after = now_ + std::chrono::days(days);
    auto partner = a_partner();
    partner.outbound->pins = {session.facts.chain[0].spki_sha256, session.facts.chain[1].spki_sha256};
    {
      TlsEvidenceOptions options;
      options.folder = folder.file("tally");
      const auto evidence = TlsEvidence::open(options, log_).value();
      evidence->session(support::shared(session));
      auto unpinned = session;
      unpinned.facts.chain[0].spki_sha256 = "another";
      unpinned.facts.chain[0].not_after = now_ + 24h;
      evidence->session(support::shared(unpinned));
    }
    write_partner_warnings(*config_with(partner), evidence_files(folder.file("tally")), log_, now_);
    EXPECT_EQ(log_.count({"event=pin_expires", "pin=\"leafpin", "days=60", "other_pins=1"}), days == 60 ? 1U : 0U);
    EXPECT_EQ(log_.lines.size(), days == 60 ? 1U : 0U);
  }
}

TEST_F(PartnerWatchTest, days_that_are_kept_long_enough_are_removed) {
  const std::string folder = folder_.file("tally");
  TlsEvidenceOptions options;
  options.folder = folder;
  {
    const auto evidence = TlsEvidence::open(options, log_).value();
    for (const int age : {0, 30, 31}) {
      auto session = support::a_tls_session();
      session.time = now_ - std::chrono::days(age);
      evidence->session(support::shared(session));
    }
  }
  watch(config_with(a_partner()))->run_daily();
  EXPECT_EQ(evidence_files(folder).list().value().size(), 2U);
}

} // namespace partner_watch_test
