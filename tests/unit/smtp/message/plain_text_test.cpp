// Plain text: foreign text made harmless, wrapped, folded and cut.
#include "smtp/message/plain_text.hpp"

#include "smtp/base/text.hpp"

#include <gtest/gtest.h>

namespace plain_text_test {

using smtp::TextCharset;

TEST(PlainText, one_line_keeps_what_the_charset_has) {
  struct Row {
    std::string name;
    std::string text;
    std::size_t limit;
    std::string ascii;
    std::string utf8;
  };
  const std::vector<Row> rows{
      {"plain", "a b\\c", 100, "a b\\c", "a b\\c"},
      {"controls become spaces", "a\r\nb\tc", 100, "a  b c", "a  b c"},
      {"DEL", "a\x7F", 100, "a?", "a?"},
      {"UTF-8", "\xC3\xBC\xE2\x82\xAC", 100, "?\?", "\xC3\xBC\xE2\x82\xAC"},
      {"C1 control", "\xC2\x85", 100, "?", "?"},
      {"controls of the writing direction",
       "a\xE2\x80\xAE"
       "b\xE2\x81\xA9\xD8\x9C\xE2\x80\x8F",
       100, "a?b??\?", "a?b??\?"},
      {"their neighbours", "\xE2\x80\x8D\xE2\x80\xA9\xE2\x81\xA5\xE2\x81\xAA\xD8\x9B", 100, "????\?",
       "\xE2\x80\x8D\xE2\x80\xA9\xE2\x81\xA5\xE2\x81\xAA\xD8\x9B"},
      {"no UTF-8",
       "\xC3"
       "a\xFF",
       100, "?a?", "?a?"},
      {"just the limit", "12345", 5, "12345", "12345"},
      {"over the limit", "123456", 5, "12...", "12..."},
      {"a sequence at the limit is not halved",
       "1234\xC3\xBC"
       "6789",
       8, "1234?...", "1234..."},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(smtp::one_line(row.text, TextCharset::ascii, row.limit), row.ascii);
    EXPECT_EQ(smtp::one_line(row.text, TextCharset::utf8, row.limit), row.utf8);
  }
}

TEST(PlainText, escape_shows_what_steers_the_reading) {
  EXPECT_EQ(smtp::escape("a\xE2\x80\xAE"
                         "b\xC2\x85\xC3\xBC"),
            "a\\xe2\\x80\\xaeb\\xc2\\x85\xC3\xBC");
}

TEST(PlainText, words_wrap_and_fields_fold) {
  EXPECT_EQ(smtp::wrap_text("a  b", 2), "  a b\r\n");
  EXPECT_EQ(smtp::wrap_text("", 0), "\r\n");
  const std::string word(40, 'w');
  EXPECT_EQ(smtp::wrap_text(word + " " + word, 4), "    " + word + "\r\n    " + word + "\r\n");
  EXPECT_EQ(smtp::fold_field("Name", word + " " + word), "Name: " + word + "\r\n\t" + word + "\r\n");
  EXPECT_EQ(smtp::fold_field("Name", ""), "Name:\r\n");
  const std::string endless(2000, 'w');
  EXPECT_EQ(smtp::wrap_text(endless, 0),
            std::string(900, 'w') + "\r\n" + std::string(900, 'w') + "\r\n" + std::string(200, 'w') + "\r\n");
}

TEST(PlainText, lines_are_cleaned_and_counted) {
  EXPECT_EQ(smtp::clean_lines("a\nb\r\nc\rd", TextCharset::ascii, 1000), "a\r\nb\r\nc d\r\n");
  EXPECT_EQ(smtp::clean_lines("a\r\nbcd\r\n", TextCharset::ascii, 7), "a\r\n") << "whole lines only";
  EXPECT_EQ(smtp::clean_lines("a\r\nbcd\r\n", TextCharset::ascii, 8), "a\r\nbcd\r\n");
  const std::string limit(998, 'x');
  EXPECT_EQ(smtp::clean_lines(limit, TextCharset::ascii, 5000), limit + "\r\n");
  EXPECT_EQ(smtp::clean_lines(limit + "x", TextCharset::ascii, 5000),
            std::string(900, 'x') + "\r\n " + std::string(99, 'x') + "\r\n");
  EXPECT_TRUE(smtp::has_clean_lines(""));
  EXPECT_TRUE(smtp::has_clean_lines(limit + "\r\n"));
  EXPECT_TRUE(smtp::has_clean_lines("\r\n\r\n"));
  for (const std::string bad : {"a", "a\n", "\n", "a\rb\r\n", "a\r\r\n"})
    EXPECT_FALSE(smtp::has_clean_lines(bad)) << bad;
  EXPECT_FALSE(smtp::has_clean_lines(limit + "x\r\n"));
  EXPECT_FALSE(smtp::has_clean_lines(std::string("a\0\r\n", 4)));
}

} // namespace plain_text_test
