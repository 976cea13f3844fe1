// What holds for the arbiter whatever the sources say: properties over their whole cross product.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "policy/decide.hpp"

namespace arbiter_invariants_test {

using namespace policy;
using namespace std::chrono_literals;
using std::chrono::sys_days;
using tls::Level;

const auto now = std::chrono::system_clock::time_point(sys_days(2026y / 11 / 22)) + 12h;
const auto domain = smtp::Domain::parse("a.example").value();

/// One point of the cross product; -1: the source is absent.
struct Point {
  int defaults = 1;
  int partner = -1;
  bool observes = false;
  DaneFacts::State dane = DaneFacts::State::off;
  StsFacts::State sts = StsFacts::State::off;
  bool sts_names_host = true;
  bool protect = false;
  int exception = -1;
  NameTrust mx_trust = NameTrust::none;
  Wish wish = Wish::none;
  int override_level = -1;

  [[nodiscard]] bool lowers() const {
    return exception >= 0 || override_level >= 0 || wish == Wish::tls_optional || wish == Wish::report;
  }
  [[nodiscard]] bool mandates_tls() const {
    return defaults >= 2 || (partner >= 2 && !observes) || dane == DaneFacts::State::unusable ||
           dane == DaneFacts::State::usable || dane == DaneFacts::State::failed || sts == StsFacts::State::enforce ||
           sts == StsFacts::State::failed || protect || wish == Wish::require_tls;
  }
};

/// Partner tables by partner level, mode and exception, built once.
class Tables {
public:
  const PartnerTable &find(const Point &point) {
    auto &slot = tables_.at(
        static_cast<std::size_t>(((point.partner + 1) * 2 + (point.observes ? 1 : 0)) * 6 + point.exception + 1));
    if (!slot) {
      Partner partner;
      partner.name = "A";
      partner.domains = {smtp::DomainPattern::parse("a.example").value()};
      if (point.partner >= 0) {
        OutboundRule rule;
        rule.level = static_cast<Level>(point.partner);
        rule.mode = point.observes ? Mode::observe : Mode::enforce;
        partner.outbound = rule;
      }
      if (point.exception >= 0)
        partner.exceptions = {{.domain = smtp::DomainPattern::parse("a.example").value(),
                               .level = static_cast<Level>(point.exception),
                               .owner = "o",
                               .reason = "r",
                               .expires = sys_days(2027y / 1 / 1),
                               .place = "p:1"}};
      slot = PartnerTable::build({partner}).value();
    }
    return *slot;
  }

private:
  std::array<std::optional<PartnerTable>, 72> tables_;
};

Decision decide(Tables &tables, const Point &point) {
  TlsSources sources;
  sources.partners = &tables.find(point);
  sources.domain = &domain;
  sources.defaults.level = static_cast<Level>(point.defaults);
  sources.host = "mx.a.example";
  sources.mx_trust = point.mx_trust;
  sources.dane.state = point.dane;
  sources.dane.base_domain = "mx.a.example";
  if (point.dane == DaneFacts::State::usable) sources.dane.records = {{3, 1, 1, std::string(32, 'k')}};
  sources.sts.state = point.sts;
  sources.sts.domain = "a.example";
  sources.sts.mx = {point.sts_names_host ? "mx.a.example" : "mx.b.example"};
  sources.memory.protect = point.protect;
  sources.wish = point.wish;
  if (point.override_level >= 0)
    sources.override_ = OperatorOverride{static_cast<Level>(point.override_level), "urgent", "ops", now};
  sources.now = now;
  return decide_tls(sources);
}

/// Every `stride`th point; a prime stride meets every value of every source beside every other's.
template <typename Visit> void for_each_point(Visit visit, std::size_t stride = 1) {
  std::size_t index = 0;
  using Dane = DaneFacts::State;
  using Sts = StsFacts::State;
  Point point;
  for (const int defaults : {1, 2, 4})
    for (const int partner : {-1, 2, 3, 4})
      for (const bool observes : {false, true})
        for (const auto dane : {Dane::off, Dane::none, Dane::unusable, Dane::usable, Dane::failed})
          for (const auto sts : {Sts::off, Sts::testing, Sts::enforce, Sts::failed})
            for (const bool names : {false, true})
              for (const bool protect : {false, true})
                for (const auto trust : {NameTrust::none, NameTrust::dnssec})
                  for (const auto wish : {Wish::none, Wish::require_tls, Wish::tls_optional, Wish::report})
                    for (const int lowering : {0, 1, 2}) {
                      if (observes && partner < 0) continue;
                      if (!names && sts != Sts::testing && sts != Sts::enforce) continue;
                      if (index++ % stride != 0) continue;
                      point = {.defaults = defaults,
                               .partner = partner,
                               .observes = observes,
                               .dane = dane,
                               .sts = sts,
                               .sts_names_host = names,
                               .protect = protect,
                               .exception = lowering == 1 ? 1 : -1,
                               .mx_trust = trust,
                               .wish = wish,
                               .override_level = lowering == 2 ? 1 : -1};
                      visit(point);
                    }
}

std::string describe(const Point &point) {
  return testing::PrintToString(
      std::vector<int>{point.defaults, point.partner, point.observes, static_cast<int>(point.dane),
                       static_cast<int>(point.sts), point.sts_names_host, point.protect, point.exception,
                       static_cast<int>(point.mx_trust), static_cast<int>(point.wish), point.override_level});
}

TEST(ArbiterInvariants, NeverInClearWhereAnEnforcedSourceDemandsTls) {
  Tables tables;
  std::size_t mandates = 0;
  for_each_point([&](const Point &point) {
    const auto decision = decide(tables, point);
    if (point.wish == Wish::require_tls) {
      EXPECT_FALSE(allows_clear_text(decision.enforced)) << describe(point);
      EXPECT_TRUE(decision.enforced.requiretls) << describe(point);
      EXPECT_GE(decision.enforced.level, point.override_level < 0 ? Level::authenticated : Level::encrypted);
    }
    if (point.lowers() || !point.mandates_tls()) return;
    ++mandates;
    EXPECT_TRUE(decision.unusable || !allows_clear_text(decision.enforced)) << describe(point);
  });
  EXPECT_GT(mandates, 1000U);
}

TEST(ArbiterInvariants, OneReasonWinsAndNothingIsDemandedThatCannotBeMet) {
  Tables tables;
  for_each_point([&](const Point &point) {
    const auto decision = decide(tables, point);
    EXPECT_EQ(std::count_if(decision.reasons.begin(), decision.reasons.end(),
                            [](const Reason &reason) { return reason.won; }),
              1)
        << describe(point);
    for (const auto &reason : decision.reasons) EXPECT_FALSE(reason.said.empty()) << describe(point);
    const Requirement &required = decision.enforced;
    if (required.level == Level::dane && !decision.unusable) {
      EXPECT_FALSE(required.tlsa.empty()) << describe(point);
      EXPECT_EQ(required.server_name, "mx.a.example");
      EXPECT_EQ(required.dane_names.front(), "mx.a.example");
    }
    if (required.level == Level::authenticated) {
      EXPECT_FALSE(required.references.empty()) << describe(point);
    }
    EXPECT_FALSE(decision.unusable && decision.observed) << describe(point);
    EXPECT_TRUE(decision.observed || !decision.observed_unusable) << describe(point);
  });
}

TEST(ArbiterInvariants, WhatOnlyLooksChangesNothing) {
  Tables tables;
  for_each_point([&](const Point &point) {
    if (!point.observes) return;
    Point without = point;
    without.partner = -1;
    without.observes = false;
    const auto with_rule = decide(tables, point);
    const auto without_rule = decide(tables, without);
    EXPECT_EQ(with_rule.enforced, without_rule.enforced) << describe(point);
    EXPECT_EQ(with_rule.unusable, without_rule.unusable) << describe(point);
  });
}

TEST(ArbiterInvariants, APolicyInTestingChangesNoLevelAndForbidsNoHost) {
  Tables tables;
  for_each_point([&](const Point &point) {
    if (point.sts != StsFacts::State::testing || point.wish == Wish::require_tls) return; // there it vouches for names
    Point without = point;
    without.sts = StsFacts::State::off;
    const auto testing = decide(tables, point);
    const auto off = decide(tables, without);
    EXPECT_EQ(testing.enforced.level, off.enforced.level) << describe(point);
    EXPECT_EQ(testing.unusable, off.unusable) << describe(point);
  });
}

/// `stronger` is `weaker` with one more demand; `excused`: that demand stands in for another's veto of the host.
void expect_no_lower(const Decision &weaker, const Decision &stronger, bool excused, const Point &point) {
  EXPECT_GE(stronger.enforced.level, weaker.enforced.level) << describe(point);
  EXPECT_TRUE(stronger.unusable || !weaker.unusable || excused) << describe(point);
}

TEST(ArbiterInvariants, ADemandMoreNeverLowers) {
  Tables tables;
  for_each_point(
      [&](const Point &point) {
        const auto decision = decide(tables, point);
        const auto compare = [&](Point more, bool excused) {
          expect_no_lower(decision, decide(tables, more), excused, point);
        };
        Point more = point;
        if (!point.protect) {
          more.protect = true;
          compare(more, false);
          more = point;
        }
        if (point.partner < 0) {
          for (const int level : {1, 2, 3, 4}) {
            more.partner = level;
            compare(more, point.sts == StsFacts::State::failed && level >= 3);
          }
          more = point;
        }
        if (point.dane == DaneFacts::State::off)
          for (const auto state : {DaneFacts::State::unusable, DaneFacts::State::usable, DaneFacts::State::failed}) {
            more.dane = state; // usable records authenticate the host: they are what "dane" asked for, and beat MTA-STS
            compare(more, state == DaneFacts::State::usable);
          }
        more = point;
        if (point.sts == StsFacts::State::off) {
          more.sts = StsFacts::State::enforce; // a policy that names the host is what REQUIRETLS asked for
          compare(more, point.wish == Wish::require_tls);
          more = point;
        }
        if (point.wish == Wish::none) {
          more.wish = Wish::require_tls;
          compare(more, false);
        }
      },
      11);
}

TEST(ArbiterInvariants, AReportAlwaysGetsThrough) {
  Tables tables;
  for_each_point([&](const Point &point) {
    if (point.wish != Wish::report) return;
    const auto decision = decide(tables, point);
    EXPECT_TRUE(allows_clear_text(decision.enforced)) << describe(point);
    EXPECT_FALSE(decision.unusable) << describe(point);
  });
}

} // namespace arbiter_invariants_test
