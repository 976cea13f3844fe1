// Config's questions: routes, defaults of a domain, recipients, the postmaster.
#include "mta/config/config.hpp"

#include <gtest/gtest.h>

namespace config_test {

using namespace mta;

smtp::Domain domain(std::string_view text) {
  return smtp::Domain::parse(text).value();
}
smtp::DomainPattern pattern(std::string_view text) {
  return smtp::DomainPattern::parse(text).value();
}
smtp::ForwardPath path(std::string_view text) {
  return smtp::ForwardPath::parse(text).value();
}

policy::Route route(const std::string &name) {
  policy::Route result;
  result.name = result.place = name;
  result.hosts = {{name + ".example", 25, 10}};
  return result;
}

Config sample() {
  Config config;
  config.queue.postmaster = smtp::Mailbox::parse("ops@ours.example").value();
  config.domains.emplace(
      "ours.example",
      DomainConfig{domain("ours.example"), false, {"ops", "alice"}, "", route("store"), std::nullopt, ""});
  config.domains.emplace("listed.example",
                         DomainConfig{domain("listed.example"), false, {"abuse"}, "", std::nullopt, std::nullopt, ""});
  config.domains.emplace("all.example",
                         DomainConfig{domain("all.example"), true, {}, "", std::nullopt, std::nullopt, ""});
  policy::Partner partner;
  partner.name = "P";
  partner.domains = {pattern("partner.example"), pattern("ours.example"), pattern("no-route.example")};
  partner.outbound.emplace();
  partner.outbound->route = route("partner-hub");
  policy::Partner bare;
  bare.name = "Q";
  bare.domains = {pattern("bare.example")};
  bare.outbound.emplace();
  config.partners = policy::PartnerTable::build({partner, bare}).value();
  RouteConfig everyone;
  everyone.domains = {pattern("*")};
  everyone.route = route("smart");
  everyone.tls = tls::Level::encrypted;
  everyone.profile = "ncsc";
  everyone.match = {"smart.example"};
  RouteConfig wide;
  wide.domains = {pattern("*.net.example")};
  wide.route = route("wide");
  RouteConfig exact;
  exact.domains = {pattern("a.net.example"), pattern("partner.example")};
  exact.route = route("exact");
  config.routes = {everyone, wide, exact};
  return config;
}

TEST(Config, FindRouteTakesTheClosest) {
  const Config config = sample();
  const std::vector<std::pair<const char *, const char *>> rows = {
      {"ours.example", "store"}, {"partner.example", "partner-hub"}, {"a.net.example", "exact"},
      {"b.net.example", "wide"}, {"net.example", "smart"},           {"other.example", "smart"},
      {"bare.example", "smart"}, {"listed.example", "smart"},
  };
  for (const auto &[name, wanted] : rows) EXPECT_EQ(config.find_route(domain(name))->name, wanted) << name;
  EXPECT_EQ(Config().find_route(domain("other.example")), nullptr);
  EXPECT_EQ(Config().find_route_config(domain("other.example")), nullptr);
  EXPECT_EQ(config.find_route_config(domain("partner.example"))->route.name, "exact");
}

TEST(Config, OutboundDefaultsComeFromTheRouteThatIsTaken) {
  Config config = sample();
  auto defaults = config.outbound_defaults(domain("other.example"));
  EXPECT_EQ(defaults.level, tls::Level::encrypted);
  EXPECT_EQ(defaults.profile, "ncsc");
  EXPECT_EQ(defaults.match, std::vector<std::string>{"smart.example"});
  EXPECT_EQ(defaults.source, policy::Source::route);
  EXPECT_EQ(defaults.rule, "smart [[route]]");
  defaults = config.outbound_defaults(domain("ours.example"));
  EXPECT_EQ(defaults.level, tls::Level::opportunistic)
      << "another route is taken, so the smart host's words do not count";
  EXPECT_EQ(defaults.source, policy::Source::defaults);
  EXPECT_TRUE(defaults.match.empty());
  config.outbound.level = tls::Level::authenticated;
  EXPECT_EQ(config.outbound_defaults(domain("other.example")).level, tls::Level::authenticated)
      << "a route never lowers";
  EXPECT_EQ(config.outbound_defaults(domain("other.example")).source, policy::Source::defaults);
}

TEST(Config, Classify) {
  using policy::LocalRecipient;
  const Config config = sample();
  const std::vector<std::pair<const char *, LocalRecipient>> rows = {
      {"<Postmaster>", LocalRecipient::known},
      {"<alice@ours.example>", LocalRecipient::known},
      {"<ALICE@Ours.Example>", LocalRecipient::known},
      {"<bob@ours.example>", LocalRecipient::unknown},
      {"<alic@ours.example>", LocalRecipient::unknown},
      {"<postmaster@ours.example>", LocalRecipient::known},
      {"<Abuse@ours.example>", LocalRecipient::known},
      {"<hostmaster@ours.example>", LocalRecipient::unknown},
      {"<anyone@all.example>", LocalRecipient::known},
      {"<alice@sub.ours.example>", LocalRecipient::not_ours},
      {"<alice@other.example>", LocalRecipient::not_ours},
      {"<alice@[192.0.2.1]>", LocalRecipient::not_ours},
  };
  for (const auto &[text, wanted] : rows) EXPECT_EQ(config.classify(path(text)), wanted) << text;
}

TEST(Config, PostmasterAndAbuseAlwaysReachSomeone) {
  const Config config = sample();
  const std::vector<std::pair<const char *, const char *>> rows = {
      {"<Postmaster>", "ops@ours.example"},
      {"<postmaster@ours.example>", "ops@ours.example"},
      {"<ABUSE@ours.example>", "ops@ours.example"},
      {"<abuse@listed.example>", "abuse@listed.example"},
      {"<postmaster@listed.example>", "ops@ours.example"},
      {"<postmaster@all.example>", "postmaster@all.example"},
      {"<alice@ours.example>", "alice@ours.example"},
      {"<postmaster@other.example>", "postmaster@other.example"},
      {"<abuse@[192.0.2.1]>", "abuse@[192.0.2.1]"},
  };
  for (const auto &[text, wanted] : rows) EXPECT_EQ(config.resolve_recipient(path(text)).to_string(), wanted) << text;
}

TEST(Config, FindCertificate) {
  Config config;
  config.certificates = {{"a", {"a.pem", "a.key"}, ""}, {"b", {"b.pem", "b.key"}, ""}};
  EXPECT_EQ(config.find_certificate("b")->files.key, "b.key");
  EXPECT_EQ(config.find_certificate("c"), nullptr);
  EXPECT_EQ(config.find_certificate(""), nullptr);
}

} // namespace config_test
