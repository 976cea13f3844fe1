// decide_tls as a table: every source, mode, exception, route and trust of the MX names.
#include "policy/decide.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace decide_test {

using namespace policy;
using std::chrono::sys_days;
using tls::Level;
using namespace std::chrono_literals;

const auto now = std::chrono::system_clock::time_point(sys_days(2026y / 11 / 22)) + 12h;
constexpr sys_days today = 2026y / 11 / 22;
constexpr std::chrono::days one_day{1};

smtp::Domain domain(std::string_view text) {
  return smtp::Domain::parse(text).value();
}
smtp::DomainPattern pattern(std::string_view text) {
  return smtp::DomainPattern::parse(text).value();
}

OutboundRule rule(Level level, Mode mode = Mode::enforce) {
  OutboundRule result;
  result.mode = mode;
  result.level = level;
  result.place = "partners.d/a.toml:5";
  return result;
}

Exception exception(Level level, sys_days expires, std::string_view name = "a.example") {
  return {.domain = pattern(name),
          .level = level,
          .owner = "mail team",
          .reason = "old gateway",
          .expires = expires,
          .place = "partners.d/a.toml:20"};
}

Partner partner(std::optional<OutboundRule> outbound, std::vector<Exception> exceptions = {},
                std::vector<std::string> domains = {"a.example"}) {
  Partner result;
  result.name = "A";
  for (const auto &name : domains) result.domains.push_back(pattern(name));
  result.outbound = std::move(outbound);
  result.exceptions = std::move(exceptions);
  result.file = "partners.d/a.toml";
  return result;
}

PartnerTable table(std::vector<Partner> partners) {
  return PartnerTable::build(std::move(partners)).value();
}

const Route plain_route{.name = "hub",
                        .hosts = {{"hub.example", 25, 10}, {"192.0.2.1", 25, 20}},
                        .implicit_tls = false,
                        .look_up_mx = false,
                        .client_certificate = "ours",
                        .place = "portcullis.toml:9"};
const Route implicit_route{.name = "hub",
                           .hosts = {{"hub.example", 465, 10}},
                           .implicit_tls = true,
                           .look_up_mx = false,
                           .client_certificate = "",
                           .place = "portcullis.toml:9"};

struct NextHop {
  const Route *route = nullptr;
  std::vector<std::string> mx_names;
  NameTrust mx_trust = NameTrust::none;
};

Decision decide(const PartnerTable &partners, const NextHop &hop = {}, const OutboundDefaults &defaults = {}) {
  const smtp::Domain recipient = domain("a.example");
  TlsSources sources;
  sources.partners = &partners;
  sources.domain = &recipient;
  sources.defaults = defaults;
  sources.route = hop.route;
  if (!hop.mx_names.empty()) sources.host = hop.mx_names.front();
  sources.mx_trust = hop.mx_trust;
  sources.now = now;
  return decide_tls(sources);
}

std::string winner(const Decision &decision) {
  std::string found;
  for (const auto &reason : decision.reasons)
    if (reason.won) found += to_string(reason.source);
  return found;
}

struct Row {
  const char *name;
  Level defaults = Level::opportunistic;
  std::optional<OutboundRule> outbound = std::nullopt;
  std::vector<Exception> exceptions = {};
  const Route *route = nullptr;
  Level wanted;
  std::optional<Level> observed;
  const char *winner;
  std::vector<std::string> said;
};

