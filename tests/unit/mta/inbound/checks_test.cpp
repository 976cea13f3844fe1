// Mail from outside is checked on its way into the spool: refusals, results in front, forged results left out,
// signatures.
#include <functional>

#include <gtest/gtest.h>

#include "auth/dkim/verify.hpp"
#include "tests/support/fake_resolver.hpp"
#include "tests/support/inbound_fixture.hpp"

namespace checks_test {

using support::base_config;
using support::InboundFixture;
using support::SmtpClient;

mta::Config checking_config() {
  mta::Config config = base_config();
  config.authentication.enabled = true;
  return config;
}

test::FakeResolver &zone(test::FakeResolver &dns) {
  return dns.add_txt("sender.example", "v=spf1 ip4:127.0.0.1 -all")
      .add_txt("_dmarc.sender.example", "v=DMARC1; p=reject")
      .add_txt("victim.example", "v=spf1 -all")
      .add_txt("_dmarc.victim.example", "v=DMARC1; p=reject")
      .add_txt("careful.example", "v=spf1 -all")
      .add_txt("_dmarc.careful.example", "v=DMARC1; p=quarantine");
}

/// One transaction; the reply to the final dot.
std::string deliver(SmtpClient &client, const std::string &from, const std::string &extra = "",
                    const std::string &body = "hello\r\n") {
  client.ask("MAIL FROM:<" + from + ">\r\n");
  client.ask("RCPT TO:<alice@example.org>\r\n");
  client.ask("DATA\r\n");
  return client.ask(extra + "From: <" + from + ">\r\nSubject: x\r\n\r\n" + body + ".\r\n");
}

bool has(const std::string &text, const std::string &part) {
  return text.find(part) != std::string::npos;
}

std::string unfolded(std::string text) {
  for (std::size_t at = 0; (at = text.find("\r\n ", at)) != std::string::npos;) text.erase(at, 2);
  return text;
}

TEST(InboundChecks, AnAlignedMessageIsStoredWithItsResultsInFront) {
  test::FakeResolver dns;
  zone(dns);
  InboundFixture fixture(checking_config(), {}, 2, &dns);
  SmtpClient client = fixture.greeted();
  EXPECT_EQ(deliver(client, "ann@sender.example").substr(0, 9), "250 2.0.0");
  ASSERT_EQ(fixture.submitted().size(), 1U);
  const mta::Envelope &envelope = fixture.submitted()[0]->envelope;
  const std::string trace = unfolded(envelope.trace);
  EXPECT_TRUE(trace.starts_with("Authentication-Results: mx.example.org;")) << trace;
  EXPECT_TRUE(has(trace, "spf=pass") && has(trace, "dmarc=pass") && has(trace, "\r\nReceived: ")) << trace;
  EXPECT_EQ(fixture.spool.stored(1).body, "From: <ann@sender.example>\r\nSubject: x\r\n\r\nhello\r\n");
}

TEST(InboundChecks, ASpoofedMessageIsRefusedAndTheSessionGoesOn) {
  test::FakeResolver dns;
  zone(dns);
  InboundFixture fixture(checking_config(), {}, 2, &dns);
  SmtpClient client = fixture.greeted();
  const std::string reply = deliver(client, "boss@victim.example");
  EXPECT_EQ(reply.substr(0, 9), "550 5.7.1") << reply;
  EXPECT_TRUE(has(reply, "victim.example")) << reply;
  fixture.spool.wait_until_no_writers();
  EXPECT_EQ(fixture.spool.count(), 0U);
  EXPECT_EQ(deliver(client, "ann@sender.example").substr(0, 9), "250 2.0.0");
}

TEST(InboundChecks, APartnerRuleCanHoldForTheAuthorToo) {
  for (const bool authors : {false, true}) {
    test::FakeResolver dns;
    zone(dns);
    auto config = checking_config();
    policy::Partner partner;
    partner.name = "Partner";
    partner.domains.push_back(smtp::DomainPattern::parse("partner.example").value());
    policy::InboundRule rule;
    rule.level = tls::Level::encrypted;
    rule.authors = authors;
    partner.inbound = rule;
    std::vector<policy::Partner> partners;
    partners.push_back(std::move(partner));
    config.partners = policy::PartnerTable::build(std::move(partners)).value();
    InboundFixture fixture(std::move(config), {}, 2, &dns);
    const auto say = [](SmtpClient &client) {
      client.ask("MAIL FROM:<ann@sender.example>\r\n");
      client.ask("RCPT TO:<alice@example.org>\r\n");
      client.ask("DATA\r\n");
      return client.ask("From: <bob@partner.example>\r\nSubject: x\r\n\r\nhello\r\n.\r\n");
    };
    SmtpClient clear = fixture.greeted();
    const std::string reply = say(clear);
    EXPECT_EQ(reply.substr(0, 3), authors ? "550" : "250") << reply;
    EXPECT_EQ(has(reply, "the author's domain: mail from partner.example"), authors) << reply;
    SmtpClient encrypted = fixture.encrypted();
    EXPECT_EQ(say(encrypted).substr(0, 3), "250");
  }
}

// ---- a rule for authors asks nobody whether senders are checked, nor whose client it is

struct AuthorRow {
  const char *name;
  std::function<void(mta::Config &)> configure;
  std::function<void(policy::InboundRule &)> rule;
  std::string header;
  bool refused;
};

const std::string partner_header = "From: <bob@partner.example>\r\nSubject: x\r\n";

mta::Config with_author_rule(mta::Config config, const std::function<void(policy::InboundRule &)> &change) {
  policy::Partner partner;
  partner.name = "Partner";
  partner.domains.push_back(smtp::DomainPattern::parse("partner.example").value());
  policy::InboundRule rule;
  rule.level = tls::Level::encrypted;
  rule.authors = true;
  if (change) change(rule);
  partner.inbound = rule;
  std::vector<policy::Partner> partners;
  partners.push_back(std::move(partner));
  config.partners = policy::PartnerTable::build(std::move(partners)).value();
  return config;
}

void unchecked(mta::Config &config) {
  config.listeners[0].check_senders = false;
}
void relaying(mta::Config &config) {
  config.listeners[0].role = policy::ListenerRole::relay;
  config.listeners[0].trusted_networks.push_back(smtp::Network::parse("127.0.0.0/8").value());
}

const std::vector<AuthorRow> author_rows = {
    {"a private network's listener", unchecked, {}, partner_header, true},
    {"no checks at all", [](auto &config) { config.authentication.enabled = false; }, {}, partner_header, true},
    {"a client of ours", relaying, {}, partner_header, true},
    {"a stranger on a relay's listener",
     [](auto &config) { config.listeners[0].role = policy::ListenerRole::relay; },
     {},
     partner_header,
     true},
    {"another author", unchecked, {}, "From: <bob@elsewhere.example>\r\n", false},
    {"two From fields", unchecked, {}, "From: <bob@elsewhere.example>\r\n" + partner_header, true},
    {"a From that cannot be read", unchecked, {}, "From: bob@partner.example <\r\n", true},
    {"no From", unchecked, {}, "Subject: x\r\n", false},
    {"a folded From of a client of ours", relaying, {}, "From: Bob\r\n <bob@partner.example>\r\n", true},
    {"a rule of another listener", relaying, [](auto &rule) { rule.listeners = {"other"}; }, partner_header, false},
    {"a rule of this listener", relaying,
     [](auto &rule) {
       rule.listeners = {"other", "test"};
     },
     partner_header, true},
    {"a rule for the envelope alone", unchecked, [](auto &rule) { rule.authors = false; }, partner_header, false},
    {"a rule that observes", unchecked, [](auto &rule) { rule.mode = policy::Mode::observe; }, partner_header, false},
};

TEST(InboundChecks, ARuleForAuthorsHoldsWhoeverTheClientIs) {
  for (const AuthorRow &row : author_rows) {
    SCOPED_TRACE(row.name);
    test::FakeResolver dns;
    zone(dns);
    auto config = with_author_rule(checking_config(), row.rule);
    config.authentication.rules.mode = policy::Mode::observe; // so that what cannot be read is not refused for that
    row.configure(config);
    InboundFixture fixture(std::move(config), {}, 2, &dns);
    const auto say = [&row](SmtpClient &client) {
      client.ask("MAIL FROM:<ann@sender.example>\r\n");
      client.ask("RCPT TO:<alice@example.org>\r\n");
      client.ask("DATA\r\n");
      return client.ask(row.header + "\r\nhello\r\n.\r\n");
    };
    SmtpClient clear = fixture.greeted();
    const std::string reply = say(clear);
    EXPECT_EQ(reply.substr(0, 3), row.refused ? "550" : "250") << reply;
    if (row.refused) {
      EXPECT_TRUE(has(reply, "the author's domain: mail from partner.example")) << reply;
      const auto told = fixture.log.wait_for("refused");
      EXPECT_EQ(told.level, mta::LogLevel::warning);
      EXPECT_EQ(told.fields.at("to"), "alice@example.org");
    }
    SmtpClient encrypted = fixture.encrypted();
    EXPECT_EQ(say(encrypted).substr(0, 3), "250") << "who keeps it gets through";
  }
}

TEST(InboundChecks, WhatIsOnlyLookedAtForItsAuthorStaysAsItCame) {
  auto config = with_author_rule(checking_config(), {});
  config.listeners[0].check_senders = false;
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.greeted();
  const std::string theirs = "Authentication-Results: mx.example.org; spf=pass\r\n";
  EXPECT_EQ(deliver(client, "ann@sender.example", theirs).substr(0, 3), "250");
  const std::string whole = theirs + "From: <ann@sender.example>\r\nSubject: x\r\n\r\nhello\r\n";
  EXPECT_EQ(fixture.spool.stored(1).body, whole) << "another hop of ours wrote it";
  EXPECT_EQ(fixture.submitted().at(0)->envelope.body_size, whole.size());
  EXPECT_EQ(fixture.submitted().at(0)->envelope.header_size, whole.size() - 7);
}

TEST(InboundChecks, ATemporaryFailureIs451AndNeverAPass) {
  test::FakeResolver dns;
  zone(dns).fail("_dmarc.sender.example");
  InboundFixture fixture(checking_config(), {}, 2, &dns);
  SmtpClient client = fixture.greeted();
  const std::string reply = deliver(client, "ann@sender.example");
  EXPECT_EQ(reply.substr(0, 6), "451 4.") << reply;
  EXPECT_EQ(fixture.spool.count(), 0U);
}

TEST(InboundChecks, ForgedResultsAreLeftOutAndTheSizesAreThoseOfWhatIsStored) {
  test::FakeResolver dns;
  zone(dns);
  InboundFixture fixture(checking_config(), {}, 2, &dns);
  SmtpClient client = fixture.greeted();
  const std::string forged = "AUTHENTICATION-RESULTS: (x)\r\n MX.example.ORG; dmarc=pass\r\n";
  EXPECT_EQ(deliver(client, "ann@sender.example", forged + "Authentication-Results: other.example; spf=fail\r\n")
                .substr(0, 3),
            "250");
  const std::string stored = fixture.spool.stored(1).body;
  EXPECT_FALSE(has(stored, "MX.example.ORG")) << stored;
  EXPECT_TRUE(has(stored, "other.example; spf=fail")) << stored;
  const mta::Envelope &envelope = fixture.submitted()[0]->envelope;
  EXPECT_EQ(envelope.body_size, stored.size());
  EXPECT_EQ(envelope.header_size, stored.size() - 7);
}

TEST(InboundChecks, AMessageThatIsOnlyAHeaderOrOnlyABodyIsKeptWhole) {
  test::FakeResolver dns;
  zone(dns);
  mta::Config config = checking_config();
  config.authentication.rules.refuse_unusable_from = false;
  InboundFixture fixture(std::move(config), {}, 2, &dns);
  SmtpClient client = fixture.greeted();
  std::uint64_t id = 0;
  for (const std::string text : {"From: <ann@sender.example>\r\n", "\r\njust text\r\n", ""}) {
    client.ask("MAIL FROM:<ann@sender.example>\r\n");
    client.ask("RCPT TO:<alice@example.org>\r\n");
    client.ask("DATA\r\n");
    const std::string reply = client.ask(text + ".\r\n");
    EXPECT_EQ(reply.substr(0, 3), "250") << text << reply;
    EXPECT_EQ(fixture.spool.stored(++id).body, text);
  }
}

/// What a stranger hears for these octets.
std::string hand_over(SmtpClient &client, const std::string &octets, const std::string &from = "<ann@sender.example>") {
  client.ask("MAIL FROM:" + from + "\r\n");
  client.ask("RCPT TO:<alice@example.org>\r\n");
  client.ask("DATA\r\n");
  return client.ask(octets + ".\r\n");
}

TEST(InboundHeader, FromOutsideALineThatIsNoFieldIsRefused) {
  struct Row {
    std::string octets;
    std::string reply;
  };
  const std::string boss = "From: Boss <boss@example.org>\r\n\r\nhello\r\n";
  const std::vector<Row> rows{
      {" x\r\n" + boss,
       "550 5.6.0 line 1 of the header continues no field: \" x\"; a header section is fields up to an empty line"},
      {"Subject: x\r\nx\r\n" + boss, "550 5.6.0 line 2 of the header begins no field"},
      {"From ann\r\n" + boss, "550 5.6.0 line 1 of the header begins no field"},
      {"Subject : x\r\n" + boss, "550 5.6.0 line 1 of the header has white space in front of its colon"},
      {"Received: x\r\nno field\r\nTLS-Required: No\r\n" + boss, "550 5.6.0 line 2"},
      {"From: ann@sender.example\r\nx\r\n" + boss, "550 5.6.0 line 2"},
  };
  test::FakeResolver dns;
  zone(dns);
  for (const bool checks : {true, false}) { // the form of the header is no matter of the checks
    mta::Config config = checking_config();
    config.authentication.enabled = checks;
    InboundFixture fixture(std::move(config), {}, 2, &dns);
    for (const Row &row : rows) {
      SmtpClient client = fixture.greeted();
      const std::string reply = hand_over(client, row.octets);
      EXPECT_EQ(reply.substr(0, row.reply.size()), row.reply);
      EXPECT_EQ(deliver(client, "ann@sender.example").substr(0, 3), "250") << "the session goes on";
    }
  }
}

TEST(InboundHeader, SplitPutsTheEmptyLineInBeforeAnythingIsJudged) {
  test::FakeResolver dns;
  zone(dns);
  for (const bool observe : {false, true}) {
    mta::Config config = checking_config();
    if (observe)
      config.authentication.rules.mode = policy::Mode::observe;
    else
      config.listeners[0].malformed_header = mta::MalformedHeader::split;
    InboundFixture fixture(std::move(config), {}, 2, &dns);
    SmtpClient client = fixture.greeted();
    EXPECT_EQ(
        hand_over(client, "From: ann@sender.example\r\nSubject: a\r\n x\r\nno field\r\nFrom: boss@example.org\r\n")
            .substr(0, 3),
        "250");
    const auto stored = fixture.spool.stored(1);
    EXPECT_EQ(stored.body,
              "From: ann@sender.example\r\nSubject: a\r\n x\r\n\r\nno field\r\nFrom: boss@example.org\r\n");
    EXPECT_EQ(fixture.submitted().at(0)->envelope.body_size, stored.body.size());
    const support::LoggedEvent event = fixture.log.wait_for("malformed_header");
    EXPECT_EQ(event.fields.at("action"), "split");
    EXPECT_EQ(event.fields.count("observed"), observe ? 1U : 0U);
  }
}

TEST(InboundHeader, AClientOfOursGetsItsSectionMadeWhole) {
  struct Row {
    std::string octets;
    std::string stored;
  };
  const std::vector<Row> rows{
      {"Hello\r\nworld\r\n", "\r\nHello\r\nworld\r\n"},
      {"From root Sun Nov 29 12:00:00 2026\r\nFrom: a@example.org\r\n\r\nx\r\n", "From: a@example.org\r\n\r\nx\r\n"},
      {" x\r\nFrom: a@example.org\r\n", "\r\n x\r\nFrom: a@example.org\r\n"},
      {"Subject : x\r\nno field\r\n", "Subject: x\r\n\r\nno field\r\n"},
      {"Subject: x\r\n\r\nno field\r\n", "Subject: x\r\n\r\nno field\r\n"},
  };
  mta::Config config = checking_config();
  config.listeners[0].role = policy::ListenerRole::relay;
  config.listeners[0].trusted_networks = {smtp::Network::parse("127.0.0.0/8").value()};
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.greeted();
  std::uint64_t id = 0;
  for (const Row &row : rows) {
    EXPECT_EQ(hand_over(client, row.octets).substr(0, 3), "250") << row.octets;
    EXPECT_EQ(fixture.spool.stored(++id).body, row.stored);
    const auto envelope = fixture.submitted().at(id - 1)->envelope;
    EXPECT_EQ(envelope.body_size, row.stored.size());
    EXPECT_TRUE(has(envelope.trace, "\r\nDate: ") && envelope.trace.ends_with("\r\n")) << envelope.trace;
  }
}

TEST(InboundHeader, OurMarkOfQuarantineIsTakenOutOfMailFromOutside) {
  test::FakeResolver dns;
  zone(dns);
  for (const bool checks : {true, false}) {
    mta::Config config = checking_config();
    config.authentication.enabled = checks;
    InboundFixture fixture(std::move(config), {}, 2, &dns);
    SmtpClient client = fixture.greeted();
    const std::string forged = "portcullis-QUARANTINE: no\r\n folded\r\nAuthentication-Results: mx.example.org; "
                               "dmarc=pass\r\nPortcullis-Quarantine:\r\n";
    EXPECT_EQ(deliver(client, "ann@sender.example", forged + "X: y\r\n").substr(0, 3), "250");
    EXPECT_EQ(fixture.spool.stored(1).body, "X: y\r\nFrom: <ann@sender.example>\r\nSubject: x\r\n\r\nhello\r\n");
  }
}

TEST(InboundChecks, RealFromFieldsOfPeopleAndMachinesPass) {
  test::FakeResolver dns;
  zone(dns).add_txt("client.example", "v=spf1 ip4:127.0.0.1 -all");
  InboundFixture fixture(checking_config(), {}, 2, &dns);
  struct Row {
    std::string from;
    std::string sender;
    std::string reply;
  };
  const std::vector<Row> rows{
      {"Doe, Ann <ann@sender.example>", "<ann@sender.example>", "250"},
      {"Team [Billing] <ann@sender.example>", "<ann@sender.example>", "250"},
      {"\"Ann <ann@sender.example>", "<ann@sender.example>", "250"},
      {"Doe, Ann <boss@victim.example>", "<ann@sender.example>", "550 5.7.1"},
      {"Doe, Ann <boss@example.org>", "<ann@sender.example>", "550 5.7.1"},
      {"MAILER-DAEMON <>", "<>", "250"},
      {"Mail Delivery Subsystem <MAILER-DAEMON>", "<>", "250"},
      {"postmaster", "<>", "250"},
      {"postmaster", "<ann@sender.example>", "550 5.7.1"},
      {"=?utf-8?q?boss=40victim.example?=", "<>", "550 5.7.1"},
      {"a@sender.example, b@other.example", "<>", "550 5.7.1"},
  };
  for (const Row &row : rows) {
    SmtpClient client = fixture.greeted();
    const std::string reply = hand_over(client, "From: " + row.from + "\r\nSubject: x\r\n\r\nhello\r\n", row.sender);
    EXPECT_EQ(reply.substr(0, row.reply.size()), row.reply) << row.from << ": " << reply;
  }
}

TEST(InboundChecks, QuarantineIsMarkedRedirectedOrHeld) {
  test::FakeResolver dns;
  zone(dns);
  for (const auto action :
       {mta::QuarantineAction::mark, mta::QuarantineAction::redirect, mta::QuarantineAction::hold}) {
    mta::Config config = checking_config();
    config.authentication.quarantine = action;
    if (action == mta::QuarantineAction::redirect)
      config.authentication.quarantine_recipient = smtp::Mailbox::parse("bob@example.org").value();
    InboundFixture fixture(std::move(config), {}, 2, &dns);
    SmtpClient client = fixture.greeted();
    ASSERT_EQ(deliver(client, "ann@careful.example").substr(0, 3), "250");
    const auto message = fixture.submitted().at(0);
    EXPECT_TRUE(has(message->envelope.trace, "\r\nPortcullis-Quarantine: ")) << message->envelope.trace;
    EXPECT_EQ(message->held, action == mta::QuarantineAction::hold);
    EXPECT_EQ(message->recipients.at(0).recipient.mailbox.to_string(),
              action == mta::QuarantineAction::redirect ? "bob@example.org" : "alice@example.org");
    // What a restart would find.
    const auto stored = fixture.spool.stored(1);
    const auto decoded = mta::decode_message(stored.id, stored.envelope, "");
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->held, message->held);
  }
}

