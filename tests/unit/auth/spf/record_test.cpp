// SPF records: the grammar of RFC 7208 section 12, accepts and rejects.
#include "auth/spf/record.hpp"

#include <gtest/gtest.h>

namespace record_test {

using auth::SpfResult;

std::string parse(std::string_view text) {
  const auto record = auth::parse_spf_record(text);
  if (!record) return record.error().detail;
  return "ok";
}

TEST(SpfRecord, WhichTextsAreSpfRecords) {
  EXPECT_TRUE(auth::is_spf_record("v=spf1"));
  EXPECT_TRUE(auth::is_spf_record("V=sPf1 -all"));
  EXPECT_FALSE(auth::is_spf_record("v=spf10"));
  EXPECT_FALSE(auth::is_spf_record("v=spf1\t-all"));
  EXPECT_FALSE(auth::is_spf_record(" v=spf1 -all"));
  EXPECT_FALSE(auth::is_spf_record("v=spf"));
  EXPECT_FALSE(auth::is_spf_record(""));
}

TEST(SpfRecord, AcceptsAndRejects) {
  struct Row {
    const char *name;
    std::string text;
    std::string outcome;
  };
  const Row rows[] = {
      {"an empty record", "v=spf1", "ok"},
      {"several spaces, and some at the end", "v=spf1  a   -all  ", "ok"},
      {"every mechanism, any case",
       "v=spf1 A Mx PTR include:a.example ip4:192.0.2.1 IP6:2001:db8::1 exists:b.example ALL", "ok"},
      {"every qualifier", "v=spf1 +a -mx ~ptr ?all", "ok"},
      {"both prefixes", "v=spf1 a/24//64 mx:a.example/0 mx//0 -all", "ok"},
      {"a slash in a name and a prefix behind it", "v=spf1 a:b/c.example/24", "ok"},
      {"unknown modifiers, and several of one name", "v=spf1 moo.cow-far_out=man:dog/cat x= x=%{l} -all", "ok"},
      {"modifiers before and behind the mechanisms", "v=spf1 redirect=a.example ip4:192.0.2.0/24 exp=b.example", "ok"},
      {"a network with an IPv4 tail", "v=spf1 ip6:::192.0.2.1/96", "ok"},
      {"an unknown mechanism", "v=spf1 moo -all", "unknown mechanism in \"moo\""},
      {"an error behind all", "v=spf1 -all moo", "unknown mechanism in \"moo\""},
      {"two qualifiers", "v=spf1 +-all", "unknown mechanism in \"+-all\""},
      {"a qualifier alone", "v=spf1 -", "unknown mechanism in \"-\""},
      {"a modifier with a qualifier", "v=spf1 -redirect=a.example", "unknown mechanism in \"-redirect=a.example\""},
      {"a modifier that begins with a digit", "v=spf1 1up=foo", "unknown mechanism in \"1up=foo\""},
      {"a modifier without a name", "v=spf1 =all", "unknown mechanism in \"=all\""},
      {"redirect as a mechanism", "v=spf1 redirect:a.example", "unknown mechanism in \"redirect:a.example\""},
      {"a slash before the equals sign", "v=spf1 moo/x=y", "unknown mechanism in \"moo/x=y\""},
      {"all with an argument", "v=spf1 -all:foo", "an argument that \"all\" does not take in \"-all:foo\""},
      {"all with a dot", "v=spf1 -all.", "unknown mechanism in \"-all.\""},
      {"include without a domain", "v=spf1 include", "no domain-spec in \"include\""},
      {"include with an empty domain", "v=spf1 include:", "\"include:\": empty domain-spec"},
      {"include with a prefix", "v=spf1 include:a.example/24",
       "\"include:a.example/24\": no valid top label in \"a.example/24\""},
      {"exists without a domain", "v=spf1 exists/24", "no domain-spec in \"exists/24\""},
      {"ptr with a prefix", "v=spf1 ptr/0", "bad prefix length in \"ptr/0\""},
      {"a prefix too long", "v=spf1 a/33", "bad prefix length in \"a/33\""},
      {"an IPv6 prefix too long", "v=spf1 mx//129", "bad prefix length in \"mx//129\""},
      {"a prefix with a zero before it", "v=spf1 a/024", "bad prefix length in \"a/024\""},
      {"two IPv4 prefixes", "v=spf1 a/24/64", "bad prefix length in \"a/24/64\""},
      {"a prefix without digits", "v=spf1 a/", "bad prefix length in \"a/\""},
      {"three slashes", "v=spf1 a///64", "bad prefix length in \"a///64\""},
      {"a prefix that overflows", "v=spf1 a/4294967320", "bad prefix length in \"a/4294967320\""},
      {"ip4 without an address", "v=spf1 ip4", "not a network in \"ip4\""},
      {"ip4 with three parts", "v=spf1 ip4:192.0.2", "not a network in \"ip4:192.0.2\""},
      {"ip4 with a zero before a number", "v=spf1 ip4:192.0.02.1", "not a network in \"ip4:192.0.02.1\""},
      {"ip4 with 256", "v=spf1 ip4:192.0.2.256", "not a network in \"ip4:192.0.2.256\""},
      {"ip4 with a zero before the prefix", "v=spf1 ip4:192.0.2.1/032", "not a network in \"ip4:192.0.2.1/032\""},
      {"ip4 with an IPv6 address", "v=spf1 ip4:2001:db8::1", "not a network in \"ip4:2001:db8::1\""},
      {"ip6 with an IPv4 address", "v=spf1 ip6:192.0.2.1", "not a network in \"ip6:192.0.2.1\""},
      {"ip6 with two gaps", "v=spf1 ip6:1::2::3", "not a network in \"ip6:1::2::3\""},
      {"ip6 with /129", "v=spf1 ip6:2001:db8::/129", "not a network in \"ip6:2001:db8::/129\""},
      {"two redirects", "v=spf1 redirect=a.example redirect=a.example",
       "a second modifier of this name in \"redirect=a.example\""},
      {"two exp, in other cases", "v=spf1 exp=a.example EXP=b.example",
       "a second modifier of this name in \"EXP=b.example\""},
      {"an empty redirect", "v=spf1 redirect=", "\"redirect=\": empty domain-spec"},
      {"an empty exp", "v=spf1 exp= -all", "\"exp=\": empty domain-spec"},
      {"an explanation's macro in exp=", "v=spf1 exp=%{r}.example",
       "\"exp=%{r}.example\": macro for explanations only in a domain-spec: \"%{r}\""},
      {"a bad macro in an unknown modifier", "v=spf1 foo=%abc", "\"foo=%abc\": '%' that begins no macro in \"%abc\""},
      {"a tab", "v=spf1 a\t-all", "octet 8 is not printable ASCII but 0x09"},
      {"a line feed", "v=spf1 ip4:192.0.2.1\n -all", "octet 20 is not printable ASCII but 0x0a"},
      {"a NUL", std::string("v=spf1 a\0", 9), "octet 8 is not printable ASCII but 0x00"},
      {"an octet above 127", "v=spf1 a:\xEF\xBB\xBFx.example", "octet 9 is not printable ASCII but 0xef"},
      {"a DEL", "v=spf1 a\x7F", "octet 8 is not printable ASCII but 0x7f"},
      {"the longest", "v=spf1" + std::string(auth::spf_record_limit - 6, ' '), "ok"},
      {"one octet past the longest", "v=spf1" + std::string(auth::spf_record_limit - 5, ' '),
       "record is 4097 octets, limit is 4096"},
  };
  for (const Row &row : rows) EXPECT_EQ(parse(row.text), row.outcome) << row.name;
}

TEST(SpfRecord, KeepsWhatWasSaid) {
  const std::string text = "v=spf1 redirect=r.example -a:b/c.example/24//64 ~mx ?ip6:2001:db8::/32 exp=e.example";
  const auto record = auth::parse_spf_record(text);
  ASSERT_TRUE(record);
  ASSERT_EQ(record->terms.size(), 3U);
  EXPECT_EQ(record->redirect, "r.example");
  EXPECT_EQ(record->explanation, "e.example");
  EXPECT_EQ(record->terms[0].qualifier, SpfResult::fail);
  EXPECT_EQ(record->terms[0].text, "-a:b/c.example/24//64");
  EXPECT_EQ(record->terms[0].domain_spec, "b/c.example");
  EXPECT_EQ(record->terms[0].prefix4, 24U);
  EXPECT_EQ(record->terms[0].prefix6, 64U);
  EXPECT_EQ(record->terms[1].qualifier, SpfResult::softfail);
  EXPECT_EQ(record->terms[1].domain_spec, "");
  EXPECT_EQ(record->terms[1].prefix4, 32U);
  EXPECT_EQ(record->terms[2].qualifier, SpfResult::neutral);
  EXPECT_EQ(record->terms[2].prefix6, 32U);
}

TEST(SpfRecord, NetworksContainByTheirPrefix) {
  struct Row {
    const char *term;
    const char *client;
    bool contains;
  };
  const Row rows[] = {
      {"ip4:192.0.2.0/24", "192.0.2.255", true},
      {"ip4:192.0.2.0/24", "192.0.3.0", false},
      {"ip4:192.0.2.77/24", "192.0.2.1", true},
      {"ip4:192.0.2.128/25", "192.0.2.127", false},
      {"ip4:192.0.2.1", "192.0.2.1", true},
      {"ip4:192.0.2.1", "192.0.2.0", false},
      {"ip4:192.0.2.1/0", "203.0.113.9", true},
      {"ip4:192.0.2.1/0", "2001:db8::1", false},
      {"ip4:192.0.2.2/31", "192.0.2.3", true},
      {"ip4:192.0.2.2/31", "192.0.2.4", false},
      {"ip6:2001:db8::/33", "2001:db8:7fff::", true},
      {"ip6:2001:db8::/33", "2001:db8:8000::", false},
      {"ip6:::1/0", "2001:db8::1", true},
      {"ip6:::1/0", "192.0.2.1", false},
      {"ip6:::ffff:192.0.2.1", "::ffff:192.0.2.1", false}, // section 5: such a client is an IPv4 client
      {"ip6:2001:db8::1/128", "2001:db8::1", true},
      {"ip6:2001:db8::1/127", "2001:db8::2", false},
  };
  for (const Row &row : rows) {
    const std::string text = std::string("v=spf1 ") + row.term;
    const auto record = auth::parse_spf_record(text);
    ASSERT_TRUE(record) << row.term;
    EXPECT_EQ(record->terms[0].contains(smtp::IpAddress::parse(row.client).value()), row.contains)
        << row.term << ' ' << row.client;
  }
}

} // namespace record_test
