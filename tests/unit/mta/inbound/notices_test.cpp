// What a message keeps of its sender for later notices, what DSN and REQUIRETLS are answered, and what refusals say in
// the log.
#include <gtest/gtest.h>

#include "tests/support/fake_resolver.hpp"
#include "tests/support/inbound_fixture.hpp"

namespace notices_test {

using mta::SenderStanding;
using support::base_config;
using support::InboundFixture;
using support::SmtpClient;

bool contains(const std::string &text, const std::string &part) {
  return text.find(part) != std::string::npos;
}

/// One transaction with these parameters; the reply to the final dot, or the first refusal.
std::string transact(SmtpClient &client, const std::string &from, const std::string &mail = "",
                     const std::string &rcpt = "", const std::string &to = "alice@example.org") {
  const std::string sender = client.ask("MAIL FROM:<" + from + ">" + mail + "\r\n");
  if (sender[0] != '2') return sender;
  const std::string recipient = client.ask("RCPT TO:<" + to + ">" + rcpt + "\r\n");
  if (recipient[0] != '2') return recipient;
  client.ask("DATA\r\n");
  return client.ask("From: <ann@sender.example>\r\n\r\nhello\r\n.\r\n");
}

mta::Config checking_config() {
  mta::Config config = base_config();
  config.authentication.enabled = true;
  config.authentication.rules.mode = policy::Mode::observe;
  return config;
}

struct StandingRow {
  std::string from;
  SenderStanding standing;
  bool success; ///< what is left of NOTIFY=SUCCESS,FAILURE,DELAY
  bool failure;
};

TEST(InboundNotices, what_spf_says_of_the_sender_is_kept_and_limits_notify) {
  test::FakeResolver dns;
  dns.add_txt("sender.example", "v=spf1 ip4:127.0.0.1 -all")
      .add_txt("victim.example", "v=spf1 -all")
      .add_txt("soft.example", "v=spf1 ~all");
  InboundFixture fixture(checking_config(), {}, 2, &dns);
  SmtpClient client = fixture.greeted();
  std::size_t count = 0;
  for (const StandingRow &row : std::vector<StandingRow>{{"ann@sender.example", SenderStanding::passed, true, true},
                                                         {"boss@victim.example", SenderStanding::failed, false, false},
                                                         {"x@soft.example", SenderStanding::unknown, false, true},
                                                         {"x@nothing.example", SenderStanding::unknown, false, true}}) {
    SCOPED_TRACE(row.from);
    ASSERT_EQ(transact(client, row.from, "", " NOTIFY=SUCCESS,FAILURE,DELAY").substr(0, 3), "250");
    const auto message = fixture.submitted().at(count);
    EXPECT_EQ(message->envelope.standing, row.standing);
    const smtp::Notify &notify = message->recipients[0].recipient.parameters.notify;
    EXPECT_EQ(notify.success, row.success);
    EXPECT_EQ(notify.delay, row.success);
    EXPECT_EQ(notify.failure, row.failure);
    EXPECT_EQ(notify.never, !row.failure);
    const auto stored = fixture.spool.stored(++count);
    const auto decoded = mta::decode_message(stored.id, stored.envelope, "");
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->envelope.standing, row.standing) << "a restart knows it too";
  }
}

TEST(InboundNotices, a_client_of_ours_may_ask_for_every_notice) {
  mta::Config config = base_config();
  config.listeners[0].role = policy::ListenerRole::relay;
  config.listeners[0].trusted_networks.push_back(smtp::Network::parse("127.0.0.0/8").value());
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.greeted();
  ASSERT_EQ(transact(client, "ann@sender.example", "", " NOTIFY=SUCCESS").substr(0, 3), "250");
  EXPECT_EQ(fixture.submitted().at(0)->envelope.standing, SenderStanding::ours);
  EXPECT_TRUE(fixture.submitted().at(0)->recipients[0].recipient.parameters.notify.success);
}

TEST(InboundNotices, a_listener_without_dsn_neither_offers_nor_takes_it) {
  mta::Config config = base_config();
  config.listeners[0].dsn = false;
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.connect();
  client.reply();
  EXPECT_FALSE(contains(client.ask("EHLO client.example\r\n"), "DSN"));
  for (const char *mail : {" RET=HDRS", " ENVID=abc"})
    EXPECT_EQ(transact(client, "a@sender.example", mail).substr(0, 3), "555");
  EXPECT_EQ(transact(client, "a@sender.example", "", " NOTIFY=SUCCESS").substr(0, 3), "555");
  client.ask("RSET\r\n");
  EXPECT_EQ(transact(client, "a@sender.example", "", " ORCPT=rfc822;a@b").substr(0, 3), "555");
  client.ask("RSET\r\n");
  EXPECT_EQ(transact(client, "a@sender.example").substr(0, 3), "250");
  EXPECT_TRUE(fixture.submitted().at(0)->envelope.failures_only);
}

