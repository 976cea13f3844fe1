// HeaderScanner: what is seen of a message, whole and octet by octet; its limits.
#include "smtp/message/header_scan.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

namespace header_scan_test {

using smtp::HeaderScanner;
using smtp::MessageFacts;

struct Scanned {
  MessageFacts facts;
  std::string error;
};

Scanned scan(std::string_view message, std::size_t cut, std::size_t header_limit = 10'000, std::size_t hops = 50) {
  HeaderScanner scanner(header_limit, hops);
  std::string error;
  for (std::size_t at = 0; at < message.size(); at += cut)
    if (const auto done = scanner.feed(message.substr(at, cut)); !done) error = done.error().detail;
  return {scanner.facts(), error};
}

TEST(HeaderScanner, facts_are_the_same_in_every_cut) {
  struct Row {
    std::string name;
    std::string header; ///< with its empty line: what header_size counts
    std::string body;
    std::size_t longest_line;
    MessageFacts facts; ///< without the sizes
  };
  const auto facts = [](auto change) {
    MessageFacts made;
    change(made);
    return made;
  };
  const std::string kilo(1000, 'x');
  const std::vector<Row> rows{
      {"nothing", "", "", 0, {}},
      {"the usual fields",
       "Received: from a\r\n\tby b; Sun\r\nDate: today\r\nFrom: a@x\r\nMessage-ID: <1@x>\r\nSubject: hello\r\n\r\n",
       "body\r\n", 19, facts([](MessageFacts &f) {
         f.received_hops = 1;
         f.has_date = f.has_message_id = f.has_from = true;
         f.message_id = "<1@x>";
         f.subject_excerpt = "hello";
       })},
      {"names in any case, the obsolete space before the colon",
       "RECEIVED : x\r\nreceived:y\r\nmessage-id\t:<a>\r\n\r\n", "", 17, facts([](MessageFacts &f) {
         f.received_hops = 2;
         f.has_message_id = true;
         f.message_id = "<a>";
       })},
      {"folded values are joined; the first Message-ID counts",
       "Message-ID:\r\n <a@x>\r\nSubject: one\r\n\ttwo\r\nMessage-ID: <b>\r\n\r\n", "", 17, facts([](MessageFacts &f) {
         f.has_message_id = true;
         f.message_id = "<a@x>";
         f.subject_excerpt = "one two";
       })},
      {"fields in the body are not fields", "X: y\r\n\r\n", "Received: x\r\nDate: x\r\n", 13, {}},
      {"a body without header", "\r\n", "Received: x\r\n", 13, {}},
      {"a line that is not a field ends the header in front of it", "From: a\r\n", "no field here\r\nReceived: x\r\n",
       15, facts([](MessageFacts &f) { f.has_from = true; })},
      {"a folded line that continues nothing is not a field", "", " x: y\r\nReceived: x\r\n", 13, {}},
      {"a header without body or empty line", "From: a\r\nDate: b\r\n", "", 9,
       facts([](MessageFacts &f) { f.has_from = f.has_date = true; })},
      {"names that only begin alike", "Received-SPF: x\r\nX-Date: y\r\nFromage: z\r\n\r\n", "", 17, {}},
      {"an octet above 127 in the header", "Subject: \xC3\xBC\r\n\r\n", "", 13, facts([](MessageFacts &f) {
         f.has_8bit = f.header_has_8bit = true;
         f.subject_excerpt = "\xC3\xBC";
       })},
      {"an octet above 127 in the body only", "X: y\r\n\r\n", kilo + "\xFF" + kilo + "\r\n", 2003,
       facts([](MessageFacts &f) { f.has_8bit = true; })},
      {"an octet above 127 in the line that ends the header", "X: y\r\n", "\xC3\xBC\r\n", 6,
       facts([](MessageFacts &f) { f.has_8bit = true; })},
      {"a name without colon in its first 1200 octets is not a name",
       "X: y\r\n",
       kilo + kilo + ": z\r\n\r\n",
       2005,
       {}},
      {"long values are cut", "Subject: " + kilo + "\r\nMessage-ID: <" + kilo + ">\r\n\r\n", "", 1016,
       facts([&](MessageFacts &f) {
         f.has_message_id = true;
         f.message_id = "<" + std::string(997, 'x');
         f.subject_excerpt = std::string(100, 'x');
       })},
  };
  for (const auto &row : rows) {
    for (const std::size_t cut : {1UL, 2UL, 7UL, 100'000UL}) {
      SCOPED_TRACE(fmt::format("{}, cut every {}", row.name, cut));
      const auto [seen, error] = scan(row.header + row.body, cut);
      EXPECT_EQ(error, "");
      EXPECT_EQ(seen.size, row.header.size() + row.body.size());
      EXPECT_EQ(seen.header_size, row.header.size());
      EXPECT_EQ(seen.longest_line, row.longest_line);
      EXPECT_EQ(seen.received_hops, row.facts.received_hops);
      EXPECT_EQ(seen.has_8bit, row.facts.has_8bit);
      EXPECT_EQ(seen.header_has_8bit, row.facts.header_has_8bit);
      EXPECT_EQ(seen.has_date, row.facts.has_date);
      EXPECT_EQ(seen.has_from, row.facts.has_from);
      EXPECT_EQ(seen.has_message_id, row.facts.has_message_id);
      EXPECT_EQ(seen.message_id, row.facts.message_id);
      EXPECT_EQ(seen.subject_excerpt, row.facts.subject_excerpt);
    }
  }
}

TEST(HeaderScanner, limits_are_exact_and_latched) {
  struct Row {
    std::string name;
    std::string message;
    std::string error;
  };
  const std::string header = "X: " + std::string(91, 'x') + "\r\n\r\n"; // 98 octets
  const std::vector<Row> rows{
      {"a header section of the limit", "Y" + header, ""},
      {"a header section of the limit with a body", "YY" + header + std::string(1000, 'b'), ""},
      {"one octet over", "YYY" + header, "header section is over 100 octets"},
      {"a header line without end", std::string(101, 'x'), "header section is over 100 octets"},
      {"as many hops as allowed", "Received: a\r\nReceived: b\r\n\r\n", ""},
      {"one hop more", "Received: a\r\nReceived: b\r\nReceived: c\r\n\r\nbody\r\n",
       "mail loop: more than 2 Received fields"},
  };
  for (const auto &row : rows) {
    for (const std::size_t cut : {1UL, 5UL, 4096UL}) {
      SCOPED_TRACE(fmt::format("{}, cut every {}", row.name, cut));
      EXPECT_EQ(scan(row.message, cut, 100, 2).error, row.error);
    }
  }
}

TEST(HeaderScanner, an_octet_above_127_is_found_at_every_place) {
  for (std::size_t at = 0; at < 200; ++at) {
    std::string body(200, 'a');
    EXPECT_FALSE(scan("\r\n" + body, 4096).facts.has_8bit);
    body[at] = '\x80';
    EXPECT_TRUE(scan("\r\n" + body, 4096).facts.has_8bit) << at;
  }
}

TEST(HeaderScanner, tls_required_counts_only_as_one_plain_no) {
  struct Row {
    std::string name;
    std::string header;
    bool optional;
  };
  const std::string much(300, ' ');
  const std::vector<Row> rows{
      {"as RFC 8689 section 3 writes it", "TLS-Required: No\r\n", true},
      {"without a space", "TLS-Required:No\r\n", true},
      {"in any case", "tls-required: nO\r\n", true},
      {"the obsolete space before the colon", "TLS-Required : No\r\n", true},
      {"white space around it", "TLS-Required:\t  No \t\r\n", true},
      {"folded before it", "TLS-Required:\r\n No\r\n", true},
      {"folded twice", "TLS-Required:\r\n \r\n\tNo\r\n", true},
      {"folded behind it", "TLS-Required: No\r\n \r\n", true},
      {"comments around it", "TLS-Required: (a) No (b (c) \\) d)\r\n", true},
      {"a comment right behind it", "TLS-Required: No(why)\r\n", true},
      {"among other fields", "From: a@x\r\nTLS-Required: No\r\nTo: b@x\r\n", true},
      {"no field", "From: a@x\r\n", false},
      {"an empty value", "TLS-Required:\r\n", false},
      {"only a comment", "TLS-Required: (No)\r\n", false},
      {"yes", "TLS-Required: Yes\r\n", false},
      {"a longer word", "TLS-Required: None\r\n", false},
      {"a word behind it", "TLS-Required: No thanks\r\n", false},
      {"a parameter behind it", "TLS-Required: No; x=y\r\n", false},
      {"a word behind it on the next line", "TLS-Required: No\r\n thanks\r\n", false},
      {"it is cut in two", "TLS-Required: N\r\n o\r\n", false},
      {"in quotes", "TLS-Required: \"No\"\r\n", false},
      {"a comment without end", "TLS-Required: No (why\r\n", false},
      {"a comment that ends with a backslash", "TLS-Required: No (why\\\r\n", false},
      {"a comment that was not begun", "TLS-Required: No )\r\n", false},
      {"a longer name", "X-TLS-Required: No\r\nTLS-Required-Not: No\r\n", false},
      {"twice the same", "TLS-Required: No\r\nTLS-Required: No\r\n", false},
      {"another value first", "TLS-Required: Yes\r\nTLS-Required: No\r\n", false},
      {"another value behind", "TLS-Required: No\r\nFrom: a@x\r\nTLS-Required:\r\n", false},
      {"three of them", "TLS-Required: No\r\nTLS-Required: x\r\nTLS-Required: No\r\n", false},
      {"a value longer than the limit of 256", "TLS-Required: No" + much + "\r\n", false},
      {"a value longer than the limit, in parts", "TLS-Required: No\r\n" + much + "\r\n x\r\n", false},
      {"the field of another line", "Subject: x\r\n TLS-Required: No\r\n", false},
  };
  for (const auto &row : rows) {
    for (const std::size_t cut : {1UL, 3UL, 4096UL}) {
      SCOPED_TRACE(fmt::format("{}, cut every {}", row.name, cut));
      EXPECT_EQ(scan(row.header + "\r\nTLS-Required: No\r\n", cut).facts.tls_optional, row.optional);
    }
  }
  EXPECT_FALSE(scan("\r\nTLS-Required: No\r\n", 4096).facts.tls_optional) << "in the body";
}

} // namespace header_scan_test
