// The resolver's truth test: what each set of answers says of the resolver, and what delivery and the log hear of it.
#include "mta/dns/truth_test.hpp"

#include <functional>
#include <string>

#include <boost/asio/co_spawn.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_resolver.hpp"
#include "tests/support/memory_log.hpp"

namespace truth_test_test {

using namespace std::chrono_literals;
using mta::TruthReport;
using smtp::DnsTrust;
using testing::IsEmpty;
using State = mta::TruthReport::State;

const mta::TruthTestConfig names{"signed.test", "unsigned.test", "bogus.test"};

/// As a validating resolver answers.
void tell_truth(test::FakeResolver &resolver) {
  for (const auto *name : {"signed.test", "unsigned.test", "bogus.test"}) resolver.forget(name);
  resolver.add_address("signed.test", "192.0.2.1", DnsTrust::secure);
  resolver.add_address("unsigned.test", "192.0.2.2");
  resolver.fail("bogus.test", "bogus: signature expired");
}

TruthReport ask(mta::Resolver &resolver) {
  mta::asio::io_context context;
  TruthReport report;
  mta::asio::co_spawn(context, mta::ask_truth(resolver, names), [&](std::exception_ptr error, TruthReport value) {
    if (error) std::rethrow_exception(error);
    report = std::move(value);
  });
  context.run();
  return report;
}

struct Row {
  const char *name;
  std::function<void(test::FakeResolver &)> change;
  State state;
  std::vector<std::string> problems;
};

TEST(TruthTest, EverySetOfAnswersHasItsMeaning) {
  const Row rows[] = {
      {"all as it must be", [](auto &) {}, State::validates, {}},
      {"the signed name has only an IPv6 address",
       [](auto &r) { r.forget("signed.test").add_address("signed.test", "2001:db8::1", DnsTrust::secure); },
       State::validates,
       {}},
      {"the unsigned name has no address",
       [](auto &r) { r.forget("unsigned.test").add_txt("unsigned.test", "x"); },
       State::validates,
       {}},
      {"a forwarder that validates says SERVFAIL to the bogus name",
       [](auto &r) { r.fail("bogus.test"); },
       State::validates,
       {}},
      {"nothing is validated",
       [](auto &r) {
         r.forget("signed.test").add_address("signed.test", "192.0.2.1");
         r.forget("bogus.test").add_address("bogus.test", "192.0.2.3");
       },
       State::does_not_validate,
       {"the signed name signed.test is not secure", "the bogus name bogus.test is answered as if it were unsigned"}},
      {"signatures are stripped on the way",
       [](auto &r) { r.fail("signed.test", "bogus: no signatures"); },
       State::bogus,
       {"the signed name signed.test is bogus: no signatures"}},
      {"everything is bogus: a wrong anchor or a wrong clock",
       [](auto &r) {
         r.fail("signed.test", "bogus: no DNSKEY");
         r.fail("unsigned.test", "bogus: no DNSKEY");
       },
       State::bogus,
       {"the signed name signed.test is bogus: no DNSKEY", "the unsigned name unsigned.test is bogus: no DNSKEY"}},
      {"the unsigned name was signed meanwhile",
       [](auto &r) { r.forget("unsigned.test").add_address("unsigned.test", "192.0.2.2", DnsTrust::secure); },
       State::unknown,
       {"the unsigned name unsigned.test is secure: name one whose zone is not signed"}},
      {"the bogus name is called secure",
       [](auto &r) { r.forget("bogus.test").add_address("bogus.test", "192.0.2.3", DnsTrust::secure); },
       State::unknown,
       {"the bogus name bogus.test has an address that validates: name one that is signed wrongly"}},
      {"the bogus name does not exist, validated",
       [](auto &r) { r.forget("bogus.test").add_secure_zone("bogus.test"); },
       State::unknown,
       {"the bogus name bogus.test does not exist, and that validates: name one that is signed wrongly"}},
      {"the bogus name has no address, validated",
       [](auto &r) {
         r.forget("bogus.test").add_secure_zone("bogus.test").add_txt("bogus.test", "x", DnsTrust::secure);
       },
       State::unknown,
       {"the bogus name bogus.test has no address, and that validates: name one that is signed wrongly"}},
      {"the bogus name does not exist, and nothing proves it",
       [](auto &r) { r.forget("bogus.test"); },
       State::does_not_validate,
       {"the bogus name bogus.test is answered as if it were unsigned"}},
      {"the signed name does not exist and nothing proves it",
       [](auto &r) { r.forget("signed.test"); },
       State::does_not_validate,
       {"the signed name signed.test is not secure"}},
      {"no network",
       [](auto &r) {
         for (const auto *name : {"signed.test", "unsigned.test", "bogus.test"}) r.fail(name, "no answer in 10 s");
       },
       State::unknown,
       {"the signed name signed.test cannot be asked for: no answer in 10 s",
        "the unsigned name unsigned.test cannot be asked for: no answer in 10 s"}},
      {"the unsigned name is gone",
       [](auto &r) { r.forget("unsigned.test"); },
       State::unknown,
       {"the unsigned name unsigned.test does not exist"}},
      {"a question without an answer does not hide a wrong one",
       [](auto &r) {
         r.forget("bogus.test").add_address("bogus.test", "192.0.2.3");
         r.fail("unsigned.test");
       },
       State::does_not_validate,
       {"the unsigned name unsigned.test cannot be asked for: SERVFAIL from the resolver",
        "the bogus name bogus.test is answered as if it were unsigned"}},
  };
  for (const Row &row : rows) {
    test::FakeResolver resolver;
    tell_truth(resolver);
    row.change(resolver);
    const auto report = ask(resolver);
    EXPECT_EQ(report.state, row.state) << row.name;
    EXPECT_EQ(report.problems, row.problems) << row.name;
  }
}

/// Rounds that follow each other without a wait, one at a time.
struct Rounds {
  test::FakeResolver resolver;
  support::MemoryLog log;
  mta::asio::io_context context;
  mta::TruthTest truth{resolver, names, log, context.get_executor(), {.good = 0ms, .other = 0ms}};