const std::vector<Row> rows = {
    {.name = "a stranger gets what the default says",
     .wanted = Level::opportunistic,
     .observed = {},
     .winner = "default",
     .said = {"opportunistic"}},
    {.name = "a stranger gets a strict default",
     .defaults = Level::authenticated,
     .wanted = Level::authenticated,
     .observed = {},
     .winner = "default",
     .said = {"authenticated"}},
    {.name = "an enforced partner rule raises the default",
     .outbound = rule(Level::authenticated),
     .wanted = Level::authenticated,
     .observed = {},
     .winner = "partner",
     .said = {"opportunistic", "authenticated"}},
    {.name = "of two equal demands the partner's wins",
     .defaults = Level::encrypted,
     .outbound = rule(Level::encrypted),
     .wanted = Level::encrypted,
     .observed = {},
     .winner = "partner",
     .said = {"encrypted", "encrypted"}},
    {.name = "a partner rule never lowers the default",
     .defaults = Level::encrypted,
     .outbound = rule(Level::opportunistic),
     .wanted = Level::encrypted,
     .observed = {},
     .winner = "default",
     .said = {"encrypted", "opportunistic"}},
    {.name = "an observing rule leaves the default and says what it would demand",
     .outbound = rule(Level::authenticated, Mode::observe),
     .wanted = Level::opportunistic,
     .observed = Level::authenticated,
     .winner = "default",
     .said = {"opportunistic", "not yet enforced: authenticated"}},
    {.name = "an observing rule below the default observes its profile alone",
     .defaults = Level::encrypted,
     .outbound = rule(Level::opportunistic, Mode::observe),
     .wanted = Level::encrypted,
     .observed = Level::encrypted,
     .winner = "default",
     .said = {"encrypted", "not yet enforced: opportunistic"}},
    {.name = "an observing rule at the default's level observes its profile alone",
     .defaults = Level::encrypted,
     .outbound = rule(Level::encrypted, Mode::observe),
     .wanted = Level::encrypted,
     .observed = Level::encrypted,
     .winner = "default",
     .said = {"encrypted", "not yet enforced: encrypted"}},
    {.name = "a valid exception lowers the partner rule",
     .outbound = rule(Level::authenticated),
     .exceptions = {exception(Level::opportunistic, today + 10 * one_day)},
     .wanted = Level::opportunistic,
     .observed = {},
     .winner = "exception",
     .said = {"opportunistic", "authenticated", "opportunistic until 2026-12-02 (mail team: old gateway)"}},
    {.name = "a valid exception lowers the default",
     .defaults = Level::encrypted,
     .exceptions = {exception(Level::none, today)},
     .wanted = Level::none,
     .observed = {},
     .winner = "exception",
     .said = {"encrypted", "none until 2026-11-22 (mail team: old gateway)"}},
    {.name = "a valid exception raises the partner rule",
     .outbound = rule(Level::encrypted),
     .exceptions = {exception(Level::authenticated, today + one_day)},
     .wanted = Level::authenticated,
     .observed = {},
     .winner = "exception",
     .said = {"opportunistic", "encrypted", "authenticated until 2026-11-23 (mail team: old gateway)"}},
    {.name = "an exception counts through its last day",
     .outbound = rule(Level::authenticated),
     .exceptions = {exception(Level::encrypted, today)},
     .wanted = Level::encrypted,
     .observed = {},
     .winner = "exception",
     .said = {"opportunistic", "authenticated", "encrypted until 2026-11-22 (mail team: old gateway)"}},
    {.name = "an expired exception counts for nothing",
     .outbound = rule(Level::authenticated),
     .exceptions = {exception(Level::opportunistic, today - one_day)},
     .wanted = Level::authenticated,
     .observed = {},
     .winner = "partner",
     .said = {"opportunistic", "authenticated", "expired on 2026-11-21"}},
    {.name = "an expired exception that raised counts for nothing either",
     .exceptions = {exception(Level::authenticated, today - one_day)},
     .wanted = Level::opportunistic,
     .observed = {},
     .winner = "default",
     .said = {"opportunistic", "expired on 2026-11-21"}},
    {.name = "an exception quiets an observing rule",
     .outbound = rule(Level::authenticated, Mode::observe),
     .exceptions = {exception(Level::opportunistic, today)},
     .wanted = Level::opportunistic,
     .observed = {},
     .winner = "exception",
     .said = {"opportunistic", "not yet enforced: authenticated",
              "opportunistic until 2026-11-22 (mail team: old gateway)"}},
    {.name = "an expired exact exception gives way to a valid wider one",
     .outbound = rule(Level::authenticated),
     .exceptions = {exception(Level::none, today - one_day), exception(Level::encrypted, today, "*")},
     .wanted = Level::encrypted,
     .observed = {},
     .winner = "exception",
     .said = {"opportunistic", "authenticated", "encrypted until 2026-11-22 (mail team: old gateway)",
              "expired on 2026-11-21"}},
    {.name = "a STARTTLS route demands nothing by itself",
     .route = &plain_route,
     .wanted = Level::opportunistic,
     .observed = {},
     .winner = "default",
     .said = {"opportunistic", "hosts by configuration"}},
    {.name = "a STARTTLS route does not win against an exception to none",
     .exceptions = {exception(Level::none, today)},
     .route = &plain_route,
     .wanted = Level::none,
     .observed = {},
     .winner = "exception",
     .said = {"opportunistic", "none until 2026-11-22 (mail team: old gateway)", "hosts by configuration"}},
    {.name = "TLS from the first octet is never less than encrypted",
     .route = &implicit_route,
     .wanted = Level::encrypted,
     .observed = {},
     .winner = "route",
     .said = {"opportunistic", "encrypted: TLS from the first octet"}},
    {.name = "an exception cannot put clear text on a TLS port",
     .exceptions = {exception(Level::none, today)},
     .route = &implicit_route,
     .wanted = Level::encrypted,
     .observed = {},
     .winner = "route",
     .said = {"opportunistic", "none until 2026-11-22 (mail team: old gateway)",
              "encrypted: TLS from the first octet"}},
    {.name = "a partner's authenticated outdoes an implicit route",
     .outbound = rule(Level::authenticated),
     .route = &implicit_route,
     .wanted = Level::authenticated,
     .observed = {},
     .winner = "partner",
     .said = {"opportunistic", "authenticated", "encrypted: TLS from the first octet"}},
    {.name = "dane stays the strictest",
     .defaults = Level::dane,
     .outbound = rule(Level::authenticated),
     .wanted = Level::dane,
     .observed = {},
     .winner = "default",
     .said = {"dane", "authenticated"}},
};

