// ServerSession seen from its edge: questions and answers, aborts, shutdown, TLS. What clients see stands in
// tests/dialog.
#include "smtp/session/server_session.hpp"

#include "tests/support/server_harness.hpp"

#include <gtest/gtest.h>

namespace server_session_test {

using namespace smtp;

ServerOptions options() {
  ServerOptions given;
  given.hostname = "mx.example.org";
  return given;
}

constexpr std::string_view envelope = "EHLO c.example\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\n";

/// The reply codes in `output`, separated by spaces.
std::string codes(const std::string &output) {
  std::string found;
  for (std::size_t at = 0; at + 4 <= output.size(); at = output.find('\n', at) + 1)
    if (output[at + 3] != '-') found += (found.empty() ? "" : " ") + output.substr(at, 3);
  return found;
}

template <typename Action> Action expect_action(ServerSession &session) {
  auto action = session.next();
  auto *wanted = std::get_if<Action>(&action);
  EXPECT_NE(wanted, nullptr) << "action " << action.index();
  return wanted != nullptr ? std::move(*wanted) : Action{};
}

AskRecipient expect_recipient(ServerSession &session) {
  auto action = session.next();
  EXPECT_TRUE(std::holds_alternative<AskRecipient>(action)) << "action " << action.index();
  return std::get<AskRecipient>(std::move(action));
}

void expect_wait(ServerSession &session) {
  EXPECT_TRUE(std::holds_alternative<Wait>(session.next()));
}

TEST(ServerSession, asks_and_waits_for_each_answer) {
  ServerSession session(options());
  session.greet();
  EXPECT_EQ(expect_action<Send>(session).octets, "220 mx.example.org ESMTP\r\n");
  expect_wait(session);
  session.feed(std::string(envelope) + "DATA\r\n");
  EXPECT_EQ(codes(expect_action<Send>(session).octets), "250");
  const auto ask = expect_action<AskSender>(session);
  EXPECT_EQ(ask.sender.path.to_string(), "<a@example.net>");
  EXPECT_TRUE(session.facts().in_transaction);
  expect_wait(session);
  expect_wait(session);
  session.answer({250, EnhancedCode{2, 1, 0}, "ok"});
  EXPECT_EQ(expect_action<Send>(session).octets, "250 2.1.0 ok\r\n");
  EXPECT_EQ(expect_recipient(session).path.to_string(), "<b@example.org>");
  expect_wait(session);
  session.answer({250, EnhancedCode{2, 1, 5}, "ok"});
  EXPECT_EQ(codes(expect_action<Send>(session).octets), "250");
  expect_action<BeginBody>(session);
  expect_wait(session);
  session.answer({250, {}, {}});
  EXPECT_EQ(codes(expect_action<Send>(session).octets), "354");
  expect_wait(session);
  session.feed("one\r\n..two\r\n.\r\n");
  EXPECT_EQ(expect_action<Body>(session).octets, "one\r\n");
  EXPECT_EQ(expect_action<Body>(session).octets, ".two\r\n");
  EXPECT_EQ(expect_action<AskMessage>(session).size, 11U);
  expect_wait(session);
  EXPECT_FALSE(session.is_idle());
  session.answer({250, EnhancedCode{2, 0, 0}, "queued as X"});
  EXPECT_EQ(expect_action<Send>(session).octets, "250 2.0.0 queued as X\r\n");
  expect_wait(session);
  EXPECT_TRUE(session.is_idle());
}

TEST(ServerSession, passes_refusals_on_and_goes_back) {
  struct Row {
    std::string name;
    test::Judge judge;
    std::string input;
    std::string codes;
    std::size_t errors; ///< that count
  };
  const auto say = [](std::uint16_t code) { return [code](const auto &...) { return Reply{code, {}, "no"}; }; };
  const std::string all(envelope);
  const std::vector<Row> rows = {
      {"the sender, for good", {.sender = say(550)}, all + "MAIL FROM:<>\r\n", "250 550 503 550", 3},
      {"the sender, for now", {.sender = say(451)}, all, "250 451 503", 1},
      {"the recipient", {.recipient = say(450)}, all + "DATA\r\n", "250 250 450 554", 1},
      {"the body, at DATA", {.begin = say(452)}, all + "DATA\r\nMAIL FROM:<>\r\n", "250 250 250 452 250", 0},
      {"the body, at BDAT",
       {.begin = say(452)},
       all + "BDAT 6 LAST\r\nNOOP\r\nMAIL FROM:<>\r\n",
       "250 250 250 452 250",
       0},
      {"the message", {.message = say(554)}, all + "DATA\r\nx\r\n.\r\nMAIL FROM:<>\r\n", "250 250 250 354 554 250", 1},
      {"the message of BDAT",
       {.message = say(451)},
       all + "BDAT 3 LAST\r\nx\r\nMAIL FROM:<>\r\n",
       "250 250 250 451 250",
       0},
  };
  for (const auto &row : rows) {
    for (const std::size_t cut : {1U, 3U, 4096U}) {
      SCOPED_TRACE(row.name);
      test::ServerHarness server(options(), row.judge);
      server.feed(row.input, cut);
      EXPECT_EQ(codes(server.output), row.codes);
      EXPECT_EQ(server.session.facts().errors, row.errors);
      EXPECT_EQ(server.broken, "");
      EXPECT_FALSE(server.closed);
      EXPECT_TRUE(server.messages.empty());
    }
  }
}

TEST(ServerSession, closes_after_an_answer_of_421) {
  const auto busy = [](const auto &...) { return Reply{421, EnhancedCode{4, 3, 2}, "busy"}; };
  for (const auto &judge : {test::Judge{.sender = busy}, test::Judge{.recipient = busy}, test::Judge{.begin = busy},
                            test::Judge{.message = busy}}) {
    for (const std::string body : {"DATA\r\nx\r\n.\r\nNOOP\r\n", "BDAT 3 LAST\r\nx\r\nNOOP\r\n"}) {
      test::ServerHarness server(options(), judge);
      server.feed(std::string(envelope) + body);
      EXPECT_TRUE(server.closed);
      EXPECT_TRUE(server.output.ends_with("421 4.3.2 busy\r\n"));
      EXPECT_EQ(server.broken, "");
    }
  }
}

TEST(ServerSession, gives_the_parameters_with_the_question) {
  ServerSession session(options());
  session.feed("EHLO c.example\r\nMAIL FROM:<a@example.net> SIZE=5 RET=FULL\r\n");
  expect_action<Send>(session);
  const auto sender = expect_action<AskSender>(session).sender;
  EXPECT_EQ(sender.parameters.size, 5U);
  EXPECT_EQ(sender.parameters.ret, DsnReturn::full);
  session.answer({250, {}, {}});
  session.feed("RCPT TO:<b@example.org> NOTIFY=NEVER\r\n");
  expect_action<Send>(session);
  EXPECT_TRUE(expect_recipient(session).parameters.notify.never);
}

TEST(ServerSession, aborts_a_body_that_the_client_leaves) {
  struct Row {
    std::string input;
    std::string codes;
    bool closed;
  };
  const std::string all(envelope);
  const std::vector<Row> rows = {
      {all + "BDAT 3\r\nx\r\nRSET\r\n", "250 250 250 250 250", false},
      {all + "BDAT 3\r\nx\r\nEHLO again\r\n", "250 250 250 250 250", false},
      {all + "BDAT 3\r\nx\r\nQUIT\r\n", "250 250 250 250 221", true},
      {all + "BDAT 3\r\nx\r\nGET / HTTP/1.1\r\n", "250 250 250 250 554", true},
      {all + "BDAT 3\r\nx\r\nBDAT x\r\n", "250 250 250 250 501", true},
      {all + "BDAT 3\r\nx\r\nNOOP\n", "250 250 250 250 500", true},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.input);
    test::ServerHarness server(options());
    server.feed(row.input, 3);
    EXPECT_EQ(codes(server.output), row.codes);
    EXPECT_EQ(server.aborted, 1U);
    EXPECT_EQ(server.closed, row.closed);
    EXPECT_EQ(server.broken, "");
  }
}

