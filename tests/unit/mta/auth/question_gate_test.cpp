// QuestionGate: shares and turns, the budget of unanswered questions, silent zones.
#include "mta/auth/question_gate.hpp"

#include <gtest/gtest.h>

namespace question_gate_test {

using namespace std::chrono_literals;
using mta::QuestionGate;
using mta::QuestionLimits;
using Outcome = QuestionGate::Outcome;
using Turn = QuestionGate::Turn;

smtp::IpAddress ip(const char *text) {
  return smtp::IpAddress::parse(text).value();
}

TEST(ZoneOfQuestion, BeginsWithTheLastUnderscore) {
  const std::pair<const char *, const char *> rows[] = {
      {"example.org", "example.org"},
      {"_dmarc.example.org", "_dmarc.example.org"},
      {"s1._domainkey.mail.example.org", "_domainkey.mail.example.org"},
      {"_25._tcp.mx.example.org", "_tcp.mx.example.org"},
      {"1.2._spf.example.org", "_spf.example.org"},
      {"_dmarc.org", "_dmarc.org"},
      {"_dmarc", "_dmarc"},
      {"4.3.2.1.in-addr.arpa.", "4.3.2.1.in-addr.arpa"},
  };
  for (const auto &[name, zone] : rows) EXPECT_EQ(mta::zone_of_question(name), zone) << name;
}

/// Counts the questions that began in their turn.
struct Gate {
  QuestionGate gate;
  QuestionLimits limits{
      .per_address = 3, .per_network = 5, .total = 8, .unanswered_per_address = 4, .unanswered_per_network = 6};
  QuestionGate::Clock::time_point now = QuestionGate::Clock::now();
  std::vector<std::string> begun;

