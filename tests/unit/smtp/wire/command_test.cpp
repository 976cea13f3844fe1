// Command lines: verbs, limits, and the values that MAIL, RCPT and BDAT carry. Refusals stand in tests/dialog too.
#include "smtp/wire/command.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace command_test {

using smtp::Utf8;
using smtp::Verb;

TEST(SplitCommand, knows_verbs_in_any_case) {
  struct Row {
    std::string line;
    Verb verb;
    std::string argument;
  };
  const std::vector<Row> rows = {
      {"EHLO client.example", Verb::ehlo, "client.example"},
      {"ehlo", Verb::ehlo, ""},
      {"MAIL FROM:<>", Verb::mail, "FROM:<>"},
      {"rCpT\tTO:<a@b>", Verb::rcpt, "TO:<a@b>"},
      {"NOOP   much", Verb::noop, "much"},
      {"StartTls", Verb::starttls, ""},
      {"EXPN x", Verb::not_implemented, "x"},
      {"GET / HTTP/1.1", Verb::http, "/ HTTP/1.1"},
      {"MAILFROM:<>", Verb::unknown, ""},
      {" NOOP", Verb::unknown, "NOOP"},
      {"", Verb::unknown, ""},
      {"NOO", Verb::unknown, ""},
  };
  for (const auto &row : rows) {
    const auto command = smtp::split_command(row.line);
    EXPECT_EQ(command.verb, row.verb) << row.line;
    EXPECT_EQ(command.argument, row.argument) << row.line;
  }
}

TEST(LineLimit, grows_with_the_extensions) {
  EXPECT_EQ(smtp::line_limit(Verb::noop, 512), 512U);
  EXPECT_GE(smtp::line_limit(Verb::mail, 512), 512U + 26 + 17 + 10 + 9 + 107 + 11);
  EXPECT_GE(smtp::line_limit(Verb::rcpt, 512), 512U + 10 + 29 + 507);
  EXPECT_GE(smtp::longest_line_limit(512), smtp::line_limit(Verb::mail, 512));
  EXPECT_GE(smtp::longest_line_limit(512), smtp::line_limit(Verb::rcpt, 512));
}

TEST(ParseMail, reads_every_parameter) {
  const auto sender =
      smtp::parse_mail("FROM:<a@example.net> SIZE=123 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=Q+2B1 requiretls");
  ASSERT_TRUE(sender);
  EXPECT_EQ(sender->path.to_string(), "<a@example.net>");
  EXPECT_EQ(sender->parameters.size, 123U);
  EXPECT_EQ(sender->parameters.body, smtp::BodyType::eight_bit_mime);
  EXPECT_TRUE(sender->parameters.smtputf8);
  EXPECT_EQ(sender->parameters.ret, smtp::DsnReturn::headers);
  EXPECT_EQ(sender->parameters.envid, "Q+1");
  EXPECT_TRUE(sender->parameters.requiretls);
  const auto plain = smtp::parse_mail("from:<>");
  ASSERT_TRUE(plain);
  EXPECT_TRUE(plain->path.is_null());
  EXPECT_EQ(plain->parameters, smtp::MailParameters{});
}

TEST(ParseMail, finds_the_end_of_the_path_behind_quotes) {
  EXPECT_EQ(smtp::parse_mail("FROM:<\"a> SIZE=9 \\\"\"@example.net> SIZE=1")->path.mailbox()->local_part(),
            "a> SIZE=9 \"");
  EXPECT_EQ(smtp::parse_mail("FROM:\"a b\"@example.net SIZE=1")->path.mailbox()->local_part(), "a b");
}

TEST(ParseMail, refuses_with_the_code_that_fits) {
  struct Row {
    std::string argument;
    std::uint16_t code;
    std::string enhanced;
  };
  const std::vector<Row> rows = {
      {"", 501, "5.5.4"},
      {"FROM", 501, "5.5.4"},
      {"FROM:", 501, "5.5.4"},
      {"FROM: ", 501, "5.5.4"},
      {"FROM<a@example.net>", 501, "5.5.4"},
      {"FROM:<a@example.net>SIZE=1", 501, "5.5.4"},
      {"FROM:<a@example.net", 501, "5.1.7"},
      {"FROM:<a@example.net SIZE=1", 501, "5.1.7"},
      {"FROM:a@example.net>", 501, "5.1.7"},
      {"FROM:<a@example.net> -X=1", 501, "5.5.4"},
      {"FROM:<a@example.net> RET=FULL=1", 501, "5.5.4"},
      {"FROM:<a@example.net> SIZE=-1", 501, "5.5.4"},
      {"FROM:<a@example.net> SIZE=111111111111111111111", 501, "5.5.4"},
      {"FROM:<a@example.net> smtputf8 SMTPUTF8", 501, "5.5.4"},
      {"FROM:<a@example.net> RET", 501, "5.5.4"},
      {"FROM:<a@example.net> ENVID=" + std::string(101, 'e'), 501, "5.5.4"},
      {"FROM:<a@example.net> BODY=BINARYMIME", 504, "5.6.1"},
      {"FROM:<a@example.net> FOO=1 FOO=1", 555, "5.5.4"},
      {"FROM:<a@example.net> ORCPT=rfc822;a", 555, "5.5.4"},
      {"FROM:<ä@example.net>", 553, "5.6.7"},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.argument);
    const auto sender = smtp::parse_mail(row.argument);
    ASSERT_FALSE(sender);
    EXPECT_EQ(sender.error().code, row.code) << sender.error().to_line();
    EXPECT_EQ(sender.error().enhanced->to_string(), row.enhanced) << sender.error().to_line();
  }
}