TEST(ServerSession, ends_when_the_client_is_gone) {
  for (const auto *input : {"", "EHLO c.ex", "DATA\r\nhalf", "BDAT 10\r\nhalf", "BDAT 3\r\nx\r\n"}) {
    SCOPED_TRACE(input);
    test::ServerHarness server(options());
    server.feed(std::string(envelope) + input);
    server.session.end_of_input();
    server.pump();
    EXPECT_TRUE(server.closed);
    EXPECT_EQ(server.broken, "");
    EXPECT_EQ(server.aborted, std::string_view(input).find('\n') == std::string_view::npos ? 0U : 1U);
  }
}

TEST(ServerSession, still_answers_what_came_before_the_end_of_input) {
  ServerSession session(options());
  session.feed(std::string(envelope) + "DATA\r\nx\r\n.\r\nQUIT\r\n");
  session.end_of_input();
  expect_action<Send>(session);
  expect_action<AskSender>(session);
  expect_wait(session);
  session.answer({250, {}, {}});
  expect_action<Send>(session);
  expect_recipient(session);
  session.answer({250, {}, {}});
  expect_action<Send>(session);
  expect_action<BeginBody>(session);
  session.answer({250, {}, {}});
  expect_action<Send>(session);
  expect_action<Body>(session);
  expect_action<AskMessage>(session);
  session.answer({250, {}, {}});
  EXPECT_EQ(codes(expect_action<Send>(session).octets), "250 221");
  EXPECT_EQ(expect_action<Close>(session).reason, "the client said QUIT");
  expect_wait(session);
}

