// Record data as a stranger may send it: what is read, and what is refused with which words.
#include "mta/dns/rdata.hpp"

#include <functional>

#include <gtest/gtest.h>

#include "tls/dane.hpp"

namespace rdata_test {

std::vector<unsigned char> octets(std::string_view text) {
  return {text.begin(), text.end()};
}

struct NameRow {
  const char *name;
  std::string wire;
  const char *text;    ///< nothing: refused
  const char *refusal; ///< a part of it
};

using namespace std::string_literals;

TEST(WireName, is_read_or_refused) {
  const std::string label63(63, 'a');
  const std::string longest =
      "\x3f"s + label63 + "\x3f" + label63 + "\x3f" + label63 + "\x3d" + std::string(61, 'b') + "\0"s;
  const NameRow rows[] = {
      {"a name is lower-cased", "\2MX\7Example\3org\0"s, "mx.example.org", nullptr},
      {"the root is empty", "\0"s, "", nullptr},
      {"an underscore is a character like others", "\5_smtp\4_tls\0"s, "_smtp._tls", nullptr},
      {"255 octets are the most", longest,
       (label63 + "." + label63 + "." + label63 + "." + std::string(61, 'b')).c_str(), nullptr},
      {"256 octets are too long",
       "\x3f"s + label63 + "\x3f" + label63 + "\x3f" + label63 + "\x3e" + std::string(62, 'b') + "\0"s, nullptr, "255"},
      {"nothing at all", "", nullptr, "before its root label"},
      {"no root label", "\2mx"s, nullptr, "before its root label"},
      {"a label longer than the record", "\x09mx\0"s, nullptr, "longer than the record"},
      {"a compression pointer", "\xc0\x0c"s, nullptr, "limit is 63"},
      {"octets behind the root", "\2mx\0x"s, nullptr, "follow a name"},
      {"a dot inside a label", "\3m.x\0"s, nullptr, "0x2e"},
      {"a space inside a label", "\3m x\0"s, nullptr, "0x20"},
      {"a zero inside a label", "\3m\0x\0"s, nullptr, "0x00"},
      {"an octet above 126", "\3m\xffx\0"s, nullptr, "0xff"},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    const auto wire = octets(row.wire);
    const auto name = mta::parse_wire_name(wire);
    if (row.refusal == nullptr) {
      ASSERT_TRUE(name) << name.error().detail;
      if (std::string_view(row.name) != "255 octets are the most") {
        EXPECT_EQ(*name, row.text);
      } else {
        EXPECT_EQ(name->size(), 253U);
      }
    } else {
      ASSERT_FALSE(name) << *name;
      EXPECT_NE(name.error().detail.find(row.refusal), std::string::npos) << name.error().detail;
    }
  }
}

TEST(WireName, is_refused_when_it_is_cut_anywhere) {
  const auto whole = octets("\2mx\7example\3org\0"s);
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(mta::parse_wire_name(mta::Rdata(whole).first(size))) << size;
}

TEST(Mx, has_a_preference_and_a_host) {
  const auto mx = mta::parse_mx(octets("\x01\x02\2mx\4test\0"s));
  ASSERT_TRUE(mx);
  EXPECT_EQ(mx->preference, 258);
  EXPECT_EQ(mx->host, "mx.test");
  const auto null_mx = mta::parse_mx(octets("\0\0\0"s));
  ASSERT_TRUE(null_mx);
  EXPECT_EQ(null_mx->host, "");
  for (const auto &bad : {""s, "\0"s, "\0\x0a"s, "\0\x0a\2mx"s}) EXPECT_FALSE(mta::parse_mx(octets(bad)));
}

TEST(Tlsa, has_three_numbers_and_data) {
  const auto tlsa = mta::parse_tlsa(octets("\3\1\1\xab\0\xff"s));
  ASSERT_TRUE(tlsa);
  EXPECT_EQ(*tlsa, (smtp::TlsaRecord{3, 1, 1, "\xab\0\xff"s}));
  // What the numbers mean is policy's: RFC 6698 section 2.1 leaves them open.
  EXPECT_EQ(mta::parse_tlsa(octets("\xff\xfe\xfd\0"s)).value(), (smtp::TlsaRecord{255, 254, 253, "\0"s}));
  EXPECT_EQ(mta::parse_tlsa(octets("\2\0\0"s + std::string(60'000, 'x'))).value().data.size(), 60'000U);
  // Cut short: there, and of no use.
  EXPECT_EQ(mta::parse_tlsa(octets("\3\1\1"s)).value(), (smtp::TlsaRecord{3, 1, 1, ""}));
  EXPECT_EQ(mta::parse_tlsa(octets("\3\1"s)).value(), (smtp::TlsaRecord{3, 1, 255, ""}));
  EXPECT_EQ(mta::parse_tlsa(octets(""s)).value(), (smtp::TlsaRecord{255, 255, 255, ""}));
  for (const auto &cut : {""s, "\3"s, "\3\1"s, "\3\1\1"s, "\3\1\0"s, "\2\0\0"s})
    EXPECT_FALSE(tls::is_usable(mta::parse_tlsa(octets(cut)).value()));
}

TEST(Txt, strings_are_joined) {
  EXPECT_EQ(mta::parse_txt(octets("\3abc\0\2de"s)).value(), "abcde");
  EXPECT_EQ(mta::parse_txt(octets("\0"s)).value(), "");
  for (const auto &bad : {""s, "\4abc"s, "\1a\2b"s}) EXPECT_FALSE(mta::parse_txt(octets(bad)));
}

TEST(Address, has_its_exact_size) {
  EXPECT_EQ(mta::parse_a(octets("\xc0\0\2\1"s)).value().to_string(), "192.0.2.1");
  EXPECT_EQ(mta::parse_aaaa(octets("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"s)).value().to_string(), "2001:db8::1");
  for (std::size_t size = 0; size < 20; ++size) {
    const std::vector<unsigned char> wire(size, 1);
    EXPECT_EQ(mta::parse_a(wire).has_value(), size == 4);
    EXPECT_EQ(mta::parse_aaaa(wire).has_value(), size == 16);
  }
}

} // namespace rdata_test
