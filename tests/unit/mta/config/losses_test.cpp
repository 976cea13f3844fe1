// find_losses: recipients, domains and partners' rules that a new configuration has no longer.
#include <gtest/gtest.h>

#include "config_fakes.hpp"
#include "mta/config/losses.hpp"

namespace losses_test {

using namespace mta;
using namespace std::chrono_literals;

const auto today = std::chrono::sys_days(2027y / 1 / 15) + 12h;

DomainConfig domain_with(std::size_t recipients) {
  DomainConfig domain{.domain = smtp::Domain::parse("example.org").value(),
                      .recipients = {},
                      .recipients_file = "list",
                      .route = {},
                      .place = "p:7"};
  for (std::size_t i = 0; i < recipients; ++i) domain.recipients.insert("user" + std::to_string(i));
  return domain;
}

struct ListRow {
  const char *name;
  std::size_t before, now;
  bool lost;
};

TEST(FindLosses, EmptyAndHalvedLists) {
  const std::vector<ListRow> rows = {
      {"became empty", 1, 0, true},        {"was empty", 0, 0, false},   {"grew", 3, 9, false},
      {"is the same", 1, 1, false},        {"lost half", 100, 50, true}, {"lost more", 1000, 3, true},
      {"lost nearly half", 100, 51, false}};
  for (const auto &row : rows) {
    for (const bool inline_list : {false, true}) {
      SCOPED_TRACE(row.name);
      Config before, now;
      before.domains.emplace("example.org", domain_with(row.before));
      now.domains.emplace("example.org", domain_with(row.now));
      if (inline_list) now.domains.at("example.org").recipients_file.clear();
      const auto losses = find_losses(before, now, today).recipients;
      EXPECT_EQ(losses.size(), row.lost ? 1U : 0U);
      for (const auto &lost : losses) EXPECT_EQ(lost.key, inline_list ? "domain.recipients" : "domain.recipients_file");
      now.domains.at("example.org").catch_all = true;
      EXPECT_TRUE(find_losses(before, now, today).empty()) << "the list does not matter";
    }
  }
}

TEST(FindLosses, ADomainThatIsGone) {
  Config before, now;
  before.domains.emplace("example.org", domain_with(1));
  now.domains.emplace("exmaple.org", domain_with(1));
  const auto losses = find_losses(before, now, today).recipients;
  ASSERT_EQ(losses.size(), 1U);
  EXPECT_EQ(losses[0].to_string().find("p:7: domain: example.org was a domain of ours and no longer is"), 0U)
      << losses[0].to_string();
  EXPECT_TRUE(find_losses(now, now, today).empty());
}

policy::Partner partner_with(const char *pattern) {
  policy::Partner partner;
  partner.name = "council";
  partner.domains = {smtp::DomainPattern::parse(pattern).value()};
  partner.outbound.emplace();
  partner.outbound->pins = {"sha256//x"};
  partner.outbound->place = "partners.d/council.toml:5";
  partner.inbound.emplace();
  partner.inbound->level = tls::Level::authenticated;
  partner.inbound->place = "partners.d/council.toml:9";
  return partner;
}

Config config_with(std::vector<policy::Partner> partners) {
  Config config;
  config.partners = policy::PartnerTable::build(std::move(partners)).value();
  return config;
}

struct RuleRow {
  const char *name;
  void (*change)(policy::Partner &);
  std::vector<std::string> lost; ///< parts of the findings, in order
};

TEST(FindLosses, RulesThatAreGoneOrDemandLess) {
  const std::vector<RuleRow> rows = {
      {"the same", [](policy::Partner &) {}, {}},
      {"no rule for what we send", [](policy::Partner &one) { one.outbound.reset(); }, {"to council.example is gone"}},
      {"no rule for what comes", [](policy::Partner &one) { one.inbound.reset(); }, {"from council.example is gone"}},
      {"observed",
       [](policy::Partner &one) { one.outbound->mode = policy::Mode::observe; },
       {"to council.example is only observed"}},
      {"from a later day",
       [](policy::Partner &one) { one.inbound->from = std::chrono::sys_days(2027y / 1 / 16); },
       {"from council.example is only observed"}},
      {"a lower level",
       [](policy::Partner &one) {
         one.outbound->level = tls::Level::encrypted;
         one.inbound->level = tls::Level::encrypted;
       },
       {"to council.example demands encrypted instead of authenticated",
        "from council.example demands encrypted instead of authenticated"}},
      {"no pins", [](policy::Partner &one) { one.outbound->pins.clear(); }, {"has no pins any more"}},
      {"other pins", [](policy::Partner &one) { one.outbound->pins = {"sha256//y"}; }, {}},
      {"more", [](policy::Partner &one) { one.outbound->level = tls::Level::dane; }, {}},
      {"other domains",
       [](policy::Partner &one) { one.domains = {smtp::DomainPattern::parse("other.example").value()}; },
       {"to council.example is gone", "from council.example is gone"}},
      {"another name, the same domains", [](policy::Partner &one) { one.name = "renamed"; }, {}},
      {"a wildcard above it",
       [](policy::Partner &one) { one.domains = {smtp::DomainPattern::parse("*.example").value()}; },
       {}},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    auto changed = partner_with("council.example");
    row.change(changed);
    const auto losses = find_losses(config_with({partner_with("council.example")}), config_with({changed}), today);
    EXPECT_TRUE(losses.recipients.empty());
    ASSERT_EQ(losses.protection.size(), row.lost.size()) << mta::config_fakes::text_of(losses.protection);
    for (std::size_t i = 0; i < row.lost.size(); ++i) {
      EXPECT_NE(losses.protection[i].message.find(row.lost[i]), std::string::npos) << losses.protection[i].message;
      EXPECT_EQ(losses.protection[i].file, "partners.d/council.toml");
    }
  }
}

TEST(FindLosses, AWildcardAndTheDefaultForEverybody) {
  Config before = config_with({partner_with("*.gov.example")});
  Config now;
  before.outbound.level = tls::Level::encrypted;
  const auto losses = find_losses(before, now, today).protection;
  ASSERT_EQ(losses.size(), 3U) << mta::config_fakes::text_of(losses);
  EXPECT_EQ(losses[0].key, "outbound.tls");
  EXPECT_NE(losses[1].message.find("*.gov.example is gone"), std::string::npos) << losses[1].message;
  const auto told = with_remedy(losses, Severity::warning, "Mend it");
  EXPECT_EQ(told[0].severity, Severity::warning);
  EXPECT_TRUE(told[0].message.ends_with("instead of encrypted. Mend it")) << told[0].message;
  // What was observed, or begins tomorrow, protected nothing.
  auto observed = partner_with("council.example");
  observed.outbound->mode = policy::Mode::observe;
  observed.inbound->from = std::chrono::sys_days(2027y / 1 / 16);
  EXPECT_TRUE(find_losses(config_with({observed}), Config(), today).empty());
}

TEST(FindLosses, ARouteThatDemandsLess) {
  Config before;
  RouteConfig route;
  route.domains.push_back(smtp::DomainPattern::parse("*.gov.example").value());
  route.tls = tls::Level::authenticated;
  route.route.hosts.push_back({});
  route.route.place = "portcullis.toml:40";
  before.routes.push_back(route);
  EXPECT_TRUE(find_losses(before, before, today).empty());
  Config now = before;
  now.routes[0].tls = tls::Level::encrypted;
  const auto lower = find_losses(before, now, today).protection;
  ASSERT_EQ(lower.size(), 1U);
  EXPECT_EQ(lower[0].to_string(),
            "portcullis.toml:40: route.tls: for *.gov.example the route demanded authenticated, and "
            "what holds now demands encrypted");
  before.routes[0].domains[0] = now.routes[0].domains[0] = smtp::DomainPattern::parse("*").value();
  EXPECT_EQ(find_losses(before, now, today).protection.size(), 1U) << "a smart host for everything";
  now.routes.clear();
  EXPECT_EQ(find_losses(before, now, today).protection.size(), 1U);
  now.outbound.level = tls::Level::authenticated;
  EXPECT_TRUE(find_losses(before, now, today).empty()) << "everybody must prove it now";
}

} // namespace losses_test