TEST(DecideTls, Table) {
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    const auto partners = row.outbound || !row.exceptions.empty()
                              ? table({partner(row.outbound, row.exceptions, {"a.example", "*"})})
                              : PartnerTable();
    OutboundDefaults defaults;
    defaults.level = row.defaults;
    const auto decision = decide(partners, {.route = row.route, .mx_names = {}, .mx_trust = NameTrust::none}, defaults);
    EXPECT_EQ(decision.enforced.level, row.wanted);
    EXPECT_EQ(decision.observed.has_value(), row.observed.has_value());
    if (decision.observed) {
      EXPECT_EQ(decision.observed->level, row.observed);
    }
    EXPECT_EQ(winner(decision), row.winner);
    std::vector<std::string> said;
    for (const auto &reason : decision.reasons) said.push_back(reason.said);
    EXPECT_EQ(said, row.said);
  }
}

// The rules of docs/architecture.md, "TLS trust", in other words than the code's, over the whole space of sources.
TEST(DecideTls, EveryCombinationOfSources) {
  const std::vector<Level> levels{Level::none, Level::opportunistic, Level::encrypted, Level::authenticated};
  std::size_t combinations = 0;
  for (const auto defaults_level : levels)
    for (const int partner_level : {-1, 1, 2, 3})
      for (const auto mode : {Mode::observe, Mode::enforce})
        for (const int exception_level : {-1, 0, 1, 2, 3})
          for (const bool expired : {false, true})
            for (const Route *route : {static_cast<const Route *>(nullptr), &plain_route, &implicit_route})
              for (const auto trust : {NameTrust::none, NameTrust::sts, NameTrust::dnssec, NameTrust::configured}) {
                std::optional<OutboundRule> outbound;
                if (partner_level >= 0) outbound = rule(static_cast<Level>(partner_level), mode);
                std::vector<Exception> exceptions;
                if (exception_level >= 0)
                  exceptions = {exception(static_cast<Level>(exception_level), expired ? today - one_day : today)};
                OutboundDefaults defaults;
                defaults.level = defaults_level;
                const auto decision =
                    decide(table({partner(outbound, exceptions)}),
                           {.route = route, .mx_names = {"mx.b.example"}, .mx_trust = trust}, defaults);

                Level expected = defaults_level;
                if (outbound && mode == Mode::enforce) expected = std::max(expected, outbound->level);
                Level if_enforced = outbound ? std::max(expected, outbound->level) : expected;
                if (exception_level >= 0 && !expired) if_enforced = expected = static_cast<Level>(exception_level);
                if (route == &implicit_route) {
                  expected = std::max(expected, Level::encrypted);
                  if_enforced = std::max(if_enforced, Level::encrypted);
                }
                EXPECT_EQ(decision.enforced.level, expected);
                const bool other_profile = outbound && mode == Mode::observe && if_enforced >= Level::encrypted;
                EXPECT_EQ(decision.observed.has_value(), if_enforced > expected || other_profile);
                EXPECT_EQ(decision.enforced.implicit_tls, route == &implicit_route);
                EXPECT_EQ(decision.enforced.client_certificate, route == &plain_route ? "ours" : "");
                EXPECT_EQ(std::count_if(decision.reasons.begin(), decision.reasons.end(),
                                        [](const Reason &reason) { return reason.won; }),
                          1);
                std::vector<std::string> references{"a.example"};
                if (trust == NameTrust::dnssec)
                  references = {"mx.b.example"};
                else if (route)
                  references.emplace_back("hub.example");
                EXPECT_EQ(decision.enforced.references, references);
                ++combinations;
              }
  EXPECT_EQ(combinations, 4U * 4 * 2 * 5 * 2 * 3 * 4);
}

