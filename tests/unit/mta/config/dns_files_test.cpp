// Trust anchors and hosts files: what libunbound would take, and the line that it would not.
#include <gtest/gtest.h>

#include "mta/config/dns_files.hpp"

namespace dns_files_test {

using namespace mta;

struct AnchorRow {
  const char *name;
  std::string text;
  std::size_t count;
  std::string fault{}; ///< empty: none
};

TEST(TrustAnchors, AreCountedAndNamedWhereTheyAreNone) {
  const std::vector<AnchorRow> rows = {
      {"nothing", "", 0},
      {"comments", "; root\n\n  ; more\n", 0},
      {"comments with parentheses", "; the root's (KSK 2017)\n", 0},
      {"a DS", ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n", 1},
      {"a DS without class", "example.org. DS 1 13 2 00ff", 1},
      {"with TTL and class", ". 86400 IN DNSKEY 257 3 8 AwEAAaz/tAm8 ;;state=2 [ VALID ]\n", 1},
      {"class and TTL", ". IN 86400 dnskey 257 3 8 AwEA Aaz/ tAm8\r\n", 1},
      {"two", ". DS 1 13 2 00\n; between\norg. DS 2 13 2 00\n", 2},
      {"parentheses are libunbound's", ". IN DNSKEY 257 3 8 (\n AwEA )\n", 1},
      {"nonsense", "nonsense", 0, "line 1: \"\" is neither DS nor DNSKEY"},
      {"another type", ".\tIN A 192.0.2.1", 0, "line 1: \"A\" is neither DS nor DNSKEY"},
      {"a name that is none", "\nexa_mple..org DS 1 13 2 00", 0, "line 2: \"exa_mple..org\" is not a domain name"},
      {"too few fields", ". DS 1 13 2", 0, "line 1: the record has too few fields"},
      {"words for numbers", ". DS one 13 2 00", 0, "line 1: key tag, algorithm and digest type are numbers"},
      {"a number that is too large", ". DNSKEY 257 3 256 AwEA", 0, "line 1: flags, protocol and algorithm are numbers"},
      {"half an octet", ". DS 1 13 2 000", 0, "line 1: the digest is not hexadecimal"},
      {"no base64", ". DNSKEY 257 3 8 !!!", 0, "line 1: the key is not base64"},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    const auto count = count_trust_anchors(row.text);
    EXPECT_EQ(count.has_value(), row.fault.empty()) << (count ? "" : count.error().detail);
    if (count)
      EXPECT_EQ(*count, row.count);
    else
      EXPECT_EQ(count.error().detail, row.fault);
  }
}

TEST(HostsFile, EachLineHasAnAddressAndNames) {
  for (const std::string text :
       {"", "# none\n", "127.0.0.1 localhost # me\n::1\tip6-localhost ip6-loopback\r\n\n10.0.0.3 relay",
        "fe80::1%lo0 localhost\n"})
    EXPECT_TRUE(check_hosts_file(text)) << text;
  EXPECT_EQ(check_hosts_file("10.0.0.3 relay\n10.0.0.300 relay\n").error().detail,
            "line 2: \"10.0.0.300\" is not an address");
  EXPECT_EQ(check_hosts_file("relay 10.0.0.3\n").error().detail, "line 1: \"relay\" is not an address");
  EXPECT_EQ(check_hosts_file("\n\n10.0.0.3 # relay\n").error().detail, "line 3: a name is missing after the address");
}

} // namespace dns_files_test
