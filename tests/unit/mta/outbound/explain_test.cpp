// explain gives what delivery would do, by the same functions, as a value, as text and as JSON.
#include "mta/outbound/explain.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/json.hpp>

#include "mta/outbound/decision_text.hpp"
#include "tests/unit/mta/outbound/outbound_fixture.hpp"

namespace test {
namespace explain_test {

class FakePolicies final : public mta::StsPolicies {
public:
  mta::Task<policy::StsFacts> find(std::string) override {
    auto answer = facts;
    co_return answer;
  }
  policy::StsFacts facts;
};

class ExplainTest : public OutboundTest {
protected:
  FakePolicies policies;
  mta::Explanation explain(const std::string &subject) {
    apply_config();
    boost::asio::io_context context;
    std::optional<mta::Explanation> explained;
    boost::asio::co_spawn(context, mta::explain(snapshot.get(), {dns, &policies}, subject),
                          [&](std::exception_ptr error, mta::Explanation got) {
                            if (error) std::rethrow_exception(error);
                            explained = std::move(got);
                          });
    context.run();
    return explained.value();
  }
};

TEST_F(ExplainTest, a_partner_by_mx) {
  dns.add_mx("partner.test", 10, "mx.partner.test").add_address("mx.partner.test", "192.0.2.1");
  dns.add_mx("partner.test", 20, "gone.partner.test");
  add_partner("partner.test", tls::Level::authenticated).outbound->trust = ca_file;
  const auto explained = explain("partner.test");
  EXPECT_EQ(explained.route, "by MX");
  EXPECT_EQ(explained.name_trust, "none");
  ASSERT_EQ(explained.hosts.size(), 2U);
  EXPECT_EQ(explained.hosts[0].addresses, std::vector<std::string>{"192.0.2.1"});
  EXPECT_EQ(explained.hosts[1].problem, "host gone.partner.test does not exist");
  EXPECT_EQ(explained.decision().enforced.level, tls::Level::authenticated);
  EXPECT_NE(explained.summary.find("partners.d/partner.test.toml:5"), std::string::npos) << explained.summary;
  const auto text = mta::format_text(explained);
  EXPECT_NE(text.find("certificate for: partner.test"), std::string::npos) << text;
  EXPECT_NE(text.find("- host gone.partner.test does not exist"), std::string::npos) << text;
  const auto json = boost::json::parse(mta::format_json(explained)).as_object();
  EXPECT_EQ(json.at("requirement").at("level").as_string(), "authenticated");
  EXPECT_EQ(json.at("hosts").as_array().size(), 2U);
  EXPECT_TRUE(json.at("observed").is_null());
}

TEST_F(ExplainTest, says_what_delivery_then_does) {
  SmtpFixture server(SmtpScript{});
  point("partner.test", "mx.partner.test", server);
  add_partner("partner.test", tls::Level::encrypted);
  const auto explained = explain("someone@partner.test");
  deliver_to("someone@partner.test");
  const auto attempt = log.events("delivery").back();
  EXPECT_EQ(attempt.at("tls_wanted"), tls::to_string(explained.decision().enforced.level));
  EXPECT_EQ(attempt.at("rule"), explained.decision().enforced.rule);
  EXPECT_EQ(server.message_octets(), 0U);
}

TEST_F(ExplainTest, an_observing_rule_is_shown_beside_what_is_enforced) {
  dns.add_mx("partner.test", 10, "mx.partner.test").add_address("mx.partner.test", "192.0.2.1");
  add_partner("partner.test", tls::Level::encrypted).outbound->mode = policy::Mode::observe;
  const auto explained = explain("partner.test");
  EXPECT_EQ(explained.decision().enforced.level, tls::Level::opportunistic);
  EXPECT_NE(explained.summary.find("only observes"), std::string::npos) << explained.summary;
  EXPECT_NE(mta::format_text(explained).find("observed, not enforced: encrypted"), std::string::npos);
  EXPECT_EQ(boost::json::parse(mta::format_json(explained)).at("observed").at("level").as_string(), "encrypted");
}

TEST_F(ExplainTest, an_observing_rule_with_another_profile_is_probed_by_its_own) {
  dns.add_mx("partner.test", 10, "mx.partner.test").add_address("mx.partner.test", "192.0.2.1");
  auto &partner = add_partner("partner.test", tls::Level::encrypted);
  partner.outbound->mode = policy::Mode::observe;
  EXPECT_EQ(mta::make_observed_plan(*explain("partner.test").hosts[0].plan), nullptr) << "the same profile";
  partners[0].outbound->profile = "ncsc";
  const auto observed = mta::make_observed_plan(*explain("partner.test").hosts[0].plan);
  ASSERT_TRUE(observed);
  EXPECT_EQ(observed->required().profile, "ncsc");
  EXPECT_EQ(observed->context, snapshot.get()->client_context("ncsc", ""));
  EXPECT_EQ(observed->starttls, smtp::StartTlsUse::required);
  EXPECT_FALSE(observed->may_fall_back());
  config.outbound.level = tls::Level::encrypted;
  EXPECT_NE(explain("partner.test").summary.find("would demand encrypted with profile ncsc but only observes"),
            std::string::npos);
}

TEST_F(ExplainTest, a_certificate_that_counts_beside_dane_is_named) {
  dns.add_secure_zone("partner.test")
      .add_mx("partner.test", 10, "mx.partner.test", smtp::DnsTrust::secure)
      .add_address("mx.partner.test", "192.0.2.1", smtp::DnsTrust::secure)
      .add_tlsa("_25._tcp.mx.partner.test", {3, 1, 1, std::string(32, 'a')});
  add_partner("partner.test", tls::Level::authenticated).outbound->trust = ca_file;
  const auto explained = explain("partner.test");
  EXPECT_EQ(explained.decision().enforced.level, tls::Level::dane);
  const auto names = fmt::format("{}", fmt::join(explained.decision().enforced.references, ", "));
  EXPECT_NE(names.find("partner.test"), std::string::npos) << names;
  EXPECT_NE(explained.summary.find("dane at mx.partner.test and a certificate for " + names), std::string::npos)
      << explained.summary;
  const auto text = mta::format_text(explained);
  EXPECT_NE(text.find("the certificate counts as well as the TLSA records"), std::string::npos) << text;

  partners[0].outbound->mode = policy::Mode::observe;
  const auto observing = explain("partner.test");
  EXPECT_NE(observing.summary.find("would demand dane and a certificate for " + names + " but only observes"),
            std::string::npos)
      << observing.summary;
}

TEST_F(ExplainTest, an_inbound_rule_observes_until_its_day) {
  dns.add_mx("partner.test", 10, "mx.partner.test").add_address("mx.partner.test", "192.0.2.1");
  auto &inbound = add_partner("partner.test", tls::Level::encrypted).inbound.emplace();
  inbound.mode = policy::Mode::enforce;
  inbound.from = std::chrono::sys_days(std::chrono::year(2199) / 1 / 1);
  const auto explained = explain("partner.test");
  EXPECT_EQ(explained.inbound_mode, "observe");
  EXPECT_NE(mta::format_text(explained).find("inbound: encrypted (observe, enforced from 2199-01-01)"),
            std::string::npos)
      << mta::format_text(explained);
  EXPECT_EQ(boost::json::parse(mta::format_json(explained)).at("inbound").at("from").as_string(), "2199-01-01");
  partners[0].inbound->from = std::chrono::sys_days(std::chrono::year(2020) / 1 / 1);
  EXPECT_EQ(explain("partner.test").inbound_mode, "enforce");
}

TEST_F(ExplainTest, hosts_without_an_address_mean_a_bounce_or_a_wait) {
  dns.add_mx("partner.test", 10, "gone.partner.test");
  EXPECT_EQ(explain("partner.test").summary,
            "mail for partner.test bounces: 550 5.4.4 host gone.partner.test does not exist");
  dns.fail("gone.partner.test");
  EXPECT_TRUE(explain("partner.test").summary.starts_with("mail for partner.test waits: the address of gone"))
      << explain("partner.test").summary;
}

TEST_F(ExplainTest, the_absolute_form_of_a_domain_is_that_domain) {
  dns.add_mx("partner.test", 10, "mx.partner.test").add_address("mx.partner.test", "192.0.2.1");
  EXPECT_EQ(explain("partner.test.").domain, "partner.test");
  for (const char *subject : {"a..b", "user@", ".", "partner.test..", ""}) {
    EXPECT_FALSE(mta::parse_subject(subject)) << subject;
  }
}

TEST_F(ExplainTest, what_strangers_wrote_is_escaped) {
  dns.fail("partner.test", "\x1b[2J");
  auto explained = explain("partner.test");
  explained.dns_problem = "bogus: \x1b[2J\xff";
  EXPECT_NE(mta::format_text(explained).find("DNS: bogus: \\x1b[2J\\xff\n"), std::string::npos)
      << mta::format_text(explained);
  EXPECT_EQ(boost::json::parse(mta::format_json(explained)).at("dns_problem").as_string(), "bogus: \\x1b[2J\\xff");
}

TEST_F(ExplainTest, a_faulty_policy_is_said_to_be_one) {
  dns.add_mx("partner.test", 10, "mx.partner.test").add_address("mx.partner.test", "192.0.2.1");
  policies.facts.id = "1";
  policies.facts.state = policy::StsFacts::State::none;
  policies.facts.fault = policy::TlsFault::sts_policy_invalid;
  policies.facts.detail = "mode is missing";
  const auto explained = explain("partner.test");
  EXPECT_NE(mta::format_text(explained).find("MTA-STS: none, id 1, the policy is faulty (mode is missing)\n"),
            std::string::npos)
      << mta::format_text(explained);
  EXPECT_FALSE(boost::json::parse(mta::format_json(explained)).at("mta_sts").as_object().contains("fetched"));
}

TEST_F(ExplainTest, the_record_of_a_decision_is_the_same_while_the_decision_is) {
  dns.add_mx("partner.test", 10, "mx.partner.test").add_address("mx.partner.test", "192.0.2.1");
  auto plan = *explain("partner.test").hosts[0].plan;
  auto known = *plan.plan;
  const auto record = [&](std::chrono::seconds seen, bool turned) {
    known.memory.known = true;
    known.memory.last_seen = std::chrono::sys_days(std::chrono::year(2026) / 11 / 20) + seen;
    plan.plan = std::make_shared<const mta::Plan>(known);
    plan.dane.records = {{3, 1, 1, turned ? "a" : "b"}, {3, 1, 1, turned ? "b" : "a"}};
    return mta::format_decision(plan);
  };
  EXPECT_EQ(record(std::chrono::seconds(5), false), record(std::chrono::hours(23), true));
  EXPECT_NE(record(std::chrono::seconds(5), false), record(std::chrono::hours(25), false));
}

TEST_F(ExplainTest, a_route_names_its_place_and_its_hosts_are_configured) {
  mta::RouteConfig route;
  route.domains.push_back(smtp::DomainPattern::parse("*").value());
  route.route.name = "smart";
  route.route.place = "portcullis.toml:88";
  route.route.hosts.push_back({"192.0.2.9", 587, 10});
  config.routes.push_back(route);
  const auto explained = explain("anyone@anywhere.test");
  EXPECT_EQ(explained.route, "route smart (portcullis.toml:88)");
  EXPECT_EQ(explained.name_trust, "configured");
  ASSERT_EQ(explained.hosts.size(), 1U);
  EXPECT_EQ(explained.hosts[0].name, "192.0.2.9:587");
  EXPECT_EQ(dns.asked("mx anywhere.test"), 0U);
}

TEST_F(ExplainTest, dns_failures_leave_the_rules_visible) {
  add_partner("partner.test", tls::Level::encrypted);
  const auto gone = explain("partner.test");
  EXPECT_EQ(gone.dns_problem, "domain partner.test does not exist (permanent)");
  EXPECT_EQ(gone.decision().enforced.level, tls::Level::encrypted);
  dns.fail("partner.test", "bogus: signature expired");
  const auto bogus = explain("partner.test");
  EXPECT_NE(bogus.dns_problem.find("bogus: signature expired"), std::string::npos);
  EXPECT_NE(bogus.dns_problem.find("temporary"), std::string::npos);
}

TEST_F(ExplainTest, a_literal_has_no_partner) {
  const auto explained = explain("postmaster@[192.0.2.1]");
  EXPECT_EQ(explained.domain, "[192.0.2.1]");
  EXPECT_EQ(explained.route, "to the address itself");
  EXPECT_EQ(explained.decision().enforced.level, tls::Level::opportunistic);
}

TEST_F(ExplainTest, what_is_neither_domain_nor_mailbox_is_said_so) {
  for (const char *subject : {"", "-bad-.test", "a@", "@b.test", "a b@c.test", "exa mple.test"}) {
    const auto explained = explain(subject);
    EXPECT_TRUE(explained.domain.empty()) << subject;
    EXPECT_NE(explained.summary.find("is not a"), std::string::npos) << explained.summary;
    EXPECT_FALSE(mta::format_text(explained).empty());
  }
}

TEST_F(ExplainTest, recipients_of_ours_are_known_or_unknown) {
  auto domain = smtp::Domain::parse("ours.test").value();
  mta::DomainConfig ours{.domain = domain, .recipients = {}, .recipients_file = {}, .route = {}, .place = {}};
  ours.recipients.insert("known");
  config.domains.emplace("ours.test", std::move(ours));
  config.queue.postmaster = smtp::Mailbox::parse("postmaster@ours.test").value();
  dns.add_mx("ours.test", 10, "store.ours.test").add_address("store.ours.test", "192.0.2.1");
  const auto known = explain("known@ours.test");
  EXPECT_TRUE(known.local);
  EXPECT_EQ(known.recipient_state, "known");
  const auto unknown = explain("unknown@ours.test");
  EXPECT_EQ(unknown.recipient_state, "unknown: 550 5.1.1");
  EXPECT_NE(unknown.summary.find("is refused"), std::string::npos);
}

} // namespace explain_test
} // namespace test
