// special_scope: the edges of the special-purpose ranges.
#include "smtp/names/address_scope.hpp"

#include <gtest/gtest.h>

namespace address_scope_test {

TEST(SpecialScope, RangesAndTheirNeighbours) {
  const struct {
    const char *address;
    std::string_view scope;
  } rows[] = {
      {"0.0.0.0", "unspecified"},
      {"9.255.255.255", ""},
      {"10.0.0.0", "private"},
      {"10.255.255.255", "private"},
      {"11.0.0.0", ""},
      {"100.63.255.255", ""},
      {"100.64.0.0", "private (shared)"},
      {"100.127.255.255", "private (shared)"},
      {"100.128.0.0", ""},
      {"127.0.0.1", "loopback"},
      {"127.255.255.255", "loopback"},
      {"128.0.0.0", ""},
      {"169.254.169.254", "link-local"},
      {"172.15.255.255", ""},
      {"172.16.0.0", "private"},
      {"172.31.255.255", "private"},
      {"172.32.0.0", ""},
      {"192.0.0.8", "reserved"},
      {"192.0.2.1", "documentation"},
      {"192.168.0.1", "private"},
      {"192.169.0.1", ""},
      {"198.19.255.255", "benchmarking"},
      {"198.20.0.0", ""},
      {"223.255.255.255", ""},
      {"224.0.0.1", "multicast"},
      {"240.0.0.1", "reserved"},
      {"255.255.255.255", "reserved"},
      {"::", "unspecified"},
      {"::1", "loopback"},
      {"::ffff:127.0.0.1", "loopback"},
      {"::ffff:9.9.9.9", ""},
      {"::10.0.0.1", "private"},
      {"64:ff9b::10.0.0.1", "private"},
      {"64:ff9b::9.9.9.9", ""},
      {"64:ff9b:1::1", "private (translation)"},
      {"100::1", "discard-only"},
      {"2001::1", "reserved"},
      {"2001:1ff:ffff::", "reserved"},
      {"2001:200::", ""},
      {"2001:db8::1", "documentation"},
      {"2002:a00:1::", "private"},
      {"2002:909:909::", ""},
      {"2606:4700::1", ""},
      {"3fff:fff::", "documentation"},
      {"3fff:1000::", ""},
      {"fbff::", ""},
      {"fc00::", "private (unique local)"},
      {"fdff::1", "private (unique local)"},
      {"fe7f::", ""},
      {"fe80::1", "link-local"},
      {"febf::1", "link-local"},
      {"fec0::1", "private (site-local)"},
      {"ff02::1", "multicast"},
  };
  for (const auto &row : rows)
    EXPECT_EQ(smtp::special_scope(smtp::IpAddress::parse(row.address).value()), row.scope) << row.address;
}

} // namespace address_scope_test
