// Every source of TLS policy on its way through a delivery: DANE, MTA-STS, memory, what the message asks, and who is
// told.
#include <mutex>

#include "mta/outbound/planning.hpp"
#include "smtp/base/base64.hpp"
#include "tests/unit/mta/outbound/outbound_fixture.hpp"
#include "tls/certificate.hpp"

namespace test {
namespace policy_sources_test {

using Kind = mta::RecipientResult::Kind;
using smtp::DnsTrust;

class FakePolicies final : public mta::StsPolicies {
public:
  mta::Task<policy::StsFacts> find(std::string domain) override {
    asked = domain;
    auto answer = facts;
    co_return answer;
  }
  policy::StsFacts facts;
  std::string asked;
};

class FakeMemory final : public mta::TlsRecall {
public:
  [[nodiscard]] policy::MemoryFacts recall(std::string_view) const override { return facts; }
  policy::MemoryFacts facts;
};

class Sessions final : public mta::TlsObserver {
public:
  void session(const std::shared_ptr<const mta::TlsSession> &session) override {
    const std::scoped_lock lock(mutex_);
    seen.push_back(session);
  }
  void messages(const std::shared_ptr<const mta::TlsSession> &, std::string_view domain, std::uint32_t count) override {
    const std::scoped_lock lock(mutex_);
    delivered[std::string(domain)] += count;
  }
  std::vector<std::shared_ptr<const mta::TlsSession>> seen;
  std::map<std::string, std::uint32_t> delivered;

private:
  std::mutex mutex_;
};

class PolicySources : public OutboundTest {
protected:
  PolicySources() {
    OutboundTest::sts = &policies;
    OutboundTest::memory = &remembered;
    OutboundTest::observer = &sessions;
  }

  /// partner.test with a signed MX, address and (when given) TLSA record.
  void point_secure(const SmtpFixture &server, std::optional<smtp::TlsaRecord> tlsa) {
    config.outbound.port = server.port();
    dns.add_secure_zone("partner.test")
        .add_mx("partner.test", 10, "mx.partner.test", DnsTrust::secure)
        .add_address("mx.partner.test", "127.0.0.1", DnsTrust::secure);
    if (tlsa) dns.add_tlsa(tlsa_name(server), *tlsa);
    apply_config();
  }
  static std::string tlsa_name(const SmtpFixture &server) {
    return "_" + std::to_string(server.port()) + "._tcp.mx.partner.test";
  }
  static smtp::TlsaRecord key_of(const Leaf &leaf) {
    const auto facts = tls::read_certificates(leaf.chain_file).value().front();
    return {3, 1, 1, smtp::from_base64(facts.spki_sha256).value()};
  }
  SmtpScript with(const Leaf &leaf) {
    SmtpScript script;
    script.tls = ScriptedTls::good;
    script.context = server_context(leaf);
    return script;
  }
  void remember_tls() {
    remembered.facts.known = remembered.facts.always = remembered.facts.protect = true;
    remembered.facts.rule = "portcullis.toml:1 [tls_memory] *.test";
  }
  std::map<std::string, std::string> last_attempt() { return log.events("delivery").back(); }

