// The Received field: protocol words, clauses, dates; foreign text stays within its comment.
#include "smtp/message/received.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace received_test {

using smtp::ReceivedFacts;
using std::chrono::sys_days;
using std::chrono::system_clock;

ReceivedFacts some_facts() {
  ReceivedFacts facts;
  facts.helo = "client.example";
  facts.client = smtp::IpAddress::parse("192.0.2.7").value();
  facts.by = "mx.example.org";
  facts.id = "4F00BA";
  facts.now = system_clock::from_time_t(1'795'318'740); // 22 November 2026, 03:39:00
  return facts;
}

TEST(Received, protocol_words_of_RFC_3848_and_RFC_6531) {
  struct Row {
    bool extended, tls, authenticated, utf8;
    const char *word;
  };
  for (const auto &row : std::vector<Row>{{false, false, false, false, "SMTP"},
                                          {false, true, false, false, "SMTP"},
                                          {false, false, false, true, "SMTP"},
                                          {true, false, false, false, "ESMTP"},
                                          {true, true, false, false, "ESMTPS"},
                                          {true, false, true, false, "ESMTPA"},
                                          {true, true, true, false, "ESMTPSA"},
                                          {true, false, false, true, "UTF8SMTP"},
                                          {true, true, false, true, "UTF8SMTPS"},
                                          {true, false, true, true, "UTF8SMTPA"},
                                          {true, true, true, true, "UTF8SMTPSA"}}) {
    auto facts = some_facts();
    facts.extended = row.extended;
    facts.tls = row.tls;
    facts.authenticated_by_smtp_auth = row.authenticated;
    facts.smtputf8 = row.utf8;
    EXPECT_EQ(smtp::protocol_word(facts), row.word);
  }
}

TEST(Received, a_plain_field) {
  EXPECT_EQ(smtp::format_received(some_facts()), "Received: from client.example ([192.0.2.7])\r\n"
                                                 "\tby mx.example.org with ESMTP\r\n"
                                                 "\tid 4F00BA;\r\n"
                                                 "\tSun, 22 Nov 2026 03:39:00 +0000\r\n");
}

TEST(Received, a_field_with_TLS_a_certificate_and_a_single_recipient) {
  auto facts = some_facts();
  facts.client = smtp::IpAddress::parse("2001:db8::1").value();
  facts.tls = true;
  facts.tls_version = "TLSv1.3";
  facts.tls_suite = "TLS_AES_256_GCM_SHA384";
  facts.tls_bits = 256;
  facts.client_certificate = "mx.partner.example";
  facts.client_certificate_verified = true;
  facts.only_recipient = smtp::Mailbox::parse("b@example.org").value();
  EXPECT_EQ(smtp::format_received(facts), "Received: from client.example ([IPv6:2001:db8::1])\r\n"
                                          "\tby mx.example.org with ESMTPS\r\n"
                                          "\t(TLSv1.3 TLS_AES_256_GCM_SHA384 256 bits,\r\n"
                                          "\t client certificate mx.partner.example verified)\r\n"
                                          "\tid 4F00BA\r\n"
                                          "\tfor <b@example.org>;\r\n"
                                          "\tSun, 22 Nov 2026 03:39:00 +0000\r\n");
  facts.client_certificate_verified = false;
  EXPECT_THAT(smtp::format_received(facts), testing::HasSubstr("mx.partner.example not verified)"));
}

TEST(Received, a_UTF8_recipient_stands_only_in_a_UTF8_field) {
  auto facts = some_facts();
  facts.only_recipient = smtp::Mailbox::parse("\xC3\xBC@example.org").value();
  EXPECT_THAT(smtp::format_received(facts), testing::Not(testing::HasSubstr("for <")));
  facts.smtputf8 = true;
  EXPECT_THAT(smtp::format_received(facts), testing::HasSubstr("for <\xC3\xBC@example.org>"));
}

TEST(Received, what_the_client_called_itself_cannot_leave_its_place) {
  struct Row {
    std::string name;
    std::string helo;
    std::string from;
  };
  for (const auto &row : std::vector<Row>{
           {"a literal", "[192.0.2.9]", "from [192.0.2.9] ([192.0.2.7])"},
           {"an IPv6 literal", "[IPv6:::1]", "from [IPv6:::1] ([192.0.2.7])"},
           {"an underscore is tolerated", "my_host.example", "from my_host.example ([192.0.2.7])"},
           {"nothing", "", "from [192.0.2.7] ([192.0.2.7])"},
           {"a comment", "x (by y)", "from [192.0.2.7] (HELO x ?by y?)"},
           {"a semicolon would end the clauses", "x;date", "from [192.0.2.7] (HELO x;date)"},
           {"a line end", "x\r\nSubject: forged", "from [192.0.2.7] (HELO x\?\?Subject: forged)"},
           {"a backslash and UTF-8", "a\\\xC3\xBC", "from [192.0.2.7] (HELO a\?\?\?)"},
           {"half a literal", "[192.0.2.9", "from [192.0.2.7] (HELO [192.0.2.9)"},
           {"a very long name", std::string(300, 'x'), "from [192.0.2.7] (HELO " + std::string(255, 'x') + ")"},
       }) {
    SCOPED_TRACE(row.name);
    auto facts = some_facts();
    facts.helo = row.helo;
    EXPECT_THAT(smtp::format_received(facts), testing::StartsWith("Received: " + row.from + "\r\n\tby"));
  }
}

TEST(Received, a_certificate_name_cannot_leave_its_comment) {
  auto facts = some_facts();
  facts.tls = true;
  facts.tls_version = "TLSv1.2";
  facts.tls_suite = "X";
  facts.client_certificate = "evil)\r\nX-Forged: (yes";
  EXPECT_THAT(
      smtp::format_received(facts),
      testing::HasSubstr("(TLSv1.2 X,\r\n\t client certificate evil\?\?\?X-Forged: ?yes not verified)\r\n\tid"));
}

TEST(Received, dates_are_RFC_5322_in_UTC) {
  using namespace std::chrono;
  EXPECT_EQ(smtp::format_date(system_clock::time_point{}), "Thu, 01 Jan 1970 00:00:00 +0000");
  EXPECT_EQ(smtp::format_date(sys_days(2024y / February / 29) + 23h + 59min + 59s + 999ms),
            "Thu, 29 Feb 2024 23:59:59 +0000");
  EXPECT_EQ(smtp::format_date(sys_days(2000y / December / 31)), "Sun, 31 Dec 2000 00:00:00 +0000");
  EXPECT_EQ(smtp::format_date(system_clock::time_point{} - 1s), "Wed, 31 Dec 1969 23:59:59 +0000");
}

} // namespace received_test