TEST(InboundChecks, ObserveLetsEverythingPassAndSaysWhatItWouldHaveDone) {
  test::FakeResolver dns;
  zone(dns);
  mta::Config config = checking_config();
  config.authentication.rules.mode = policy::Mode::observe;
  InboundFixture fixture(std::move(config), {}, 2, &dns);
  SmtpClient client = fixture.greeted();
  EXPECT_EQ(deliver(client, "boss@victim.example").substr(0, 3), "250");
  const support::LoggedEvent event = fixture.log.wait_for("auth");
  EXPECT_EQ(event.fields.at("observed"), "reject");
  EXPECT_EQ(event.fields.at("action"), "accept");
}

TEST(InboundChecks, AListenerOfAPrivateNetworkChecksNothing) {
  test::FakeResolver dns;
  zone(dns);
  mta::Config config = checking_config();
  config.listeners[0].check_senders = false;
  InboundFixture fixture(std::move(config), {}, 2, &dns);
  SmtpClient client = fixture.greeted();
  EXPECT_EQ(deliver(client, "boss@victim.example").substr(0, 3), "250");
  EXPECT_TRUE(fixture.submitted().at(0)->envelope.trace.starts_with("Received: "));
  EXPECT_EQ(dns.asked("txt victim.example"), 0U);
}

