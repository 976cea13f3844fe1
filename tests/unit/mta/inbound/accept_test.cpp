// What InboundServer accepts, over a real socket: plain, STARTTLS, implicit TLS, pipelined, in chunks; and what is kept
// of it.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/inbound_fixture.hpp"

namespace accept_test {

using support::Certificates;
using support::InboundFixture;
using support::SmtpClient;

constexpr const char *message = "From: ann@sender.example\r\nSubject: hi\r\n\r\nhello\r\n..dot\r\n.\r\n";
constexpr const char *stored = "From: ann@sender.example\r\nSubject: hi\r\n\r\nhello\r\n.dot\r\n";

bool contains(const std::string &text, const std::string &part) {
  return text.find(part) != std::string::npos;
}

/// One transaction; returns the last reply.
std::string deliver(SmtpClient &client) {
  EXPECT_EQ(client.ask("MAIL FROM:<ann@sender.example>\r\n").substr(0, 9), "250 2.1.0");
  EXPECT_EQ(client.ask("RCPT TO:<alice@example.org>\r\n").substr(0, 9), "250 2.1.5");
  EXPECT_EQ(client.ask("DATA\r\n").substr(0, 3), "354");
  return client.ask(message);
}

TEST(InboundAccept, MessageOverPlainIsStoredThenSubmittedThenConfirmed) {
  InboundFixture fixture;
  SmtpClient client = fixture.connect();
  EXPECT_EQ(client.reply().substr(0, 19), "220 mx.example.org ");
  EXPECT_TRUE(contains(client.ask("EHLO client.example\r\n"), "STARTTLS"));
  const std::string reply = deliver(client);
  EXPECT_EQ(reply, "250 2.0.0 queued as " + mta::QueueId{1}.to_string() + "\r\n");
  EXPECT_EQ(client.ask("QUIT\r\n").substr(0, 3), "221");
  EXPECT_TRUE(client.is_closed());

  const auto in_spool = fixture.spool.stored();
  ASSERT_EQ(in_spool.size(), 1U);
  EXPECT_EQ(in_spool.at(1).body, stored);
  const auto submitted = fixture.submitted();
  ASSERT_EQ(submitted.size(), 1U);
  const mta::QueuedMessage &queued = *submitted[0];
  EXPECT_EQ(queued.id, mta::QueueId{1});
  EXPECT_EQ(queued.envelope.sender.path.to_string(), "<ann@sender.example>");
  ASSERT_EQ(queued.recipients.size(), 1U);
  EXPECT_EQ(queued.recipients[0].recipient.mailbox.to_string(), "alice@example.org");
  EXPECT_EQ(queued.envelope.body_size, std::string(stored).size());
  EXPECT_EQ(queued.envelope.client, "127.0.0.1 (client.example)");
  EXPECT_EQ(queued.envelope.tls_in, "");
  EXPECT_EQ(queued.expires - queued.envelope.arrival, std::chrono::hours(24 * 5));
  // What the spool holds is what was submitted.
  const auto decoded = mta::decode_message(in_spool.at(1).id, in_spool.at(1).envelope, "");
  ASSERT_TRUE(decoded) << decoded.error().detail;
  EXPECT_EQ(decoded->envelope.trace, queued.envelope.trace);

  const std::string &trace = queued.envelope.trace;
  EXPECT_EQ(trace.substr(0, 10), "Received: ");
  EXPECT_TRUE(contains(trace, "from client.example")) << trace;
  EXPECT_TRUE(contains(trace, "[127.0.0.1]")) << trace;
  EXPECT_TRUE(contains(trace, "with ESMTP\r\n\tid " + queued.id.to_string())) << trace;
  EXPECT_TRUE(contains(trace, "<alice@example.org>")) << trace;
  EXPECT_EQ(trace.substr(trace.size() - 2), "\r\n");
  EXPECT_FALSE(contains(trace, "Message-ID:")) << "an mx listener must not touch what strangers left out";
}

TEST(InboundAccept, StartTlsForgetsTheHelloAndIsNamedInTheTrace) {
  InboundFixture fixture;
  SmtpClient client = fixture.greeted();
  ASSERT_EQ(client.ask("STARTTLS\r\n").substr(0, 3), "220");
  ASSERT_TRUE(client.start_tls());
  EXPECT_EQ(client.ask("MAIL FROM:<ann@sender.example>\r\n").substr(0, 3), "503") << "the old EHLO must be forgotten";
  const std::string hello = client.ask("EHLO client.example\r\n");
  EXPECT_FALSE(contains(hello, "STARTTLS"));
  EXPECT_EQ(deliver(client).substr(0, 9), "250 2.0.0");
  const auto submitted = fixture.submitted();
  ASSERT_EQ(submitted.size(), 1U);
  EXPECT_TRUE(contains(submitted[0]->envelope.trace, "with ESMTPS\r\n")) << submitted[0]->envelope.trace;
  EXPECT_TRUE(contains(submitted[0]->envelope.trace, "TLSv1.3")) << submitted[0]->envelope.trace;
  EXPECT_EQ(submitted[0]->envelope.tls_in.substr(0, 8), "TLSv1.3 ");
  const auto tls = fixture.log.wait_for("tls");
  EXPECT_EQ(tls.fields.at("version"), "TLSv1.3");
  EXPECT_EQ(tls.fields.at("verified"), "false");
}

TEST(InboundAccept, ImplicitTlsShakesHandsBeforeTheGreeting) {
  auto config = support::base_config();
  config.listeners[0].tls = mta::ListenerTls::implicit;
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.connect();
  ASSERT_TRUE(client.start_tls());
  EXPECT_EQ(client.reply().substr(0, 3), "220");
  EXPECT_FALSE(contains(client.ask("EHLO client.example\r\n"), "STARTTLS"));
  EXPECT_EQ(deliver(client).substr(0, 9), "250 2.0.0");
}

TEST(InboundAccept, ListenerWithoutTlsDoesNotOfferIt) {
  auto config = support::base_config();
  config.listeners[0].tls = mta::ListenerTls::none;
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.connect();
  client.reply();
  EXPECT_FALSE(contains(client.ask("EHLO client.example\r\n"), "STARTTLS"));
  EXPECT_EQ(client.ask("STARTTLS\r\n").substr(0, 1), "5");
  EXPECT_EQ(deliver(client).substr(0, 9), "250 2.0.0");
}

TEST(InboundAccept, EverythingPipelinedIsAnsweredInOrder) {
  InboundFixture fixture;
  SmtpClient client = fixture.greeted();
  std::string all;
  for (int i = 0; i < 20; ++i) {
    // BDAT so that whole messages can stand behind each other in one write.
    all += "MAIL FROM:<ann@sender.example>\r\nRCPT TO:<alice@example.org>\r\nRCPT TO:<nobody@example.org>\r\n";
    all += "BDAT 6 LAST\r\nA: b\r\n";
  }
  ASSERT_TRUE(client.send(all + "QUIT\r\n"));
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(client.reply().substr(0, 9), "250 2.1.0");
    EXPECT_EQ(client.reply().substr(0, 9), "250 2.1.5");
    EXPECT_EQ(client.reply().substr(0, 9), "550 5.1.1"); // no error of the client's
    EXPECT_EQ(client.reply().substr(0, 9), "250 2.0.0");
  }
  EXPECT_EQ(client.reply().substr(0, 9), "221 2.0.0");
  EXPECT_EQ(fixture.submitted().size(), 20U);
}

