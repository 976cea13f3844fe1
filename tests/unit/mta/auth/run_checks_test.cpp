// run_checks: the checks of a message against a resolver: aligned, spoofed, failing, silent, and without one.
#include "mta/auth/run_checks.hpp"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>

#include "mta/auth/dns_fetch.hpp"
#include "tests/support/fake_resolver.hpp"

namespace mta {
namespace run_checks_test {

using namespace std::chrono_literals;

CheckRequest request_of(const std::string &mail_from) {
  CheckRequest request;
  request.client = smtp::IpAddress::parse("192.0.2.1").value();
  request.helo = "mail.sender.example";
  request.mail_from = mail_from;
  request.receiver = "mx.example.org";
  request.dkim.now = 1'800'000'000;
  return request;
}

/// Runs the checks of a small message on a context of its own.
bool run(MessageCheck &check, Resolver *resolver, std::chrono::milliseconds limit = 5s,
         const std::string &from = "ann@sender.example", FactCache *cache = nullptr) {
  check.header(auth::HeaderFields("From: <" + from + ">\r\nSubject: x\r\n\r\n"));
  check.body("hello\r\n");
  check.end();
  asio::io_context context{1};
  auth::DnsFacts facts;
  std::optional<bool> settled;
  asio::co_spawn(context, run_checks(check, facts, resolver, std::chrono::steady_clock::now() + limit, cache),
                 [&](const std::exception_ptr &thrown, bool result) {
                   if (!thrown) settled = result;
                   context.stop();
                 });
  context.run();
  EXPECT_TRUE(settled.has_value());
  return settled.value_or(false);
}

test::FakeResolver &sender_zone(test::FakeResolver &dns) {
  return dns.add_txt("sender.example", "v=spf1 a:mail.sender.example -all")
      .add_txt("_dmarc.sender.example", "v=DMARC1; p=reject")
      .add_address("mail.sender.example", "192.0.2.1")
      .add_ptr("192.0.2.1", "mail.sender.example");
}

TEST(RunChecks, AnAlignedSenderPasses) {
  test::FakeResolver dns;
  sender_zone(dns);
  MessageCheck check(request_of("ann@sender.example"));
  ASSERT_TRUE(run(check, &dns));
  EXPECT_EQ(check.results().spf.mail_from.result, auth::SpfResult::pass);
  EXPECT_EQ(check.results().dmarc.result, auth::DmarcResult::pass);
  EXPECT_EQ(check.results().iprev.result, auth::IprevResult::pass);
  EXPECT_EQ(check.results().iprev.name, "mail.sender.example");
  EXPECT_EQ(check.results().arc.result, auth::ArcResult::none);
  EXPECT_TRUE(check.results().dkim.empty());
}

TEST(RunChecks, ASpoofedAuthorFails) {
  test::FakeResolver dns;
  sender_zone(dns).add_txt("evil.example", "v=spf1 ip4:192.0.2.1 -all");
  MessageCheck check(request_of("x@evil.example"));
  ASSERT_TRUE(run(check, &dns));
  EXPECT_EQ(check.results().spf.mail_from.result, auth::SpfResult::pass);
  EXPECT_EQ(check.results().dmarc.result, auth::DmarcResult::fail);
  EXPECT_EQ(check.results().dmarc.disposition, auth::DmarcPolicy::reject);
}

TEST(RunChecks, AFailingNameIsATemporaryErrorAndNeverAPass) {
  test::FakeResolver dns;
  sender_zone(dns).fail("_dmarc.sender.example");
  MessageCheck check(request_of("ann@sender.example"));
  ASSERT_TRUE(run(check, &dns));
  EXPECT_EQ(check.results().spf.mail_from.result, auth::SpfResult::pass);
  EXPECT_EQ(check.results().dmarc.result, auth::DmarcResult::temperror);
}

TEST(RunChecks, WhatTheCacheKnowsIsNotAsked) {
  test::FakeResolver dns;
  sender_zone(dns);
  FactCache cache;
  for (int message = 0; message < 3; ++message) {
    MessageCheck check(request_of("ann@sender.example"));
    ASSERT_TRUE(run(check, &dns, 5s, "ann@sender.example", &cache));
    EXPECT_EQ(check.results().spf.mail_from.result, auth::SpfResult::pass);
    EXPECT_EQ(check.results().dmarc.result, auth::DmarcResult::pass);
    EXPECT_EQ(check.results().iprev.result, auth::IprevResult::pass);
    for (const char *question : {"txt sender.example", "txt _dmarc.sender.example", "a mail.sender.example"})
      EXPECT_EQ(dns.asked(question), 1U) << question << ", message " << message;
  }
  // A failure is not kept: the next message asks again, and only for that.
  dns.fail("_dmarc.other.example");
  for (int message = 0; message < 2; ++message) {
    MessageCheck check(request_of("ann@sender.example"));
    ASSERT_TRUE(run(check, &dns, 5s, "bob@other.example", &cache));
    EXPECT_EQ(check.results().dmarc.result, auth::DmarcResult::temperror);
  }
  EXPECT_EQ(dns.asked("txt _dmarc.other.example"), 2U);
  EXPECT_EQ(dns.asked("txt sender.example"), 1U);
}

TEST(RunChecks, WithoutAResolverEverythingIsTemporary) {
  MessageCheck check(request_of("ann@sender.example"));
  ASSERT_TRUE(run(check, nullptr));
  EXPECT_EQ(check.results().spf.mail_from.result, auth::SpfResult::temperror);
  EXPECT_EQ(check.results().dmarc.result, auth::DmarcResult::temperror);
  EXPECT_EQ(check.results().iprev.result, auth::IprevResult::temperror);
}

/// Answers only when its context is gone: a dead resolver without a time limit of its own.
class SilentResolver final : public Resolver {
public:
  Task<smtp::DnsAnswer<smtp::MxRecord>> mx(std::string) override { return never<smtp::MxRecord>(); }
  Task<smtp::DnsAnswer<smtp::IpAddress>> addresses_v4(std::string) override { return never<smtp::IpAddress>(); }
  Task<smtp::DnsAnswer<smtp::IpAddress>> addresses_v6(std::string) override { return never<smtp::IpAddress>(); }
  Task<smtp::DnsAnswer<std::string>> txt(std::string) override { return never<std::string>(); }
  Task<smtp::DnsAnswer<std::string>> cname(std::string) override { return never<std::string>(); }
  Task<smtp::DnsAnswer<smtp::TlsaRecord>> tlsa(std::string) override { return never<smtp::TlsaRecord>(); }
  Task<smtp::DnsAnswer<std::string>> ptr(const smtp::IpAddress &) override { return never<std::string>(); }

private:
  template <typename Record> static Task<smtp::DnsAnswer<Record>> never() {
    asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::hours(1));
    co_await timer.async_wait(asio::use_awaitable);
    co_return smtp::DnsAnswer<Record>{};
  }
};

TEST(RunChecks, AResolverThatNeverAnswersEndsAtTheLimit) {
  SilentResolver dns;
  MessageCheck check(request_of("ann@sender.example"));
  ASSERT_TRUE(run(check, &dns, 50ms));
  EXPECT_EQ(check.results().spf.mail_from.result, auth::SpfResult::temperror);
  EXPECT_EQ(check.results().dmarc.result, auth::DmarcResult::temperror);
}

TEST(RunChecks, ADeadEndOfAliasesAndIncludesEnds) {
  test::FakeResolver dns;
  dns.add_txt("sender.example", "v=spf1 include:sender.example -all");
  for (int i = 0; i < 30; ++i)
    dns.add_txt("n" + std::to_string(i) + ".bomb.example", "v=spf1 include:n" + std::to_string(2 * i + 1) +
                                                               ".bomb.example include:n" + std::to_string(2 * i + 2) +
                                                               ".bomb.example -all");
  MessageCheck loop(request_of("ann@sender.example"));
  ASSERT_TRUE(run(loop, &dns));
  EXPECT_EQ(loop.results().spf.mail_from.result, auth::SpfResult::permerror);
  MessageCheck bomb(request_of("ann@n0.bomb.example"));
  ASSERT_TRUE(run(bomb, &dns));
  EXPECT_EQ(bomb.results().spf.mail_from.result, auth::SpfResult::permerror);
  EXPECT_LE(bomb.results().spf.mail_from.lookups, 11U);
}

TEST(RunChecks, WithoutAClientSpfIsNotEvaluated) {
  test::FakeResolver dns;
  sender_zone(dns);
  CheckRequest request = request_of("ann@sender.example");
  request.client.reset();
  MessageCheck check(std::move(request));
  ASSERT_TRUE(run(check, &dns));
  EXPECT_EQ(check.results().spf.mail_from.result, auth::SpfResult::none);
  EXPECT_EQ(check.results().dmarc.result, auth::DmarcResult::fail);
}

TEST(RunChecks, AReverseNameThatDoesNotPointBackFails) {
  test::FakeResolver dns;
  sender_zone(dns).forget("mail.sender.example").add_address("mail.sender.example", "192.0.2.77");
  MessageCheck check(request_of("ann@sender.example"));
  ASSERT_TRUE(run(check, &dns));
  EXPECT_EQ(check.results().iprev.result, auth::IprevResult::fail);
}

} // namespace run_checks_test
} // namespace mta