TEST(InboundNotices, requiretls_is_offered_and_taken_where_the_next_hop_keeps_it) {
  InboundFixture nowhere;
  EXPECT_FALSE(contains(
      [&] {
        SmtpClient client = nowhere.encrypted();
        return client.ask("EHLO client.example\r\n");
      }(),
      "REQUIRETLS"));

  mta::Config config = base_config();
  config.some_domain_keeps_requiretls = true;
  config.domains.begin()->second.requiretls = true;
  const std::string keeps = config.domains.begin()->first;
  const std::string other = std::next(config.domains.begin())->first;
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.encrypted();
  EXPECT_TRUE(contains(client.ask("EHLO client.example\r\n"), "REQUIRETLS"));
  EXPECT_EQ(transact(client, "ann@sender.example", " REQUIRETLS", "", "alice@" + keeps).substr(0, 3), "250");
  const std::string refused = transact(client, "ann@sender.example", " REQUIRETLS", "", "alice@" + other);
  EXPECT_EQ(refused.substr(0, 10), "550 5.7.30") << refused;
  EXPECT_EQ(fixture.log.wait_for("refused").fields.at("reason"), "requiretls");
  client.ask("RSET\r\n");
  EXPECT_EQ(transact(client, "", " REQUIRETLS", "", "alice@" + other).substr(0, 3), "250")
      << "a notice is not thrown away";
  EXPECT_EQ(transact(client, "ann@sender.example", "", "", "alice@" + other).substr(0, 3), "250");
}

TEST(InboundNotices, a_relay_offers_requiretls_and_refuses_it_for_domains_of_ours_that_do_not_keep_it) {
  mta::Config config = base_config();
  config.listeners[0].role = policy::ListenerRole::relay;
  config.listeners[0].trusted_networks.push_back(smtp::Network::parse("127.0.0.0/8").value());
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.encrypted();
  EXPECT_EQ(transact(client, "ann@sender.example", " REQUIRETLS", "", "x@elsewhere.example").substr(0, 3), "250");
  EXPECT_EQ(transact(client, "ann@sender.example", " REQUIRETLS").substr(0, 10), "550 5.7.30");
}

TEST(InboundNotices, a_refusal_names_sender_helo_recipient_and_client) {
  InboundFixture fixture;
  SmtpClient client = fixture.greeted();
  client.ask("MAIL FROM:<ann@sender.example>\r\n");
  client.ask("RCPT TO:<nobody@example.org>\r\n");
  const auto fields = fixture.log.wait_for("refused").fields;
  EXPECT_EQ(fields.at("from"), "<ann@sender.example>");
  EXPECT_EQ(fields.at("to"), "<nobody@example.org>");
  EXPECT_EQ(fields.at("helo"), "client.example");
  EXPECT_EQ(fields.at("client"), "127.0.0.1");
  EXPECT_EQ(fields.at("command"), "RCPT");
}

TEST(InboundNotices, a_refused_message_names_all_its_recipients) {
  test::FakeResolver dns;
  dns.add_txt("victim.example", "v=spf1 -all").add_txt("_dmarc.victim.example", "v=DMARC1; p=reject");
  mta::Config config = base_config();
  config.authentication.enabled = true;
  InboundFixture fixture(std::move(config), {}, 2, &dns);
  SmtpClient client = fixture.greeted();
  client.ask("MAIL FROM:<boss@victim.example>\r\n");
  client.ask("RCPT TO:<alice@example.org>\r\n");
  client.ask("RCPT TO:<bob@example.org>\r\n");
  client.ask("DATA\r\n");
  EXPECT_EQ(client.ask("From: <boss@victim.example>\r\n\r\nx\r\n.\r\n").substr(0, 3), "550");
  const auto fields = fixture.log.wait_for("refused").fields;
  EXPECT_EQ(fields.at("from"), "<boss@victim.example>");
  EXPECT_EQ(fields.at("to"), "alice@example.org,bob@example.org");
}

TEST(InboundNotices, each_recipient_of_an_accepted_message_is_named) {
  InboundFixture fixture;
  SmtpClient client = fixture.greeted();
  transact(client, "ann@sender.example");
  EXPECT_EQ(fixture.log.wait_for("accepted").fields.at("to"), "alice@example.org");
  EXPECT_EQ(fixture.log.count("recipient"), 0U) << "the one line names it";
  client.ask("MAIL FROM:<ann@sender.example>\r\n");
  client.ask("RCPT TO:<alice@example.org>\r\n");
  client.ask("RCPT TO:<bob@example.org>\r\n");
  client.ask("DATA\r\n");
  client.ask("From: <ann@sender.example>\r\n\r\nx\r\n.\r\n");
  fixture.log.wait_for("recipient", 2);
  const auto lines = fixture.log.all("recipient");
  EXPECT_EQ(lines[0].fields.at("to"), "alice@example.org");
  EXPECT_EQ(lines[1].fields.at("to"), "bob@example.org");
  for (const auto &line : lines) {
    EXPECT_EQ(line.fields.at("status"), "queued");
    EXPECT_EQ(line.fields.at("id"), mta::QueueId{2}.to_string());
  }
}

TEST(InboundNotices, the_received_field_can_hide_a_client_of_ours) {
  for (const bool hidden : {false, true}) {
    mta::Config config = base_config();
    config.listeners[0].role = policy::ListenerRole::relay;
    config.listeners[0].trusted_networks.push_back(smtp::Network::parse("127.0.0.0/8").value());
    config.listeners[0].hide_clients = hidden;
    InboundFixture fixture(std::move(config));
    SmtpClient client = fixture.greeted();
    transact(client, "ann@sender.example", "", "", "x@elsewhere.example");
    const std::string trace = fixture.submitted().at(0)->envelope.trace;
    EXPECT_EQ(contains(trace, "client.example") || contains(trace, "127.0.0.1"), !hidden) << trace;
    EXPECT_EQ(contains(trace, "Received: from mx.example.org (a client of ours)"), hidden) << trace;
    EXPECT_EQ(fixture.submitted().at(0)->envelope.client, "127.0.0.1 (client.example)") << "we know it";
  }
}

} // namespace notices_test