  /// "now", "later", or the refusal.
  std::string enter(const char *client) {
    auto turn = gate.enter(ip(client), limits, [this, client] { begun.emplace_back(client); });
    if (!turn) return turn.error().detail;
    return *turn == Turn::now ? "now" : "later";
  }
  void leave(const char *client, Outcome outcome = Outcome::answered, const char *name = "example.org",
             QuestionGate::Clock::duration took = 1s) {
    now += took;
    gate.leave(ip(client), name, outcome, now - took, now);
  }
};

TEST(QuestionGate, WhatIsOverAnAddressesShareWaitsForItsOwn) {
  Gate t;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(t.enter("192.0.2.1"), "now");
  EXPECT_EQ(t.enter("192.0.2.1"), "later");
  EXPECT_EQ(t.enter("198.51.100.1"), "now") << "others do not wait for it";
  EXPECT_EQ(t.enter("192.0.2.2"), "now") << "nor does a neighbour";
  t.leave("198.51.100.1");
  EXPECT_TRUE(t.begun.empty()) << "another's place is not its own";
  t.leave("192.0.2.1");
  EXPECT_EQ(t.begun, std::vector<std::string>{"192.0.2.1"});
  EXPECT_EQ(t.gate.counts(t.now).under_way, 4U);
  EXPECT_EQ(t.gate.counts(t.now).waiting, 0U);
}

TEST(QuestionGate, ANetworkHasAShareToo) {
  struct Row {
    const char *name;
    std::vector<const char *> same;
    const char *other;
  };
  const Row rows[] = {
      {"IPv4: a /24", {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"}, "192.0.3.1"},
      {"IPv6: a /48",
       {"2001:db8:1:1::1", "2001:db8:1:2::1", "2001:db8:1:3::1", "2001:db8:1:4::1", "2001:db8:1:5::1"},
       "2001:db8:2:1::1"},
  };
  for (const Row &row : rows) {
    Gate t;
    for (const char *client : row.same) EXPECT_EQ(t.enter(client), "now") << row.name;
    EXPECT_EQ(t.enter(row.same[0]), "later") << row.name;
    EXPECT_EQ(t.enter(row.other), "now") << row.name;
    t.leave(row.same[3]);
    EXPECT_EQ(t.begun, std::vector<std::string>{row.same[0]}) << row.name;
  }
  Gate t;
  for (const char *client : {"2001:db8::1", "2001:db8::2", "2001:db8::3"}) EXPECT_EQ(t.enter(client), "now");
  EXPECT_EQ(t.enter("2001:db8::4"), "later") << "one /64 is one address";
}

TEST(QuestionGate, BeyondTheTotalOnlySmallNetworksBegin) {
  Gate t;
  t.limits.per_address = t.limits.per_network = 1000;
  t.limits.total = 20;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(t.enter("192.0.2.1"), "now");
  EXPECT_EQ(t.enter("192.0.2.1"), "later");
  for (std::size_t i = 0; i < QuestionGate::small_share; ++i) EXPECT_EQ(t.enter("198.51.100.1"), "now") << i;
  EXPECT_EQ(t.enter("198.51.100.1"), "later");
  // Each end lets one begin once there is room: of its own network first, and then of others.
  for (int i = 0; i < 10; ++i) t.leave("192.0.2.1");
  EXPECT_EQ(t.begun.size(), 2U);
  EXPECT_EQ(t.gate.counts(t.now).waiting, 0U);
}

TEST(QuestionGate, WaitingIsBounded) {
  Gate t;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(t.enter("192.0.2.1"), "now");
  for (std::size_t i = 0; i < QuestionGate::waiting_per_address; ++i) ASSERT_EQ(t.enter("192.0.2.1"), "later");
  EXPECT_EQ(t.enter("192.0.2.1"), "256 DNS questions about mail of your address wait already, the limit");
  EXPECT_EQ(t.enter("192.0.2.2"), "now") << "its neighbours still may";
}

TEST(QuestionGate, UnansweredQuestionsAreABudget) {
  Gate t;
  const auto ask = [&t](const char *client, Outcome outcome) {
    ASSERT_EQ(t.enter(client), "now");
    t.leave(client, outcome, "x.example", 0s);
  };
  const auto refusal = [&t](const char *client) {
    return t.gate.refusal(ip(client), t.limits, t.now).value_or("none");
  };
  for (int i = 0; i < 10; ++i) ask("192.0.2.1", Outcome::answered);
  for (int i = 0; i < 10; ++i) ask("192.0.2.1", Outcome::refused);
  for (int i = 0; i < 3; ++i) ask("192.0.2.1", Outcome::unanswered);
  EXPECT_EQ(refusal("192.0.2.1"), "none");
  ask("192.0.2.1", Outcome::unanswered);
  EXPECT_EQ(refusal("192.0.2.1"),
            "too many domains in mail of your address have name servers that do not answer, limit is 4 questions in "
            "10 minutes; try again later");
  EXPECT_EQ(refusal("192.0.2.2"), "none");
  for (int i = 0; i < 2; ++i) ask("192.0.2.3", Outcome::unanswered);
  EXPECT_NE(refusal("192.0.2.2").find("of your network"), std::string::npos) << refusal("192.0.2.2");
  EXPECT_EQ(refusal("198.51.100.1"), "none") << "others hear nothing of it";
  t.now += QuestionGate::window + QuestionGate::window / 2;
  EXPECT_EQ(refusal("192.0.2.1"), "none") << "half of it is left";
  EXPECT_EQ(refusal("192.0.2.2"), "none");
}

TEST(QuestionGate, ASilentZoneIsRememberedForAWhile) {
  Gate t;
  const auto silent = [&t](const char *name) {
    ASSERT_EQ(t.enter("192.0.2.1"), "now");
    ASSERT_EQ(t.enter("198.51.100.1"), "now");
    const auto began = t.now;
    t.now += 1s;
    t.gate.leave(ip("198.51.100.1"), "honest.example", Outcome::answered, began,
                 t.now); // meanwhile others are answered
    t.now += 6s;
    t.gate.leave(ip("192.0.2.1"), name, Outcome::unanswered, began, t.now);
  };
  const auto dead = [&t](const char *name) { return t.gate.find_dead(name, t.now).has_value(); };
  for (const char *name : {"a._lame.dead.example", "b._lame.dead.example"}) silent(name);
  EXPECT_TRUE(dead("c._lame.dead.example"));
  EXPECT_FALSE(dead("dead.example")) << "a part of it that a stranger's record names says nothing of all";
  t.now += 301s;
  silent("dead.example");
  EXPECT_FALSE(dead("dead.example")) << "once may be a lost packet";
  silent("dead.example");
  EXPECT_TRUE(dead("dead.example"));
  EXPECT_TRUE(dead("s._domainkey.dead.example"));
  EXPECT_TRUE(dead("mail.dead.example."));
  EXPECT_FALSE(dead("example"));
  EXPECT_FALSE(dead("other.example"));
  EXPECT_EQ(t.gate.find_dead("dead.example", t.now)->left, 60s);
  EXPECT_EQ(t.gate.counts(t.now).dead_zones, 1U);
  t.now += 61s;
  EXPECT_FALSE(dead("dead.example"));
  silent("dead.example");
  EXPECT_TRUE(dead("dead.example")) << "still silent: no second proof is needed";
  EXPECT_EQ(t.gate.find_dead("dead.example", t.now)->left, 120s) << "and it lasts longer";
  t.now += 121s;
  ASSERT_EQ(t.enter("192.0.2.1"), "now");
  t.leave("192.0.2.1", Outcome::answered, "dead.example");
  silent("dead.example");
  EXPECT_FALSE(dead("dead.example")) << "an answer clears it";
}

TEST(QuestionGate, ASilentResolverMakesNoZoneDead) {
  Gate t;
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(t.enter("192.0.2.1"), "now");
    t.leave("192.0.2.1", Outcome::unanswered, "honest.example", 10s);
  }
  EXPECT_FALSE(t.gate.find_dead("honest.example", t.now)) << "nobody else was answered either";
  // A quick SERVFAIL is an answer of somebody, and costs nothing.
  ASSERT_EQ(t.enter("198.51.100.1"), "now");
  t.leave("198.51.100.1", Outcome::answered, "other.example", 0s);
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(t.enter("192.0.2.1"), "now");
    t.leave("192.0.2.1", Outcome::unanswered, "honest.example", 10ms);
  }
  EXPECT_FALSE(t.gate.find_dead("honest.example", t.now));
}

} // namespace question_gate_test
