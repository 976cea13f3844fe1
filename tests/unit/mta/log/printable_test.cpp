// printable and make_utf8: what strangers wrote does nothing to a terminal, and leaves JSON readable.
#include "mta/log/printable.hpp"

#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace printable_test {

using namespace mta;

struct Row {
  const char *name;
  std::string text;
  std::string expected;
  std::string as_lines;
};

TEST(Printable, control_characters_and_broken_octets_are_shown_as_numbers) {
  const std::vector<Row> rows = {
      {"plain text", "550 5.1.1 no such user", "550 5.1.1 no such user", "550 5.1.1 no such user"},
      {"an escape sequence", "\x1b[2J", "\\x1b[2J", "\\x1b[2J"},
      {"CR, LF and TAB", "a\r\n\tb", "a\\x0d\\x0a\\x09b", "a\\x0d\n\\x09b"},
      {"octets that are no UTF-8", "\xff\xc3", "\\xff\\xc3", "\\xff\\xc3"},
      {"UTF-8", "bücher", "bücher", "bücher"},
      {"C1 controls in UTF-8",
       "\xc2\x9b"
       "2J",
       "\\xc2\\x9b2J", "\\xc2\\x9b2J"},
      {"what was escaped before", "\\x1b and \\ ", "\\x1b and \\ ", "\\x1b and \\ "},
      {"nothing", "", "", ""},
  };
  for (const Row &row : rows) {
    EXPECT_EQ(printable(row.text), row.expected) << row.name;
    EXPECT_EQ(printable_lines(row.text), row.as_lines) << row.name;
    EXPECT_EQ(printable(printable(row.text)), row.expected) << row.name << ", twice";
  }
}

TEST(MakeUtf8, every_string_of_a_value_can_be_read_again) {
  boost::json::value value{{"reply", "550 \xff"}, {"list", {"\xc3", "good \x1b"}}, {"inner", {{"host", "\xf0\x9f"}}}};
  make_utf8(value);
  boost::system::error_code error;
  const auto read = boost::json::parse(boost::json::serialize(value), error);
  ASSERT_FALSE(error) << error.message();
  EXPECT_EQ(read.at("reply").as_string(), "550 \\xff");
  EXPECT_EQ(read.at("list").at(0).as_string(), "\\xc3");
  EXPECT_EQ(read.at("list").at(1).as_string(), "good \x1b") << "the serializer escapes it";
  EXPECT_EQ(read.at("inner").at("host").as_string(), "\\xf0\\x9f");
}

} // namespace printable_test
