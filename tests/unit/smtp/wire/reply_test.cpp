// Replies: enhanced codes, the octets on the wire, and the parser with every limit.
#include "smtp/wire/reply.hpp"

#include "smtp/base/text.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace reply_test {

using smtp::EnhancedCode;
using smtp::Reply;
using smtp::ReplyParser;

TEST(EnhancedCode, follows_its_grammar) {
  EXPECT_EQ(EnhancedCode::parse("5.7.1"), (EnhancedCode{5, 7, 1}));
  EXPECT_EQ(EnhancedCode::parse("2.999.999"), (EnhancedCode{2, 999, 999}));
  for (const auto *text :
       {"", "5", "5.7", "5.7.", "5..1", "3.7.1", "6.0.0", "5.7.1000", "5.7.1 ", "5.7.-1", "55.7.1", "5.7.1.2"})
    EXPECT_FALSE(EnhancedCode::parse(text)) << text;
  EXPECT_EQ((EnhancedCode{4, 4, 27}).to_string(), "4.4.27");
}

TEST(FormatReply, writes_every_line_with_its_codes) {
  EXPECT_EQ(smtp::format_reply({220, std::nullopt, "mx ESMTP"}), "220 mx ESMTP\r\n");
  EXPECT_EQ(smtp::format_reply({250, EnhancedCode{2, 1, 0}, "ok"}), "250 2.1.0 ok\r\n");
  EXPECT_EQ(smtp::format_reply({550, EnhancedCode{5, 1, 1}, "no\nsuch\nuser"}),
            "550-5.1.1 no\r\n550-5.1.1 such\r\n550 5.1.1 user\r\n");
  EXPECT_EQ(smtp::format_reply({250, std::nullopt, ""}), "250 \r\n");
  EXPECT_EQ(smtp::format_reply({250, std::nullopt, "a\n"}), "250 a\r\n");
}

TEST(FormatReply, lets_nothing_out_that_could_be_another_reply) {
  EXPECT_EQ(smtp::format_reply({550, std::nullopt, "a\rb\tc\x01\xff\0d"}), "550 a?b\tc??\r\n");
  EXPECT_EQ(smtp::format_reply({550, std::nullopt, std::string("\0x", 2)}), "550 ?x\r\n");
}

