// What of an encoded word's octets is ASCII, in the charsets of East Asia too.
#include "auth/core/charset_ascii.hpp"

#include <gtest/gtest.h>

#include <string>

namespace auth {
namespace charset_ascii_test {

struct Row {
  std::string name;
  std::string charset;
  std::string octets;
  std::string text; ///< "?" for each character that is not ASCII, "+" for U+FF20
  bool is_sure = true;
};

std::string shorten(const std::string &text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text.compare(at, 3, "\xEF\xBF\xBD") == 0 || text.compare(at, 3, "\xEF\xBC\xA0") == 0) {
      out += text.compare(at, 3, "\xEF\xBF\xBD") == 0 ? '?' : '+';
      at += 2;
    } else {
      out += text[at];
    }
  }
  return out;
}

TEST(CharsetAscii, GivesWhatReadersTakeForAscii) {
  const Row rows[] = {
      {"UTF-8 stays as it is", "UTF-8", "M\xC3\xBCller, @", "M\xC3\xBCller, @"},
      {"a language behind the charset", "iso-8859-1*de", "M\xFCller@", "M\xFCller@"},
      {"GB 2312", "gb2312", "Li, Wei \xD5\xC5", "Li, Wei ?"},
      {"GB 2312 with an octet that only GBK takes for the second of a pair", "gb2312", "a\x81@b", "a?@b", false},
      {"GBK: the second octet looks like an at sign", "GBK", "\x81@\x81@", "??"},
      {"GBK: no character there", "gbk", "a\xA1@b", "a?@b", false},
      {"GB 18030: four octets", "gb18030", "\x81\x30\x81\x30@", "??@"},
      {"Big5: the commonest character of all", "Big5", "\xA4@, x", "?, x"},
      {"Big5: no character there", "big5", "a\x81@b", "a?@b", false},
      {"Big5: a bracket is no second octet", "big5", "\xA4<a@b>", "?<a@b>"},
      {"Big5: half a character at the end", "big5", "a\xA4", "a?", false},
      {"Big5: the wide at sign", "big5", "boss\xA2\x49x", "boss+x"},
      {"Shift_JIS: characters of one octet and of two", "Shift_JIS", "\xB1\x83\x5C@", "??@"},
      {"Shift_JIS: the second octet looks like an at sign", "sjis", "\x83@", "?"},
      {"Shift_JIS: no character there", "shift_jis", "\x86@", "?@", false},
      {"ISO-2022-JP", "ISO-2022-JP", "a\x1b$B;3ED\x1b(B, b", "a??, b"},
      {"ISO-2022-JP: an at sign in a pair is none", "iso-2022-jp", "\x1b$B;@\x1b(B@", "?@"},
      {"ISO-2022-JP: the wide at sign", "iso-2022-jp", "\x1b$B!w\x1b(J", "+"},
      {"EUC-KR", "euc-kr", "\xB1\xE8, @", "\xB1\xE8, @"},
  };
  for (const Row &row : rows) {
    const auto reading = read_as_ascii(row.charset, row.octets);
    ASSERT_TRUE(reading) << row.name;
    EXPECT_EQ(shorten(reading->text), row.text) << row.name;
    EXPECT_EQ(reading->is_sure, row.is_sure) << row.name;
  }
}

TEST(CharsetAscii, SaysNothingWhereAnAtSignMayHide) {
  const Row rows[] = {
      {"another charset", "utf-7", "boss+AEA-x", {}},
      {"UTF-16", "utf-16", std::string("\0@", 2), {}},
      {"an unknown name", "x-nobodys", "a", {}},
      {"no name", "", "a", {}},
      {"an escape that is not JIS", "iso-2022-jp", "\x1b$)Ca", {}},
      {"pairs to the end", "iso-2022-jp", "\x1b$B;3", {}},
      {"half a pair", "iso-2022-jp", "\x1b$B;\x1b(B", {}},
      {"a row without characters", "iso-2022-jp", "\x1b$B)@\x1b(B", {}},
      {"an octet above 127", "iso-2022-jp", "\xA4", {}},
      {"an escape at the end", "iso-2022-jp", "a\x1b", {}},
  };
  for (const Row &row : rows) EXPECT_FALSE(read_as_ascii(row.charset, row.octets)) << row.name;
}

} // namespace charset_ascii_test
} // namespace auth
