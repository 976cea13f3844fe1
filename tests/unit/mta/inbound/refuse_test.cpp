// What InboundServer refuses, over a real socket, and with which words.
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/inbound_fixture.hpp"

namespace refuse_test {

using support::base_config;
using support::Certificates;
using support::InboundFixture;
using support::SmtpClient;

bool contains(const std::string &text, const std::string &part) {
  return text.find(part) != std::string::npos;
}

mta::Config relay_config() {
  auto config = base_config();
  config.listeners[0].role = policy::ListenerRole::relay;
  return config;
}

std::string recipient_reply(SmtpClient &client, const std::string &recipient) {
  EXPECT_EQ(client.ask("MAIL FROM:<ann@sender.example>\r\n").substr(0, 3), "250");
  return client.ask("RCPT TO:<" + recipient + ">\r\n");
}

TEST(InboundRefuse, UnknownRecipientOfOurs) {
  InboundFixture fixture;
  SmtpClient client = fixture.greeted();
  EXPECT_EQ(recipient_reply(client, "nobody@example.org").substr(0, 9), "550 5.1.1");
  EXPECT_EQ(fixture.log.wait_for("refused").fields.at("command"), "RCPT");
}

TEST(InboundRefuse, RelayingByAStranger) {
  InboundFixture fixture;
  SmtpClient client = fixture.greeted();
  EXPECT_EQ(recipient_reply(client, "someone@elsewhere.example").substr(0, 9), "550 5.7.1");
  EXPECT_EQ(client.ask("RCPT TO:<someone@[127.0.0.1]>\r\n").substr(0, 9), "550 5.7.1");
}

// ---- who may relay

struct RelayRow {
  std::string name;
  std::function<void(mta::ListenerConfig &)> configure;
  const tls::KeyPairFiles *certificate = nullptr;
  bool encrypted = false;
  bool may = false;
};

class RelayTable : public testing::TestWithParam<RelayRow> {};

TEST_P(RelayTable, Holds) {
  const RelayRow &row = GetParam();
  auto config = relay_config();
  row.configure(config.listeners[0]);
  InboundFixture fixture(std::move(config));
  SmtpClient client = row.encrypted ? fixture.encrypted(row.certificate) : fixture.greeted();
  const std::string reply = recipient_reply(client, "someone@elsewhere.example");
  EXPECT_EQ(reply.substr(0, 9), row.may ? "250 2.1.5" : "550 5.7.1") << reply;
  EXPECT_EQ(client.ask("RCPT TO:<nobody@example.org>\r\n").substr(0, 9), "550 5.1.1");
  EXPECT_EQ(client.ask("RCPT TO:<alice@example.org>\r\n").substr(0, 9), "250 2.1.5");
}

std::string pin_of(const tls::KeyPairFiles &files) {
  return tls::read_certificates(files.certificate).value().front().spki_sha256;
}

std::vector<RelayRow> relay_rows() {
  const Certificates &made = Certificates::instance();
  const auto by_name = [&made](mta::ListenerConfig &listener) {
    listener.trusted_names = {"gateway.partner.example"};
    listener.trusted_ca = made.client.certificate;
  };
  return {
      {"an untrusted client may not relay", [](mta::ListenerConfig &) {}},
      {"a trusted network may relay in clear",
       [](mta::ListenerConfig &listener) {
         listener.trusted_networks.push_back(smtp::Network::parse("127.0.0.1").value());
       },
       nullptr, false, true},
      {"another network may not relay",
       [](mta::ListenerConfig &listener) {
         listener.trusted_networks.push_back(smtp::Network::parse("192.0.2.0/24").value());
       }},
      {"a certificate with the name and from the CA may relay", by_name, &made.client, true, true},
      {"a certificate with the name but from elsewhere may not relay", by_name, &made.stranger, true, false},
      {"a certificate with another name may not relay", by_name, &made.other, true, false},
      {"TLS without a certificate may not relay", by_name, nullptr, true, false},
      {"no TLS may not relay where a certificate is wanted", by_name},
      {"a name without a CA to lead to trusts nobody",
       [](mta::ListenerConfig &listener) { listener.trusted_names = {"gateway.partner.example"}; }, &made.client, true,
       false},
      {"a pinned certificate may relay",
       [&made](mta::ListenerConfig &listener) { listener.trusted_pins = {pin_of(made.client)}; }, &made.client, true,
       true},
      {"a pin of another key may not relay",
       [&made](mta::ListenerConfig &listener) { listener.trusted_pins = {pin_of(made.client)}; }, &made.stranger, true,
       false},
      {"the mx role trusts no network",
       [](mta::ListenerConfig &listener) {
         listener.role = policy::ListenerRole::mx;
         listener.trusted_networks.push_back(smtp::Network::parse("127.0.0.1").value());
       }},
  };
}

template <typename Row> std::string name_of(const testing::TestParamInfo<Row> &row) {
  std::string name;
  for (const char c : row.param.name) name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Rows, RelayTable, testing::ValuesIn(relay_rows()), name_of<RelayRow>);

// ---- closed listeners

struct ClosedRow {
  std::string name;
  std::function<void(mta::ListenerConfig &)> configure;
  const tls::KeyPairFiles *certificate = nullptr;
  bool encrypted = false;
  std::string reply; ///< how the reply to MAIL begins
  std::string words; ///< in it
};

class ClosedTable : public testing::TestWithParam<ClosedRow> {};

TEST_P(ClosedTable, Holds) {
  const ClosedRow &row = GetParam();
  auto config = base_config();
  row.configure(config.listeners[0]);
  InboundFixture fixture(std::move(config));
  SmtpClient client = row.encrypted ? fixture.encrypted(row.certificate) : fixture.greeted();
  for (const char *sender : {"<ann@sender.example>", "<>"}) {
    const std::string reply = client.ask("MAIL FROM:" + std::string(sender) + "\r\n");
    EXPECT_EQ(reply.substr(0, row.reply.size()), row.reply) << sender << ": " << reply;
    EXPECT_TRUE(contains(reply, row.words)) << reply;
    client.ask("RSET\r\n");
  }
  EXPECT_EQ(client.ask("NOOP\r\n").substr(0, 3), "250");
}

std::vector<ClosedRow> closed_rows() {
  const Certificates &made = Certificates::instance();
  const auto demand = [](mta::ListenerConfig &listener) {
    listener.require_tls = true;
    listener.require_client_certificate = true;
  };
  const auto by_name = [&made, demand](mta::ListenerConfig &listener) {
    demand(listener);
    listener.required_names = {"gateway.partner.example"};
    listener.required_ca = made.client.certificate;
  };
  const auto by_authority = [&made, demand](mta::ListenerConfig &listener) {
    demand(listener);
    listener.required_ca = made.client.certificate;
  };
  const auto by_pin = [&made, demand](mta::ListenerConfig &listener) {
    demand(listener);
    listener.required_pins = {pin_of(made.client)};
  };
  const auto tls_only = [](mta::ListenerConfig &listener) { listener.require_tls = true; };
  return {
      {"clear text where TLS is required", tls_only, nullptr, false, "530 5.7.0", "STARTTLS"},
      {"TLS where it is required", tls_only, nullptr, true, "250", ""},
      {"clear text where a certificate is required", by_name, nullptr, false, "530 5.7.0", "STARTTLS"},
      {"no certificate where one is required", by_name, nullptr, true, "550 5.7.1", "none was shown"},
      {"the right certificate", by_name, &made.client, true, "250", ""},
      {"the right name from elsewhere", by_name, &made.stranger, true, "550 5.7.1", "not trusted"},
      {"another name", by_name, &made.other, true, "550 5.7.1", "none of the names required (gateway.partner.example)"},
      {"any name of the CA", by_authority, &made.client, true, "250", ""},
      {"a certificate that the CA has not issued", by_authority, &made.other, true, "550 5.7.1", "not trusted"},
      {"a pinned key", by_pin, &made.client, true, "250", ""},
      {"another key", by_pin, &made.stranger, true, "550 5.7.1", "not among those required"},
  };
}

INSTANTIATE_TEST_SUITE_P(Rows, ClosedTable, testing::ValuesIn(closed_rows()), name_of<ClosedRow>);

TEST(InboundRefuse, APartnerRuleHoldsForItsListenersOnly) {
  for (const char *listener : {"test", "another"}) {
    auto config = base_config();
    policy::Partner partner;
    partner.name = "Partner";
    partner.domains.push_back(smtp::DomainPattern::parse("partner.example").value());
    policy::InboundRule rule;
    rule.level = tls::Level::encrypted;
    rule.listeners = {listener};
    partner.inbound = rule;
    std::vector<policy::Partner> partners;
    partners.push_back(std::move(partner));
    config.partners = policy::PartnerTable::build(std::move(partners)).value();
    InboundFixture fixture(std::move(config));
    SmtpClient client = fixture.greeted();
    EXPECT_EQ(client.ask("MAIL FROM:<bob@partner.example>\r\n").substr(0, 3),
              std::string(listener) == "test" ? "550" : "250");
  }
}

TEST(InboundRefuse, ASenderWithoutDomainIsCompletedOnARelayListenerOnly) {
  auto config = relay_config();
  config.listeners[0].trusted_networks.push_back(smtp::Network::parse("127.0.0.1").value());
  config.server.origin = "hosts.example.org";
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.greeted();
  EXPECT_EQ(client.ask("MAIL FROM:<root>\r\n").substr(0, 3), "250");
  EXPECT_EQ(client.ask("RCPT TO:<root>\r\n").substr(0, 3), "501") << "the origin is not a domain of ours";
  EXPECT_EQ(client.ask("RCPT TO:<alice@example.org>\r\n").substr(0, 3), "250");
  client.ask("DATA\r\n");
  EXPECT_EQ(client.ask("Subject: x\r\n\r\ny\r\n.\r\n").substr(0, 3), "250");
  EXPECT_EQ(fixture.submitted().at(0)->envelope.sender.path.to_string(), "<root@hosts.example.org>");
  InboundFixture outside;
  SmtpClient stranger = outside.greeted();
  EXPECT_EQ(stranger.ask("MAIL FROM:<root>\r\n").substr(0, 3), "501");
}

// ---- inbound partner rules

struct PartnerRow {
  std::string name;
  policy::Mode mode = policy::Mode::enforce;
  tls::Level level = tls::Level::encrypted;
  policy::OnFailure on_failure = policy::OnFailure::reject;
  bool encrypted = false;
  const tls::KeyPairFiles *certificate = nullptr;
  std::string reply;     ///< how the reply to MAIL begins
  bool recorded = false; ///< event=inbound_policy
};

class PartnerTable : public testing::TestWithParam<PartnerRow> {};

TEST_P(PartnerTable, Holds) {
  const PartnerRow &row = GetParam();
  auto config = base_config();
  policy::Partner partner;
  partner.name = "Partner";
  partner.domains.push_back(smtp::DomainPattern::parse("partner.example").value());
  policy::InboundRule rule;
  rule.mode = row.mode;
  rule.level = row.level;
  rule.names = {"gateway.partner.example"};
  rule.trust = Certificates::instance().client.certificate;
  rule.on_failure = row.on_failure;
  rule.place = "partners.d/partner.toml:3";
  partner.inbound = rule;
  std::vector<policy::Partner> partners;
  partners.push_back(std::move(partner));
  config.partners = policy::PartnerTable::build(std::move(partners)).value();
  InboundFixture fixture(std::move(config));
  SmtpClient client = row.encrypted ? fixture.encrypted(row.certificate) : fixture.greeted();
  const std::string reply = client.ask("MAIL FROM:<bob@partner.example>\r\n");
  EXPECT_EQ(reply.substr(0, row.reply.size()), row.reply) << reply;
  EXPECT_EQ(fixture.log.count("inbound_policy"), row.recorded ? 1U : 0U);
  if (row.recorded) {
    const auto event = fixture.log.wait_for("inbound_policy");
    EXPECT_EQ(event.fields.at("mode"), row.mode == policy::Mode::observe ? "observe" : "enforce");
    EXPECT_FALSE(event.fields.at("reason").empty());
  }
  // A stranger is not touched by the rule.
  client.ask("RSET\r\n");
  EXPECT_EQ(client.ask("MAIL FROM:<ann@sender.example>\r\n").substr(0, 3), "250");
}

std::vector<PartnerRow> partner_rows() {
  using policy::Mode;
  using policy::OnFailure;
  using tls::Level;
  const Certificates &made = Certificates::instance();
  return {
      {"encrypted enforced: clear text is rejected", Mode::enforce, Level::encrypted, OnFailure::reject, false, nullptr,
       "550 5.7.", true},
      {"encrypted enforced: clear text is deferred", Mode::enforce, Level::encrypted, OnFailure::defer, false, nullptr,
       "450 4.7.", true},
      {"encrypted enforced: TLS without a certificate passes", Mode::enforce, Level::encrypted, OnFailure::reject, true,
       nullptr, "250 ", false},
      {"encrypted observed: clear text passes and is recorded", Mode::observe, Level::encrypted, OnFailure::reject,
       false, nullptr, "250 ", true},
      {"authenticated enforced: clear text is rejected", Mode::enforce, Level::authenticated, OnFailure::reject, false,
       nullptr, "550 5.7.", true},
      {"authenticated enforced: TLS without a certificate is rejected", Mode::enforce, Level::authenticated,
       OnFailure::reject, true, nullptr, "550 5.7.", true},
      {"authenticated enforced: the right name from another CA is rejected", Mode::enforce, Level::authenticated,
       OnFailure::reject, true, &made.stranger, "550 5.7.", true},
      {"authenticated enforced: another name is rejected", Mode::enforce, Level::authenticated, OnFailure::reject, true,
       &made.other, "550 5.7.", true},
      {"authenticated enforced: the partner's certificate passes", Mode::enforce, Level::authenticated,
       OnFailure::reject, true, &made.client, "250 ", false},
      {"authenticated observed: no certificate passes and is recorded", Mode::observe, Level::authenticated,
       OnFailure::reject, true, nullptr, "250 ", true},
      {"authenticated observed: the partner's certificate is not recorded", Mode::observe, Level::authenticated,
       OnFailure::defer, true, &made.client, "250 ", false},
  };
}

INSTANTIATE_TEST_SUITE_P(Rows, PartnerTable, testing::ValuesIn(partner_rows()), name_of<PartnerRow>);

TEST(InboundRefuse, TheVerifiedCertificateIsNamedInTheTrace) {
  auto config = relay_config();
  config.listeners[0].trusted_names = {"gateway.partner.example"};
  config.listeners[0].trusted_ca = Certificates::instance().client.certificate;
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.encrypted(&Certificates::instance().client);
  EXPECT_EQ(recipient_reply(client, "someone@elsewhere.example").substr(0, 3), "250");
  client.ask("DATA\r\n");
  EXPECT_EQ(client.ask("Subject: x\r\n\r\ny\r\n.\r\n").substr(0, 3), "250");
  const auto submitted = fixture.submitted();
  ASSERT_EQ(submitted.size(), 1U);
  EXPECT_TRUE(contains(submitted[0]->envelope.trace, "gateway.partner.example")) << submitted[0]->envelope.trace;
  EXPECT_TRUE(contains(submitted[0]->envelope.tls_in, " authenticated")) << submitted[0]->envelope.tls_in;
  EXPECT_EQ(fixture.log.wait_for("tls").fields.at("verified"), "true");
}

// ---- before and around TLS

TEST(InboundRefuse, EarlyTalkerBeforeTheGreeting) {
  auto config = base_config();
  config.listeners[0].greeting_delay = std::chrono::seconds(20); // ends as soon as the client talks
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.connect();
  ASSERT_TRUE(client.send("EHLO client.example\r\n"));
  EXPECT_EQ(client.reply().substr(0, 9), "554 5.5.1");
  EXPECT_TRUE(client.is_closed());
}

TEST(InboundRefuse, AClientThatWaitsThroughTheGreetingDelayIsGreeted) {
  auto config = base_config();
  config.listeners[0].greeting_delay = std::chrono::milliseconds(150);
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.connect();
  EXPECT_EQ(client.reply().substr(0, 3), "220");
  EXPECT_EQ(client.ask("EHLO client.example\r\n").substr(0, 3), "250");
}

TEST(InboundRefuse, EarlyTalkersAreServedWhenTheSwitchIsOff) {
  auto config = base_config();
  config.listeners[0].greeting_delay = std::chrono::seconds(20);
  config.listeners[0].refuse_early_talkers = false;
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.connect();
  ASSERT_TRUE(client.send("EHLO client.example\r\n"));
  EXPECT_EQ(client.reply().substr(0, 3), "220");
  EXPECT_EQ(client.reply().substr(0, 3), "250");
}

TEST(InboundRefuse, CommandsInClearBehindStartTlsAreNeverDone) {
  InboundFixture fixture;
  SmtpClient client = fixture.greeted();
  ASSERT_TRUE(client.send("STARTTLS\r\nMAIL FROM:<ann@sender.example>\r\n"));
  const std::string reply = client.reply();
  EXPECT_TRUE(reply.empty() || reply.front() == '5' || reply.substr(0, 3) == "220") << reply;
  if (reply.substr(0, 3) == "220") {
    EXPECT_FALSE(client.start_tls());
  } else {
    EXPECT_TRUE(client.is_closed());
  }
  EXPECT_EQ(fixture.log.wait_for("disconnect").fields.at("accepted"), "0");
  EXPECT_EQ(fixture.spool.begun(), 0U);
}

TEST(InboundRefuse, GarbageInsteadOfAHandshakeEndsTheSession) {
  InboundFixture fixture;
  SmtpClient client = fixture.greeted();
  ASSERT_EQ(client.ask("STARTTLS\r\n").substr(0, 3), "220");
  ASSERT_TRUE(client.send("MAIL FROM:<ann@sender.example>\r\n"));
  EXPECT_FALSE(fixture.log.wait_for("tls_failed").fields.at("reason").empty());
  EXPECT_TRUE(contains(fixture.log.wait_for("disconnect").fields.at("reason"), "tls handshake"));
}

TEST(InboundRefuse, AHandshakeThatNeverComesTimesOut) {
  mta::InboundOptions options;
  options.handshake_timeout = std::chrono::milliseconds(200);
  InboundFixture fixture(base_config(), options);
  SmtpClient client = fixture.greeted();
  ASSERT_EQ(client.ask("STARTTLS\r\n").substr(0, 3), "220");
  fixture.log.wait_for("tls_failed");
  EXPECT_TRUE(client.is_closed());
}

// ---- the message itself

std::string message_reply(SmtpClient &client, const std::string &message) {
  client.ask("MAIL FROM:<ann@sender.example>\r\n");
  client.ask("RCPT TO:<alice@example.org>\r\n");
  EXPECT_EQ(client.ask("DATA\r\n").substr(0, 3), "354");
  return client.ask(message + ".\r\n");
}

TEST(InboundRefuse, AHeaderSectionOverItsLimit) {
  auto config = base_config();
  config.limits.smtp.header_size = 1000;
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.greeted();
  std::string header;
  for (int i = 0; i < 40; ++i) header += "X-Field: twenty-six octets.\r\n";
  const std::string reply = message_reply(client, header + "\r\nbody\r\n");
  EXPECT_EQ(reply.substr(0, 3), "552") << reply;
  EXPECT_TRUE(contains(reply, "1000")) << reply;
  EXPECT_EQ(message_reply(client, "Subject: small\r\n\r\nbody\r\n").substr(0, 3), "250") << "the session goes on";
  EXPECT_EQ(fixture.spool.stored().size(), 1U);
  EXPECT_EQ(fixture.submitted().size(), 1U);
}

TEST(InboundRefuse, AMailLoop) {
  auto config = base_config();
  config.limits.smtp.received_hops = 3;
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.greeted();
  const std::string hop = "Received: from a by b; Sun, 22 Nov 2026 03:39:00 +0000\r\n";
  const std::string reply = message_reply(client, hop + hop + hop + hop + "\r\nbody\r\n");
  EXPECT_EQ(reply.substr(0, 9), "554 5.4.6") << reply;
  EXPECT_TRUE(contains(reply, "limit is 3")) << reply;
  EXPECT_EQ(message_reply(client, hop + hop + hop + "\r\nbody\r\n").substr(0, 3), "250");
}

// ---- connections

TEST(InboundRefuse, TheConnectionOverTheLimitPerAddress) {
  auto config = base_config();
  config.limits.connections_per_address = 2;
  InboundFixture fixture(std::move(config));
  SmtpClient first = fixture.greeted();
  SmtpClient second = fixture.greeted();
  SmtpClient third = fixture.connect();
  const std::string reply = third.reply();
  EXPECT_EQ(reply.substr(0, 9), "421 4.7.0") << reply;
  EXPECT_TRUE(contains(reply, "limit is 2")) << reply;
  EXPECT_TRUE(third.is_closed());
  SmtpClient neighbour = fixture.connect("127.0.0.9");
  EXPECT_EQ(neighbour.reply().substr(0, 3), "220");
  first.ask("QUIT\r\n");
  fixture.log.wait_for("disconnect");
  // The place is given back right after that line.
  while (fixture.server().status().sessions > 2) std::this_thread::yield();
  SmtpClient again = fixture.connect();
  EXPECT_EQ(again.reply().substr(0, 3), "220");
}

TEST(InboundRefuse, ConnectionsInTotalPerNetworkAndPerMinute) {
  struct Row {
    const char *name;
    void (*configure)(mta::LimitConfig &);
    const char *words;
  };
  for (const Row &row :
       {Row{"in total", [](mta::LimitConfig &limits) { limits.connections = 1; }, "limit is 1"},
        Row{"per network", [](mta::LimitConfig &limits) { limits.connections_per_network = 1; }, "127.0.0.0/24"},
        Row{"per minute", [](mta::LimitConfig &limits) { limits.connection_rate = 1; }, "minute"}}) {
    auto config = base_config();
    row.configure(config.limits);
    InboundFixture fixture(std::move(config));
    SmtpClient first = fixture.greeted();
    SmtpClient second = fixture.connect();
    const std::string reply = second.reply();
    EXPECT_EQ(reply.substr(0, 9), "421 4.7.0") << row.name;
    EXPECT_TRUE(contains(reply, row.words)) << row.name << ": " << reply;
  }
}

TEST(InboundRefuse, NewSessionsOverTheMemoryBudget) {
  auto config = base_config();
  config.server.memory_budget = 1;
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.connect();
  const std::string reply = client.reply();
  EXPECT_EQ(reply.substr(0, 9), "421 4.3.2");
  EXPECT_TRUE(contains(reply, "memory")) << reply;
  EXPECT_TRUE(client.is_closed());
}

std::uint64_t resident_octets() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t size = 0, pages = 0;
  file >> size >> pages;
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

TEST(InboundRefuse, RecipientsOverTheMemoryBudget) {
  constexpr std::uint64_t room = 16'777'216;
  { // what the first server takes stays with the process
    InboundFixture warm;
    (void)warm.greeted();
  }
  auto config = base_config();
  config.limits.smtp.recipients = 40'000;
  config.limits.smtp.text_line = 2'000;
  config.server.memory_budget = (resident_octets() + room) / 7 * 8;
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.greeted();
  EXPECT_EQ(client.ask("MAIL FROM:<ann@sender.example>\r\n").substr(0, 3), "250");
  const std::string command = "RCPT TO:<alice@example.org> ORCPT=rfc822;" + std::string(480, 'q') + "\r\n";
  std::string hundred;
  for (int i = 0; i < 100; ++i) hundred += command;
  std::size_t accepted = 0;
  std::string refusal;
  for (int round = 0; round < 400 && refusal.empty(); ++round) {
    ASSERT_TRUE(client.send(hundred));
    for (int i = 0; i < 100; ++i) {
      const std::string reply = client.reply();
      if (reply.starts_with("250"))
        ++accepted;
      else
        refusal = reply;
    }
  }
  EXPECT_EQ(refusal.substr(0, 9), "452 4.3.1") << refusal;
  EXPECT_TRUE(contains(refusal, "memory for recipients is used up, limit is ")) << refusal;
  EXPECT_GT(accepted, 1'000U);
  EXPECT_EQ(fixture.log.wait_for("resource_refusal").fields.at("reason"), "memory");
  // What was accepted is delivered, and what it held is given back.
  EXPECT_EQ(client.ask("DATA\r\n").substr(0, 3), "354");
  EXPECT_EQ(client.ask("From: <ann@sender.example>\r\n\r\nx\r\n.\r\n").substr(0, 3), "250");
}

/// A chain of so many certificates: the client's own, and the same other one again and again.
tls::KeyPairFiles padded_chain(const ::test::TempFolder &folder, int certificates) {
  const auto read = [](const std::string &path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const Certificates &made = Certificates::instance();
  std::string chain = read(made.client.certificate);
  for (int i = 1; i < certificates; ++i) chain += read(made.other.certificate);
  return {.certificate = folder.write("chain" + std::to_string(certificates) + ".pem", chain), .key = made.client.key};
}

TEST(InboundRefuse, AClientsChainIsShort) {
  const ::test::TempFolder folder;
  for (const int certificates : {1, 10, 11, 71}) {
    SCOPED_TRACE(certificates);
    InboundFixture fixture;
    SmtpClient client = fixture.greeted();
    EXPECT_EQ(client.ask("STARTTLS\r\n").substr(0, 3), "220");
    const tls::KeyPairFiles files = padded_chain(folder, certificates);
    const bool shaken = client.start_tls(&files); // TLS 1.3: our verdict comes later
    if (certificates <= 10) {
      ASSERT_TRUE(shaken);
      EXPECT_EQ(client.ask("EHLO client.example\r\n").substr(0, 3), "250");
      EXPECT_EQ(fixture.log.wait_for("tls").fields.at("certificate"), "gateway.partner.example");
      client.ask("MAIL FROM:<ann@sender.example>\r\n");
      client.ask("RCPT TO:<alice@example.org>\r\n");
      client.ask("DATA\r\n");
      EXPECT_EQ(client.ask("From: <ann@sender.example>\r\n\r\nx\r\n.\r\n").substr(0, 3), "250");
      ASSERT_EQ(fixture.submitted().size(), 1U);
      // Nothing of them is kept, but for the name.
      EXPECT_TRUE(contains(fixture.submitted()[0]->envelope.trace, "gateway.partner.example"));
    } else {
      EXPECT_TRUE(!shaken || client.ask("EHLO client.example\r\n").empty());
      EXPECT_TRUE(contains(fixture.log.wait_for("tls_failed").fields.at("reason"), "limit is "));
    }
  }
}

TEST(InboundRefuse, UnknownRecipientsAfterTheTenthAreAnsweredLaterEach) {
  mta::InboundOptions options;
  options.recipient_delay = std::chrono::milliseconds(100);
  for (const bool trusted : {false, true}) {
    auto config = base_config();
    if (trusted) config.limits.exempt_networks.push_back(smtp::Network::parse("127.0.0.0/8").value());
    InboundFixture fixture(std::move(config), options);
    SmtpClient client = fixture.greeted();
    std::string all = "MAIL FROM:<ann@sender.example>\r\n";
    for (int i = 0; i < 20; ++i) all += "RCPT TO:<nobody@example.org>\r\n";
    const auto begun = std::chrono::steady_clock::now();
    ASSERT_TRUE(client.send(all));
    EXPECT_EQ(client.reply().substr(0, 3), "250");
    for (int i = 0; i < 20; ++i) EXPECT_EQ(client.reply().substr(0, 9), "550 5.1.1");
    const auto took = std::chrono::steady_clock::now() - begun;
    if (!trusted) {
      EXPECT_GE(took, std::chrono::milliseconds(950)) << "ten of them waited";
    }
    EXPECT_EQ(client.ask("RCPT TO:<alice@example.org>\r\n").substr(0, 3), "250");
  }
}

TEST(InboundRefuse, AFloodOfRefusalsMakesFewLines) {
  auto config = base_config();
  config.limits.smtp.errors = 5;
  config.limits.smtp.refused_recipients = 50;
  mta::InboundOptions options;
  options.recipient_delay = std::chrono::milliseconds(1);
  InboundFixture fixture(std::move(config), options);
  SmtpClient client = fixture.greeted();
  std::string all = "MAIL FROM:<ann@sender.example>\r\n";
  for (int i = 0; i < 500; ++i) all += "RCPT TO:<nobody@example.org>\r\n";
  client.send(all);
  fixture.log.wait_for("disconnect");
  EXPECT_LE(fixture.log.count("refused"), 5U);
}

// ---- what the log says of a refusal

struct LoggedRow {
  const char *name;
  std::function<void(mta::Config &)> configure;
  std::vector<std::string> commands; ///< the last is refused
  mta::LogLevel level;
  std::map<std::string, std::string> fields; ///< empty value: the field is not there
};

void restricted_to_app(mta::Config &config) {
  config.listeners[0].role = policy::ListenerRole::relay;
  config.listeners[0].trusted_networks.push_back(smtp::Network::parse("127.0.0.0/8").value());
  policy::AllowedSenders block;
  block.networks.push_back(smtp::Network::parse("127.0.0.0/8").value());
  block.senders = {policy::SenderPattern::parse("app@ours.example").value()};
  config.listeners[0].allowed_senders.push_back(std::move(block));
}

const std::string mail = "MAIL FROM:<ann@sender.example>\r\n", rcpt = "RCPT TO:<alice@example.org>\r\n";

const std::vector<LoggedRow> logged_rows = {
    {"an unknown recipient",
     {},
     {mail, "RCPT TO:<nobody@example.org>\r\n"},
     mta::LogLevel::info,
     {{"command", "RCPT"}, {"from", "<ann@sender.example>"}, {"to", "<nobody@example.org>"}, {"line", ""}}},
    {"a recipient that is not an address",
     {},
     {mail, "RCPT TO:<a@b@example.org>\r\n"},
     mta::LogLevel::info,
     {{"command", "RCPT"},
      {"from", "<ann@sender.example>"},
      {"to", "a@b@example.org"},
      {"line", "RCPT TO:<a@b@example.org>"}}},
    {"one recipient too many",
     [](auto &config) { config.limits.smtp.recipients = 1; },
     {mail, rcpt, "RCPT TO:<bob@example.org>\r\n"},
     mta::LogLevel::info,
     {{"command", "RCPT"},
      {"from", "<ann@sender.example>"},
      {"to", "bob@example.org"},
      {"line", "RCPT TO:<bob@example.org>"}}},
    {"a recipient before MAIL",
     {},
     {rcpt},
     mta::LogLevel::info,
     {{"command", "RCPT"}, {"from", ""}, {"to", "alice@example.org"}, {"line", "RCPT TO:<alice@example.org>"}}},
    {"a sender that is not an address",
     {},
     {"MAIL FROM:<ann@@sender.example> SIZE=3\r\n"},
     mta::LogLevel::info,
     {{"command", "MAIL"},
      {"from", "<ann@@sender.example>"},
      {"to", ""},
      {"line", "MAIL FROM:<ann@@sender.example> SIZE=3"}}},
    {"what is not a command",
     {},
     {"XSECRET hunter2 hunter2 hunter2 hunter2\r\n"},
     mta::LogLevel::info,
     {{"command", ""}, {"line", ""}}},
    {"credentials",
     {},
     {"AUTH PLAIN AGFubgBodW50ZXIy\r\n"},
     mta::LogLevel::info,
     {{"command", "AUTH"}, {"line", "AUTH"}}},
    {"a chunk out of sequence",
     {},
     {"BDAT 3 LAST\r\nabc"},
     mta::LogLevel::info,
     {{"command", "BDAT"}, {"line", "BDAT 3 LAST"}}},
    {"a message that is too big",
     [](auto &config) { config.limits.smtp.message_size = 10; },
     {mail, rcpt, "DATA\r\n", "more than ten octets\r\n.\r\n"},
     mta::LogLevel::info,
     {{"command", "message"}, {"from", "<ann@sender.example>"}, {"to", "alice@example.org"}, {"line", ""}}},
    {"a NUL",
     {},
     {mail, rcpt, "DATA\r\n", std::string("a\0b\r\n.\r\n", 8)},
     mta::LogLevel::info,
     {{"command", "message"}, {"to", "alice@example.org"}}},
    {"a listener that demands TLS",
     [](auto &config) { config.listeners[0].require_tls = true; },
     {mail},
     mta::LogLevel::warning,
     {{"command", "MAIL"}, {"from", "<ann@sender.example>"}}},
    {"a sender that is not the client's",
     restricted_to_app,
     {mail},
     mta::LogLevel::warning,
     {{"command", "MAIL"}, {"from", "<ann@sender.example>"}, {"reason", "allowed_senders"}}},
    {"an author that is not the client's",
     restricted_to_app,
     {"MAIL FROM:<app@ours.example>\r\n", rcpt, "DATA\r\n", "From: boss@ours.example\r\n\r\nx\r\n.\r\n"},
     mta::LogLevel::warning,
     {{"command", "message"}, {"from", "<app@ours.example>"}, {"to", "alice@example.org"}}},
    {"a header that hides an author",
     [](auto &config) { config.authentication.rules.mode = policy::Mode::enforce; },
     {mail, rcpt, "DATA\r\n", " x\r\nFrom: boss@ours.example\r\n\r\nx\r\n.\r\n"},
     mta::LogLevel::warning,
     {{"command", "message"}, {"to", "alice@example.org"}}},
};

TEST(InboundRefuse, TheLogSaysWhoWasRefusedWhatAndHowSeriousItIs) {
  for (const LoggedRow &row : logged_rows) {
    SCOPED_TRACE(row.name);
    auto config = base_config();
    if (row.configure) row.configure(config);
    InboundFixture fixture(std::move(config));
    SmtpClient client = fixture.greeted();
    std::string reply;
    for (const std::string &command : row.commands) reply = client.ask(command);
    ASSERT_TRUE(reply.starts_with('4') || reply.starts_with('5')) << reply;
    const auto told = fixture.log.wait_for("refused");
    EXPECT_EQ(told.level, row.level);
    EXPECT_EQ(told.fields.at("helo"), "client.example");
    EXPECT_EQ(told.fields.at("client"), "127.0.0.1");
    EXPECT_EQ(told.fields.at("reply") + "\r\n", reply);
    for (const auto &[field, value] : row.fields) {
      const auto found = told.fields.find(field);
      EXPECT_EQ(found == told.fields.end() ? "" : found->second, value) << field;
    }
    client.ask("QUIT\r\n");
    fixture.log.wait_for("disconnect");
    EXPECT_EQ(fixture.log.count("refused"), 1U) << "said once";
  }
}

TEST(InboundRefuse, AListenerForCertificatesWarnsOfWhoHasNone) {
  auto config = base_config();
  config.listeners[0].require_tls = true;
  config.listeners[0].require_client_certificate = true;
  config.listeners[0].required_pins = {"sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="};
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.encrypted();
  EXPECT_EQ(client.ask("MAIL FROM:<>\r\n").substr(0, 9), "550 5.7.1");
  const auto told = fixture.log.wait_for("refused");
  EXPECT_EQ(told.level, mta::LogLevel::warning);
  EXPECT_EQ(told.fields.at("helo"), "client.example");
}

TEST(InboundRefuse, NoSessionFallsSilentAndNoneFloods) {
  auto config = base_config();
  config.limits.smtp.errors = 5;
  mta::InboundOptions options;
  options.recipient_delay = std::chrono::milliseconds(1);
  InboundFixture fixture(std::move(config), options);
  SmtpClient client = fixture.greeted();
  for (const int round : {1, 2}) {
    ASSERT_EQ(client.ask(mail).substr(0, 3), "250");
    for (int i = 0; i < 12; ++i)
      ASSERT_EQ(client.ask("RCPT TO:<nobody" + std::to_string(i) + "@example.org>\r\n").substr(0, 3), "550");
    ASSERT_EQ(client.ask(rcpt).substr(0, 3), "250");
    client.ask("DATA\r\n");
    ASSERT_EQ(client.ask("From: <ann@sender.example>\r\n\r\nx\r\n.\r\n").substr(0, 3), "250");
    const auto rest = fixture.log.wait_for("refused_more", static_cast<std::size_t>(round));
    EXPECT_EQ(rest.fields.at("count"), "7");
    EXPECT_EQ(rest.fields.at("to").substr(0, 42), "<nobody5@example.org>,<nobody6@example.org")
        << "the others are named";
    EXPECT_EQ(rest.fields.at("helo"), "client.example");
    EXPECT_EQ(fixture.log.count("refused"), static_cast<std::size_t>(5 * round));
  }
  ASSERT_EQ(client.ask(mail).substr(0, 3), "250");
  for (int i = 0; i < 6; ++i) client.ask("RCPT TO:<nobody@example.org>\r\n");
  client.ask("QUIT\r\n");
  EXPECT_EQ(fixture.log.wait_for("disconnect").fields.at("refused"), "30");
  EXPECT_EQ(fixture.log.all("refused_more").at(2).fields.at("count"), "1") << "told at the session's end";
}

TEST(InboundRefuse, EachRefusalOfAClientOfOursHasItsLine) {
  auto config = base_config();
  config.limits.exempt_networks.push_back(smtp::Network::parse("127.0.0.0/8").value());
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.greeted();
  ASSERT_EQ(client.ask(mail).substr(0, 3), "250");
  for (int i = 0; i < 60; ++i) ASSERT_EQ(client.ask("RCPT TO:<nobody@example.org>\r\n").substr(0, 3), "550");
  client.ask("QUIT\r\n");
  fixture.log.wait_for("disconnect");
  EXPECT_EQ(fixture.log.count("refused"), 60U);
  EXPECT_EQ(fixture.log.count("refused_more"), 0U);
}

TEST(InboundRefuse, RepliesOfOnePacketKeepTheirCommands) {
  InboundFixture fixture;
  SmtpClient client = fixture.greeted();
  ASSERT_TRUE(client.send("MAIL FROM:<a@b@c>\r\n" + mail +
                          "RCPT TO:<nobody@example.org>\r\nRCPT TO:<x@y@example.org>\r\n" + rcpt +
                          "RCPT TO:<none@example.org>\r\nDATA x\r\nNOOP\r\nQUIT\r\n"));
  fixture.log.wait_for("disconnect");
  std::vector<std::string> told;
  for (const auto &event : fixture.log.all("refused")) {
    const auto to = event.fields.find("to");
    told.push_back(event.fields.at("command") + " " + (to == event.fields.end() ? "" : to->second) + " " +
                   event.fields.at("reply").substr(0, 3));
  }
  EXPECT_EQ(told, (std::vector<std::string>{"MAIL  501", "RCPT <nobody@example.org> 550", "RCPT x@y@example.org 501",
                                            "RCPT <none@example.org> 550", "DATA alice@example.org 501"}));
}

TEST(InboundRefuse, TheLinesOfOneAndOfManyRecipientsSayTheSame) {
  InboundFixture fixture;
  SmtpClient client = fixture.greeted();
  for (const int many : {1, 2}) {
    client.ask(mail);
    client.ask(rcpt);
    if (many == 2) client.ask("RCPT TO:<bob@example.org>\r\n");
    client.ask("DATA\r\n");
    ASSERT_EQ(client.ask("From: <ann@sender.example>\r\n\r\nx\r\n.\r\n").substr(0, 3), "250");
  }
  const auto second = fixture.log.wait_for("recipient", 2);
  const auto one = fixture.log.all("accepted").at(0);
  for (const auto *line : {&one.fields, &second.fields}) {
    EXPECT_EQ(line->at("status"), "queued");
    EXPECT_EQ(line->at("reply"), "250 2.0.0 queued as " + line->at("id"));
  }
  EXPECT_EQ(one.fields.at("to"), "alice@example.org");
  EXPECT_EQ(second.fields.at("to"), "bob@example.org");
}

} // namespace refuse_test
