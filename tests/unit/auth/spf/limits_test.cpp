// SPF limits and fetch rounds: lookups, void lookups, names, questions (RFC 7208 section 4.6.4), and libspf2's own
// room.
#include <set>
#include <thread>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "auth/spf/evaluation.hpp"
#include "auth/spf/library.hpp"
#include "tests/unit/auth/spf/fake_zone.hpp"

namespace limits_test {

using auth::SpfResult;
using spf_test::check;
using spf_test::Entry;
using spf_test::from;
using spf_test::Zone;

std::string repeat(const std::string &text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

std::string outcome_of(const auth::SpfVerdict &verdict) {
  return fmt::format("{}: {} ({}, {})", auth::to_string(verdict.result), verdict.reason, verdict.lookups,
                     verdict.void_lookups);
}

TEST(SpfLimits, TenLookupsAndTwoVoidOnes) {
  struct Row {
    const char *name;
    Zone zone;
    std::string outcome;
  };
  const std::string d = "example.com";
  Zone chain;
  for (int i = 0; i < 12; ++i)
    chain.push_back({fmt::format("c{}.example.com", i), "TXT", fmt::format("v=spf1 include:c{}.example.com", i + 1)});
  Zone within = chain;
  within.push_back({d, "TXT", "v=spf1 include:c3.example.com -all"});
  within.push_back({"c12.example.com", "TXT", "v=spf1 ip4:192.0.2.1"});
  Zone beyond = within;
  beyond[12].value = "v=spf1 include:c2.example.com -all";
  Zone mx = {{d, "TXT", "v=spf1 mx -all"}};
  for (int i = 0; i < 10; ++i)
    mx.push_back({d, "MX", fmt::format("{} m{}.example", i, i)}),
        mx.push_back({fmt::format("m{}.example", i), "A", fmt::format("192.0.2.{}", 10 - i)});
  Zone many_mx = mx;
  many_mx.push_back({d, "MX", "99 m99.example"});
  Zone ptr = {{d, "TXT", "v=spf1 ptr -all"}};
  for (int i = 0; i < 11; ++i) ptr.push_back({"1.2.0.192.in-addr.arpa", "PTR", fmt::format("h{}.example.com", i)});
  Zone tenth = ptr;
  ptr.push_back({"h10.example.com", "A", "192.0.2.1"});
  tenth.push_back({"h9.example.com", "A", "192.0.2.1"});

  const Row rows[] = {
      {"ten terms",
       {{d, "TXT", "v=spf1" + repeat(" a", 10) + " ip4:192.0.2.1"}, {d, "A", "192.0.2.9"}},
       "pass: matched ip4:192.0.2.1 (10, 0)"},
      {"eleven terms",
       {{d, "TXT", "v=spf1" + repeat(" a", 11) + " ip4:192.0.2.1"}, {d, "A", "192.0.2.9"}},
       "permerror: more than 10 terms ask the DNS: a (10, 0)"},
      {"eleven terms of which ten are evaluated",
       {{d, "TXT", "v=spf1" + repeat(" a", 9) + " a:b.example a"},
        {d, "A", "192.0.2.9"},
        {"b.example", "A", "192.0.2.1"}},
       "pass: matched a:b.example (10, 0)"},
      {"a thousand terms",
       {{d, "TXT", "v=spf1" + repeat(" a", 1000) + " ip4:192.0.2.1"}, {d, "A", "192.0.2.9"}},
       "permerror: more than 10 terms ask the DNS: a (10, 0)"},
      {"ten includes in a row", within,
       "pass: matched include:c3.example.com, include:c4.example.com, include:c5.example.com, "
       "include:c6.example.com, include:c7.example.com, include:c8.example.com, include:c9.example.com, "
       "include:c10.example.com, include... (10, 0)"},
      {"eleven includes in a row", beyond,
       "permerror: more than 10 terms ask the DNS: include:c12.example.com (10, 0)"},
      {"an include of itself",
       {{d, "TXT", "v=spf1 include:example.com -all"}},
       "permerror: more than 10 terms ask the DNS: include:example.com (10, 0)"},
      {"a redirect to itself",
       {{d, "TXT", "v=spf1 redirect=example.com"}},
       "permerror: more than 10 terms ask the DNS: redirect=example.com (10, 0)"},
      {"a tree of includes, ten each",
       {{d, "TXT", "v=spf1" + repeat(" include:example.com", 10)}},
       "permerror: more than 10 terms ask the DNS: include:example.com (10, 0)"},
      {"exp is no lookup",
       {{d, "TXT", "v=spf1" + repeat(" a", 10) + " exp=e.example -all"}, {d, "A", "192.0.2.9"}},
       "fail: matched -all (10, 0)"},
      {"two void lookups", {{d, "TXT", "v=spf1 a mx:x.example ?all"}}, "neutral: matched ?all (2, 2)"},
      {"three void lookups",
       {{d, "TXT", "v=spf1 a mx:x.example exists:y.example ?all"}},
       "permerror: more than 2 void lookups: exists:y.example (3, 3)"},
      {"a name that exists without an address is void",
       {{d, "TXT", "v=spf1 a a:b.example a:c.example ?all"},
        {"b.example", "AAAA", "2001:db8::1"},
        {"c.example", "TXT", "x"}},
       "permerror: more than 2 void lookups: a:c.example (3, 3)"},
      {"an mx term is void once",
       {{d, "TXT", "v=spf1 mx a:b.example ?all"},
        {d, "MX", "1 m1.example"},
        {d, "MX", "1 m2.example"},
        {d, "MX", "1 m3.example"}},
       "neutral: matched ?all (2, 2)"},
      {"a client without a name is void for ptr",
       {{d, "TXT", "v=spf1 a mx ptr ?all"}},
       "permerror: more than 2 void lookups: ptr (3, 3)"},
      {"a client without a name is not void for a macro",
       {{d, "TXT", "v=spf1 a mx exists:%{p}.x.example.com ?all"}, {"unknown.x.example.com", "A", "127.0.0.2"}},
       "pass: matched exists:%{p}.x.example.com (3, 2)"},
      {"a client's name that does not exist is not void",
       {{d, "TXT", "v=spf1 a mx ptr ?all"}, {"1.2.0.192.in-addr.arpa", "PTR", "h.example.com"}},
       "neutral: matched ?all (3, 2)"},
      {"a missing explanation makes no void lookup",
       {{d, "TXT", "v=spf1 a mx exp=e.example -all"}},
       "fail: matched -all (2, 2)"},
      {"ten hosts of mx", mx, "pass: matched mx (1, 0)"},
      {"eleven hosts of mx, though one of the ten would match", many_mx,
       "permerror: mx: example.com has 11 MX records, limit is 10 (1, 0)"},
      {"the tenth name of the client", tenth, "pass: matched ptr (1, 0)"},
      {"the eleventh name of the client is not looked at", ptr, "fail: matched -all (1, 0)"},
  };
  for (const Row &row : rows)
    EXPECT_EQ(outcome_of(check(from("192.0.2.1"), row.zone).verdict), row.outcome) << row.name;
}

/// 10 mx terms with 10 hosts each: 111 questions by the RFC's own limits.
TEST(SpfLimits, NoCheckAsksManyQuestions) {
  Zone zone;
  std::string record = "v=spf1";
  for (int term = 0; term < 10; ++term) {
    record += fmt::format(" mx:d{}.example", term);
    for (int host = 0; host < 10; ++host) {
      zone.push_back({fmt::format("d{}.example", term), "MX", fmt::format("1 h{}.d{}.example", host, term)});
      zone.push_back({fmt::format("h{}.d{}.example", host, term), "A", "192.0.2.9"});
    }
  }
  zone.push_back({"example.com", "TXT", record});
  const auto run = check(from("192.0.2.1"), zone);
  EXPECT_EQ(run.verdict.result, SpfResult::permerror);
  EXPECT_EQ(run.verdict.reason, "more than 30 DNS questions");
  EXPECT_LE(run.questions.size(), 40U);
}

/// Each level brings new terms that push the last level's out of the ten: the most that gathering can waste.
TEST(SpfLimits, GatheringInVainIsBounded) {
  Zone zone;
  for (int level = 0; level < 12; ++level) {
    std::string record = fmt::format("v=spf1 include:l{}.example", level + 1);
    for (int i = 0; i < 10; ++i)
      record += fmt::format(" a:a{}.l{}.example", i, level),
          zone.push_back({fmt::format("a{}.l{}.example", i, level), "A", "192.0.2.9"});
    zone.push_back({fmt::format("l{}.example", level), "TXT", record});
  }
  const auto run = check(from("192.0.2.1", "user@l0.example"), zone);
  EXPECT_EQ(run.verdict.result, SpfResult::permerror);
  EXPECT_LE(run.questions.size(), 40U);
}

TEST(SpfLimits, ATypicalSenderTakesFewRounds) {
  const Zone zone = {
      {"example.com", "TXT",
       "v=spf1 a mx include:_spf.google.example include:spf.outlook.example include:mail.list.example ~all "
       "exp=why.example.com"},
      {"example.com", "A", "192.0.2.9"},
      {"example.com", "MX", "10 m1.example.com"},
      {"example.com", "MX", "20 m2.example.com"},
      {"m1.example.com", "A", "192.0.2.10"},
      {"m2.example.com", "A", "192.0.2.11"},
      {"_spf.google.example", "TXT", "v=spf1 include:_n1.google.example include:_n2.google.example ~all"},
      {"_n1.google.example", "TXT", "v=spf1 ip4:198.51.100.0/25 ~all"},
      {"_n2.google.example", "TXT", "v=spf1 ip4:198.51.100.128/25 ~all"},
      {"spf.outlook.example", "TXT", "v=spf1 ip4:203.0.113.0/24 -all"},
      {"mail.list.example", "TXT", "v=spf1 ip4:192.0.2.200 -all"}};
  struct Row {
    const char *client;
    SpfResult result;
    unsigned rounds; ///< evaluations, the last with nothing missing
  };
  const Row rows[] = {{"203.0.113.7", SpfResult::pass, 4},
                      {"198.51.100.200", SpfResult::pass, 4},
                      {"192.0.2.9", SpfResult::pass, 3},
                      {"192.0.2.77", SpfResult::softfail, 4}};
  for (const Row &row : rows) {
    const auto run = check(from(row.client), zone);
    EXPECT_EQ(run.verdict.result, row.result) << row.client;
    EXPECT_EQ(run.rounds, row.rounds) << row.client;
    EXPECT_LE(run.questions.size(), 11U) << row.client;
  }
}

TEST(SpfLimits, AVerdictThatWaitsIsATemperror) {
  auth::DnsFacts facts;
  auto verdict = auth::check_spf_mail_from(from("192.0.2.1"), facts);
  EXPECT_EQ(verdict.result, SpfResult::temperror);
  EXPECT_EQ(verdict.reason, "1 DNS answers are not here yet");
  ASSERT_EQ(facts.missing().size(), 1U);
  EXPECT_EQ(facts.missing()[0], (auth::DnsQuestion{"example.com", auth::RecordType::txt}));

  const Zone zone = {{"example.com", "TXT", "v=spf1 a +all"}};
  facts.put(facts.missing()[0], answer(zone, facts.missing()[0]));
  facts.clear_missing();
  verdict = auth::check_spf_mail_from(from("192.0.2.1"), facts);
  EXPECT_EQ(verdict.result, SpfResult::temperror) << "the +all behind what is missing is no pass yet";
  EXPECT_EQ(facts.missing().size(), 1U);
}

/// A resolver that answers with failures only, at every step of an evaluation.
TEST(SpfLimits, AFailureAtAnyQuestionIsATemperrorOrChangesNothing) {
  const Zone good = {{"example.com", "TXT", "v=spf1 a mx include:i.example exists:%{i}.e.example -all exp=x.example"},
                     {"example.com", "A", "192.0.2.9"},
                     {"example.com", "MX", "1 m.example"},
                     {"m.example", "A", "192.0.2.9"},
                     {"i.example", "TXT", "v=spf1 redirect=j.example"},
                     {"j.example", "TXT", "v=spf1 ptr ?all"},
                     {"x.example", "TXT", "no: %{p}"}};
  const auto whole = check(from("192.0.2.1"), good);
  EXPECT_EQ(whole.verdict.result, SpfResult::fail);
  EXPECT_EQ(whole.verdict.explanation, "no: unknown");
  EXPECT_EQ(whole.questions.size(), 9U);
  for (const auto &broken : whole.questions) {
    auth::DnsFacts facts;
    auth::SpfVerdict verdict;
    do {
      facts.clear_missing();
      verdict = auth::check_spf_mail_from(from("192.0.2.1"), facts);
      for (const auto &question : facts.missing())
        facts.put(question, question == broken ? auth::DnsFact{} : answer(good, question));
    } while (!facts.missing().empty());
    const bool forgiven = broken.type == auth::RecordType::ptr || broken.name == "x.example";
    EXPECT_EQ(verdict.result, forgiven ? SpfResult::fail : SpfResult::temperror)
        << broken.name << ' ' << auth::to_string(broken.type);
  }
}

/// libspf2 compiles a record into 511 octets and leaves out the rest without a word: 64 networks, and no "-all".
TEST(SpfLimits, LongRecordsAreWhole) {
  std::string record = "v=spf1";
  for (int i = 0; i < 120; ++i) record += fmt::format(" ip4:198.51.100.{}", i);
  for (int i = 0; i < 60; ++i) record += fmt::format(" ip6:2001:db8::{:x}", i);
  record += " a:a.example include:i.example ?ip4:192.0.2.0/24 -all";
  ASSERT_LE(record.size(), auth::spf_record_limit);
  const Zone zone = {{"example.com", "TXT", record},
                     {"a.example", "A", "192.0.2.9"},
                     {"i.example", "TXT", "v=spf1 ip4:203.0.113.1 -all"}};
  struct Row {
    const char *client;
    const char *outcome;
  };
  const Row rows[] = {{"198.51.100.119", "pass: matched ip4:198.51.100.119 (0, 0)"},
                      {"2001:db8::3b", "pass: matched ip6:2001:db8::3b (0, 0)"},
                      {"192.0.2.9", "pass: matched a:a.example (1, 0)"},
                      {"203.0.113.1", "pass: matched include:i.example, ip4:203.0.113.1 (2, 0)"},
                      {"192.0.2.8", "neutral: matched ?ip4:192.0.2.0/24 (2, 0)"},
                      {"203.0.113.2", "fail: matched -all (2, 0)"},
                      {"2001:db8:1::", "fail: matched -all (2, 1)"}};
  for (const Row &row : rows) EXPECT_EQ(outcome_of(check(from(row.client), zone).verdict), row.outcome) << row.client;
}

TEST(SpfLimits, LibspfIsNotTrustedWithMoreThanItsRoom) {
  struct NoAnswers final : auth::SpfAnswers {
    std::optional<std::string> record(std::string_view) override { return std::nullopt; }
    std::optional<std::vector<smtp::IpAddress>> addresses(std::string_view) override {
      return std::vector<smtp::IpAddress>();
    }
    std::optional<std::vector<std::string>> hosts(std::string_view) override { return std::vector<std::string>(); }
  } answers;
  const auto client = smtp::IpAddress::parse("192.0.2.1").value();
  const auto outcome =
      auth::evaluate_with_libspf2("v=spf1" + repeat(" +ip4:203.0.113.1/32", 80) + " -all", client, answers);
  EXPECT_EQ(outcome.result, SpfResult::permerror) << "else it is neutral: the -all is lost";
  EXPECT_EQ(outcome.problem, "libspf2 cannot compile the record");
  EXPECT_EQ(auth::evaluate_with_libspf2("v=spf1 +include:1.x -all", client, answers).result, SpfResult::temperror);
  EXPECT_EQ(auth::evaluate_with_libspf2("v=spf1 +a:1.x -all", client, answers).result, SpfResult::fail);
}

TEST(SpfLimits, MacroBombsEndInTime) {
  std::string spec;
  while (spec.size() < 500) spec += "%{S}.";
  const Zone zone = {{"example.com", "TXT", "v=spf1" + repeat(" exists:" + spec + "%{d}", 7) + " -all"}};
  const auto run = check(from("192.0.2.1", std::string(256, '/') + "@example.com"), zone);
  EXPECT_EQ(run.verdict.result, SpfResult::fail) << run.verdict.reason;
  EXPECT_EQ(run.questions.size(), 1U) << "a name that passes the expansion's limit is not a name";
}

TEST(SpfLimits, ChecksRunInSeveralThreads) {
  const Zone zone = {{"example.com", "TXT", "v=spf1 a mx include:i.example -all"},
                     {"example.com", "A", "192.0.2.9"},
                     {"i.example", "TXT", "v=spf1 ip4:192.0.2.1"}};
  std::vector<SpfResult> results(4);
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < results.size(); ++i)
      threads.emplace_back([&, i] {
        for (int round = 0; round < 50; ++round)
          results[i] = check(from(i % 2 == 0 ? "192.0.2.1" : "192.0.2.2"), zone).verdict.result;
      });
  }
  EXPECT_EQ(results, (std::vector{SpfResult::pass, SpfResult::fail, SpfResult::pass, SpfResult::fail}));
}

} // namespace limits_test
