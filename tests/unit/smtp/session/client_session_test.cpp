// ClientSession: every dialogue in every cut; waiting(); large messages in blocks and chunks; the pipeline's window.
#include "smtp/session/client_session.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/smtp/session/client_dialogues.hpp"

namespace client_session_test {

using namespace test;
using testing::ElementsAreArray;
using testing::IsEmpty;

TEST(ClientSession, dialogues_end_as_the_row_says_in_every_cut) {
  for (const auto &row : transaction_dialogues()) {
    for (const std::size_t cut : {1UL, 3UL, 4096UL}) {
      SCOPED_TRACE(fmt::format("{}, cut every {}", row.name, cut));
      const auto played = Player(row, {.cut = cut}).play();
      EXPECT_EQ(played.end, row.end) << played.detail;
      EXPECT_THAT(played.outcomes, ElementsAreArray(row.outcomes));
      EXPECT_THAT(played.differences, IsEmpty());
    }
  }
}

/// A session that is greeted, and whose octets a test reads and feeds by itself.
class Session {
public:
  explicit Session(const std::string &ehlo_reply) : session_(options()) {
    exchange(greeting);
    exchange(ehlo_reply);
  }
  smtp::ClientSession &operator*() { return session_; }
  smtp::ClientSession *operator->() { return &session_; }
  /// Feeds, and returns what is sent until the session waits, is ready, wants the body or is done.
  std::string exchange(std::string_view octets) {
    session_.feed(octets);
    return run();
  }
  std::string run() {
    std::string sent;
    for (;;) {
      last_ = session_.next();
      if (auto *send = std::get_if<smtp::ClientSend>(&last_))
        sent += send->octets;
      else
        return sent;
    }
  }
  template <typename Action> bool is() const { return std::holds_alternative<Action>(last_); }
  smtp::ClientAction last_;

private:
  smtp::ClientSession session_;
};

TEST(ClientSession, waiting_names_the_reply_whose_deadline_runs) {
  using Waiting = smtp::ClientSession::Waiting;
  smtp::ClientSession session(options());
  const auto after = [&](std::string_view octets) {
    session.feed(octets);
    for (;;) {
      const auto action = session.next();
      if (std::holds_alternative<smtp::ClientStartTls>(action)) return session.waiting();
      if (std::holds_alternative<smtp::ClientNeedBody>(action)) return session.waiting();
      if (!std::holds_alternative<smtp::ClientSend>(action)) return session.waiting();
    }
  };
  EXPECT_EQ(after(""), Waiting::greeting);
  EXPECT_EQ(after(greeting), Waiting::hello);
  EXPECT_EQ(after("250-x\r\n250 STARTTLS\r\n"), Waiting::starttls);
  EXPECT_EQ(after("220 go\r\n"), Waiting::starttls);
  session.tls_done();
  EXPECT_EQ(after(""), Waiting::hello);
  EXPECT_EQ(after(pipelining), Waiting::nothing);
  session.begin(message({"b@x.example", "c@x.example"}).transaction);
  EXPECT_EQ(after(""), Waiting::mail);
  EXPECT_EQ(after("250 ok\r\n"), Waiting::recipient);
  EXPECT_EQ(after("250 ok\r\n"), Waiting::recipient);
  EXPECT_EQ(after("250 ok\r\n"), Waiting::data_start);
  EXPECT_EQ(after("354 go\r\n"), Waiting::data_block);
  session.give_body("x\r\n", true);
  EXPECT_EQ(after(""), Waiting::data_end);
  EXPECT_EQ(after("250 ok\r\n"), Waiting::nothing);
  session.quit();
  EXPECT_EQ(after(""), Waiting::quit);
  EXPECT_EQ(after("221 bye\r\n"), Waiting::nothing);
}

TEST(ClientSession, a_large_message_leaves_in_blocks_of_64_KiB_and_arrives_whole) {
  Session session(pipelining);
  std::string body;
  while (body.size() < 1'000'000) body += "a line of a large message that has no dots\r\n";
  auto big = message({"b@x.example"}, body);
  session->begin(big.transaction);
  session.run();
  session.exchange("250 ok\r\n250 ok\r\n354 go\r\n");
  std::string received;
  std::size_t largest = 0;
  for (std::size_t at = 0; session.is<smtp::ClientNeedBody>(); at += 10'000) {
    session->give_body(std::string_view(body).substr(at, 10'000), at + 10'000 >= body.size());
    const auto sent = session.run();
    largest = std::max(largest, sent.size());
    received += sent;
  }
  EXPECT_EQ(received, body + ".\r\n");
  EXPECT_LE(largest, 65'536U + 10'000U);
  session.exchange("250 ok\r\n");
  EXPECT_TRUE(session.is<smtp::TransactionDone>());
}

/// Reads BDAT commands off what was sent; returns the octets they carry, and counts them.
std::string unchunk(std::string_view sent, std::vector<std::string> &commands) {
  std::string octets;
  while (!sent.empty()) {
    const auto end = sent.find("\r\n");
    const auto command = sent.substr(0, end);
    commands.emplace_back(command);
    const auto size = std::stoul(std::string(command.substr(5)));
    octets += sent.substr(end + 2, size);
    sent.remove_prefix(std::min(sent.size(), end + 2 + size));
  }
  return octets;
}

TEST(ClientSession, chunks_go_out_two_at_a_time_and_arrive_whole) {
  for (const bool pipelined : {true, false}) {
    SCOPED_TRACE(pipelined);
    Session session(pipelined ? chunking : "250-x\r\n250 CHUNKING\r\n");
    std::string body;
    while (body.size() < 1'000'000) body += ".a line of a large message that begins with a dot\r\n";
    auto big = message({"b@x.example"}, body);
    session->begin(big.transaction);
    session.run();
    session.exchange("250 ok\r\n");
    session.exchange("250 ok\r\n");
    std::string received;
    std::vector<std::string> commands;
    std::size_t answered = 0;
    for (std::size_t at = 0; !session.is<smtp::TransactionDone>();) {
      if (session.is<smtp::ClientNeedBody>()) {
        session->give_body(std::string_view(body).substr(at, 50'001), at + 50'001 >= body.size());
        at += 50'001;
        received += unchunk(session.run(), commands);
        ASSERT_LE(commands.size() - answered, pipelined ? 2U : 1U);
      } else {
        ASSERT_LT(answered++, commands.size()) << "waits for a reply to nothing";
        received += unchunk(session.exchange("250 ok\r\n"), commands);
      }
    }
    EXPECT_EQ(received, body);
    ASSERT_GT(commands.size(), 2U);
    EXPECT_TRUE(commands.back().ends_with(" LAST"));
    EXPECT_EQ(std::get<smtp::TransactionDone>(session.last_).outcomes[0].kind, smtp::RecipientOutcome::Kind::delivered);
  }
}

TEST(ClientSession, a_refused_chunk_stops_the_message_and_is_its_outcome) {
  Session session(chunking);
  auto big = message({"b@x.example"}, std::string(300'000, 'x') + "\r\n");
  session->begin(big.transaction);
  session.run();
  session.exchange("250 ok\r\n250 ok\r\n");
  ASSERT_TRUE(session.is<smtp::ClientNeedBody>());
  session->give_body(std::string_view(big.body).substr(0, 290'000), false);
  EXPECT_THAT(session.run(), testing::StartsWith("BDAT 290000\r\n"));
  session.exchange("552 5.3.4 too big\r\n");
  ASSERT_TRUE(session.is<smtp::TransactionDone>());
  EXPECT_EQ(to_words(std::get<smtp::TransactionDone>(session.last_).outcomes[0]), "permanent 552 5.3.4");
  session->begin(message({"c@x.example"}).transaction);
  EXPECT_THAT(session.run(), testing::StartsWith("RSET\r\nMAIL FROM:"));
}

TEST(ClientSession, more_recipients_than_the_window_are_sent_as_replies_come) {
  Session session(pipelining);
  std::vector<std::string> many;
  for (int i = 0; i < 1000; ++i) many.push_back(fmt::format("r{}@x.example", i));
  session->begin(message(many).transaction);
  std::string sent = session.run();
  std::size_t answered = 0;
  const auto commands = [&] { return static_cast<std::size_t>(std::count(sent.begin(), sent.end(), '\n')); };
  for (; answered < 1001; ++answered) {
    ASSERT_LE(commands() - answered, 100U);
    ASSERT_GT(commands(), answered) << "waits for a reply to nothing";
    sent += session.exchange("250 ok\r\n");
  }
  EXPECT_EQ(commands(), 1002U);
  EXPECT_TRUE(sent.ends_with("RCPT TO:<r999@x.example>\r\nDATA\r\n"));
  session.exchange("354 go\r\n");
  EXPECT_TRUE(session.is<smtp::ClientNeedBody>());
}

TEST(ClientSession, stored_data_with_a_bare_line_end_never_leaves) {
  struct Row {
    std::string name;
    std::string body;
  };
  for (const auto &row : std::vector<Row>{{"a bare LF in the first block", "a\nb\r\n"},
                                          {"a bare CR in the first block", "a\rb\r\n"},
                                          {"a bare CR at the end", "a\r"}}) {
    SCOPED_TRACE(row.name);
    Session data(pipelining);
    data->begin(message({"b@x.example"}).transaction);
    data.run();
    data.exchange("250 ok\r\n250 ok\r\n354 go\r\n");
    data->give_body(row.body, true);
    EXPECT_EQ(data.run(), "") << "not even the end mark, which would deliver half a message";
    ASSERT_TRUE(data.is<smtp::ClientFailed>());
    EXPECT_EQ(to_words(std::get<smtp::ClientFailed>(data.last_).outcomes.at(0)), "permanent 554 5.6.0 local");

    // With BDAT nothing was sent, so that the connection lives on.
    Session bdat(chunking);
    bdat->begin(message({"b@x.example"}).transaction);
    bdat.run();
    bdat.exchange("250 ok\r\n250 ok\r\n");
    bdat->give_body(row.body, true);
    EXPECT_EQ(bdat.run(), "");
    ASSERT_TRUE(bdat.is<smtp::TransactionDone>());
    EXPECT_EQ(to_words(std::get<smtp::TransactionDone>(bdat.last_).outcomes.at(0)), "permanent 554 5.6.0 local");
    bdat->begin(message({"b@x.example"}).transaction);
    EXPECT_THAT(bdat.run(), testing::StartsWith("RSET\r\n"));
  }
}

} // namespace client_session_test