  FakePolicies policies;
  FakeMemory remembered;
  Sessions sessions;
};

TEST_F(PolicySources, a_key_that_a_tlsa_record_names_authenticates_whatever_the_certificate_says) {
  const Leaf leaf = issue({.names = {"nobody.knows.test"}, .ends = std::chrono::hours(-1)});
  SmtpFixture server(with(leaf));
  point_secure(server, key_of(leaf));
  EXPECT_EQ(deliver_to("you@partner.test").results.at(0).kind, Kind::delivered);
  EXPECT_EQ(last_attempt().at("tls_wanted"), "dane");
  EXPECT_EQ(last_attempt().at("tls_got"), "dane");
  ASSERT_EQ(sessions.seen.size(), 1U);
  EXPECT_EQ(sessions.seen[0]->dane.state, policy::DaneFacts::State::usable);
  EXPECT_EQ(sessions.seen[0]->fault, policy::TlsFault::none);
  EXPECT_EQ(sessions.seen[0]->name_trust, policy::NameTrust::dnssec);
  EXPECT_EQ(sessions.delivered["partner.test"], 1U);
}

TEST_F(PolicySources, another_key_than_the_tlsa_record_names_gets_nothing) {
  const Leaf leaf = issue({.names = {"mx.partner.test"}});
  SmtpFixture server(with(leaf));
  point_secure(server, smtp::TlsaRecord{3, 1, 1, std::string(32, 'x')});
  EXPECT_EQ(deliver_to("you@partner.test").results.at(0).kind, Kind::temporary);
  EXPECT_EQ(server.message_octets(), 0U);
  EXPECT_EQ(last_attempt().at("verdict"), "no_dane_match");
  ASSERT_EQ(sessions.seen.size(), 1U);
  EXPECT_TRUE(sessions.seen[0]->refused);
  EXPECT_NE(sessions.seen[0]->fault, policy::TlsFault::none);
}

// RFC 8460 section 4.3.1: "starttls-not-supported" is of who does not offer it.
TEST_F(PolicySources, starttls_that_was_offered_and_refused_or_cut_off_is_not_called_unsupported) {
  const struct {
    const char *name;
    ScriptedTls tls;
    const char *reply; ///< to STARTTLS
    policy::TlsFault fault;
  } rows[] = {
      {"not offered", ScriptedTls::absent, "", policy::TlsFault::starttls_not_supported},
      {"refused", ScriptedTls::refused, "", policy::TlsFault::validation_failure},
      {"cut off", ScriptedTls::refused, "<close>", policy::TlsFault::validation_failure},
      {"cut off in the handshake", ScriptedTls::broken, "", policy::TlsFault::validation_failure},
  };
  const smtp::TlsaRecord record{3, 1, 1, std::string(32, 'x')};
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    SmtpScript script;
    script.tls = row.tls;
    if (*row.reply != 0) script.replies["STARTTLS"] = row.reply;
    SmtpFixture server(script);
    sessions.seen.clear();
    point_secure(server, record);
    EXPECT_EQ(deliver_to("you@partner.test").results.at(0).kind, Kind::temporary);
    ASSERT_EQ(sessions.seen.size(), 1U);
    EXPECT_EQ(sessions.seen[0]->fault, row.fault) << policy::to_string(sessions.seen[0]->fault);
    EXPECT_EQ(server.message_octets(), 0U);
  }
}

TEST_F(PolicySources, what_the_partners_rule_refuses_beside_dane_is_the_partners) {
  const Leaf leaf = issue({.names = {"mx.other.test"}});
  SmtpFixture server(with(leaf));
  add_partner("partner.test", tls::Level::authenticated).outbound->trust = ca_file;
  point_secure(server, key_of(leaf));
  EXPECT_EQ(deliver_to("you@partner.test").results.at(0).kind, Kind::temporary);
  EXPECT_EQ(last_attempt().at("rule"), "TLSA of mx.partner.test");
  ASSERT_EQ(sessions.seen.size(), 1U);
  EXPECT_EQ(sessions.seen[0]->refused_by_partner, "partners.d/partner.test.toml:5 Partner partner.test [outbound]");
}

TEST_F(PolicySources, an_observing_rule_beside_dane_is_logged_by_its_own_name) {
  const Leaf leaf = issue({.names = {"mx.other.test"}});
  SmtpFixture server(with(leaf));
  auto &partner = add_partner("partner.test", tls::Level::authenticated);
  partner.outbound->trust = ca_file;
  partner.outbound->mode = policy::Mode::observe;
  point_secure(server, key_of(leaf));
  EXPECT_EQ(deliver_to("you@partner.test").results.at(0).kind, Kind::delivered);
  EXPECT_EQ(last_attempt().at("observed_rule"), "partners.d/partner.test.toml:5 Partner partner.test [outbound]");
  EXPECT_EQ(last_attempt().at("would_refuse"), "true");
  EXPECT_TRUE(sessions.seen.at(0)->refused_by_partner.empty());
}

TEST_F(PolicySources, a_session_outside_of_the_observing_rules_profile_would_be_refused) {
  const Leaf leaf = issue({.names = {"mx.partner.test"}}); // served by TLS 1.3, which suite-b-1 has not
  SmtpFixture server(with(leaf));
  point("partner.test", "mx.partner.test", server);
  auto &partner = add_partner("partner.test", tls::Level::encrypted);
  partner.outbound->mode = policy::Mode::observe;
  partner.outbound->profile = "suite-b-1";
  apply_config();
  EXPECT_EQ(deliver_to("you@partner.test").results.at(0).kind, Kind::delivered);
  EXPECT_EQ(last_attempt().at("would_refuse"), "true");
  EXPECT_NE(last_attempt().at("would_refuse_reason").find("is outside profile suite-b-1"), std::string::npos);
}

TEST_F(PolicySources, a_failed_tlsa_question_keeps_the_host_untouched) {
  SmtpFixture server(SmtpScript{});
  dns.fail(tlsa_name(server), "bogus: signature expired");
  point_secure(server, std::nullopt);
  const auto result = deliver_to("you@partner.test").results.at(0);
  EXPECT_EQ(result.kind, Kind::temporary);
  EXPECT_EQ(result.cause, mta::FailureCause::tls);
  EXPECT_NE(result.detail.find("bogus"), std::string::npos) << result.detail;
  EXPECT_EQ(server.connections(), 0U);
  ASSERT_EQ(sessions.seen.size(), 1U);
  EXPECT_TRUE(sessions.seen[0]->refused);
  EXPECT_TRUE(sessions.seen[0]->address.empty());
}

TEST_F(PolicySources, dane_is_off_when_the_configuration_says_so) {
  SmtpFixture server(SmtpScript{});
  config.outbound.dane = false;
  point_secure(server, smtp::TlsaRecord{3, 1, 1, std::string(32, 'x')});
  EXPECT_EQ(deliver_to("you@partner.test").results.at(0).kind, Kind::delivered);
  EXPECT_EQ(dns.asked("tlsa " + tlsa_name(server)), 0U);
}

TEST_F(PolicySources, an_enforced_sts_policy_demands_a_certificate_for_the_host) {
  policies.facts.state = policy::StsFacts::State::enforce;
  policies.facts.id = "1";
  policies.facts.mx = {"*.partner.test"};
  SmtpFixture server(with(issue({.names = {"mx.partner.test"}}))); // no CA that the system knows
  point("partner.test", "mx.partner.test", server);
  apply_config();
  EXPECT_EQ(deliver_to("you@partner.test").results.at(0).kind, Kind::temporary);
  EXPECT_EQ(server.message_octets(), 0U);
  EXPECT_EQ(policies.asked, "partner.test");
  EXPECT_EQ(last_attempt().at("tls_wanted"), "authenticated");
  EXPECT_EQ(last_attempt().at("verdict"), "untrusted");
}

TEST_F(PolicySources, a_host_outside_of_an_enforced_sts_policy_is_not_contacted) {
  policies.facts.state = policy::StsFacts::State::enforce;
  policies.facts.id = "1";
  policies.facts.mx = {"mx.other.test"};
  SmtpFixture server(SmtpScript{});
  point("partner.test", "mx.partner.test", server);
  apply_config();
  EXPECT_EQ(deliver_to("you@partner.test").results.at(0).kind, Kind::temporary);
  EXPECT_EQ(server.connections(), 0U);
}

TEST_F(PolicySources, a_testing_policy_is_recorded_and_mail_flows) {
  policies.facts.state = policy::StsFacts::State::testing;
  policies.facts.id = "1";
  policies.facts.mx = {"mx.partner.test"};
  SmtpFixture server(SmtpScript{});
  point("partner.test", "mx.partner.test", server);
  apply_config();
  EXPECT_EQ(deliver_to("you@partner.test").results.at(0).kind, Kind::delivered);
  EXPECT_EQ(last_attempt().at("would_refuse"), "true");
}

TEST_F(PolicySources, a_failed_policy_store_is_a_temporary_failure) {
  policies.facts.state = policy::StsFacts::State::failed;
  policies.facts.detail = "the cache cannot be read";
  SmtpFixture server(SmtpScript{});
  point("partner.test", "mx.partner.test", server);
  apply_config();
  EXPECT_EQ(deliver_to("you@partner.test").results.at(0).kind, Kind::temporary);
  EXPECT_EQ(server.connections(), 0U);
}

TEST_F(PolicySources, a_failed_look_up_lives_seconds_and_a_retry_by_hand_asks_anew) {
  policies.facts.state = policy::StsFacts::State::failed;
  SmtpFixture server(SmtpScript{});
  point("partner.test", "mx.partner.test", server);
  apply_config();
  EXPECT_EQ(deliver_to("you@partner.test").results.at(0).kind, Kind::temporary);
  policies.facts.state = policy::StsFacts::State::none;
  delivery->forget_plans(); // what `queue retry` does before it retries
  EXPECT_EQ(deliver_to("you@partner.test").results.at(0).kind, Kind::delivered);

  mta::Plan plan;
  plan.hosts.ttl = std::chrono::hours(1);
  EXPECT_EQ(mta::lifetime_of(plan), std::chrono::minutes(5));
  plan.sts.state = policy::StsFacts::State::failed;
  EXPECT_EQ(mta::lifetime_of(plan), std::chrono::seconds(5));
  mta::HostPlan host;
  host.addresses.ttl = std::chrono::hours(1);
  EXPECT_EQ(mta::lifetime_of(host), std::chrono::minutes(5));
  host.addresses.partial = true; // one family could not be asked
  EXPECT_EQ(mta::lifetime_of(host), std::chrono::seconds(5));
}

TEST_F(PolicySources, remembered_tls_of_a_protected_domain_keeps_mail_out_of_the_clear) {
  remember_tls();
  SmtpFixture server(SmtpScript{});
  point("partner.test", "mx.partner.test", server);
  apply_config();
  EXPECT_EQ(deliver_to("you@partner.test").results.at(0).kind, Kind::temporary);
  EXPECT_EQ(server.message_octets(), 0U);
  EXPECT_EQ(last_attempt().at("tls_wanted"), "encrypted");
}

TEST_F(PolicySources, what_is_remembered_after_a_plan_was_made_counts_at_once) {
  config.tls_memory.protect = {smtp::DomainPattern::parse("*.test").value()};
  SmtpFixture server(SmtpScript{});
  point("partner.test", "mx.partner.test", server);
  apply_config();
  EXPECT_EQ(deliver_to("you@partner.test").results.at(0).kind, Kind::delivered) << "nothing is remembered";
  const auto octets = server.message_octets();
  remember_tls();
  EXPECT_EQ(deliver_to("you@partner.test").results.at(0).kind, Kind::temporary);
  EXPECT_EQ(server.message_octets(), octets);
  EXPECT_EQ(last_attempt().at("tls_wanted"), "encrypted");
  remembered.facts.protect = false;
  EXPECT_EQ(deliver_to("you@partner.test").results.at(0).kind, Kind::delivered) << "released";
}

TEST_F(PolicySources, an_operator_releases_one_message_and_no_other) {
  remember_tls();
  SmtpFixture server(SmtpScript{});
  point("partner.test", "mx.partner.test", server);
  apply_config();
  EXPECT_EQ(deliver_to("you@partner.test").results.at(0).kind, Kind::temporary);
  mta::Job job = make_job({"you@partner.test"});
  auto message = std::make_shared<mta::QueuedMessage>(*job.message);
  message->tls_override = policy::OperatorOverride{tls::Level::opportunistic, "urgent", "the duty officer", {}};
  job.message = std::move(message);
  EXPECT_EQ(deliver(std::move(job)).results.at(0).kind, Kind::delivered);
  EXPECT_EQ(deliver_to("you@partner.test").results.at(0).kind, Kind::temporary);
}

TEST_F(PolicySources, requiretls_bounces_at_a_host_that_does_not_offer_it) {
  const Leaf leaf = issue({.names = {"mx.partner.test"}});
  SmtpFixture server(with(leaf));
  point_secure(server, key_of(leaf));
  mta::Job job = make_job({"you@partner.test"});
  auto message = std::make_shared<mta::QueuedMessage>(*job.message);
  message->envelope.sender.parameters.requiretls = true;
  job.message = std::move(message);
  const auto result = deliver(std::move(job)).results.at(0);
  EXPECT_EQ(result.kind, Kind::permanent);
  EXPECT_EQ(result.reply.enhanced->to_string(), "5.7.30");
  EXPECT_EQ(server.message_octets(), 0U);
}

TEST_F(PolicySources, requiretls_waits_for_what_passes) {
  config.outbound.starttls_timeout = std::chrono::seconds(1);
  const std::pair<const char *, Kind> rows[] = {{"<silent>", Kind::temporary},
                                                {"<close>", Kind::temporary},
                                                {"454 4.7.0 not now", Kind::temporary},
                                                {"502 5.5.1 never", Kind::permanent}};
  for (const auto &[answer, kind] : rows) {
    SCOPED_TRACE(answer);
    const Leaf leaf = issue({.names = {"mx.partner.test"}});
    auto script = with(leaf);
    script.replies = {{"STARTTLS", answer}};
    SmtpFixture server(std::move(script));
    for (const char *name : {"partner.test", "mx.partner.test"}) dns.forget(name);
    if (delivery) delivery->close_idle();
    point("partner.test", "mx.partner.test", server);
    dns.forget("partner.test");
    dns.add_mx("partner.test", 10, "mx.partner.test", smtp::DnsTrust::secure);
    apply_config();
    mta::Job job = make_job({"you@partner.test"});
    auto message = std::make_shared<mta::QueuedMessage>(*job.message);
    message->envelope.sender.parameters.requiretls = true;
    job.message = std::move(message);
    const auto result = deliver(std::move(job)).results.at(0);
    EXPECT_EQ(result.kind, kind) << result.detail;
    EXPECT_EQ(server.count("MAIL"), 0U);
  }
}

TEST_F(PolicySources, tls_required_no_passes_over_dane) {
  const Leaf leaf = issue({.names = {"mx.partner.test"}});
  SmtpFixture server(with(leaf));
  point_secure(server, smtp::TlsaRecord{3, 1, 1, std::string(32, 'x')});
  mta::Job job = make_job({"you@partner.test"});
  auto message = std::make_shared<mta::QueuedMessage>(*job.message);
  message->envelope.tls_optional = true;
  job.message = std::move(message);
  EXPECT_EQ(deliver(std::move(job)).results.at(0).kind, Kind::delivered);
  EXPECT_EQ(deliver_to("you@partner.test").results.at(0).kind, Kind::temporary) << "the next one is judged for itself";
}

TEST_F(PolicySources, the_sessions_of_our_tls_reports_are_not_counted) {
  SmtpFixture server(SmtpScript{});
  point("partner.test", "mx.partner.test", server);
  apply_config();
  mta::Job job = make_job({"you@partner.test"});
  auto message = std::make_shared<mta::QueuedMessage>(*job.message);
  message->envelope.is_tls_report = true;
  job.message = std::move(message);
  EXPECT_EQ(deliver(std::move(job)).results.at(0).kind, Kind::delivered);
  EXPECT_TRUE(sessions.seen.empty());
}

} // namespace policy_sources_test
} // namespace test