  Rounds() {
    tell_truth(resolver);
    truth.start();
  }
  void run_to(std::size_t lines) {
    while (log.lines.size() < lines) ASSERT_EQ(context.run_one(), 1U);
  }
};

TEST(TruthTest, DaneIsOffWhileTheResolverDoesNotValidate) {
  Rounds rounds;
  EXPECT_TRUE(rounds.truth.validates()) << "before the first round";
  rounds.run_to(1);
  EXPECT_EQ(rounds.log.lines.back(), "event=resolver_truth validates=true dane=on");

  rounds.resolver.forget("signed.test").add_address("signed.test", "192.0.2.1");
  rounds.run_to(2);
  EXPECT_FALSE(rounds.truth.validates());
  EXPECT_EQ(rounds.log.lines.back(),
            "event=resolver_truth validates=false dane=off problem=\"the signed name signed.test is not secure\" "
            "message=\"the resolver does not validate DNSSEC: DANE is off until it does; look at [dns]\"");

  rounds.resolver.fail("signed.test", "no answer in 10 s");
  rounds.run_to(3);
  EXPECT_FALSE(rounds.truth.validates()) << "no answer changes nothing";

  tell_truth(rounds.resolver);
  rounds.run_to(4);
  EXPECT_TRUE(rounds.truth.validates());

  rounds.resolver.fail("signed.test", "no answer in 10 s");
  rounds.run_to(5);
  EXPECT_TRUE(rounds.truth.validates()) << "who can only drop packets cannot switch DANE off";
  EXPECT_EQ(rounds.log.count({"event=resolver_truth", "validates=unknown", "dane=on"}), 1U);
}

TEST(TruthTest, ForgedAnswersDoNotSwitchDaneOff) {
  Rounds rounds;
  rounds.run_to(1);
  rounds.resolver.fail("signed.test", "bogus: signature of another key");
  rounds.run_to(2);
  EXPECT_TRUE(rounds.truth.validates()) << "it validated before";
  EXPECT_EQ(rounds.log.count({"event=resolver_truth", "validates=bogus", "dane=on",
                              "the signed name signed.test is bogus: signature of another key"}),
            1U);
  // An answer without validation is another matter, whatever else is bogus.
  rounds.resolver.forget("bogus.test").add_address("bogus.test", "192.0.2.3");
  rounds.run_to(3);
  EXPECT_FALSE(rounds.truth.validates());
  rounds.resolver.fail("bogus.test", "bogus: signature expired");
  rounds.run_to(4);
  EXPECT_FALSE(rounds.truth.validates()) << "off until a round is good";
  EXPECT_EQ(rounds.log.count({"validates=bogus", "dane=off", "DANE stays off until the resolver validates again"}), 1U);
}

TEST(TruthTest, NothingThatWasValidatedSwitchesDaneOff) {
  struct Case {
    const char *name;
    std::function<void(test::FakeResolver &)> change;
    std::string state;
  };
  const Case cases[] = {
      {"bogus from the start: a wrong anchor, or someone who forges before the first round",
       [](auto &r) { r.fail("signed.test", "bogus: no DNSKEY"); }, "validates=bogus"},
      {"the bogus name was removed", [](auto &r) { r.forget("bogus.test").add_secure_zone("bogus.test"); },
       "validates=unknown"},
      {"the bogus name was mended",
       [](auto &r) { r.forget("bogus.test").add_address("bogus.test", "192.0.2.3", DnsTrust::secure); },
       "validates=unknown"},
  };
  for (const Case &one : cases) {
    Rounds rounds;
    one.change(rounds.resolver);
    rounds.run_to(2);
    EXPECT_TRUE(rounds.truth.validates()) << one.name;
    EXPECT_EQ(rounds.log.count({"event=resolver_truth", "dane=on", one.state}), 2U) << one.name;
  }
}

TEST(TruthTest, StopEndsIt) {
  Rounds rounds;
  rounds.run_to(1);
  rounds.truth.stop();
  rounds.truth.stop();
  rounds.context.run(); // ends: nothing waits any more
  EXPECT_EQ(rounds.log.lines.size(), 1U);
}

TEST(TruthTest, StopEndsAWaitOfAnHour) {
  test::FakeResolver resolver;
  tell_truth(resolver);
  support::MemoryLog log;
  mta::asio::io_context context;
  mta::TruthTest truth(resolver, names, log, context.get_executor());
  truth.start();
  while (log.lines.empty()) ASSERT_EQ(context.run_one(), 1U);
  truth.stop();
  context.run();
  EXPECT_TRUE(truth.validates());
}

TEST(TruthTest, WithoutNamesItAsksNothing) {
  test::FakeResolver resolver;
  support::MemoryLog log;
  mta::asio::io_context context;
  mta::TruthTest truth(resolver, {}, log, context.get_executor());
  truth.start();
  context.run();
  EXPECT_TRUE(truth.validates());
  EXPECT_THAT(log.lines, IsEmpty());
}

} // namespace truth_test_test
