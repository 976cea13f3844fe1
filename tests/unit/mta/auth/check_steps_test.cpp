// MessageCheck in steps: the same verdicts as in one go; over its CPU budget what is not decided is policy.
#include <gtest/gtest.h>

#include "mta/auth/message_check.hpp"
#include "tests/support/dkim_fixture.hpp"

namespace check_steps_test {

/// A message with ten signatures over a header of 100 KiB, which our own index hashes.
std::string long_header() {
  std::string header = test::header;
  for (int i = 0; i < 1500; ++i) header += "X-Long: a  b\tc " + std::string(50, 'x') + " \r\n";
  std::vector<auth::SigningIdentity> identities;
  for (int i = 0; i < 10; ++i) {
    auto options = test::sign_options(i % 2 == 0 ? "rsa" : "ed");
    options.headers = {"X-Long"};
    identities.push_back({i % 2 == 0 ? test::rsa_key() : test::ed25519_key(), options});
  }
  return test::sign(header, test::body, std::move(identities)) + header;
}

struct Outcome {
  std::vector<auth::DkimVerdict> dkim;
  int turns = 0;
};

Outcome check(const std::string &section, bool stepwise, std::chrono::nanoseconds budget) {
  mta::CheckRequest request;
  request.dkim.now = test::noon;
  request.dkim.max_signatures = 20;
  request.dkim.stepwise = stepwise;
  request.cpu_budget = budget;
  mta::MessageCheck check(std::move(request));
  const auth::HeaderFields fields(section);
  Outcome outcome;
  check.header(fields);
  while (check.work()) ++outcome.turns;
  check.body(test::body);
  check.end();
  auto facts = test::key_facts();
  for (int round = 0; round < 100 && !check.advance(facts); ++round) {
    if (check.is_busy()) {
      ++outcome.turns;
      continue;
    }
    for (const auth::DnsQuestion &question : std::vector(facts.missing())) {
      auth::DnsFact nothing;
      nothing.status = smtp::DnsStatus::no_name;
      facts.put(question, nothing);
    }
    facts.clear_missing();
  }
  outcome.dkim = check.results().dkim;
  return outcome;
}

TEST(CheckSteps, GiveTheVerdictsOfOneGo) {
  const std::string section = long_header();
  const Outcome whole = check(section, false, {});
  const Outcome steps = check(section, true, std::chrono::seconds(1000));
  EXPECT_EQ(whole.turns, 0);
  EXPECT_GE(steps.turns, 10) << "each signature's header, and each four checks, are a step";
  ASSERT_EQ(whole.dkim.size(), 10U);
  ASSERT_EQ(steps.dkim.size(), 10U);
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(whole.dkim[i].result, auth::DkimResult::pass) << whole.dkim[i].reason;
    EXPECT_EQ(steps.dkim[i].result, auth::DkimResult::pass) << steps.dkim[i].reason;
    EXPECT_EQ(steps.dkim[i].bits, whole.dkim[i].bits);
  }
}

TEST(CheckSteps, OverTheBudgetASignatureIsPolicyAndNamed) {
  const Outcome none = check(long_header(), true, std::chrono::nanoseconds(1));
  ASSERT_EQ(none.dkim.size(), 10U);
  for (const auth::DkimVerdict &verdict : none.dkim) {
    EXPECT_EQ(verdict.result, auth::DkimResult::policy);
    EXPECT_EQ(verdict.domain, "example.org");
    EXPECT_EQ(verdict.reason, "the checks took more than their CPU budget of 0 ms");
  }
}

TEST(CheckSteps, ASignatureOfThousandsOfTagsIsAnErrorAtOnce) {
  std::string section = "DKIM-Signature: ";
  for (int i = 0; i < 20'000; ++i) section += "t" + std::to_string(i) + "=;\r\n ";
  const Outcome outcome = check(section + "v=1\r\n" + test::header, true, std::chrono::seconds(1000));
  ASSERT_EQ(outcome.dkim.size(), 1U);
  EXPECT_EQ(outcome.dkim[0].result, auth::DkimResult::permerror);
  EXPECT_EQ(outcome.dkim[0].reason, "more than 100 tags");
}

} // namespace check_steps_test