TEST(ServerSession, can_be_refused_at_any_moment) {
  for (const auto *input : {"", "EHLO c.example\r\n", "MAIL", "DATA\r\nhalf", "BDAT 3\r\nx\r\n", "STARTTLS\r\n"}) {
    SCOPED_TRACE(input);
    test::ServerHarness server(options());
    server.feed(std::string(envelope) + input);
    server.output.clear();
    server.session.refuse({421, EnhancedCode{4, 4, 2}, "too slow"});
    server.pump();
    EXPECT_EQ(server.output, "421 4.4.2 too slow\r\n");
    EXPECT_TRUE(server.closed);
    EXPECT_EQ(server.broken, "");
    server.feed("NOOP\r\nMAIL FROM:<a@example.net>\r\n");
    server.session.answer({250, {}, {}});
    server.session.end_of_input();
    server.pump();
    EXPECT_EQ(server.output, "421 4.4.2 too slow\r\n") << "nothing comes after Close";
    EXPECT_EQ(server.broken, "");
  }
}

TEST(ServerSession, can_be_refused_while_a_question_is_open) {
  ServerSession session(options());
  session.feed(std::string(envelope));
  expect_action<Send>(session);
  expect_action<AskSender>(session);
  session.refuse({421, EnhancedCode{4, 3, 2}, "bye"});
  EXPECT_EQ(codes(expect_action<Send>(session).octets), "421");
  expect_action<Close>(session);
  session.answer({250, {}, {}});
  expect_wait(session);
}

TEST(ServerSession, shuts_down_where_no_message_is_at_stake) {
  struct Row {
    std::string before;
    std::string after;
    std::string codes; ///< of all that is sent after shut_down()
    std::size_t messages;
  };
  const std::vector<Row> rows = {
      {"", "", "421", 0},
      {"DATA\r\nhalf", " a line\r\n.\r\nNOOP\r\n", "250 421", 1},
      {"BDAT 3\r\nx\r\n", "BDAT 0 LAST\r\nNOOP\r\n", "250 421", 1},
      {"BDAT 3 LAST\r\nx", "\r\nNOOP\r\n", "250 421", 1},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.before);
    test::ServerHarness server(options());
    server.feed(std::string(envelope) + row.before);
    server.output.clear();
    server.session.shut_down("shutting down");
    server.pump();
    server.feed(row.after, 1);
    EXPECT_EQ(codes(server.output), row.codes);
    EXPECT_TRUE(server.output.ends_with("421 4.3.2 shutting down\r\n"));
    EXPECT_TRUE(server.closed);
    EXPECT_EQ(server.messages.size(), row.messages);
    EXPECT_EQ(server.broken, "");
  }
}

TEST(ServerSession, forgets_all_when_tls_begins) {
  test::ServerHarness server(options());
  server.feed(std::string(envelope) + "BOGUS\r\nSTARTTLS\r\n");
  EXPECT_TRUE(server.tls_wanted);
  EXPECT_FALSE(server.session.facts().in_tls);
  server.session.tls_done();
  const auto facts = server.session.facts();
  EXPECT_TRUE(facts.in_tls);
  EXPECT_EQ(facts.helo, "");
  EXPECT_FALSE(facts.extended);
  EXPECT_FALSE(facts.in_transaction);
  EXPECT_EQ(facts.errors, 1U) << "errors are the connection's, not the client's word";
  server.output.clear();
  server.feed("DATA\r\nMAIL FROM:<a@example.net>\r\n");
  EXPECT_EQ(codes(server.output), "503 503");
}