TEST(ParseRcpt, reads_every_parameter) {
  EXPECT_EQ(smtp::parse_mail("FROM:<root>", "host.example.org")->path.to_string(), "<root@host.example.org>");
  EXPECT_EQ(smtp::parse_mail("FROM: root SIZE=1", "host.example.org")->path.to_string(), "<root@host.example.org>");
  EXPECT_TRUE(smtp::parse_mail("FROM:<>", "host.example.org")->path.is_null());
  EXPECT_EQ(smtp::parse_mail("FROM:<a@b.example>", "host.example.org")->path.to_string(), "<a@b.example>");
  EXPECT_FALSE(smtp::parse_mail("FROM:<a b>", "host.example.org"));
  EXPECT_FALSE(smtp::parse_mail("FROM:<root>"));
  EXPECT_EQ(smtp::parse_rcpt("TO:<root>", Utf8::refused, "host.example.org")->path.to_string(),
            "<root@host.example.org>");
  EXPECT_TRUE(smtp::parse_rcpt("TO:<Postmaster>", Utf8::refused, "host.example.org")->path.is_postmaster());
  EXPECT_FALSE(smtp::parse_rcpt("TO:<>", Utf8::refused, "host.example.org"));
  const auto recipient =
      smtp::parse_rcpt("TO:<bob@example.org> NOTIFY=success,FAILURE,Delay ORCPT=rfc822;x@y", Utf8::refused);
  ASSERT_TRUE(recipient);
  EXPECT_EQ(recipient->path.to_string(), "<bob@example.org>");
  EXPECT_EQ(recipient->parameters.notify, (smtp::Notify{true, false, true, true, true}));
  EXPECT_EQ(recipient->parameters.orcpt, (smtp::OriginalRecipient{"rfc822", "x@y"}));
  EXPECT_EQ(smtp::parse_rcpt("TO:<bob@example.org> NOTIFY=NEVER", Utf8::refused)->parameters.notify,
            (smtp::Notify{true, true, false, false, false}));
  EXPECT_FALSE(smtp::parse_rcpt("TO:<bob@example.org>", Utf8::refused)->parameters.notify.given);
  EXPECT_TRUE(smtp::parse_rcpt("TO:postmaster", Utf8::refused)->path.is_postmaster());
}

TEST(ParseRcpt, takes_utf8_only_with_smtputf8) {
  EXPECT_TRUE(smtp::parse_rcpt("TO:<jörg@example.org> ORCPT=utf-8;jörg@example.org", Utf8::allowed));
  EXPECT_EQ(smtp::parse_rcpt("TO:<jörg@example.org>", Utf8::refused).error().code, 553);
  EXPECT_EQ(smtp::parse_rcpt("TO:<bob@example.org> ORCPT=utf-8;jörg@example.org", Utf8::refused).error().code, 553);
  EXPECT_TRUE(smtp::parse_rcpt("TO:<bob@example.org> ORCPT=utf-8;j\\x{F6}rg@example.org", Utf8::refused));
}

TEST(ParseBdat, needs_a_size) {
  EXPECT_EQ(smtp::parse_bdat("10")->size, 10U);
  EXPECT_FALSE(smtp::parse_bdat("10")->last);
  EXPECT_TRUE(smtp::parse_bdat("0 LaSt")->last);
  EXPECT_EQ(smtp::parse_bdat("18446744073709551615")->size, UINT64_MAX);
  for (const auto *text : {"", "LAST", "x", "-1", "+1", "1x", "10 FIRST", "10 LAST 1", "18446744073709551616"})
    EXPECT_FALSE(smtp::parse_bdat(text)) << text;
}

TEST(ParseHello, wants_a_printable_word) {
  EXPECT_EQ(*smtp::parse_hello("client.example"), "client.example");
  EXPECT_EQ(*smtp::parse_hello("[192.0.2.1] more"), "[192.0.2.1]");
  for (const auto *text : {"", "b\xc3\xbc", "a\x7f", "\x1b[31m"}) EXPECT_FALSE(smtp::parse_hello(text)) << text;
  EXPECT_FALSE(smtp::parse_hello(std::string(256, 'a')));
}

} // namespace command_test