TEST(InboundAccept, ChunksMakeOneMessage) {
  InboundFixture fixture;
  SmtpClient client = fixture.greeted();
  client.ask("MAIL FROM:<>\r\n");
  client.ask("RCPT TO:<Postmaster>\r\n");
  EXPECT_EQ(client.ask("BDAT 10\r\nSubject: a").substr(0, 3), "250");
  EXPECT_EQ(client.ask("BDAT 4\r\n\r\n\r\n").substr(0, 3), "250");
  EXPECT_EQ(client.ask("BDAT 8 LAST\r\n.body.\r\n").substr(0, 9), "250 2.0.0");
  ASSERT_EQ(fixture.spool.stored().size(), 1U);
  EXPECT_EQ(fixture.spool.stored().begin()->second.body, "Subject: a\r\n\r\n.body.\r\n");
  const auto submitted = fixture.submitted();
  ASSERT_EQ(submitted.size(), 1U);
  EXPECT_TRUE(submitted[0]->envelope.sender.path.is_null());
  EXPECT_EQ(submitted[0]->recipients[0].recipient.mailbox.to_string(), "postmaster@example.org");
}

TEST(InboundAccept, ParametersReachTheQueue) {
  auto config = support::base_config(); // a stranger's wishes are limited
  config.listeners[0].role = policy::ListenerRole::relay;
  config.listeners[0].trusted_networks.push_back(smtp::Network::parse("127.0.0.0/8").value());
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.greeted();
  EXPECT_EQ(
      client.ask("MAIL FROM:<ann@sender.example> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=QQ314159\r\n").substr(0, 3),
      "250");
  EXPECT_EQ(client.ask("RCPT TO:<alice@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;al@old.example\r\n").substr(0, 3),
            "250");
  EXPECT_EQ(client.ask("RCPT TO:<bob@example.org>\r\n").substr(0, 3), "250");
  client.ask("DATA\r\n");
  EXPECT_EQ(client.ask("Subject: caf\xc3\xa9\r\nMessage-ID: <1@x>\r\n\r\nbody\r\n.\r\n").substr(0, 3), "250");
  const auto submitted = fixture.submitted();
  ASSERT_EQ(submitted.size(), 1U);
  const mta::Envelope &kept = submitted[0]->envelope;
  EXPECT_EQ(kept.sender.parameters.body, smtp::BodyType::eight_bit_mime);
  EXPECT_EQ(kept.sender.parameters.ret, smtp::DsnReturn::headers);
  EXPECT_EQ(kept.sender.parameters.envid, "QQ314159");
  EXPECT_TRUE(kept.has_8bit);
  EXPECT_FALSE(kept.needs_smtputf8) << "RFC 6531 section 3: nobody asked for it";
  EXPECT_EQ(kept.message_id, "<1@x>");
  ASSERT_EQ(submitted[0]->recipients.size(), 2U);
  EXPECT_TRUE(submitted[0]->recipients[0].recipient.parameters.notify.success);
  EXPECT_EQ(submitted[0]->recipients[0].recipient.parameters.orcpt->address, "al@old.example");
  EXPECT_FALSE(contains(kept.trace, "alice")) << "RFC 5321 section 7.2: with two recipients the field names none";
}

