// HeaderScanner: what is seen of a message, whole and octet by octet; its limits.
#include "smtp/message/header_scan.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

namespace {

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
      {"a line that is no field ends the header in front of it", "From: a\r\n", "no field here\r\nReceived: x\r\n", 15,
       facts([](MessageFacts &f) { f.has_from = true; })},
      {"a folded line that continues nothing is no field", "", " x: y\r\nReceived: x\r\n", 13, {}},
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
      {"a name without colon in its first 1200 octets is no name", "X: y\r\n", kilo + kilo + ": z\r\n\r\n", 2005, {}},
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

} // namespace