TEST(FormatReply, folds_lines_over_512_octets) {
  const std::string words =
      "word " + std::string(300, 'a') + " " + std::string(300, 'b') + " " + std::string(1200, 'c');
  const auto octets = smtp::format_reply({550, EnhancedCode{5, 0, 0}, words});
  std::string together;
  for (auto line : smtp::split(std::string_view(octets).substr(0, octets.size() - 2), '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    EXPECT_LE(line.size() + 2, 512U);
    EXPECT_TRUE(line.starts_with("550-5.0.0 ") || line.starts_with("550 5.0.0 "));
    together += line.substr(10);
  }
  EXPECT_EQ(together, "word " + std::string(300, 'a') + std::string(300, 'b') + std::string(1200, 'c'));
}

TEST(Reply, becomes_one_line) {
  EXPECT_EQ((Reply{550, EnhancedCode{5, 1, 1}, "no\nsuch user"}).to_line(), "550 5.1.1 no such user");
  EXPECT_EQ((Reply{354, std::nullopt, ""}).to_line(), "354");
}

TEST(ReplyParser, reads_replies_in_any_cut) {
  struct Row {
    std::string name;
    std::string octets;
    std::vector<Reply> replies;
    bool error = false;
  };
  const std::vector<Row> rows = {
      {"a code with text", "250 ok\r\n", {{250, std::nullopt, "ok"}}},
      {"a code alone", "250\r\n", {{250, std::nullopt, ""}}},
      {"a code and a space", "250 \r\n", {{250, std::nullopt, ""}}},
      {"an enhanced code", "550 5.1.1 no\r\n", {{550, EnhancedCode{5, 1, 1}, "no"}}},
      {"an enhanced code alone", "250 2.1.5\r\n", {{250, EnhancedCode{2, 1, 5}, ""}}},
      {"an enhanced code of another class is text", "250 5.1.1 odd\r\n", {{250, std::nullopt, "5.1.1 odd"}}},
      {"several lines with an enhanced code",
       "550-5.7.1 a\r\n550-5.7.1 b\r\n550 5.7.1 c\r\n",
       {{550, EnhancedCode{5, 7, 1}, "a\nb\nc"}}},
      {"a later line without it", "550-5.7.1 a\r\n550 b\r\n", {{550, EnhancedCode{5, 7, 1}, "a\nb"}}},
      {"the reply to EHLO", "250-mx\r\n250-SIZE 10\r\n250 HELP\r\n", {{250, std::nullopt, "mx\nSIZE 10\nHELP"}}},
      {"an empty line inside", "250-a\r\n250-\r\n250 b\r\n", {{250, std::nullopt, "a\n\nb"}}},
      {"pipelined replies",
       "250 a\r\n354 b\r\n221 c\r\n",
       {{250, std::nullopt, "a"}, {354, std::nullopt, "b"}, {221, std::nullopt, "c"}}},
      {"half a reply", "250-a\r\n250 b\r", {}},
      {"a changed code of one class: the last", "250-a\r\n251 b\r\n", {{251, std::nullopt, "a\nb"}}},
      {"220 that turns into 521",
       "220-welcome\r\n521 no mail here\r\n",
       {{521, std::nullopt, "welcome\nno mail here", true}}},
      {"the worse code first", "550-5.1.1 no\r\n250 ok\r\n", {{550, EnhancedCode{5, 1, 1}, "no\nok", true}}},
      {"4xx and 5xx are both no", "450-4.2.1 a\r\n550 5.1.1 b\r\n", {{550, EnhancedCode{5, 1, 1}, "4.2.1 a\nb"}}},
      {"a code below 200", "199 a\r\n", {}, true},
      {"a code above 599", "600 a\r\n", {}, true},
      {"no code", "hello\r\n", {}, true},
      {"two digits", "25 a\r\n", {}, true},
      {"an empty line", "\r\n", {}, true},
      {"a comma behind the code", "250,a\r\n", {}, true},
      {"a bare LF", "250 a\n", {}, true},
      {"only LF", "\n", {}, true},
      {"a bare CR", "250 a\rb\r\n", {}, true},
      {"two CR", "250 a\r\r\n", {}, true},
      {"a good reply, then a bad one", "250 a\r\nx\r\n", {{250, std::nullopt, "a"}}, true},
  };
  for (const auto &row : rows) {
    for (const std::size_t cut : {1U, 3U, 4096U}) {
      SCOPED_TRACE(row.name + ", cut every " + std::to_string(cut));
      ReplyParser parser;
      std::vector<Reply> replies;
      bool error = false;
      for (std::size_t at = 0; at < row.octets.size() && !error; at += cut) {
        parser.feed(std::string_view(row.octets).substr(at, cut));
        for (;;) {
          const auto reply = parser.next();
          error = !reply;
          if (!reply || !*reply) break;
          replies.push_back(**reply);
        }
      }
      EXPECT_EQ(replies, row.replies);
      EXPECT_EQ(error, row.error);
      if (error) {
        EXPECT_FALSE(parser.next()) << "an error stays";
      }
    }
  }
}

TEST(ReplyParser, has_limits) {
  const auto fails = [](const std::string &octets) {
    ReplyParser parser;
    parser.feed(octets);
    const auto reply = parser.next();
    return !reply && reply.error().code == smtp::ErrorCode::too_long;
  };
  const auto lines = [](int count, const std::string &line) {
    std::string text;
    for (int i = 1; i < count; ++i) text += "250-" + line + "\r\n";
    return text + "250 " + line + "\r\n";
  };
  EXPECT_FALSE(fails("250 " + std::string(2042, 'x') + "\r\n"));
  EXPECT_TRUE(fails("250 " + std::string(2043, 'x') + "\r\n"));
  EXPECT_TRUE(fails("250 " + std::string(3000, 'x'))) << "no line end needed";
  EXPECT_FALSE(fails(lines(128, "x")));
  EXPECT_TRUE(fails(lines(129, "x")));
  EXPECT_FALSE(fails(lines(64, std::string(1018, 'x'))));
  EXPECT_TRUE(fails(lines(65, std::string(1018, 'x'))));
}

TEST(ReplyParser, knows_what_is_pending) {
  ReplyParser parser;
  EXPECT_FALSE(parser.has_pending_octets());
  parser.feed("220 ready\r\n25");
  EXPECT_TRUE((*parser.next()).has_value());
  EXPECT_TRUE(parser.has_pending_octets());
  parser.clear();
  EXPECT_FALSE(parser.has_pending_octets());
  parser.feed("220 ready\r\n");
  EXPECT_TRUE((*parser.next()).has_value());
  EXPECT_FALSE(parser.has_pending_octets());
}

} // namespace reply_test
