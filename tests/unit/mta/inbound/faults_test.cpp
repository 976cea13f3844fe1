// What happens between DATA and 250: a faulty or slow spool, and clients that vanish at every step.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/inbound_fixture.hpp"

namespace faults_test {

using support::base_config;
using support::InboundFixture;
using support::SmtpClient;

constexpr const char *message = "Subject: hi\r\n\r\nhello\r\n.\r\n";

void say_envelope(SmtpClient &client) {
  EXPECT_EQ(client.ask("MAIL FROM:<ann@sender.example>\r\n").substr(0, 3), "250");
  EXPECT_EQ(client.ask("RCPT TO:<alice@example.org>\r\n").substr(0, 3), "250");
}

smtp::Error error_of(smtp::ErrorCode code) {
  return {code, "injected"};
}

// ---- the spool fails at one step

struct FaultRow {
  std::string name;
  void (*inject)(support::MemorySpool &);
  void (*repair)(support::MemorySpool &);
  std::string data_reply;    ///< to DATA
  std::string message_reply; ///< to the final dot
};

class FaultTable : public testing::TestWithParam<FaultRow> {};

TEST_P(FaultTable, NothingIsSubmittedAndTheNextMessageGoesThrough) {
  const FaultRow &row = GetParam();
  InboundFixture fixture;
  SmtpClient client = fixture.greeted();
  say_envelope(client);
  row.inject(fixture.spool);
  const std::string data_reply = client.ask("DATA\r\n");
  EXPECT_EQ(data_reply.substr(0, row.data_reply.size()), row.data_reply) << data_reply;
  if (data_reply.substr(0, 3) == "354") {
    const std::string reply = client.ask(message);
    EXPECT_EQ(reply.substr(0, row.message_reply.size()), row.message_reply) << reply;
  }
  EXPECT_TRUE(fixture.submitted().empty());
  EXPECT_TRUE(fixture.spool.stored().empty());
  fixture.spool.wait_until_no_writers();

  row.repair(fixture.spool);
  client.ask("RSET\r\n");
  say_envelope(client);
  EXPECT_EQ(client.ask("DATA\r\n").substr(0, 3), "354");
  EXPECT_EQ(client.ask(message).substr(0, 9), "250 2.0.0");
  EXPECT_EQ(fixture.submitted().size(), 1U);
}

std::vector<FaultRow> fault_rows() {
  using smtp::ErrorCode;
  using support::MemorySpool;
  using Step = MemorySpool::Step;
  return {
      {"begin fails with io", [](MemorySpool &spool) { spool.fail(Step::begin, error_of(ErrorCode::io)); },
       [](MemorySpool &spool) { spool.repair(Step::begin); }, "451 4.3.0", ""},
      {"begin fails with full", [](MemorySpool &spool) { spool.fail(Step::begin, error_of(ErrorCode::full)); },
       [](MemorySpool &spool) { spool.repair(Step::begin); }, "452 4.3.1", ""},
      {"append fails with io", [](MemorySpool &spool) { spool.fail(Step::append, error_of(ErrorCode::io)); },
       [](MemorySpool &spool) { spool.repair(Step::append); }, "354", "451 4.3.0"},
      {"append fails with full", [](MemorySpool &spool) { spool.fail(Step::append, error_of(ErrorCode::full)); },
       [](MemorySpool &spool) { spool.repair(Step::append); }, "354", "452 4.3.1"},
      {"commit fails with io", [](MemorySpool &spool) { spool.fail(Step::commit, error_of(ErrorCode::io)); },
       [](MemorySpool &spool) { spool.repair(Step::commit); }, "354", "451 4.3.0"},
      {"commit fails with full", [](MemorySpool &spool) { spool.fail(Step::commit, error_of(ErrorCode::full)); },
       [](MemorySpool &spool) { spool.repair(Step::commit); }, "354", "452 4.3.1"},
      {"commit fails as the daemon stops",
       [](MemorySpool &spool) { spool.fail(Step::commit, error_of(ErrorCode::stopping)); },
       [](MemorySpool &spool) { spool.repair(Step::commit); }, "354", "451 4.3.0"},
  };
}

std::string name_of_fault(const testing::TestParamInfo<FaultRow> &row) {
  std::string name;
  for (const char c : row.param.name) name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Rows, FaultTable, testing::ValuesIn(fault_rows()), name_of_fault);

TEST(InboundFaults, BdatIsRefusedTooWhenNothingCanBeBegun) {
  InboundFixture fixture;
  SmtpClient client = fixture.greeted();
  say_envelope(client);
  fixture.spool.fail(support::MemorySpool::Step::begin, error_of(smtp::ErrorCode::full));
  EXPECT_EQ(client.ask("BDAT 6 LAST\r\nA: b\r\n").substr(0, 9), "452 4.3.1");
  EXPECT_EQ(client.ask("NOOP\r\n").substr(0, 3), "250") << "the chunk must have been read";
}

// ---- MAIL while the spool cannot take mail

struct StatusRow {
  const char *name;
  void (*change)(mta::SpoolStatus &);
  const char *mail;
  const char *reply;
};

TEST(InboundFaults, MailIsRefusedWhileTheSpoolCannotTakeIt) {
  const std::vector<StatusRow> rows = {
      {"unhealthy", [](mta::SpoolStatus &status) { status.healthy = false; }, "MAIL FROM:<a@b.example>\r\n",
       "451 4.3.0"},
      {"disk below its floor", [](mta::SpoolStatus &status) { status.free_octets = 268'435'455; },
       "MAIL FROM:<a@b.example>\r\n", "452 4.3.1"},
      {"disk at its floor", [](mta::SpoolStatus &status) { status.free_octets = 268'435'456; },
       "MAIL FROM:<a@b.example>\r\n", "250 2.1.0"},
      {"announced size does not fit above the floor",
       [](mta::SpoolStatus &status) { status.free_octets = 268'436'455; }, "MAIL FROM:<a@b.example> SIZE=1000\r\n",
       "452 4.3.1"},
      {"announced size just fits", [](mta::SpoolStatus &status) { status.free_octets = 268'436'456; },
       "MAIL FROM:<a@b.example> SIZE=1000\r\n", "250 2.1.0"},
      {"queue at its limit", [](mta::SpoolStatus &status) { status.messages = 1'000'000; },
       "MAIL FROM:<a@b.example>\r\n", "452 4.3.1"},
  };
  for (const StatusRow &row : rows) {
    InboundFixture fixture;
    auto status = fixture.spool.status();
    row.change(status);
    fixture.spool.set_status(status);
    SmtpClient client = fixture.greeted();
    const std::string reply = client.ask(row.mail);
    EXPECT_EQ(reply.substr(0, 9), row.reply) << row.name << ": " << reply;
  }
}

TEST(InboundFaults, WhileDrainingNewMailIsDeferredAndSessionsStay) {
  InboundFixture fixture;
  SmtpClient client = fixture.greeted();
  fixture.server().set_accepting(false);
  EXPECT_EQ(client.ask("MAIL FROM:<ann@sender.example>\r\n").substr(0, 9), "451 4.3.2");
  EXPECT_EQ(client.ask("NOOP\r\n").substr(0, 3), "250");
  fixture.server().set_accepting(true);
  say_envelope(client);
}

// ---- 250 only after the commit

TEST(InboundFaults, TheReplyComesOnlyAfterTheCommit) {
  InboundFixture fixture;
  fixture.spool.hold_commits();
  SmtpClient client = fixture.greeted();
  say_envelope(client);
  client.ask("DATA\r\n");
  ASSERT_TRUE(client.send(message));
  fixture.spool.wait_until_held(1);
  EXPECT_FALSE(client.has_octets()) << "a reply came before the commit";
  EXPECT_TRUE(fixture.submitted().empty());
  fixture.spool.release();
  EXPECT_EQ(client.reply().substr(0, 9), "250 2.0.0");
  EXPECT_EQ(fixture.submitted().size(), 1U);
}

TEST(InboundFaults, OtherSessionsOfTheWorkerGoOnWhileOneWaitsForTheCommit) {
  InboundFixture fixture(base_config(), {}, 1);
  fixture.spool.hold_commits();
  SmtpClient client = fixture.greeted();
  say_envelope(client);
  client.ask("DATA\r\n");
  client.send(message);
  fixture.spool.wait_until_held(1);
  SmtpClient other = fixture.greeted();
  EXPECT_EQ(other.ask("NOOP\r\n").substr(0, 3), "250");
  fixture.spool.release();
  EXPECT_EQ(client.reply().substr(0, 3), "250");
}

TEST(InboundFaults, WhatIsPipelinedBehindAMessageWaitsForItsCommit) {
  InboundFixture fixture;
  fixture.spool.hold_commits();
  SmtpClient client = fixture.greeted();
  say_envelope(client);
  client.ask("DATA\r\n");
  client.send(std::string(message) + "MAIL FROM:<second@sender.example>\r\nNOOP\r\n");
  fixture.spool.wait_until_held(1);
  EXPECT_FALSE(client.has_octets());
  fixture.spool.release();
  EXPECT_EQ(client.reply().substr(0, 9), "250 2.0.0");
  EXPECT_EQ(client.reply().substr(0, 9), "250 2.1.0");
  EXPECT_EQ(client.reply().substr(0, 3), "250");
}

TEST(InboundFaults, ASlowLogHoldsTheSessionBack) {
  InboundFixture fixture;
  fixture.spool.pause_writers();
  SmtpClient client = fixture.greeted();
  say_envelope(client);
  client.ask("DATA\r\n");
  client.send("Subject: hi\r\n\r\n");
  fixture.spool.wait_until_held(1);
  client.send("hello\r\n.\r\n");
  fixture.spool.release();
  EXPECT_EQ(client.reply().substr(0, 9), "250 2.0.0");
  ASSERT_EQ(fixture.spool.stored().size(), 1U);
  EXPECT_EQ(fixture.spool.stored().begin()->second.body, "Subject: hi\r\n\r\nhello\r\n");
}

// ---- the client vanishes

class VanishTable : public testing::TestWithParam<std::tuple<int, bool>> {};

TEST_P(VanishTable, NothingIsKept) {
  const auto &[steps, by_reset] = GetParam();
  const std::vector<std::string> said = {"EHLO client.example\r\n", "MAIL FROM:<ann@sender.example>\r\n",
                                         "RCPT TO:<alice@example.org>\r\n", "DATA\r\n"};
  InboundFixture fixture;
  SmtpClient client = fixture.connect();
  client.reply();
  for (int i = 0; i < steps && i < 4; ++i) client.ask(said[static_cast<std::size_t>(i)]);
  if (steps == 5) client.send("Subject: hi\r\n\r\nhel");
  if (steps == 6) client.send("Subject: hi\r\n\r\nhello\r\n.\r");
  if (by_reset) {
    client.reset();
  } else {
    client.hang_up();
  }
  const auto event = fixture.log.wait_for("disconnect");
  EXPECT_EQ(event.fields.at("accepted"), "0");
  EXPECT_FALSE(event.fields.at("reason").empty());
  fixture.spool.wait_until_no_writers();
  EXPECT_TRUE(fixture.spool.stored().empty());
  EXPECT_TRUE(fixture.submitted().empty());
}

INSTANTIATE_TEST_SUITE_P(AfterStep, VanishTable, testing::Combine(testing::Range(0, 7), testing::Bool()));

TEST(InboundFaults, AClientThatVanishesInAChunkLeavesNothing) {
  InboundFixture fixture;
  SmtpClient client = fixture.greeted();
  say_envelope(client);
  client.send("BDAT 100 LAST\r\nSubject: only a part");
  client.end_sending();
  EXPECT_EQ(fixture.log.wait_for("disconnect").fields.at("accepted"), "0");
  fixture.spool.wait_until_no_writers();
  EXPECT_TRUE(fixture.spool.stored().empty());
}

TEST(InboundFaults, AMessageIsKeptWhenTheClientVanishesBeforeTheReply) {
  InboundFixture fixture;
  fixture.spool.hold_commits();
  SmtpClient client = fixture.greeted();
  say_envelope(client);
  client.ask("DATA\r\n");
  client.send(message);
  fixture.spool.wait_until_held(1);
  client.reset();
  fixture.spool.release();
  EXPECT_EQ(fixture.log.wait_for("disconnect").fields.at("accepted"), "1");
  EXPECT_EQ(fixture.submitted().size(), 1U);
  EXPECT_EQ(fixture.log.wait_for("reply_lost").fields.at("id"), mta::QueueId{1}.to_string());
}

} // namespace faults_test
