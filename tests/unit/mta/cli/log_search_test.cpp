// LogSearch: which lines belong to a message or an address, and what they say became of each recipient.
#include "mta/cli/log_search.hpp"

#include <gtest/gtest.h>

#include "mta/log/mail_log.hpp"

namespace log_search_test {

using mta::Event;
using mta::cli::LogSearch;
using mta::cli::parse_log_line;
using mta::cli::TracedMessage;

const std::string first = "0000000000A7Q", second = "0000000000A7R", notice = "0000000000A7S";

std::vector<Event> story() {
  std::vector<Event> events;
  events.push_back(Event("auth").with("session", "s1").with("id", first).with("spf", "pass"));
  events.push_back(Event("accepted").with("id", first).with("from", "<ann@sender.example>").with("to_count", 2));
  events.push_back(Event("recipient").with("id", first).with("to", "bob@goal.example").with("status", "queued"));
  events.push_back(Event("recipient").with("id", first).with("to", "carol@goal.example").with("status", "queued"));
  events.push_back(
      Event("accepted").with("id", second).with("from", "<ann@sender.example>").with("to", "\"a b\"@goal.example"));
  events.push_back(Event("refused")
                       .with("from", "<x@y.example>")
                       .with("to", "bob@goal.example,dan@goal.example")
                       .with("reply", "550 5.7.1 no"));
  events.push_back(Event("recipient")
                       .with("id", first)
                       .with("to", "bob@goal.example")
                       .with("status", "delivered")
                       .with("host", "mx1[192.0.2.1]")
                       .with("reply", "250 2.0.0 ok"));
  events.push_back(Event("recipient")
                       .with("id", first)
                       .with("to", "carol@goal.example")
                       .with("status", "deferred")
                       .with("reply", "451 later"));
  events.push_back(Event("recipient_failed")
                       .with("id", first)
                       .with("recipient", "carol@goal.example")
                       .with("reply", "550 5.1.1 gone"));
  events.push_back(Event("bounce").with("id", first).with("notice", notice).with("to", "ann@sender.example"));
  events.push_back(Event("delivery")
                       .with("id", notice)
                       .with("from", "<>")
                       .with("to", "ann@sender.example")
                       .with("result", "delivered")
                       .with("host", "mx2")
                       .with("reply", "250 taken"));
  events.push_back(Event("delivery")
                       .with("id", second)
                       .with("from", "<ann@sender.example>")
                       .with("to", "\"a b\"@goal.example")
                       .with("result", "temporary")
                       .with("detail", "no answer"));
  return events;
}

std::vector<TracedMessage> search(const std::string &subject, bool as_json) {
  std::vector<std::string> lines = {"portcullis: not a line of the log", "", "{\"time\": broken"};
  for (const Event &event : story())
    lines.push_back(
        (as_json ? format_json(event, "2026-11-22T03:39:00.000Z") : format_logfmt(event, "2026-11-22T03:39:00.000Z")) +
        "\n");
  LogSearch search(subject);
  for (const auto &line : lines) search.look(line);
  for (const auto &line : lines) search.collect(line);
  return search.take();
}

class LogSearchTest : public testing::TestWithParam<bool> {};

TEST_P(LogSearchTest, an_address_gives_its_messages_and_refusals_with_the_last_word_on_each_recipient) {
  const auto found = search("BOB@goal.example", GetParam());
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].id, "") << "a refused message has no id";
  EXPECT_EQ(found[0].recipients.at("dan@goal.example").status, "refused");
  const TracedMessage &message = found[1];
  EXPECT_EQ(message.id, first);
  EXPECT_EQ(message.sender, "<ann@sender.example>");
  EXPECT_EQ(message.recipients.at("bob@goal.example").status, "delivered");
  EXPECT_EQ(message.recipients.at("bob@goal.example").host, "mx1[192.0.2.1]");
  EXPECT_EQ(message.recipients.at("bob@goal.example").reply, "250 2.0.0 ok");
  EXPECT_EQ(message.recipients.at("carol@goal.example").status, "failed");
  EXPECT_EQ(message.lines.size(), 8U) << "the checks' line in front of the acceptance too";
  EXPECT_EQ(found[2].id, notice) << "the notice about it";
  EXPECT_EQ(found[2].recipients.at("ann@sender.example").status, "delivered");
}

TEST_P(LogSearchTest, an_id_gives_its_message_and_the_notices_about_it) {
  const auto found = search(first, GetParam());
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].id, first);
  EXPECT_EQ(found[1].id, notice);
}

