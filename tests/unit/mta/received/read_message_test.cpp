// Messages that carry reports: where in the MIME structure they are found, and what a hostile structure meets.
#include <gtest/gtest.h>

#include "mta/received/read_message.hpp"
#include "tests/support/report_texts.hpp"

namespace read_message_test {

using namespace mta;
using support::base64;
using support::dmarc_text;
using support::mail_with;
using support::one_record;
using support::pack_gzip;
using support::pack_zip;
using support::tls_text;

const std::string xml = dmarc_text(one_record);
const std::string head = "From: a@example.net\r\nSubject: s\r\n";

/// Gives one octet at a time.
OctetSource dripping(std::string_view text) {
  return [text](std::span<char> into) mutable -> smtp::Result<std::size_t> {
    const std::size_t size = text.copy(into.data(), 1);
    text.remove_prefix(size);
    return size;
  };
}

std::string quoted_printable(const std::string &text) {
  std::string out;
  for (const char c : text) out += c == '=' ? "=3D" : c == '\n' ? "=0A=\r\n" : std::string(1, c);
  return out;
}

struct Case {
  const char *name;
  std::string message;
  std::string wanted; ///< report ids, or a part of the problem
};

std::string outcome(const smtp::Result<ReportMessage> &read) {
  if (!read) return "error: " + read.error().detail;
  std::string ids;
  for (const auto &report : read->reports) ids += (ids.empty() ? "" : " ") + report.report_id;
  if (!ids.empty()) return ids;
  return read->problems.empty() ? "nothing" : "problem: " + read->problems.front();
}

TEST(ReadReportMessage, WhereReportsAreFound) {
  const std::string gz = pack_gzip(xml);
  const std::string nested =
      "Content-Type: message/rfc822\r\n\r\n" +
      mail_with("Content-Type: application/gzip\r\nContent-Transfer-Encoding: base64", base64(gz));
  const std::vector<Case> cases = {
      {"gzip in base64", mail_with("Content-Type: application/gzip\r\nContent-Transfer-Encoding: base64", base64(gz)),
       "r-1"},
      {"a name with folds and octet-stream",
       mail_with("Content-Type: application/octet-stream;\r\n\tname*0=\"a!b!1\";\r\n name*1=\"!2.xml.gz\"\r\n"
                 "content-transfer-encoding:\r\n BASE64",
                 base64(gz)),
       "r-1"},
      {"octet-stream without a name",
       mail_with("Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64", base64(gz)), "r-1"},
      {"zip",
       mail_with("Content-Type: application/zip\r\nContent-Transfer-Encoding: base64",
                 base64(pack_zip({{"r.xml", xml}}))),
       "r-1"},
      {"text/xml in quoted-printable",
       mail_with("Content-Type: text/xml\r\nContent-Transfer-Encoding: quoted-printable", quoted_printable(xml)),
       "r-1"},
      {"XML as it is, called text", mail_with("Content-Type: text/plain; name=r.xml", xml), "r-1"},
      {"gzip in binary", mail_with("Content-Type: application/gzip\r\nContent-Transfer-Encoding: binary", gz), "r-1"},
      {"TLSRPT", mail_with("Content-Type: application/tlsrpt+json", tls_text), "t-1"},
      {"TLSRPT packed",
       mail_with("Content-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64",
                 base64(pack_gzip(tls_text))),
       "t-1"},
      {"multipart/report as RFC 8460 has it",
       head +
           "Content-Type: multipart/report; report-type=\"tlsrpt\"; boundary=x\r\n\r\n--x\r\n\r\nhello\r\n--x\r\n"
           "Content-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
           base64(pack_gzip(tls_text)) + "--x--\r\n",
       "t-1"},
      {"the body itself, packed",
       head + "Content-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64(gz), "r-1"},
      {"the body itself, plain", head + "\r\n" + xml, "r-1"},
      {"lines that end in LF alone", "From: a@b\nContent-Type: text/xml\n\n" + xml, "r-1"},
      {"a message in a message", mail_with(nested, ""), "r-1"},
      {"a forwarded report",
       head + "Content-Type: multipart/mixed; boundary=outer\r\n\r\n--outer\r\n" + nested + "\r\n--outer--\r\n", "r-1"},
      {"two reports",
       mail_with("Content-Type: text/xml", xml + "\r\n--b 1\r\nContent-Type: application/json\r\n\r\n" + tls_text),
       "r-1 t-1"},
      {"no end of the multipart",
       head + "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/xml\r\n\r\n" + xml, "r-1"},
      {"no report", mail_with("Content-Type: text/plain", "see you"), "problem: no part of the message is a report"},
      {"an empty message", "", "problem: no part"},
      {"only a header", head, "problem: no part"},
      {"an image", mail_with("Content-Type: image/png\r\nContent-Transfer-Encoding: base64", base64("<feedback/>")),
       "problem: no part"},
      {"an attachment that is none", mail_with("Content-Type: application/gzip; name=r.xml.gz", "hello"),
       "problem: r.xml.gz: contents are neither gzip, zip, XML nor JSON"},
      {"an attachment of empty lines", mail_with("Content-Type: text/xml", std::string(5'000, '\n') + xml),
       "problem: text/xml: contents are neither gzip, zip, XML nor JSON"},
      {"text that begins with a brace", mail_with("Content-Type: text/plain", "{hello}"), "problem: no part"},
      {"broken XML", mail_with("Content-Type: text/xml", "<feedback>"), "problem: text/xml: XML is broken"},
  };
  for (const Case &one : cases) {
    const std::string whole = outcome(read_report_message(source_of(one.message), {}));
    EXPECT_TRUE(whole.starts_with(one.wanted)) << one.name << ": " << whole;
    EXPECT_EQ(outcome(read_report_message(dripping(one.message), {})), whole) << one.name << ", octet by octet";
  }
}

TEST(ReadReportMessage, TheMailIsDescribed) {
  const auto read = read_report_message(source_of(mail_with("Content-Type: text/xml", xml)), {});
  ASSERT_TRUE(read);
  EXPECT_EQ(read->mail.from, "Reporter \xC3\xA9 <dmarc@example.net>");
  EXPECT_EQ(read->mail.subject, "Report domain: example.com Submitter: example.net");
  EXPECT_EQ(read->mail.message_id, "<m1@example.net>");
}

TEST(ReadReportMessage, LimitsOfTheStructure) {
  std::string deep = head;
  for (int i = 0; i < 12; ++i)
    deep +=
        "Content-Type: multipart/mixed; boundary=b" + std::to_string(i) + "\r\n\r\n--b" + std::to_string(i) + "\r\n";
  std::string messages = head;
  for (int i = 0; i < 50'000; ++i) messages += "Content-Type: message/rfc822\r\n\r\n";
  std::string parts = head + "Content-Type: multipart/mixed; boundary=x\r\n\r\n";
  for (int i = 0; i < 100'000; ++i) parts += "--x\r\n\r\nhello\r\n";
  const std::vector<Case> cases = {
      {"multiparts in each other", deep, "problem: parts are nested deeper than the limit of 10"},
      {"messages in each other", messages, "problem: parts are nested deeper than the limit of 10"},
      {"many parts", parts, "problem: message has more than the limit of 100 parts"},
      {"a long header", head + "X: " + std::string(300'000, 'x') + "\r\n\r\n",
       "problem: a header section is over the limit of 262144 octets"},
      {"a long field", head + "Content-Type: text/xml" + std::string(20'000, ';') + "\r\n\r\n",
       "problem: a header field is over the limit of 16384 octets"},
      {"an address of nested groups",
       "From: " +
           [] {
             std::string groups;
             for (int i = 0; i < 8'000; ++i) groups += "a:";
             return groups;
           }() +
           "\r\nContent-Type: text/xml\r\n\r\n" + xml,
       "r-1"},
      {"a boundary that is empty", head + "Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n" + xml, "r-1"},
      {"a boundary that is a prefix of another",
       head +
           "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: multipart/mixed; boundary=xy\r\n\r\n"
           "--xy\r\nContent-Type: text/xml\r\n\r\n" +
           xml + "\r\n--xy--\r\n--x--\r\n",
       "r-1"},
  };
  for (const Case &one : cases) {
    const std::string read = outcome(read_report_message(source_of(one.message), {}));
    EXPECT_TRUE(read.starts_with(one.wanted)) << one.name << ": " << read;
  }
}

TEST(ReadReportMessage, AMessageOverTheLimitIsNotReadToItsEnd) {
  std::uint64_t given = 0;
  const OctetSource endless = [&given](std::span<char> into) -> smtp::Result<std::size_t> {
    std::fill(into.begin(), into.end(), given == 0 ? '\n' : 'x');
    given += into.size();
    return into.size();
  };
  ReadLimits limits;
  limits.mime.message_size = 1'000'000;
  EXPECT_EQ(outcome(read_report_message(endless, limits)), "problem: message is over the limit of 1000000 octets");
  EXPECT_LT(given, 1'300'000U);
}

TEST(ReadReportMessage, AllReportsOfAMessageShareTheLimit) {
  ReadLimits limits;
  limits.unpack.max_size = xml.size() + 100;
  const auto read = read_report_message(
      source_of(mail_with("Content-Type: text/xml", xml + "\r\n--b 1\r\nContent-Type: text/xml\r\n\r\n" + xml)),
      limits);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->reports.size(), 1U);
  ASSERT_EQ(read->problems.size(), 1U);
  EXPECT_NE(read->problems[0].find("over the limit of"), std::string::npos) << read->problems[0];
}

TEST(ReadReportMessage, NotMoreReportsThanTheLimit) {
  std::string contents = xml;
  for (int i = 0; i < 20; ++i) contents += "\r\n--b 1\r\nContent-Type: text/xml\r\n\r\n" + xml;
  const auto read = read_report_message(source_of(mail_with("Content-Type: text/xml", contents)), {});
  ASSERT_TRUE(read);
  EXPECT_EQ(read->reports.size(), 10U);
  ASSERT_FALSE(read->problems.empty());
  EXPECT_EQ(read->problems[0], "message has more than the limit of 10 reports");
}

TEST(ReadReportMessage, BrokenReportsCountTowardsTheLimitToo) {
  std::string contents = "<feedback>";
  for (int i = 0; i < 9; ++i) contents += "\r\n--b 1\r\nContent-Type: text/xml\r\n\r\n<feedback>";
  contents += "\r\n--b 1\r\nContent-Type: text/xml\r\n\r\n" + xml;
  const auto read = read_report_message(source_of(mail_with("Content-Type: text/xml", contents)), {});
  ASSERT_TRUE(read);
  EXPECT_EQ(read->reports.size(), 0U);
  EXPECT_EQ(read->problems.size(), 10U);
}

TEST(ReadReportMessage, ASourceThatFailsIsAnError) {
  const OctetSource broken = [](std::span<char>) -> smtp::Result<std::size_t> {
    return smtp::fail(smtp::ErrorCode::io, "disk");
  };
  const auto read = read_report_message(broken, {});
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, smtp::ErrorCode::io);
}

} // namespace read_message_test