TEST(InboundAccept, ALargeMessageIsHandedOnWhileItArrives) {
  InboundFixture fixture;
  SmtpClient client = fixture.greeted();
  client.ask("MAIL FROM:<ann@sender.example>\r\n");
  client.ask("RCPT TO:<alice@example.org>\r\n");
  client.ask("DATA\r\n");
  std::string body = "Subject: large\r\n\r\n";
  const std::string line(998, 'x');
  for (int i = 0; i < 5000; ++i) body += line + "\r\n";
  EXPECT_EQ(client.ask(body + ".\r\n").substr(0, 9), "250 2.0.0");
  ASSERT_EQ(fixture.spool.stored().size(), 1U);
  EXPECT_EQ(fixture.spool.stored().begin()->second.body, body);
}

TEST(InboundAccept, OnARelayListenerAMissingDateAndMessageIdAreAdded) {
  auto config = support::base_config();
  config.listeners[0].role = policy::ListenerRole::relay;
  config.listeners[0].trusted_networks.push_back(smtp::Network::parse("127.0.0.0/8").value());
  InboundFixture fixture(std::move(config));
  SmtpClient client = fixture.greeted();
  EXPECT_EQ(deliver(client).substr(0, 3), "250");
  client.ask("MAIL FROM:<ann@sender.example>\r\n");
  client.ask("RCPT TO:<someone@elsewhere.example>\r\n");
  client.ask("DATA\r\n");
  client.ask("Date: Sun, 22 Nov 2026 03:39:00 +0000\r\nMessage-ID: <own@x>\r\n\r\nb\r\n.\r\n");
  const auto submitted = fixture.submitted();
  ASSERT_EQ(submitted.size(), 2U);
  const std::string &without = submitted[0]->envelope.trace;
  EXPECT_TRUE(contains(without, "\r\nDate: ")) << without;
  EXPECT_TRUE(contains(without, "\r\nMessage-ID: <" + submitted[0]->id.to_string() + "@mx.example.org>\r\n"))
      << without;
  const std::string &with = submitted[1]->envelope.trace;
  EXPECT_FALSE(contains(with, "\r\nDate: ")) << with;
  EXPECT_FALSE(contains(with, "Message-ID: ")) << with;
  EXPECT_EQ(submitted[1]->envelope.message_id, "<own@x>");
}

TEST(InboundAccept, ASessionKeepsItsConfigurationAndTheNextHasTheNewOne) {
  InboundFixture fixture;
  SmtpClient old_session = fixture.greeted();
  auto config = support::base_config();
  config.domains.clear();
  fixture.reload(std::move(config));
  SmtpClient new_session = fixture.greeted();
  EXPECT_EQ(deliver(old_session).substr(0, 3), "250");
  new_session.ask("MAIL FROM:<ann@sender.example>\r\n");
  EXPECT_EQ(new_session.ask("RCPT TO:<alice@example.org>\r\n").substr(0, 9), "550 5.7.1");
}

TEST(InboundAccept, EveryAddressOfEveryListenerIsBoundForAllWorkersOnOnePort) {
  auto config = support::base_config();
  config.listeners[0].addresses.push_back(smtp::SocketAddress::parse("127.0.0.2:0", 0).value());
  InboundFixture fixture(std::move(config), {}, 4);
  const auto status = fixture.server().status();
  ASSERT_EQ(status.bound.size(), 2U);
  for (int i = 0; i < 40; ++i) { // the kernel spreads them over the four sockets
    SmtpClient client = fixture.connect();
    EXPECT_EQ(client.reply().substr(0, 3), "220");
  }
}

TEST(InboundAccept, AnAddressInUseIsAnErrorThatNamesTheListener) {
  InboundFixture first;
  auto config = support::base_config();
  config.listeners[0].addresses[0].port = first.port();
  try {
    const InboundFixture second(std::move(config));
    FAIL() << "two servers share a port";
  } catch (const std::runtime_error &error) {
    EXPECT_TRUE(contains(error.what(), "portcullis.toml:2: listener \"test\" cannot listen on 127.0.0.1:"))
        << error.what();
  }
}

} // namespace accept_test