TEST_P(LogSearchTest, a_sender_gives_what_was_sent) {
  const auto found = search("ann@sender.example", GetParam());
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[1].id, second);
  EXPECT_EQ(found[1].recipients.at("\"a b\"@goal.example").reply, "no answer");
}

TEST_P(LogSearchTest, an_address_that_the_log_escapes_is_found) {
  const auto found = search("\"A b\"@goal.example", GetParam());
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].id, second);
  EXPECT_EQ(found[0].recipients.at("\"a b\"@goal.example").status, "deferred");
}

TEST_P(LogSearchTest, who_is_not_there_gives_nothing) {
  EXPECT_TRUE(search("bob@goal.exampl", GetParam()).empty());
  EXPECT_TRUE(search("00000000000ZZ", GetParam()).empty());
}

std::vector<TracedMessage> trace(const std::string &subject, const std::vector<Event> &events, bool as_json,
                                 std::uint64_t unnamed = 0) {
  LogSearch search(subject);
  for (const bool looking : {true, false})
    for (const Event &event : events) {
      const std::string line = (as_json ? format_json(event, "T1") : format_logfmt(event, "T1")) + "\n";
      looking ? search.look(line) : search.collect(line);
    }
  EXPECT_EQ(search.unnamed(), unnamed);
  return search.take();
}

TEST_P(LogSearchTest, an_operators_act_is_the_end_of_a_recipient) {
  const std::vector<Event> events = {
      Event("accepted")
          .with("id", first)
          .with("from", "<ann@sender.example>")
          .with("to", "bob@goal.example")
          .with("status", "queued")
          .with("reply", "250 ok"),
      Event("queue_delete").with("id", first).with("by", "op"),
      Event("recipient")
          .with("id", first)
          .with("to", "bob@goal.example")
          .with("status", "deleted")
          .with("by", "op")
          .with("reason", "spam"),
      Event("delivery")
          .with("id", first)
          .with("to", "bob@goal.example")
          .with("result", "temporary")
          .with("reply", "451 later"),
      Event("accepted").with("id", second).with("from", "<ann@sender.example>").with("to", "carol@goal.example"),
      Event("recipient")
          .with("id", second)
          .with("to", "carol@goal.example")
          .with("status", "redirected")
          .with("redirected_to", "desk@goal.example"),
  };
  const auto bob = trace("bob@goal.example", events, GetParam());
  ASSERT_EQ(bob.size(), 1U);
  EXPECT_EQ(bob[0].recipients.at("bob@goal.example").status, "deleted")
      << "an attempt that was under way changes nothing";
  EXPECT_EQ(bob[0].recipients.at("bob@goal.example").reply, "spam");
  const auto desk = trace("desk@goal.example", events, GetParam());
  ASSERT_EQ(desk.size(), 1U) << "to whom it was redirected";
  EXPECT_EQ(desk[0].recipients.at("carol@goal.example").status, "redirected");
}

TEST_P(LogSearchTest, a_sum_of_refusals_names_whom_it_can) {
  const std::vector<Event> events = {
      Event("refused_more")
          .with("session", "1")
          .with("to", "<x@goal.example>,<bob@goal.example>")
          .with("count", 2)
          .with("reason", "2 more"),
      Event("refused_more")
          .with("session", "2")
          .with("to", "<y@goal.example>,...")
          .with("count", 40)
          .with("reason", "40 more"),
  };
  const auto bob = trace("bob@goal.example", events, GetParam(), 40);
  ASSERT_EQ(bob.size(), 1U);
  EXPECT_EQ(bob[0].recipients.at("bob@goal.example").status, "refused");
  EXPECT_TRUE(trace("z@goal.example", events, GetParam(), 40).empty());
  EXPECT_TRUE(trace(first, events, GetParam(), 0).empty());
}

INSTANTIATE_TEST_SUITE_P(Forms, LogSearchTest, testing::Values(false, true),
                         [](const auto &row) { return row.param ? "json" : "logfmt"; });

TEST(LogLineTest, values_come_back_as_they_were) {
  const std::string odd = "a \"quoted\" back\\slash = tab\t\x01 \xc3\xa4\n";
  const auto plain =
      parse_log_line("Nov 22 host portcullisd: " + format_logfmt(Event("x").with("v", odd).with("n", 5), "T"));
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->at("v"), odd);
  EXPECT_EQ(plain->at("n"), "5");
  const auto as_json = parse_log_line(format_json(Event("x").with("v", odd).with("n", 5), "T"));
  ASSERT_TRUE(as_json);
  EXPECT_EQ(as_json->at("v"), odd);
  EXPECT_EQ(as_json->at("n"), "5");
  EXPECT_FALSE(parse_log_line("time=x not=\"closed"));
}

} // namespace log_search_test