TEST(DecideTls, MeansOfTheClosestEnforcedRule) {
  auto outbound = rule(Level::authenticated);
  outbound.match = {"mx1.a.example", "*.mail.a.example"};
  outbound.trust = "/etc/ca.pem";
  outbound.pins = {"AAAA"};
  outbound.profile = "suite-b-1";
  const NextHop hop{.route = nullptr, .mx_names = {"mx.b.example"}, .mx_trust = NameTrust::dnssec};

  const auto enforced = decide(table({partner(outbound)}), hop).enforced;
  EXPECT_EQ(enforced.references, outbound.match) << "match comes before DNSSEC-validated MX names";
  EXPECT_EQ(enforced.trust, "/etc/ca.pem");
  EXPECT_EQ(enforced.pins, outbound.pins);
  EXPECT_EQ(enforced.profile, "suite-b-1");
  EXPECT_EQ(enforced.rule, "partners.d/a.toml:5 A [outbound]");

  outbound.mode = Mode::observe;
  const auto watching = decide(table({partner(outbound)}), hop);
  EXPECT_EQ(watching.enforced.trust, "system");
  EXPECT_EQ(watching.enforced.profile, "internet");
  EXPECT_TRUE(watching.enforced.pins.empty());
  ASSERT_TRUE(watching.observed);
  EXPECT_EQ(watching.observed->trust, "/etc/ca.pem");
  EXPECT_EQ(watching.observed->pins, outbound.pins);
  EXPECT_EQ(watching.observed->references, outbound.match);

  OutboundDefaults strict;
  strict.level = Level::authenticated;
  EXPECT_TRUE(decide(table({partner(outbound)}), hop, strict).observed) << "same level, but other names, CA and pins";
}

