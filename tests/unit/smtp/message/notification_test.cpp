// Delivery status notifications, read back by a MIME reader: form, fields, words for people, and hostile input.
#include "smtp/message/notification.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "source_dir.hpp"
#include "tests/support/mime_check.hpp"

namespace notification_test {

using namespace std::chrono;
using smtp::NotificationAction;
using smtp::NotificationFacts;
using test::read_mime;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

smtp::Mailbox mailbox(std::string_view text) {
  return smtp::Mailbox::parse(text).value();
}

const system_clock::time_point morning = sys_days(2026y / November / 22) + 3h;

smtp::NotifiedRecipient recipient(std::string_view address) {
  return {.final_recipient = mailbox(address),
          .original = {},
          .action = NotificationAction::failed,
          .status = {5, 1, 1},
          .remote_reply = smtp::Reply{550, smtp::EnhancedCode{5, 1, 1}, "no such user here"},
          .remote_host = "mx1.example.net[192.0.2.1]",
          .explanation = "Their mail system does not know this address.",
          .last_attempt = morning + 1h,
          .will_retry_until = {}};
}

NotificationFacts some_facts() {
  return {.reporting_mta = "mx.example.org",
          .from = mailbox("mailer-daemon@example.org"),
          .from_name = "Mail Delivery System",
          .to = mailbox("a@example.org"),
          .message_id = "dsn-1@mx.example.org",
          .envid = "env 1",
          .queue_id = "4F00BA",
          .arrival = morning,
          .now = morning + 2h,
          .recipients = {recipient("b@example.net")},
          .original_headers = "From: a@example.org\r\nMessage-ID: <orig@example.org>\r\nSubject: hello\r\n\r\n",
          .original_needs_utf8 = false,
          .original_message = {}};
}

/// The groups of fields of a delivery-status part.
std::vector<std::map<std::string, std::string>> groups(const test::MimePart &part, std::vector<std::string> &faults) {
  std::vector<std::map<std::string, std::string>> read;
  std::string_view rest = part.body;
  while (!rest.empty()) read.push_back(test::read_fields(rest, faults));
  return read;
}

TEST(Notification, a_failure_has_the_form_of_RFC_3464) {
  auto message = read_mime(smtp::build_notification(some_facts()));
  EXPECT_THAT(message.faults, IsEmpty());
  auto &top = message.top.fields;
  EXPECT_EQ(top["from"], "Mail Delivery System <mailer-daemon@example.org>");
  EXPECT_EQ(top["to"], "<a@example.org>");
  EXPECT_EQ(top["subject"], "Your message could not be delivered");
  EXPECT_EQ(top["date"], "Sun, 22 Nov 2026 05:00:00 +0000");
  EXPECT_EQ(top["message-id"], "<dsn-1@mx.example.org>");
  EXPECT_EQ(top["in-reply-to"], "<orig@example.org>");
  EXPECT_EQ(top["auto-submitted"], "auto-replied");
  EXPECT_EQ(top["mime-version"], "1.0");
  EXPECT_THAT(top["content-type"], testing::StartsWith("multipart/report; report-type=delivery-status; boundary=\""));
  ASSERT_EQ(message.parts.size(), 3U);
  EXPECT_EQ(message.parts[0].fields["content-type"], "text/plain; charset=us-ascii");
  EXPECT_EQ(message.parts[1].fields["content-type"], "message/delivery-status");
  EXPECT_EQ(message.parts[2].fields["content-type"], "text/rfc822-headers");
  EXPECT_EQ(message.parts[2].body, "From: a@example.org\r\nMessage-ID: <orig@example.org>\r\nSubject: hello\r\n");
  auto fields = groups(message.parts[1], message.faults);
  ASSERT_EQ(fields.size(), 2U);
  EXPECT_EQ(fields[0], (std::map<std::string, std::string>{{"reporting-mta", "dns; mx.example.org"},
                                                           {"original-envelope-id", "env 1"},
                                                           {"arrival-date", "Sun, 22 Nov 2026 03:00:00 +0000"}}));
  EXPECT_EQ(fields[1], (std::map<std::string, std::string>{{"final-recipient", "rfc822; b@example.net"},
                                                           {"action", "failed"},
                                                           {"status", "5.1.1"},
                                                           {"remote-mta", "dns; mx1.example.net ([192.0.2.1])"},
                                                           {"diagnostic-code", "smtp; 550 5.1.1 no such user here"},
                                                           {"last-attempt-date", "Sun, 22 Nov 2026 04:00:00 +0000"}}));
  EXPECT_THAT(message.faults, IsEmpty());
}

TEST(Notification, people_are_told_who_why_and_what_they_can_do) {
  struct Row {
    std::string name;
    NotificationAction action;
    smtp::EnhancedCode status;
    std::vector<std::string> words;
  };
  const std::vector<Row> rows{
      {"an unknown address",
       NotificationAction::failed,
       {5, 1, 1},
       {"could not be delivered to the recipient below", "<b@example.net>", "does not know this address",
        "mx1.example.net", "550 5.1.1 no such user here", "spelling mistake", "4F00BA"}},
      {"a full mailbox", NotificationAction::failed, {5, 2, 2}, {"mailbox is full"}},
      {"too large", NotificationAction::failed, {5, 3, 4}, {"smaller message"}},
      {"given up", NotificationAction::failed, {4, 4, 7}, {"We will not try again", "Try again later"}},
      {"a rule or TLS", NotificationAction::failed, {5, 7, 10}, {"show this message to your postmaster"}},
      {"a delay",
       NotificationAction::delayed,
       {4, 4, 1},
       {"you do not need to send it again", "Tue, 24 Nov 2026 03:00:00 +0000"}},
      {"success", NotificationAction::delivered, {2, 1, 5}, {"was delivered"}},
      {"passed on", NotificationAction::relayed, {2, 1, 9}, {"does not confirm deliveries"}},
      {"expanded", NotificationAction::expanded, {2, 1, 9}, {"members of the list"}},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    auto facts = some_facts();
    facts.recipients[0].action = row.action;
    facts.recipients[0].status = row.status;
    facts.recipients[0].will_retry_until = morning + 48h;
    const auto message = read_mime(smtp::build_notification(facts));
    EXPECT_THAT(message.faults, IsEmpty());
    ASSERT_EQ(message.parts.size(), 3U);
    std::string text = message.parts[0].body; // unwrapped, so that the words can be looked for
    for (std::size_t at = text.find("\r\n"); at != std::string::npos; at = text.find("\r\n")) {
      const auto behind = text.find_first_not_of(" \r\n", at);
      text.replace(at, behind == std::string::npos ? std::string::npos : behind - at, " ");
    }
    for (const auto &words : row.words) EXPECT_THAT(text, HasSubstr(words));
    const bool delayed = row.action == NotificationAction::delayed;
    EXPECT_EQ(message.parts[1].body.find("Will-Retry-Until") != std::string::npos, delayed);
    if (row.action != NotificationAction::failed) {
      EXPECT_THAT(text, Not(HasSubstr("What you can do")));
    }
  }
}

TEST(Notification, the_original_comes_back_as_its_form_allows) {
  struct Row {
    std::string name;
    std::optional<std::string> message;
    bool utf8;
    std::string type;
    std::string encoding;
    std::string body = {}; ///< empty: as it was
  };
  const std::string whole = "Subject: x\r\n\r\n.dot\r\n";
  const std::vector<Row> rows{
      {"headers only", {}, false, "text/rfc822-headers", "7bit"},
      {"the whole message", whole, false, "message/rfc822", "7bit"},
      {"the whole message with 8-bit text is made 7-bit", "Subject: x\r\n\r\n\xC3\xBC\r\n", false, "message/rfc822",
       "7bit",
       "Subject: x\r\nContent-Type: text/plain; charset=unknown-8bit\r\nContent-Transfer-Encoding: "
       "quoted-printable\r\nMIME-Version: 1.0\r\n\r\n=C3=BC\r\n"},
      {"octets above 127 in the header", "Subject: \xC3\xBC\r\n\r\nx\r\n", false, "text/rfc822-headers", "7bit"},
      {"an international message", "Subject: \xC3\xBC\r\n\r\nx\r\n", true, "message/global", "quoted-printable",
       "Subject: =C3=BC\r\n\r\nx\r\n"},
      {"an international message's header", {}, true, "message/global-headers", "7bit"},
      {"a message with an over-long line", "Subject: x\r\n\r\n" + std::string(999, 'x') + "\r\n", false,
       "text/rfc822-headers", "7bit"},
      {"a line of just the limit", "Subject: x\r\n\r\n" + std::string(998, 'x') + "\r\n", false, "message/rfc822",
       "7bit"},
      {"a message with a bare LF", "Subject: x\n\nx\n", false, "text/rfc822-headers", "7bit"},
      {"a message without its last line end", "Subject: x\r\n\r\nx", false, "text/rfc822-headers", "7bit"},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    auto facts = some_facts();
    facts.original_message = row.message;
    facts.original_needs_utf8 = row.utf8;
    auto message = read_mime(smtp::build_notification(facts));
    EXPECT_THAT(message.faults, IsEmpty());
    ASSERT_EQ(message.parts.size(), 3U);
    EXPECT_EQ(message.parts[2].fields["content-type"], row.type);
    EXPECT_EQ(message.parts[2].fields["content-transfer-encoding"], row.encoding);
    EXPECT_EQ(message.parts[1].fields["content-type"], "message/delivery-status");
    EXPECT_TRUE(smtp::is_ascii(smtp::build_notification(facts))) << "to an ASCII address it needs no extension";
    if (row.type.starts_with("message/") && !row.type.ends_with("headers")) {
      EXPECT_EQ(message.parts[2].body, row.body.empty() ? *row.message : row.body);
    }
  }
}

TEST(Notification, international_addresses_use_the_forms_of_RFC_6533) {
  auto facts = some_facts();
  facts.recipients[0].final_recipient = mailbox("\xC3\xBC@example.net");
  facts.recipients[0].original = smtp::OriginalRecipient{"utf-8", "\xC3\xBC+1@example.net"};
  auto message = read_mime(smtp::build_notification(facts));
  EXPECT_THAT(message.faults, IsEmpty());
  EXPECT_EQ(message.parts.at(1).fields["content-type"], "message/delivery-status");
  EXPECT_THAT(message.parts[1].body, HasSubstr("Final-Recipient: utf-8; \\x{FC}@example.net\r\n"));
  EXPECT_TRUE(smtp::is_ascii(smtp::build_notification(facts)));
  // To an international address.
  facts.to = mailbox("\xC3\xB6@example.com");
  message = read_mime(smtp::build_notification(facts));
  EXPECT_THAT(message.faults, IsEmpty());
  EXPECT_EQ(message.parts.at(1).fields["content-type"], "message/global-delivery-status");
  EXPECT_THAT(message.parts[1].body, HasSubstr("Final-Recipient: utf-8; \xC3\xBC@example.net\r\n"));
  EXPECT_THAT(message.parts[1].body, HasSubstr("Original-Recipient: utf-8; \xC3\xBC\\x{2B}1@example.net\r\n"));
  // Only the ORCPT is international: the plain form, in ASCII.
  facts.to = some_facts().to;
  facts.recipients[0].final_recipient = mailbox("b@example.net");
  message = read_mime(smtp::build_notification(facts));
  EXPECT_EQ(message.parts.at(1).fields["content-type"], "message/delivery-status");
  EXPECT_THAT(message.parts[1].body, HasSubstr("Original-Recipient: utf-8; \\x{FC}\\x{2B}1@example.net\r\n"));
}

TEST(Notification, every_recipient_has_a_group_of_its_own) {
  auto facts = some_facts();
  for (int i = 0; i < 999; ++i) facts.recipients.push_back(recipient(fmt::format("r{}@example.net", i)));
  auto message = read_mime(smtp::build_notification(facts));
  EXPECT_THAT(message.faults, IsEmpty());
  EXPECT_EQ(groups(message.parts.at(1), message.faults).size(), 1001U);
  EXPECT_THAT(message.parts[0].body, HasSubstr("to the recipients below"));
}

TEST(Notification, the_display_name_is_quoted_when_it_must_be) {
  struct Row {
    std::string name;
    std::string field;
  };
  for (const auto &row : {Row{"Post Office 2", "From: Post Office 2 <mailer-daemon@example.org>\r\n"},
                          Row{"Mail, Desk", "From: \"Mail, Desk\" <mailer-daemon@example.org>\r\n"},
                          Row{"a\"b\\c", "From: \"a\\\"b\\\\c\" <mailer-daemon@example.org>\r\n"}}) {
    auto facts = some_facts();
    facts.from_name = row.name;
    EXPECT_TRUE(build_notification(facts).starts_with(row.field)) << row.name;
  }
}

TEST(Notification, hostile_text_breaks_no_line_no_field_and_no_part) {
  const std::vector<std::string> texts = {
      "x\r\nSubject: forged\r\n\r\nbody",
      "x\n\n--=_4F00BA_0\r\nContent-Type: text/html\r\n\r\n<b>",
      "--=_4F00BA_0--",
      std::string(5000, 'x'),
      std::string("nul \0 here", 10),
      "\xFF\xFE\xC3 not utf-8 \xC2\x85",
      "many\nlines\n" + std::string(200, '\n') + "end",
      std::string(400, '\xC3'),
      "",
      " ",
  };
  for (const auto &text : texts) {
    for (const bool utf8 : {false, true}) {
      SCOPED_TRACE(fmt::format("{} {}", smtp::escape(text), utf8));
      auto facts = some_facts();
      facts.original_needs_utf8 = utf8;
      facts.envid = facts.message_id = text;
      facts.reporting_mta = "mx" + text;
      facts.queue_id += text;
      facts.original_headers = "Subject: " + text + "\r\nMessage-ID: <" + text + ">\r\n\r\n";
      facts.original_message = "Subject: x\r\n\r\n" + text + "\r\n";
      auto &one = facts.recipients[0];
      one.remote_reply->text = one.remote_host = one.explanation = text;
      one.original = smtp::OriginalRecipient{"rfc822", text};
      const auto built = smtp::build_notification(facts);
      auto message = read_mime(built);
      EXPECT_THAT(message.faults, IsEmpty());
      ASSERT_EQ(message.parts.size(), 3U);
      EXPECT_EQ(message.top.fields.count("subject"), 1U);
      EXPECT_EQ(message.top.fields["subject"], "Your message could not be delivered");
      EXPECT_EQ(groups(message.parts[1], message.faults).size(), 2U);
      if (!utf8) {
        EXPECT_TRUE(smtp::is_ascii(message.parts[0].body + message.parts[1].body));
      }
      EXPECT_TRUE(smtp::is_utf8(message.parts[0].body + message.parts[1].body));
    }
  }
}

TEST(Notification, the_boundary_occurs_in_no_part_even_when_it_is_guessed) {
  auto facts = some_facts();
  facts.original_message = "Subject: x\r\n\r\n";
  for (int i = 0; i < 5; ++i) *facts.original_message += fmt::format("--=_4F00BA_{}\r\n", i);
  auto message = read_mime(smtp::build_notification(facts));
  EXPECT_THAT(message.faults, IsEmpty());
  ASSERT_EQ(message.parts.size(), 3U);
  EXPECT_EQ(message.parts[2].body, *facts.original_message);
  EXPECT_THAT(message.top.fields["content-type"], HasSubstr("=_4F00BA_5\""));
}

TEST(Notification, it_has_every_field_that_the_reports_of_others_have) {
  // What mail programs and list managers look for is what other systems write; ours must not lack it.
  const auto folder = std::filesystem::path(source_dir) / "../shared/conformance/dsn/mikel-mail";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "the conformance data is not beside the source tree";
  auto facts = some_facts();
  facts.recipients[0].original = smtp::OriginalRecipient{"rfc822", "b@example.net"};
  const auto ours = smtp::build_notification(facts);
  std::size_t looked_at = 0;
  for (const auto &entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    for (const std::string name : {"Reporting-MTA:", "Arrival-Date:", "Final-Recipient:", "Original-Recipient:",
                                   "Action:", "Status:", "Remote-MTA:", "Diagnostic-Code:", "Last-Attempt-Date:",
                                   "multipart/report", "report-type=delivery-status", "message/delivery-status"}) {
      if (text.find("\n" + name) == std::string::npos && text.find(name) == std::string::npos) continue;
      ++looked_at;
      EXPECT_THAT(ours, HasSubstr(name)) << entry.path().filename();
    }
  }
  EXPECT_GT(looked_at, 20U);
}

} // namespace notification_test
