// Canonicalisation of fields and bodies: RFC 6376 section 3.4, and that no cut of the body changes anything.
#include "auth/dkim/canonical.hpp"

#include <fstream>
#include <iterator>
#include <random>

#include <gtest/gtest.h>

#include "source_dir.hpp"

namespace canonical_test {

using auth::Canonical;

class Text final : public auth::OctetSink {
public:
  void write(std::string_view octets) override { text += octets; }
  std::string text;
};

std::string canonical_body(Canonical canonical, std::string_view body, std::size_t cut = 1000000,
                           std::optional<std::uint64_t> limit = std::nullopt) {
  Text text;
  auth::BodyCanonicaliser canonicaliser(canonical, limit);
  for (std::size_t at = 0; at < body.size(); at += cut) canonicaliser.write(body.substr(at, cut), text);
  canonicaliser.end(text);
  return text.text;
}

/// The rules of section 3.4.3 and 3.4.4 as they are written, line by line over the whole body: slow, and easy to read.
std::string by_the_book(Canonical canonical, const std::string &body) {
  std::vector<std::string> lines;
  std::size_t at = 0;
  while (at < body.size()) {
    const auto end = body.find("\r\n", at);
    lines.push_back(body.substr(at, end == std::string::npos ? end : end - at));
    at = end == std::string::npos ? body.size() : end + 2;
  }
  if (canonical == Canonical::relaxed) {
    for (std::string &line : lines) {
      std::string reduced;
      for (const char c : line) {
        if (c != ' ' && c != '\t')
          reduced += c;
        else if (reduced.empty() || reduced.back() != ' ')
          reduced += ' ';
      }
      if (!reduced.empty() && reduced.back() == ' ') reduced.pop_back();
      line = reduced;
    }
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  std::string out;
  for (const std::string &line : lines) out += line + "\r\n";
  if (out.empty() && canonical == Canonical::simple) out = "\r\n";
  return out;
}

struct BodyRow {
  std::string name;
  std::string body;
  std::string simple;
  std::string relaxed;
};

const std::vector<BodyRow> bodies = {
    {"an empty body", "", "\r\n", ""},
    {"only line ends", "\r\n\r\n\r\n", "\r\n", ""},
    {"only white space", " \t \r\n\t", " \t \r\n\t\r\n", ""},
    {"the example of section 3.4.5", " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n"},
    {"a last line without its end", "a\r\nb", "a\r\nb\r\n", "a\r\nb\r\n"},
    {"a last line of white space without its end", "a\r\n  ", "a\r\n  \r\n", "a\r\n"},
    {"empty lines inside are kept", "a\r\n\r\n\r\nb\r\n", "a\r\n\r\n\r\nb\r\n", "a\r\n\r\n\r\nb\r\n"},
    {"lines of white space inside become empty", "a\r\n \t\r\nb\r\n", "a\r\n \t\r\nb\r\n", "a\r\n\r\nb\r\n"},
    {"empty lines at the beginning are kept", "\r\n\r\na\r\n", "\r\n\r\na\r\n", "\r\n\r\na\r\n"},
    {"a tab becomes a space", "a\tb\r\n", "a\tb\r\n", "a b\r\n"},
    {"white space at the beginning of a line becomes one space", "\t  a\r\n", "\t  a\r\n", " a\r\n"},
    {"a bare CR is an octet", "a\rb \r c\r\n", "a\rb \r c\r\n", "a\rb \r c\r\n"},
    {"a bare LF is an octet", "a \nb\n\r\n", "a \nb\n\r\n", "a \nb\n\r\n"},
    {"two CRs in front of a LF", "a \r\r\n", "a \r\r\n", "a \r\r\n"},
    {"a CR at the very end", "a\r\n\r", "a\r\n\r\r\n", "a\r\n\r\r\n"},
    {"NUL and octets above 127 are octets", std::string("\0\xff \xfe\r\n", 6), std::string("\0\xff \xfe\r\n", 6),
     std::string("\0\xff \xfe\r\n", 6)},
};

TEST(Canonical, BodiesByTable) {
  for (const auto &row : bodies) {
    for (const std::size_t cut : {1U, 2U, 3U, 1000U}) {
      EXPECT_EQ(canonical_body(Canonical::simple, row.body, cut), row.simple) << row.name << ", cut every " << cut;
      EXPECT_EQ(canonical_body(Canonical::relaxed, row.body, cut), row.relaxed) << row.name << ", cut every " << cut;
    }
  }
}

TEST(Canonical, AnyBodyInAnyCutIsAsTheBookHasIt) {
  std::mt19937 random(7);
  const std::vector<std::string> pieces = {"\r\n",
                                           "\r\n",
                                           " ",
                                           "\t",
                                           "  ",
                                           "\r",
                                           "\n",
                                           "a",
                                           "word",
                                           "longer text",
                                           " \r\n",
                                           std::string(70, 'x'),
                                           std::string(600, 'y')};
  for (int round = 0; round < 3000; ++round) {
    std::string body;
    for (std::size_t count = random() % 40; count > 0; --count) body += pieces[random() % pieces.size()];
    const std::size_t cut = 1 + random() % 90;
    for (const auto canonical : {Canonical::simple, Canonical::relaxed})
      ASSERT_EQ(canonical_body(canonical, body, cut), by_the_book(canonical, body))
          << auth::to_string(canonical) << ", round " << round << ", cut every " << cut;
  }
}

TEST(Canonical, ALimitCutsTheCanonicalBodyAndTheLengthTellsTheRest) {
  const std::string body = "a  b\r\n\r\nc\r\n\r\n"; // relaxed: "a b\r\n\r\nc\r\n", 10 octets
  for (std::uint64_t limit = 0; limit <= 12; ++limit) {
    for (const std::size_t cut : {1U, 4U, 100U}) {
      Text text;
      auth::BodyCanonicaliser canonicaliser(Canonical::relaxed, limit);
      for (std::size_t at = 0; at < body.size(); at += cut)
        canonicaliser.write(std::string_view(body).substr(at, cut), text);
      canonicaliser.end(text);
      EXPECT_EQ(text.text, std::string("a b\r\n\r\nc\r\n").substr(0, limit)) << limit;
      if (limit >= 10)
        EXPECT_EQ(canonicaliser.length(), 10U) << limit;
      else
        EXPECT_GT(canonicaliser.length(), limit) << limit;
    }
  }
}

struct FieldRow {
  std::string name;
  std::string field; ///< with its CRLF
  std::string relaxed;
};

TEST(Canonical, FieldsByTable) {
  const std::vector<FieldRow> rows = {
      {"the example of section 3.4.5, first field", "A: X\r\n", "a:X\r\n"},
      {"the example of section 3.4.5, second field", "B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n"},
      {"a value of white space", "A: \t \r\n", "a:\r\n"},
      {"an empty value", "A:\r\n", "a:\r\n"},
      {"folds with and without other white space", "Subject:\r\n one\r\n\ttwo \r\n  three\r\n",
       "subject:one two three\r\n"},
      {"a bare CR stays", "A: b\r c\r\n", "a:b\r c\r\n"},
      {"octets above 127 stay", "A: \xc3\xa4\r\n", "a:\xc3\xa4\r\n"},
      {"a colon in the value", "A: b : c\r\n", "a:b : c\r\n"},
  };
  for (const auto &row : rows) {
    const auth::HeaderFields fields(row.field);
    ASSERT_EQ(fields.all().size(), 1U) << row.name;
    std::string relaxed;
    std::string simple;
    auth::append_canonical_field(Canonical::relaxed, fields.all()[0], relaxed);
    auth::append_canonical_field(Canonical::simple, fields.all()[0], simple);
    EXPECT_EQ(relaxed, row.relaxed) << row.name;
    EXPECT_EQ(simple, row.field) << row.name;
  }
}

TEST(Canonical, AFieldThatEndsTheMessageGetsItsLineEnd) {
  const auth::HeaderFields fields("A: b");
  std::string simple;
  auth::append_canonical_field(Canonical::simple, fields.all().at(0), simple);
  EXPECT_EQ(simple, "A: b\r\n");
}

std::string read_file(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::string lines;
  for (const char c : text) {
    if (c == '\n' && (lines.empty() || lines.back() != '\r')) lines += '\r';
    lines += c;
  }
  return lines;
}

/// Whole messages, header part and body simple. These are rules of DomainKeys: trailing empty lines are dropped, and
/// one line end is not added to an empty body.
TEST(Canonical, SimpleMessagesOfTheConformanceSuite) {
  const std::string folder = std::string(source_dir) + "/../shared/conformance/dkim/canon/";
  if (!std::ifstream(folder + "README")) GTEST_SKIP() << "no conformance data at " << folder;
  unsigned messages = 0;
  for (int number = 1; number <= 25; ++number) {
    const std::string ending = (number < 10 ? ".0" : ".") + std::to_string(number);
    const std::string message = read_file(folder + "email" + ending);
    if (message.empty()) continue;
    const auto end = message.find("\r\n\r\n");
    if (end == std::string::npos) continue;
    const auth::HeaderFields fields(message.substr(0, end + 2));
    std::string canonical;
    for (const auto &field : fields.all()) auth::append_canonical_field(Canonical::simple, field, canonical);
    const std::string body = canonical_body(Canonical::simple, std::string_view(message).substr(end + 4));
    std::string expected = read_file(folder + "simple.expected" + ending);
    if (body != "\r\n") canonical += "\r\n" + body;
    const auto trim = [](std::string &text) {
      while (text.ends_with("\r\n")) text.resize(text.size() - 2);
    };
    trim(canonical);
    trim(expected);
    EXPECT_EQ(canonical, expected) << ending;
    ++messages;
  }
  EXPECT_GE(messages, 8U);
}

} // namespace canonical_test