TEST(DecideTls, AnObservingRuleThatDiffersByItsProfileAloneIsObserved) {
  auto outbound = rule(Level::encrypted, Mode::observe);
  OutboundDefaults defaults;
  defaults.level = Level::encrypted;
  const auto decision = decide(table({partner(outbound)}), {}, defaults);
  EXPECT_EQ(decision.enforced.profile, "internet");
  ASSERT_TRUE(decision.observed);
  EXPECT_EQ(decision.observed->profile, "ncsc");
  EXPECT_EQ(decision.observed->rule, "partners.d/a.toml:5 A [outbound]");
  tls::Facts facts;
  facts.encrypted = true;
  facts.version = tls::Version::tls1_2;
  facts.suite = "ECDHE-RSA-AES256-GCM-SHA384";
  EXPECT_TRUE(judge_observed(decision, facts)->ok());
  facts.suite = "ECDHE-RSA-AES256-SHA384";
  EXPECT_EQ(judge_observed(decision, facts)->kind, VerdictKind::outside_profile);
  EXPECT_TRUE(judge_tls(decision.enforced, facts).ok());
  outbound.profile = "internet";
  EXPECT_FALSE(decide(table({partner(outbound)}), {}, defaults).observed);
}

/// DANE records that match, or not, beside what `sources` has else.
TlsSources with_dane(const PartnerTable &partners, const smtp::Domain &recipient) {
  TlsSources sources;
  sources.partners = &partners;
  sources.domain = &recipient;
  sources.host = "mx.a.example";
  sources.mx_trust = NameTrust::dnssec;
  sources.dane.state = DaneFacts::State::usable;
  sources.dane.base_domain = sources.host;
  sources.dane.records = {{3, 1, 1, std::string(32, 'x')}};
  sources.now = now;
  return sources;
}

TEST(DecideTls, AnObservingRuleBesideDaneBearsItsOwnName) {
  const smtp::Domain recipient = domain("a.example");
  const auto partners = table({partner(rule(Level::authenticated, Mode::observe))});
  const auto decision = decide_tls(with_dane(partners, recipient));
  EXPECT_EQ(decision.enforced.rule, "TLSA of mx.a.example");
  ASSERT_TRUE(decision.observed);
  EXPECT_TRUE(decision.observed->and_certificate);
  EXPECT_EQ(decision.observed->rule, "partners.d/a.toml:5 A [outbound]");
}

TEST(DecideTls, AnObservedPolicyThatNamesOtherHostsBearsItsOwnName) {
  const smtp::Domain recipient = domain("a.example");
  const auto partners = table({partner(rule(Level::encrypted, Mode::observe))});
  TlsSources sources = with_dane(partners, recipient);
  sources.dane = {};
  sources.sts.state = StsFacts::State::testing;
  sources.sts.domain = "a.example";
  sources.sts.id = "7";
  sources.sts.mx = {"other.example"};
  const auto decision = decide_tls(sources);
  ASSERT_TRUE(decision.observed_unusable);
  EXPECT_EQ(decision.observed->rule, "MTA-STS policy of a.example, id 7");
}

TEST(DecideTls, SaysHowManyTlsaRecordsAreUsable) {
  const smtp::Domain recipient = domain("a.example");
  const PartnerTable nobody;
  TlsSources sources = with_dane(nobody, recipient);
  sources.dane.records.resize(3, sources.dane.records.front());
  EXPECT_EQ(decide_tls(sources).reasons[1].said, "dane, by 3 TLSA records");
  sources.dane.unusable_records = 1;
  EXPECT_EQ(decide_tls(sources).reasons[1].said, "dane, by 2 usable of 3 TLSA records");
}

tls::Facts certificate_for(const std::string &name, bool matches_tlsa) {
  tls::Facts facts;
  facts.encrypted = true;
  facts.chain.emplace_back().dns_names = {name};
  facts.verdict = tls::ChainVerdict{.trusted = true, .reason = {}, .fault = tls::ChainFault::none};
  facts.dane = tls::DaneVerdict{.matched = matches_tlsa, .reason = {}, .name = {}};
  return facts;
}

struct RefusedRow {
  const char *name;
  std::optional<OutboundRule> outbound;
  std::vector<Exception> exceptions;
  bool has_dane;
  tls::Facts facts;
  bool expected;
};

