// xtext and ORCPT: the encodings of RFC 3461 section 4 and RFC 6533 section 3.
#include "smtp/wire/envelope.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace envelope_test {

TEST(Xtext, is_decoded_and_encoded) {
  struct Row {
    std::string encoded;
    std::optional<std::string> decoded;
    std::string again = encoded; ///< as it is written
  };
  const std::vector<Row> rows = {
      {"", ""},
      {"abc!~", "abc!~"},
      {"a+2Bb+3Dc+20d", "a+b=c d"},
      {"+00+7F+FF", std::string("\0\x7f\xff", 3)},
      {"+", "+", "+2B"},
      {"+2", "+2", "+2B2"},
      {"a+2b", "a+", "a+2B"},
      {"a+3db", "a=b", "a+3Db"},
      {"+GG", "+GG", "+2BGG"},
      {"user+tag", "user+tag", "user+2Btag"},
      {"a=b", "a=b", "a+3Db"},
      {"++2B", "++", "+2B+2B"},
      {"a b", std::nullopt},
      {"a\x7f", std::nullopt},
      {"a\xc3\xbc", std::nullopt},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.encoded);
    const auto decoded = smtp::decode_xtext(row.encoded);
    ASSERT_EQ(decoded.has_value(), row.decoded.has_value());
    if (!decoded) continue;
    EXPECT_EQ(*decoded, *row.decoded);
    EXPECT_EQ(smtp::encode_xtext(*decoded), row.again);
  }
}

TEST(OriginalRecipient, is_read_by_its_type) {
  struct Row {
    std::string text;
    std::optional<smtp::OriginalRecipient> recipient;
  };
  const std::vector<Row> rows = {
      {"rfc822;Bob@example.org", {{"rfc822", "Bob@example.org"}}},
      {"RFC822;a+2Bb@example.org", {{"rfc822", "a+b@example.org"}}},
      {"utf-8;j\\x{F6}rg@example.org", {{"utf-8", "jörg@example.org"}}},
      {"utf-8;jörg@example.org", {{"utf-8", "jörg@example.org"}}},
      {"utf-8;\\x{5C}\\x{2B}\\x{1F600}@example.org", {{"utf-8", "\\+\U0001F600@example.org"}}},
      {"x400;/G+3DBob/", {{"x400", "/G=Bob/"}}},
      {"x400;/G=Bob/", {{"x400", "/G=Bob/"}}},
      {"rfc822;a=b@c", {{"rfc822", "a=b@c"}}},
      {"rfc822;user+tag@example.org", {{"rfc822", "user+tag@example.org"}}},
      {"rfc822;user+add@example.org", {{"rfc822", "user+add@example.org"}}},
      {"@example.org", std::nullopt},
      {"rfc822;", std::nullopt},
      {";a@example.org", std::nullopt},
      {"rfc822", std::nullopt},
      {"", std::nullopt},
      {"rf c;a", std::nullopt},
      {"rfc822;a+0D+0Ab", std::nullopt},
      {"rfc822;jörg@example.org", std::nullopt},
      {"rfc822;+FF@example.org", {{"rfc822", "+FF@example.org"}}},
      {"utf-8;\\x{110000}", std::nullopt},
      {"utf-8;\\x{D800}", std::nullopt},
      {"utf-8;\\x{}", std::nullopt},
      {"utf-8;\\x{A}", std::nullopt},
      {"utf-8;\\x41", std::nullopt},
      {"utf-8;\\x{41", std::nullopt},
      {"utf-8;a+b", std::nullopt},
      {"rfc822;" + std::string(494, 'a'), std::nullopt},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.text);
    const auto recipient = smtp::parse_original_recipient(row.text);
    ASSERT_EQ(recipient.has_value(), row.recipient.has_value());
    if (recipient) {
      EXPECT_EQ(*recipient, *row.recipient);
    }
  }
}

} // namespace envelope_test
