// ClientSession: how sessions fail: greetings, EHLO, STARTTLS and its injection, and every dialogue lost or disturbed
// at every step.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/smtp/session/client_dialogues.hpp"

namespace client_failures_test {

using namespace test;
using testing::IsEmpty;
using Use = smtp::StartTlsUse;

const std::string offers_tls = "250-mx.example\r\n250 STARTTLS\r\n";

Dialogue failing(std::string name, Use use, std::vector<Step> steps, std::string end) {
  return {.name = std::move(name),
          .options = options(use),
          .messages = {},
          .steps = std::move(steps),
          .outcomes = {},
          .end = std::move(end)};
}

std::vector<Dialogue> failures() {
  const std::string many_lines = [] {
    std::string reply;
    for (int i = 0; i < 200; ++i) reply += "250-x\r\n";
    return reply + "250 x\r\n";
  }();
  std::vector<Dialogue> rows{
      failing("220 greets", Use::never, {{"", greeting}, {ehlo, bare}, bye}, "closed"),
      failing("a greeting of several lines", Use::never, {{"", "220-mx\r\n220 hello\r\n"}, {ehlo, bare}, bye},
              "closed"),
      failing("421 in place of a greeting", Use::never, {{"", "421 4.3.2 too busy\r\n"}}, "greeting"),
      failing("554 in place of a greeting", Use::never, {{"", "554 5.7.1 go away\r\n"}}, "greeting"),
      failing("a greeting with another positive code", Use::never, {{"", "250 hello\r\n"}}, "protocol"),
      failing("a web server greets", Use::never, {{"", "HTTP/1.1 400 Bad Request\r\n"}}, "protocol"),
      failing("a greeting with a bare LF", Use::never, {{"", "220 mx\n"}}, "protocol"),
      failing("a greeting line without end", Use::never, {{"", "220 " + std::string(3000, 'x')}}, "protocol"),
      failing("an EHLO reply of 201 lines", Use::never, {{"", greeting}, {ehlo, many_lines}}, "protocol"),
      failing("codes that change within a reply", Use::never, {{"", greeting}, {ehlo, "250-x\r\n251 y\r\n"}},
              "protocol"),
      failing("a server that talks on after its greeting", Use::never, {{"", greeting + "250 unasked\r\n"}},
              "protocol"),
      failing("a server that greets and leaves", Use::never, {{"", greeting + "421 leaving\r\n"}}, "hello"),
      failing("EHLO refused, HELO taken", Use::never,
              {{"", greeting}, {ehlo, "502 what\r\n"}, {"HELO client.example\r\n", "250 hello\r\n"}, bye}, "closed"),
      failing("EHLO and HELO refused", Use::never,
              {{"", greeting}, {ehlo, "550 no\r\n"}, {"HELO client.example\r\n", "550 no\r\n"}}, "hello"),
      failing("EHLO refused for now", Use::never, {{"", greeting}, {ehlo, "450 4.7.1 later\r\n"}}, "hello"),
      failing("421 to EHLO", Use::never, {{"", greeting}, {ehlo, "421 busy\r\n"}}, "hello"),
      failing("354 to EHLO", Use::never, {{"", greeting}, {ehlo, "354 what\r\n"}}, "protocol"),
      failing("STARTTLS not wanted is not asked for", Use::never, {{"", greeting}, {ehlo, offers_tls}, bye}, "closed"),
      failing("STARTTLS not offered, not required", Use::if_offered, {{"", greeting}, {ehlo, bare}, bye}, "closed"),
      failing("STARTTLS required, not offered", Use::required, {{"", greeting}, {ehlo, bare}}, "starttls_absent"),
      failing("STARTTLS required, EHLO unknown", Use::required, {{"", greeting}, {ehlo, "500 what\r\n"}},
              "starttls_absent"),
      failing("STARTTLS refused for now is no clear session", Use::if_offered,
              {{"", greeting}, {ehlo, offers_tls}, {"STARTTLS\r\n", "454 4.7.0 no TLS now\r\n"}}, "starttls_refused"),
      failing("STARTTLS refused", Use::required,
              {{"", greeting}, {ehlo, offers_tls}, {"STARTTLS\r\n", "502 5.5.1 no\r\n"}}, "starttls_refused"),
      failing("354 to STARTTLS", Use::required, {{"", greeting}, {ehlo, offers_tls}, {"STARTTLS\r\n", "354 no\r\n"}},
              "protocol"),
      failing("inside TLS only HELO is known", Use::required,
              {{"", greeting},
               {ehlo, offers_tls},
               {"STARTTLS\r\n", "220 go\r\n"},
               {"<TLS>" + ehlo, "502 what\r\n"},
               {"HELO client.example\r\n", "250 hello\r\n"},
               bye},
              "closed"),
      failing("a reply to STARTTLS that comes before the command", Use::required,
              {{"", greeting}, {ehlo, offers_tls + "220 go\r\n"}}, "starttls_injected"),
      failing("half a reply before STARTTLS is asked", Use::if_offered, {{"", greeting}, {ehlo, offers_tls + "22"}},
              "starttls_injected"),
      failing("a reply behind the 220 of STARTTLS", Use::if_offered,
              {{"", greeting}, {ehlo, offers_tls}, {"STARTTLS\r\n", "220 go\r\n250-mx\r\n250 AUTH PLAIN\r\n"}},
              "starttls_injected"),
      failing("one octet behind the 220 of STARTTLS", Use::required,
              {{"", greeting}, {ehlo, offers_tls}, {"STARTTLS\r\n", "220 go\r\n2"}}, "starttls_injected"),
  };
  return rows;
}

TEST(ClientFailures, each_failure_has_its_stage_however_the_octets_are_cut) {
  for (const auto &row : failures()) {
    for (const std::size_t cut : {1UL, 3UL, 4096UL}) {
      // The cut decides what came before a command was sent and what behind it: only whole feeds are early.
      const bool early = row.end == "starttls_injected" || row.name.find("talks on") != std::string::npos ||
                         row.name.find("and leaves") != std::string::npos;
      if (early && cut != 4096) continue;
      SCOPED_TRACE(fmt::format("{}, cut every {}", row.name, cut));
      const auto played = Player(row, {.cut = cut}).play();
      EXPECT_EQ(played.end, row.end) << played.detail;
      EXPECT_THAT(played.differences, IsEmpty());
      EXPECT_EQ(played.detail.empty(), row.end == "closed") << "a failure says why";
    }
  }
}

TEST(ClientFailures, a_greeting_whose_lines_differ_is_the_worse_one) {
  const auto row =
      failing("220- then 521", Use::never, {{"", "220-mx welcomes\r\n521 5.3.2 no mail here\r\n"}}, "greeting");
  const auto played = Player(row, {}).play();
  EXPECT_EQ(played.end, "greeting");
  ASSERT_TRUE(played.reply.has_value());
  EXPECT_EQ(played.reply->code, 521);
  EXPECT_NE(played.reply->text.find("mx welcomes"), std::string::npos) << "the text stays";
}

TEST(ClientFailures, a_host_with_our_own_name_is_a_loop_where_that_is_asked_for) {
  for (const std::string own :
       {"220 client.example ESMTP\r\n", "220 CLIENT.example. hello\r\n", "220-client.example\r\n220 x\r\n"}) {
    auto row = failing(own, Use::never, {{"", own}}, "loop");
    row.options.own_name_is_loop = true;
    EXPECT_EQ(Player(row, {}).play().end, "loop") << own;
    auto route = failing(own, Use::never, {{"", own}, {ehlo, bare}, bye}, "closed");
    EXPECT_EQ(Player(route, {}).play().end, "closed") << own;
  }
  auto row = failing("EHLO", Use::never, {{"", greeting}, {ehlo, "250-client.example Hello\r\n250 SIZE\r\n"}}, "loop");
  row.options.own_name_is_loop = true;
  EXPECT_EQ(Player(row, {}).play().end, "loop");
  auto other = failing("other", Use::never,
                       {{"", "220 xclient.example\r\n"}, {ehlo, "250 mx.example client.example\r\n"}, bye}, "closed");
  other.options.own_name_is_loop = true;
  EXPECT_EQ(Player(other, {}).play().end, "closed");
}

/// The session after the whole message was sent, then `words`, then perhaps the end of the connection.
smtp::ClientFailed after_the_last_octet(const std::string &offers, const std::string &words, bool closed) {
  smtp::ClientSession session(options(Use::never));
  std::string answers = greeting;
  bool begun = false;
  bool sent = false;
  for (int i = 0; i < 100; ++i) {
    auto action = session.next();
    if (auto *failed = std::get_if<smtp::ClientFailed>(&action)) return *failed;
    if (std::holds_alternative<smtp::ClientReady>(action) && !std::exchange(begun, true)) {
      session.begin(message({"b@x.example"}).transaction);
    } else if (std::holds_alternative<smtp::ClientNeedBody>(action)) {
      session.give_body("Subject: x\r\n\r\nhi\r\n", true);
    } else if (auto *send = std::get_if<smtp::ClientSend>(&action)) {
      const std::string &octets = send->octets;
      sent = octets.ends_with("\r\n.\r\n") || octets.starts_with("BDAT");
      answers = octets.starts_with("EHLO") ? offers : octets.starts_with("DATA") ? "354 go\r\n" : "250 ok\r\n";
    } else if (std::holds_alternative<smtp::ClientWait>(action)) {
      session.feed(sent ? words : answers);
      if (sent && closed) session.end_of_input();
    } else {
      ADD_FAILURE() << "action " << action.index();
      return {};
    }
  }
  ADD_FAILURE() << "no end";
  return {};
}

TEST(ClientFailures, an_unclear_answer_after_the_last_octet_is_an_unsure_end) {
  struct Row {
    const char *words;
    bool closed;
    bool unsure;
  };
  const std::string long_line = "250 " + std::string(3000, 'x');
  const Row rows[] = {
      {"250 ok\n", false, true},
      {"ok\r\n", false, true},
      {long_line.c_str(), false, true},
      {"250-ok\r\n550 no\r\n", false, true},
      {"550-no\r\n250 ok\r\n", false, true},
      {"354 go on\r\n", false, true},
      {"220 mx.example\r\n", false, true},
      {"221 bye\r\n", false, true},
      {"", true, true},
      {"250-half", true, true},
      {"421 4.3.2 closing\r\n", false, false},
  };
  for (const auto &row : rows) {
    for (const std::string &offers : {bare, std::string("250-mx.example\r\n250 CHUNKING\r\n")}) {
      const auto failed = after_the_last_octet(offers, row.words, row.closed);
      EXPECT_EQ(failed.unsure, row.unsure) << row.words << failed.detail;
      ASSERT_EQ(failed.outcomes.size(), 1U);
      EXPECT_EQ(failed.outcomes[0].kind, smtp::RecipientOutcome::Kind::temporary);
    }
  }
}

TEST(ClientFailures, the_reply_that_ended_the_session_is_kept) {
  for (const auto &row : failures()) {
    const auto played = Player(row, {}).play();
    const bool refused = played.end == "greeting" || played.end == "hello" || played.end == "starttls_refused";
    if (!refused) continue;
    SCOPED_TRACE(row.name);
    ASSERT_TRUE(played.reply.has_value());
    EXPECT_GE(played.reply->code, 400);
  }
}

TEST(ClientFailures, octets_in_clear_while_the_handshake_is_due_are_injected) {
  smtp::ClientSession session(options(Use::required));
  session.feed(greeting);
  while (!std::holds_alternative<smtp::ClientWait>(session.next())) {
  }
  session.feed(offers_tls);
  while (!std::holds_alternative<smtp::ClientWait>(session.next())) {
  }
  session.feed("220 go\r\n");
  ASSERT_TRUE(std::holds_alternative<smtp::ClientStartTls>(session.next()));
  session.feed("250 injected\r\n");
  session.tls_done();
  const auto action = session.next();
  ASSERT_TRUE(std::holds_alternative<smtp::ClientFailed>(action));
  EXPECT_EQ(std::get<smtp::ClientFailed>(action).stage, smtp::ClientFailed::Stage::starttls_injected);
}

/// What must hold however a dialogue is disturbed: it ends; every recipient of a begun message has one outcome; nobody
/// is called delivered, and nobody refused for good, who was not so in the undisturbed dialogue.
void expect_nothing_invented(const Dialogue &row, const Played &played) {
  EXPECT_THAT(played.end, testing::AllOf(testing::Ne("stuck"), testing::Ne("endless")));
  std::size_t recipients = 0;
  std::vector<std::size_t> boundaries{0};
  for (const auto &one : row.messages) boundaries.push_back(recipients += one.transaction.recipients.size());
  EXPECT_THAT(boundaries, testing::Contains(played.outcomes.size())) << "a message's recipients are told together";
  for (std::size_t i = 0; i < played.outcomes.size(); ++i) {
    if (played.raw[i].kind == smtp::RecipientOutcome::Kind::temporary) continue;
    EXPECT_EQ(played.outcomes[i], row.outcomes[i]) << "recipient " << i;
  }
}

TEST(ClientFailures, a_connection_lost_after_any_reply_or_amid_it_is_no_delivery) {
  for (const auto &row : transaction_dialogues()) {
    for (std::size_t step = 0; step < row.steps.size(); ++step) {
      const auto length = row.steps[step].server.size();
      for (const std::size_t octets : {std::size_t{0}, std::size_t{1}, length - 2, length - 1}) {
        SCOPED_TRACE(fmt::format("{}, lost after reply {} and {} octets", row.name, step, octets));
        const auto played = Player(row, {.lost_after = step, .octets_of_next = octets}).play();
        expect_nothing_invented(row, played);
        EXPECT_THAT(played.differences, IsEmpty());
        const bool quitting = row.steps[step].client == "QUIT\r\n";
        EXPECT_EQ(played.end == "closed", quitting) << played.end;
        // Whoever was told with the loss was not delivered.
        for (std::size_t i = played.raw.size() - played.told_when_failed; i < played.raw.size(); ++i)
          EXPECT_NE(played.raw[i].kind, smtp::RecipientOutcome::Kind::delivered);
      }
    }
  }
}

TEST(ClientFailures, lost_before_the_final_reply_says_that_the_message_may_arrive_twice) {
  auto row = transaction_dialogues().front();
  const auto played = Player(row, {.lost_after = 6}).play();
  EXPECT_EQ(played.end, "transaction");
  EXPECT_THAT(played.detail, testing::HasSubstr("may arrive twice"));
  EXPECT_EQ(played.outcomes, (std::vector<std::string>{"temporary 451 4.4.2 local", "temporary 451 4.4.2 local"}));
}

TEST(ClientFailures, foreign_words_in_place_of_any_reply_never_make_a_delivery) {
  const std::vector<std::string> foreign = {"BOGUS\r\n",
                                            "299\n",
                                            "199 low\r\n",
                                            "600 high\r\n",
                                            "25 short\r\n",
                                            "250_what\r\n",
                                            "\r\n",
                                            "421 4.3.2 bye\r\n",
                                            "354 go on\r\n",
                                            "334 odd\r\n",
                                            "450 later\r\n",
                                            "550 5.0.0 no\r\n",
                                            "250 ok\r\n250 more\r\n250 more\r\n250 more\r\n250 more\r\n250 more\r\n"};
  for (const auto &row : transaction_dialogues()) {
    for (std::size_t step = 0; step < row.steps.size(); ++step) {
      for (const auto &words : foreign) {
        SCOPED_TRACE(fmt::format("{}, reply {} is {}", row.name, step, words));
        const auto played = Player(row, {.replaced_step = step, .words = words}).play();
        EXPECT_THAT(played.end, testing::AllOf(testing::Ne("stuck"), testing::Ne("endless")));
        // A message whose end was never asked about (no dot, no LAST on the wire) cannot be delivered.
        std::size_t ends = 0;
        for (const auto &one : row.steps)
          ends += one.client.ends_with("\r\n.\r\n") || one.client == ".\r\n" ||
                  one.client.find(" LAST\r\n") != std::string::npos;
        std::size_t delivered = 0;
        for (const auto &outcome : played.raw) delivered += outcome.kind == smtp::RecipientOutcome::Kind::delivered;
        if (ends == 0) {
          EXPECT_EQ(delivered, 0U);
        }
      }
    }
  }
}

TEST(ClientFailures, replies_without_commands_are_violations_in_every_state) {
  // An unasked 250 behind each reply, in the same octets: the next reply that is asked for must not be this one.
  for (auto row : transaction_dialogues()) {
    for (std::size_t step = 2; step + 1 < row.steps.size(); ++step) {
      const auto &words = row.steps[step].server;
      SCOPED_TRACE(fmt::format("{}, behind reply {}", row.name, step));
      const auto played = Player(row, {.replaced_step = step, .words = words + "250 unasked\r\n"}).play();
      const bool before_quit = row.steps[step + 1].client == "QUIT\r\n"; // nothing depends on that reply any more
      if (row.steps[step].client.find("STARTTLS") != std::string::npos) {
        EXPECT_EQ(played.end, "starttls_injected");
      } else if (row.end == "closed" && !before_quit) {
        EXPECT_EQ(played.end, "protocol");
      }
    }
  }
}

TEST(ClientFailures, a_delivery_that_was_said_early_is_none) {
  const auto rows = transaction_dialogues();
  const auto row = std::find_if(rows.begin(), rows.end(), [](const Dialogue &one) {
    return one.name.find("go out together") != std::string::npos;
  });
  ASSERT_NE(row, rows.end());
  const auto words = row->steps[2].server + "250 2.0.0 queued, I am sure\r\n";
  const auto played = Player(*row, {.replaced_step = 2, .words = words}).play();
  EXPECT_EQ(played.end, "protocol");
  EXPECT_EQ(played.outcomes, (std::vector<std::string>{"temporary 451 4.5.0 local", "temporary 451 4.5.0 local"}));
}

TEST(ClientFailures, an_idle_session_notices_that_the_server_left) {
  for (const std::string words : {"421 4.4.2 idle too long\r\n", "", "250 unasked\r\n"}) {
    SCOPED_TRACE(words);
    smtp::ClientSession session(options(Use::never));
    session.feed(greeting);
    (void)session.next();
    (void)session.next();
    session.feed(bare);
    ASSERT_TRUE(std::holds_alternative<smtp::ClientReady>(session.next()));
    ASSERT_TRUE(std::holds_alternative<smtp::ClientWait>(session.next()));
    session.feed(words);
    session.end_of_input();
    session.begin(message({"b@x.example"}).transaction);
    const auto action = session.next();
    ASSERT_TRUE(std::holds_alternative<smtp::ClientFailed>(action)) << "no MAIL is sent to a server that left";
    const auto &failed = std::get<smtp::ClientFailed>(action);
    ASSERT_EQ(failed.outcomes.size(), 1U);
    EXPECT_EQ(failed.outcomes[0].kind, smtp::RecipientOutcome::Kind::temporary);
    // A failure is told again, its outcomes are not; a message for a failed session is temporary at once.
    EXPECT_TRUE(std::get<smtp::ClientFailed>(session.next()).outcomes.empty());
    session.begin(message({"b@x.example", "c@x.example"}).transaction);
    EXPECT_EQ(std::get<smtp::ClientFailed>(session.next()).outcomes.size(), 2U);
    session.quit();
    EXPECT_TRUE(std::holds_alternative<smtp::ClientClosed>(session.next()));
  }
}

} // namespace client_failures_test