TEST(PartnerRefuses, WheneverThePartnersOwnRuleIsNotMetWhoeverWon) {
  const auto good = certificate_for("mx.a.example", true);
  const auto other_name = certificate_for("mx.other.example", true);
  const auto other_key = certificate_for("mx.a.example", false);
  const tls::Facts clear;
  const std::vector<RefusedRow> refused_rows = {
      {"nobody's rule", std::nullopt, {}, true, other_key, false},
      {"the rule alone", rule(Level::authenticated), {}, false, other_name, true},
      {"the rule alone, met", rule(Level::authenticated), {}, false, good, false},
      {"the name beside DANE", rule(Level::authenticated), {}, true, other_name, true},
      {"DANE refuses, the rule is met", rule(Level::authenticated), {}, true, other_key, false},
      {"no TLS, and DANE wins", rule(Level::encrypted), {}, true, clear, true},
      {"DANE refuses beside a rule for encryption", rule(Level::encrypted), {}, true, other_key, false},
      {"a rule for DANE", rule(Level::dane), {}, true, other_key, true},
      {"a rule for DANE without records", rule(Level::dane), {}, false, clear, true},
      {"raised by an exception",
       rule(Level::encrypted),
       {exception(Level::authenticated, today)},
       false,
       other_name,
       true},
      {"lowered by an exception",
       rule(Level::authenticated),
       {exception(Level::encrypted, today)},
       false,
       other_name,
       false},
      {"lowered, and not even that",
       rule(Level::authenticated),
       {exception(Level::encrypted, today)},
       false,
       clear,
       true},
      {"a rule that observes", rule(Level::authenticated, Mode::observe), {}, true, other_name, false},
  };
  const smtp::Domain recipient = domain("a.example");
  for (const RefusedRow &row : refused_rows) {
    SCOPED_TRACE(row.name);
    const auto partners = table({partner(row.outbound, row.exceptions)});
    TlsSources sources = with_dane(partners, recipient);
    if (!row.has_dane) sources.dane = {};
    const auto decision = decide_tls(sources);
    EXPECT_EQ(partner_refuses(decision, row.facts), row.expected) << decision.partner_rule;
  }
  const auto partners = table({partner(rule(Level::encrypted))});
  TlsSources sources = with_dane(partners, recipient);
  sources.wish = Wish::report;
  EXPECT_FALSE(partner_refuses(decide_tls(sources), clear)) << "no mandate holds for a report";
}

TEST(DecideTls, AnExceptionBelowEncryptedTakesTheDefaultsProfileAndNoPins) {
  auto outbound = rule(Level::authenticated);
  outbound.pins = {"AAAA"};
  const auto lowered = decide(table({partner(outbound, {exception(Level::opportunistic, today)})})).enforced;
  EXPECT_EQ(lowered.profile, "internet");
  EXPECT_TRUE(lowered.pins.empty());
  const auto encrypted = decide(table({partner(outbound, {exception(Level::encrypted, today)})})).enforced;
  EXPECT_EQ(encrypted.profile, "ncsc");
  EXPECT_TRUE(encrypted.pins.empty());
}

TEST(DecideTls, AnEndDateBeyondTheRangeOfTheClockIsValid) {
  EXPECT_EQ(
      decide(table({partner(rule(Level::authenticated), {exception(Level::encrypted, sys_days(9999y / 12 / 31))})}))
          .enforced.level,
      Level::encrypted);
}

TEST(DecideTls, UnauthenticatedMxNamesAreNoReference) {
  for (const auto trust : {NameTrust::none, NameTrust::sts, NameTrust::configured})
    EXPECT_EQ(decide(table({partner(rule(Level::authenticated))}),
                     {.route = nullptr, .mx_names = {"evil.example"}, .mx_trust = trust})
                  .enforced.references,
              std::vector<std::string>{"a.example"});
}

