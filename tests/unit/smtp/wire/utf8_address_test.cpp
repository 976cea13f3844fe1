// encode_utf8_address: the two forms of RFC 6533 section 3.
#include "smtp/wire/utf8_address.hpp"

#include <gtest/gtest.h>

namespace utf8_address_test {

using smtp::encode_utf8_address;
using smtp::Utf8AddressForm;

TEST(Utf8Address, forms) {
  struct Row {
    std::string name;
    std::string address;
    std::string xtext;
    std::string unitext;
  };
  const std::vector<Row> rows{
      {"plain ASCII stays", "a.b@x.example", "a.b@x.example", "a.b@x.example"},
      {"two octets", "\xC3\xBC@x", "\\x{FC}@x", "\xC3\xBC@x"},
      {"three octets", "\xE2\x82\xAC", "\\x{20AC}", "\xE2\x82\xAC"},
      {"four octets", "\xF0\x9F\x93\xA7", "\\x{1F4E7}", "\xF0\x9F\x93\xA7"},
      {"characters with a meaning in xtext", "a+b=c\\d e", "a\\x{2B}b\\x{3D}c\\x{5C}d\\x{20}e",
       "a\\x{2B}b\\x{3D}c\\x{5C}d\\x{20}e"},
      {"line ends cannot leave", "a\r\nb", "a\\x{0D}\\x{0A}b", "a\\x{0D}\\x{0A}b"},
      {"C1 controls", "\xC2\x85", "\\x{85}", "\\x{85}"},
      {"octets that are no UTF-8", "a\xFF\xC3", "a\\x{FFFD}\\x{FFFD}", "a\\x{FFFD}\\x{FFFD}"},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(encode_utf8_address(row.address, Utf8AddressForm::xtext), row.xtext);
    EXPECT_EQ(encode_utf8_address(row.address, Utf8AddressForm::unitext), row.unitext);
  }
}

} // namespace utf8_address_test
