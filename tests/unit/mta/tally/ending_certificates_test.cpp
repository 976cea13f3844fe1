// Certificates that end: those that partners and hosts of routes showed, as far as authentication is demanded of them.
#include "mta/tally/ending_certificates.hpp"

#include <gtest/gtest.h>

#include "mta/tally/tls_evidence.hpp"
#include "tests/support/dmarc_rows.hpp"
#include "tests/support/memory_log.hpp"
#include "tests/support/tls_sessions.hpp"

namespace ending_certificates_test {

using namespace mta;
using namespace std::chrono_literals;
using Whose = EndingCertificate::Whose;

const std::chrono::system_clock::time_point today = std::chrono::sys_days(std::chrono::year(2026) / 11 / 20) + 12h;

/// Mail for inner.example goes by a route, for partner.example by a partner's rule.
Config config_with(std::optional<tls::Level> route, tls::Level partner) {
  Config config;
  RouteConfig &entry = config.routes.emplace_back();
  entry.domains = {smtp::DomainPattern::parse("inner.example").value()};
  entry.route.place = "portcullis.toml:30";
  entry.tls = route;
  policy::Partner rule;
  rule.name = "Department";
  rule.domains = {smtp::DomainPattern::parse("partner.example").value()};
  rule.outbound.emplace().place = "partners.d/x.toml:4";
  rule.outbound->level = partner;
  std::vector<policy::Partner> partners;
  partners.push_back(std::move(rule));
  config.partners = policy::PartnerTable::build(std::move(partners)).value();
  return config;
}

struct ShownRow {
  const char *name;
  std::optional<tls::Level> route;
  tls::Level partner;
  std::string domain;
  bool by_route;
  int days;
  std::optional<Whose> told;
};

TEST(EndingCertificates, WhatIsShownIsToldWhereAuthenticationIsDemanded) {
  constexpr auto authenticated = tls::Level::authenticated;
  constexpr auto encrypted = tls::Level::encrypted;
  const std::vector<ShownRow> rows = {
      {"a route that demands it", authenticated, encrypted, "inner.example", true, 5, Whose::route},
      {"with enough time left", authenticated, encrypted, "inner.example", true, 60, std::nullopt},
      {"a route that does not", encrypted, authenticated, "inner.example", true, 5, std::nullopt},
      {"a session that did not go by the route", authenticated, encrypted, "inner.example", false, 5, std::nullopt},
      {"a partner whose rule demands it", encrypted, authenticated, "partner.example", false, 5, Whose::partner},
      {"a partner whose rule does not", authenticated, encrypted, "partner.example", false, 5, std::nullopt},
      {"somebody else", authenticated, authenticated, "stranger.example", false, 5, std::nullopt},
  };
  for (const ShownRow &row : rows) {
    SCOPED_TRACE(row.name);
    const test::TempFolder folder;
    support::MemoryLog log;
    TlsEvidenceOptions options;
    options.folder = folder.file("tally");
    {
      const auto evidence = TlsEvidence::open(options, log).value();
      auto session = support::a_tls_session(row.domain);
      session.time = today;
      session.by_route = row.by_route;
      session.facts.chain[0].not_after = today + std::chrono::days(row.days) + 1h;
      evidence->session(support::shared(session));
    }
    const Config config = config_with(row.route, row.partner);
    const auto ending = find_ending_certificates(config, evidence_files(folder.file("tally")), log, today);
    ASSERT_EQ(ending.size(), row.told ? 1U : 0U);
    if (!row.told) continue;
    EXPECT_EQ(ending[0].whose, *row.told);
    EXPECT_EQ(ending[0].host, "mx1.mail.example.net");
    ToldSteps told;
    tell_ending_certificates(ending, told, log, today);
    EXPECT_EQ(log.count({"event=certificate_expires", *row.told == Whose::route ? "whose=route" : "whose=partner",
                         "host=mx1.mail.example.net", "days=5"}),
              1U);
    const auto lines = log.lines.size();
    tell_ending_certificates(ending, told, log, today + 24h);
    EXPECT_EQ(log.lines.size(), lines) << "each step once";
  }
}

TEST(EndingCertificates, ACaIsToldByItsFileAndSubject) {
  EndingCertificate one;
  one.whose = Whose::authority;
  one.name = "/etc/p/ca.pem";
  one.subject = "CN=One";
  one.not_after = today + std::chrono::days(7) + 1h;
  one.place = "portcullis.toml:12 listener.trusted_ca";
  EndingCertificate other = one;
  other.subject = "CN=Two";
  ToldSteps told;
  support::MemoryLog log;
  tell_ending_certificates({one, other}, told, log, today);
  for (const char *subject : {"CN=One", "CN=Two"})
    EXPECT_EQ(log.count({"event=certificate_expires", "whose=ca", "certificate=/etc/p/ca.pem", subject,
                         "listener.trusted_ca"}),
              1U);
}

} // namespace ending_certificates_test
