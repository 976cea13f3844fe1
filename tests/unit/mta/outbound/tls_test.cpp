// What TLS a server must give before it gets a message: every fault fails closed, and the server itself counts the
// octets.
#include <cctype>

#include "tests/unit/mta/outbound/outbound_fixture.hpp"
#include "tls/certificate.hpp"

namespace test {
namespace tls_test {

using tls::Level;
using Kind = mta::RecipientResult::Kind;

/// How the receiving server is set up.
enum class Peer {
  no_tls,
  refused,
  broken,
  injecting,
  injecting_later,
  good,
  wrong_name,
  self_signed,
  expired,
  other_ca
};

struct Row {
  const char *name;
  Level wanted;
  Peer peer;
  Kind kind;
  const char *got;     ///< tls_got of the last attempt
  const char *verdict; ///< of the last attempt
  bool fallback;       ///< an event tells of it
  policy::Mode mode = policy::Mode::enforce;
  const char *would_refuse = ""; ///< with mode observe
};

constexpr Kind delivered = Kind::delivered;
constexpr Kind temporary = Kind::temporary;

const Row rows[] = {
    {"a stranger with a good certificate gets the mail over TLS", Level::opportunistic, Peer::good, delivered,
     "authenticated", "satisfied", false},
    {"a stranger with a self-signed certificate gets the mail over TLS", Level::opportunistic, Peer::self_signed,
     delivered, "encrypted", "satisfied", false},
    {"a stranger with the wrong name gets the mail over TLS", Level::opportunistic, Peer::wrong_name, delivered,
     "encrypted", "satisfied", false},
    {"a stranger with an expired certificate gets the mail over TLS", Level::opportunistic, Peer::expired, delivered,
     "encrypted", "satisfied", false},
    {"a stranger without STARTTLS gets the mail in clear", Level::opportunistic, Peer::no_tls, delivered, "none",
     "satisfied", true},
    {"a stranger that refuses STARTTLS gets the mail in clear", Level::opportunistic, Peer::refused, delivered, "none",
     "satisfied", true},
    {"a stranger whose handshake fails gets the mail in clear", Level::opportunistic, Peer::broken, delivered, "none",
     "satisfied", true},
    {"a stranger that injects octets gets nothing", Level::opportunistic, Peer::injecting, temporary, "none",
     "satisfied", false},
    {"a stranger that injects octets in a packet of their own gets nothing", Level::opportunistic,
     Peer::injecting_later, temporary, "none", "satisfied", false},
    {"encrypted accepts a self-signed certificate", Level::encrypted, Peer::self_signed, delivered, "encrypted",
     "satisfied", false},
    {"encrypted accepts the wrong name", Level::encrypted, Peer::wrong_name, delivered, "encrypted", "satisfied",
     false},
    {"encrypted keeps the mail when STARTTLS is absent", Level::encrypted, Peer::no_tls, temporary, "none",
     "not_encrypted", false},
    {"encrypted keeps the mail when STARTTLS is refused", Level::encrypted, Peer::refused, temporary, "none",
     "not_encrypted", false},
    {"encrypted keeps the mail when the handshake fails", Level::encrypted, Peer::broken, temporary, "none",
     "not_encrypted", false},
    {"encrypted keeps the mail when octets are injected", Level::encrypted, Peer::injecting, temporary, "none",
     "not_encrypted", false},
    {"authenticated accepts the right name from the trusted CA", Level::authenticated, Peer::good, delivered,
     "authenticated", "satisfied", false},
    {"authenticated keeps the mail when STARTTLS is absent", Level::authenticated, Peer::no_tls, temporary, "none",
     "not_encrypted", false},
    {"authenticated keeps the mail when STARTTLS is refused", Level::authenticated, Peer::refused, temporary, "none",
     "not_encrypted", false},
    {"authenticated keeps the mail when the handshake fails", Level::authenticated, Peer::broken, temporary, "none",
     "not_encrypted", false},
    {"authenticated keeps the mail when octets are injected", Level::authenticated, Peer::injecting, temporary, "none",
     "not_encrypted", false},
    {"authenticated keeps the mail from the wrong name", Level::authenticated, Peer::wrong_name, temporary, "encrypted",
     "wrong_name", false},
    {"authenticated keeps the mail from a self-signed certificate", Level::authenticated, Peer::self_signed, temporary,
     "encrypted", "untrusted", false},
    {"authenticated keeps the mail from an expired certificate", Level::authenticated, Peer::expired, temporary,
     "encrypted", "untrusted", false},
    {"authenticated keeps the mail from another CA", Level::authenticated, Peer::other_ca, temporary, "encrypted",
     "untrusted", false},
    {"an observing rule records the wrong name and sends", Level::authenticated, Peer::wrong_name, delivered,
     "encrypted", "satisfied", false, policy::Mode::observe, "true"},
    {"an observing rule records absent STARTTLS and sends", Level::authenticated, Peer::no_tls, delivered, "none",
     "satisfied", true, policy::Mode::observe, "true"},
    {"an observing rule records that it would be satisfied", Level::authenticated, Peer::good, delivered, "encrypted",
     "satisfied", false, policy::Mode::observe, "false"},
};

class OutboundTlsTest : public OutboundTest, public testing::WithParamInterface<Row> {
protected:
  SmtpScript script_for(Peer peer) {
    SmtpScript script;
    script.tls = ScriptedTls::good;
    switch (peer) {
    case Peer::no_tls: script.tls = ScriptedTls::absent; break;
    case Peer::refused: script.tls = ScriptedTls::refused; break;
    case Peer::broken: script.tls = ScriptedTls::broken; break;
    case Peer::injecting: script.tls = ScriptedTls::injecting; break;
    case Peer::injecting_later: script.tls = ScriptedTls::injecting_later; break;
    case Peer::good: script.context = server_context(issue({.names = {"partner.test"}})); break;
    case Peer::wrong_name: script.context = server_context(issue({.names = {"mx.partner.test"}})); break;
    case Peer::self_signed:
      script.context = server_context(self_signed({.names = {"partner.test"}}).write_to(folder, "self"));
      break;
    case Peer::expired:
      script.context = server_context(
          issue({.names = {"partner.test"}, .starts = std::chrono::hours(-48), .ends = std::chrono::hours(-24)}));
      break;
    case Peer::other_ca:
      script.context = server_context(other_ca.issue({.names = {"partner.test"}}).write_to(folder, "other"));
      break;
    }
    return script;
  }
  TestCa other_ca{"Other CA"};
};

TEST_P(OutboundTlsTest, decides) {
  const Row &row = GetParam();
  SmtpFixture server(script_for(row.peer));
  // The MX name comes from plain DNS: it proves nothing, and the certificate must be for the recipient's domain.
  point("partner.test", "mx.partner.test", server);
  auto &partner = add_partner("partner.test", row.wanted);
  partner.outbound->trust = ca_file;
  partner.outbound->mode = row.mode;
  apply_config();

  const auto result = deliver_to("someone@partner.test");

  ASSERT_EQ(result.results.size(), 1U);
  EXPECT_EQ(result.results[0].kind, row.kind) << result.results[0].detail;
  const auto attempts = log.events("delivery");
  ASSERT_FALSE(attempts.empty());
  EXPECT_EQ(attempts.back().at("tls_got"), row.got);
  EXPECT_EQ(attempts.back().at("verdict"), row.verdict);
  EXPECT_EQ(attempts.back().at("tls_wanted"),
            row.mode == policy::Mode::observe ? "opportunistic" : tls::to_string(row.wanted));
  EXPECT_EQ(log.events("tls_fallback").size(), row.fallback ? 1U : 0U);
  if (*row.would_refuse != 0) {
    EXPECT_EQ(attempts.back().at("would_refuse"), row.would_refuse);
  }
  if (row.kind == delivered) {
    ASSERT_EQ(server.messages().size(), 1U);
    EXPECT_EQ(server.messages()[0].tls, std::string_view(row.got) != "none");
    EXPECT_EQ(server.messages()[0].body, "Received: by out.example\r\nSubject: x\r\n\r\nhello\r\n");
  } else {
    // Failing closed, seen by the fixture: not an octet of the message, and not even its envelope.
    EXPECT_EQ(server.message_octets(), 0U);
    EXPECT_EQ(server.count("MAIL"), 0U);
    EXPECT_EQ(result.results[0].cause, mta::FailureCause::tls);
    EXPECT_FALSE(result.destination_failed) << "the host is well; it is this demand that it does not meet";
    EXPECT_NE(result.results[0].detail.find("wanted " + attempts.back().at("tls_wanted")), std::string::npos)
        << result.results[0].detail;
  }
}

INSTANTIATE_TEST_SUITE_P(Peers, OutboundTlsTest, testing::ValuesIn(rows), [](const auto &row) {
  std::string name = row.param.name;
  for (auto &c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return name;
});

class OutboundTlsCases : public OutboundTest {
protected:
  SmtpScript tls_script(const Leaf &leaf, bool ask_client = false) {
    SmtpScript script;
    script.tls = ScriptedTls::good;
    script.context = server_context(leaf, ask_client);
    return script;
  }
  std::string pin_of(const Leaf &leaf) { return tls::read_certificates(leaf.chain_file).value().front().spki_sha256; }
};

TEST_F(OutboundTlsCases, a_dated_exception_to_none_never_asks_for_starttls) {
  SmtpFixture server(tls_script(issue({.names = {"partner.test"}})));
  point("partner.test", "mx.partner.test", server);
  auto &partner = add_partner("partner.test", Level::authenticated);
  const auto tomorrow = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now()) + std::chrono::days(1);
  partner.exceptions.push_back({smtp::DomainPattern::parse("partner.test").value(), Level::none, "mail team",
                                "their gateway breaks", tomorrow, "partners.d/partner.test.toml:20"});
  apply_config();
  EXPECT_EQ(deliver_to("a@partner.test").results[0].kind, Kind::delivered);
  EXPECT_EQ(server.count("STARTTLS"), 0U);
  EXPECT_EQ(log.events("delivery").back().at("tls_wanted"), "none");
  EXPECT_TRUE(log.events("tls_fallback").empty()); // nothing was given up
}

TEST_F(OutboundTlsCases, an_expired_exception_lowers_nothing) {
  SmtpFixture server(SmtpScript{});
  point("partner.test", "mx.partner.test", server);
  auto &partner = add_partner("partner.test", Level::authenticated);
  const auto yesterday = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now()) - std::chrono::days(1);
  partner.exceptions.push_back({smtp::DomainPattern::parse("partner.test").value(), Level::none, "mail team",
                                "their gateway breaks", yesterday, "partners.d/partner.test.toml:20"});
  apply_config();
  EXPECT_EQ(deliver_to("a@partner.test").results[0].cause, mta::FailureCause::tls);
  EXPECT_EQ(server.message_octets(), 0U);
  EXPECT_EQ(server.count("MAIL"), 0U);
}

TEST_F(OutboundTlsCases, a_pin_that_is_in_the_chain_lets_the_mail_go) {
  const auto leaf = issue({.names = {"partner.test"}});
  SmtpFixture server(tls_script(leaf));
  point("partner.test", "mx.partner.test", server);
  auto &partner = add_partner("partner.test", Level::authenticated);
  partner.outbound->trust = ca_file;
  partner.outbound->pins = {pin_of(leaf)};
  apply_config();
  EXPECT_EQ(deliver_to("a@partner.test").results[0].kind, Kind::delivered);
}

TEST_F(OutboundTlsCases, a_pin_that_is_not_in_the_chain_keeps_the_mail) {
  const auto other = issue({.names = {"partner.test"}});
  SmtpFixture server(tls_script(issue({.names = {"partner.test"}})));
  point("partner.test", "mx.partner.test", server);
  auto &partner = add_partner("partner.test", Level::authenticated);
  partner.outbound->trust = ca_file;
  partner.outbound->pins = {pin_of(other)};
  apply_config();
  const auto result = deliver_to("a@partner.test");
  EXPECT_EQ(result.results[0].kind, Kind::temporary);
  EXPECT_EQ(log.events("delivery").back().at("verdict"), "wrong_pin");
  EXPECT_EQ(server.message_octets(), 0U);
  EXPECT_EQ(server.count("MAIL"), 0U);
}

TEST_F(OutboundTlsCases, mx_names_from_validated_dns_may_prove_the_host) {
  SmtpFixture server(tls_script(issue({.names = {"mx.partner.test"}})));
  config.outbound.port = server.port();
  dns.add_mx("partner.test", 10, "mx.partner.test", smtp::DnsTrust::secure);
  dns.add_address("mx.partner.test", "127.0.0.1");
  add_partner("partner.test", Level::authenticated).outbound->trust = ca_file;
  apply_config();
  EXPECT_EQ(deliver_to("a@partner.test").results[0].kind, Kind::delivered);
}

TEST_F(OutboundTlsCases, a_route_with_mutual_tls_shows_our_certificate_over_implicit_tls) {
  const auto ours = issue({.names = {"out.example"}, .usage = Usage::client});
  auto script = tls_script(issue({.names = {"relay.psn.test"}}), true);
  script.tls = ScriptedTls::implicit;
  SmtpFixture server(std::move(script));
  dns.add_address("relay.psn.test", "127.0.0.1");
  mta::CertificateConfig certificate;
  certificate.name = "client";
  certificate.files = {ours.chain_file, ours.key_file};
  config.certificates.push_back(certificate);
  auto &partner = add_partner("partner.test", Level::authenticated);
  partner.outbound->trust = ca_file;
  partner.outbound->route.emplace();
  partner.outbound->route->name = "psn";
  partner.outbound->route->hosts.push_back({"relay.psn.test", server.port(), 10});
  partner.outbound->route->implicit_tls = true;
  partner.outbound->route->client_certificate = "client";
  apply_config();
  const auto result = deliver_to("a@partner.test");
  EXPECT_EQ(result.results[0].kind, Kind::delivered) << result.results[0].detail;
  EXPECT_EQ(server.client_names(), std::vector<std::string>{"out.example"});
  EXPECT_EQ(server.count("STARTTLS"), 0U);
  EXPECT_EQ(dns.asked("mx partner.test"), 0U);
}

TEST_F(OutboundTlsCases, an_implicit_tls_route_never_falls_back) {
  SmtpScript plain;
  SmtpFixture server(std::move(plain));
  mta::RouteConfig route;
  route.domains.push_back(smtp::DomainPattern::parse("*").value());
  route.route.name = "smart";
  route.route.hosts.push_back({"127.0.0.1", server.port(), 10});
  route.route.implicit_tls = true;
  config.routes.push_back(route);
  apply_config();
  const auto result = deliver_to("a@anything.test");
  EXPECT_EQ(result.results[0].kind, Kind::temporary);
  EXPECT_EQ(result.results[0].cause, mta::FailureCause::tls);
  EXPECT_EQ(server.connections(), 1U);
  EXPECT_EQ(server.message_octets(), 0U);
  EXPECT_TRUE(log.events("tls_fallback").empty());
}

TEST_F(OutboundTlsCases, every_host_is_tried_with_tls_before_any_is_in_clear) {
  SmtpScript broken;
  broken.tls = ScriptedTls::broken;
  SmtpFixture first(broken);
  auto script = tls_script(issue({.names = {"elsewhere.test"}}));
  script.address = "127.0.0.2";
  script.port = first.port();
  SmtpFixture second(std::move(script));
  point("stranger.test", "mx1.stranger.test", first, "127.0.0.1", 10);
  point("stranger.test", "mx2.stranger.test", second, "127.0.0.2", 20);
  apply_config();
  const auto result = deliver_to("a@stranger.test");
  EXPECT_EQ(result.results[0].kind, Kind::delivered);
  EXPECT_EQ(result.results[0].host, "mx2.stranger.test[127.0.0.2]");
  EXPECT_EQ(first.connections(), 1U);
  EXPECT_EQ(first.count("MAIL"), 0U);
  EXPECT_TRUE(log.events("tls_fallback").empty());
}

TEST_F(OutboundTlsCases, in_clear_each_host_is_tried_once) {
  SmtpScript broken;
  broken.tls = ScriptedTls::broken;
  broken.replies = {{"MAIL", "530 5.7.0 Must issue a STARTTLS command first"}};
  SmtpFixture first(broken);
  broken.address = "127.0.0.2";
  broken.port = first.port();
  SmtpFixture second(broken);
  point("stranger.test", "mx1.stranger.test", first, "127.0.0.1", 10);
  point("stranger.test", "mx2.stranger.test", second, "127.0.0.2", 20);
  apply_config();
  const auto result = deliver_to("a@stranger.test");
  EXPECT_EQ(result.results[0].kind, Kind::temporary) << "530 is no verdict on the message";
  EXPECT_EQ(result.results[0].reply.code, 530);
  EXPECT_EQ(first.connections(), 2U); // TLS, then in clear
  EXPECT_EQ(second.connections(), 2U);
  EXPECT_EQ(log.events("tls_fallback").size(), 2U);
  EXPECT_EQ(first.message_octets() + second.message_octets(), 0U);
}

TEST_F(OutboundTlsCases, a_connection_in_clear_after_a_failed_handshake_is_not_kept) {
  SmtpScript broken;
  broken.tls = ScriptedTls::broken;
  SmtpFixture server(broken);
  point("stranger.test", "mx.stranger.test", server);
  apply_config();
  EXPECT_EQ(deliver_to("a@stranger.test").results[0].kind, Kind::delivered);
  EXPECT_EQ(deliver_to("b@stranger.test").results[0].kind, Kind::delivered);
  EXPECT_EQ(server.connections(), 4U); // TLS is tried again for the second message
  EXPECT_EQ(server.count("STARTTLS"), 2U);
}

TEST_F(OutboundTlsCases, a_failed_verdict_leads_to_the_next_host) {
  SmtpFixture bad(tls_script(issue({.names = {"elsewhere.test"}})));
  auto script = tls_script(issue({.names = {"partner.test"}}));
  script.address = "127.0.0.2";
  script.port = bad.port();
  SmtpFixture good(std::move(script));
  point("partner.test", "mx1.partner.test", bad, "127.0.0.1", 10);
  point("partner.test", "mx2.partner.test", good, "127.0.0.2", 20);
  add_partner("partner.test", Level::authenticated).outbound->trust = ca_file;
  apply_config();
  const auto result = deliver_to("a@partner.test");
  EXPECT_EQ(result.results[0].kind, Kind::delivered);
  EXPECT_EQ(result.results[0].host, "mx2.partner.test[127.0.0.2]");
  EXPECT_FALSE(result.destination_failed);
  EXPECT_EQ(bad.message_octets(), 0U);
  EXPECT_EQ(bad.count("MAIL"), 0U);
  EXPECT_EQ(log.events("delivery").size(), 2U);
}

TEST_F(OutboundTlsCases, a_kept_connection_is_not_used_for_a_stricter_requirement_after_a_reload) {
  SmtpFixture server(tls_script(self_signed({.names = {"partner.test"}}).write_to(folder, "self")));
  point("partner.test", "mx.partner.test", server);
  apply_config();
  EXPECT_EQ(deliver_to("a@partner.test").results[0].kind, Kind::delivered);
  add_partner("partner.test", Level::authenticated).outbound->trust = ca_file;
  apply_config();
  const auto octets = server.message_octets();
  const auto result = deliver_to("b@partner.test");
  EXPECT_EQ(result.results[0].kind, Kind::temporary);
  EXPECT_EQ(result.results[0].cause, mta::FailureCause::tls);
  EXPECT_EQ(server.message_octets(), octets);
  EXPECT_EQ(server.connections(), 2U);
}

} // namespace tls_test
} // namespace test