TEST(InboundChecks, ALargeBodyInManyPiecesIsSignedAndVerifies) {
  mta::Config config = base_config();
  config.listeners[0].role = policy::ListenerRole::relay;
  config.listeners[0].trusted_networks.push_back(smtp::Network::parse("127.0.0.0/8").value());
  auto key = std::make_shared<const auth::SigningKey>(auth::SigningKey::generate_ed25519().value());
  config.dkim_keys.push_back({.domain = smtp::Domain::parse("example.org").value(),
                              .selector = "s",
                              .file = "",
                              .key = key,
                              .place = "portcullis.toml:9"});
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.greeted();
  std::string body;
  for (int line = 0; line < 20'000; ++line) body += "line " + std::to_string(line) + "  of text \r\n";
  ASSERT_EQ(deliver(client, "alice@example.org", "", body).substr(0, 3), "250");
  const std::string message = fixture.submitted().at(0)->envelope.trace + fixture.spool.stored(1).body;
  const auto split = message.find("\r\n\r\n") + 4;
  auth::DkimVerifier verifier(auth::HeaderFields(message.substr(0, split)), {.now = ::time(nullptr)});
  verifier.body(std::string_view(message).substr(split));
  verifier.end();
  auth::DnsFacts facts;
  auth::DnsFact record;
  record.status = smtp::DnsStatus::ok;
  record.texts = {key->public_record()};
  facts.put({"s._domainkey.example.org", auth::RecordType::txt}, record);
  const auto verdicts = verifier.verdicts(facts);
  ASSERT_EQ(verdicts.size(), 1U);
  EXPECT_EQ(verdicts[0].result, auth::DkimResult::pass) << verdicts[0].reason;
  EXPECT_TRUE(has(message, "Message-ID: ") && has(message, "Date: "));
}

} // namespace checks_test