TEST(DecideTls, DefaultsOfARouteCarryItsNamesTrustAndPins) {
  OutboundDefaults defaults;
  defaults.level = Level::authenticated;
  defaults.source = Source::route;
  defaults.rule = "portcullis.toml:80 [[route]]";
  defaults.trust = "/ca.pem";
  defaults.match = {"smart.example"};
  defaults.pins = {"BBBB"};
  const auto decision =
      decide(PartnerTable(), {.route = &plain_route, .mx_names = {}, .mx_trust = NameTrust::configured}, defaults);
  EXPECT_EQ(decision.enforced.references, defaults.match);
  EXPECT_EQ(decision.enforced.trust, "/ca.pem");
  EXPECT_EQ(decision.enforced.pins, defaults.pins);
  EXPECT_EQ(decision.reasons.front().source, Source::route);
}

// [outbound] may say how much and the [[route]] how: that is still the route's word for these domains.
TEST(DecideTls, MeansBelongToWhoDemandsTheLevel) {
  const NextHop hop{.route = &plain_route, .mx_names = {}, .mx_trust = NameTrust::configured};
  for (const Source source : {Source::route, Source::defaults}) {
    SCOPED_TRACE(to_string(source));
    OutboundDefaults defaults;
    defaults.level = Level::authenticated;
    defaults.source = source;
    defaults.rule = "portcullis.toml:80";
    defaults.trust = "/ca.pem";
    defaults.pins = {"BBBB"};
    defaults.match = {"smart.example"};
    const auto less = decide(table({partner(rule(Level::encrypted))}), hop, defaults).enforced;
    EXPECT_EQ(less.trust, "/ca.pem");
    EXPECT_EQ(less.pins, defaults.pins);
    EXPECT_EQ(less.references, defaults.match);
    EXPECT_TRUE(less.also.empty());

    OutboundRule own = rule(Level::authenticated);
    own.trust = "/partner.pem";
    own.match = {"mx.partner.example"};
    own.crls = {"/list.pem"};
    const auto both = decide(table({partner(own)}), hop, defaults);
    EXPECT_EQ(both.enforced.trust, "/partner.pem");
    EXPECT_EQ(both.enforced.crls, own.crls);
    ASSERT_EQ(both.enforced.also.size(), 1U);
    EXPECT_EQ(both.enforced.also.front().trust, "/ca.pem");
    EXPECT_EQ(both.enforced.also.front().pins, defaults.pins);
    EXPECT_EQ(both.enforced.also.front().rule, "portcullis.toml:80");
    EXPECT_EQ(both.partner_demand.trust, "/partner.pem") << "what the partner's rule alone would refuse";
  }
}

TEST(DecideTls, ARuleForLessDoesNotLoosenTheProfile) {
  OutboundDefaults defaults;
  defaults.source = Source::route;
  defaults.level = Level::authenticated;
  const auto profile = [&](const char *route, const char *of_rule) {
    defaults.profile = route;
    OutboundRule own = rule(Level::encrypted);
    own.profile = of_rule;
    return decide(table({partner(own)}), {}, defaults).enforced.profile;
  };
  EXPECT_EQ(profile("ncsc", "internet-legacy"), "ncsc");
  EXPECT_EQ(profile("internet", "ncsc"), "ncsc") << "nor does the route loosen the rule's";
  EXPECT_EQ(profile("suite-b-1", "foundation"), "suite-b-1") << "neither lies within the other: who demands more";
  defaults.source = Source::defaults;
  defaults.level = Level::encrypted;
  EXPECT_EQ(profile("internet", "internet-legacy"), "internet-legacy") << "what holds for everyone yields";
}

TEST(DecideTls, AnAddressLiteralGetsTheDefault) {
  OutboundDefaults defaults;
  defaults.level = Level::encrypted;
  TlsSources sources;
  sources.defaults = defaults;
  const auto decision = decide_tls(sources);
  EXPECT_EQ(decision.enforced.level, Level::encrypted);
  EXPECT_TRUE(decision.enforced.references.empty());
  EXPECT_EQ(winner(decision), "default");
  EXPECT_FALSE(decision.observed);
}

} // namespace decide_test