TEST(ServerSession, runs_nothing_that_was_sent_in_clear_behind_starttls) {
  for (const std::size_t cut : {1U, 10U, 4096U}) {
    test::ServerHarness server(options());
    server.feed(std::string(envelope) + "STARTTLS\r\nRSET\r\n", cut);
    server.session.tls_done();
    server.pump();
    EXPECT_TRUE(server.closed);
    EXPECT_FALSE(server.session.facts().in_tls) << "nothing that comes too late starts TLS";
    EXPECT_EQ(server.broken, "");
    EXPECT_TRUE(codes(server.output) == "250 250 250 554" || codes(server.output) == "250 250 250 220")
        << server.output;
  }
}

TEST(ServerSession, can_begin_inside_tls) {
  auto given = options();
  given.tls_from_start = true;
  test::ServerHarness server(given);
  server.feed("EHLO c.example\r\nSTARTTLS\r\n");
  EXPECT_TRUE(server.session.facts().in_tls);
  EXPECT_EQ(server.output.find("250-STARTTLS"), std::string::npos);
  EXPECT_EQ(codes(server.output), "250 503");
}

TEST(ServerSession, knows_how_it_was_greeted) {
  test::ServerHarness server(options());
  server.feed("HELO old.example\r\n");
  EXPECT_EQ(server.session.facts().helo, "old.example");
  EXPECT_FALSE(server.session.facts().extended);
  server.feed("EHLO new.example\r\n");
  EXPECT_EQ(server.session.facts().helo, "new.example");
  EXPECT_TRUE(server.session.facts().extended);
}

TEST(ServerSession, reads_a_refused_body_only_so_far) {
  auto given = options();
  given.limits.message_size = 1000;
  test::ServerHarness server(given);
  server.feed(std::string(envelope) + "DATA\r\n");
  const std::string line = std::string(998, 'x') + "\r\n";
  std::size_t fed = 0;
  while (!server.closed && fed < 10'000'000) {
    server.feed(line);
    fed += line.size();
  }
  EXPECT_TRUE(server.closed);
  EXPECT_LT(fed, 2'000'000U);
  EXPECT_EQ(codes(server.output), "250 250 250 354 552");
  EXPECT_EQ(server.aborted, 1U);
  test::ServerHarness chunks(given);
  chunks.feed("EHLO c.example\r\nBDAT 99999999999\r\n");
  EXPECT_TRUE(chunks.closed);
}

TEST(ServerSession, gathers_replies_to_pipelined_commands_within_bounds) {
  auto given = options();
  given.limits.idle_commands = 20'000;
  ServerSession session(given);
  std::string commands = "EHLO c.example\r\n";
  for (int i = 0; i < 10'000; ++i) commands += "NOOP\r\n";
  session.feed(commands);
  std::size_t replies = 0;
  for (;;) {
    const auto action = session.next();
    if (std::holds_alternative<Wait>(action)) break;
    const auto &octets = std::get<Send>(action).octets;
    EXPECT_LE(octets.size(), 8192U + 512);
    for (std::size_t at = octets.find("250 2.0.0"); at != std::string::npos; at = octets.find("250 2.0.0", at + 1))
      ++replies;
  }
  EXPECT_EQ(replies, 10'000U);
}

TEST(ServerSession, what_a_refused_chunk_holds_is_no_command) {
  ServerOptions closed = options();
  closed.require_tls = true;
  closed.offer_starttls = true;
  ServerSession session(closed);
  session.greet();
  static_cast<void>(expect_action<Send>(session));
  session.feed("EHLO c.example\r\nBDAT 12 LAST\r\nNOOP\r\nNOOP\r\nRSET\r\n");
  std::string output;
  for (auto action = session.next(); std::holds_alternative<Send>(action); action = session.next())
    output += std::get<Send>(action).octets;
  EXPECT_EQ(codes(output), "250 530 530") << output; // EHLO, the chunk, RSET
}

} // namespace server_session_test
