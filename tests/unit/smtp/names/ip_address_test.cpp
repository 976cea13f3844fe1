// IpAddress, Network and SocketAddress: text forms in and out, ranges, and what is refused.
#include "smtp/names/ip_address.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace ip_address_test {

using smtp::IpAddress;
using smtp::Network;
using smtp::SocketAddress;

TEST(IpAddress, is_written_as_rfc_5952_says) {
  struct Row {
    std::string text;
    std::optional<std::string> written;
  };
  const std::vector<Row> rows = {
      {"192.0.2.1", "192.0.2.1"},
      {"0.0.0.0", "0.0.0.0"},
      {"255.255.255.255", "255.255.255.255"},
      {"::", "::"},
      {"::1", "::1"},
      {"1::", "1::"},
      {"2001:DB8::1", "2001:db8::1"},
      {"2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"},
      {"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
      {"1:0:0:2:3:0:0:4", "1::2:3:0:0:4"},
      {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
      {"::ffff:192.0.2.1", "192.0.2.1"},
      {"::FFFF:c000:0201", "192.0.2.1"},
      {"64:ff9b::192.0.2.1", "64:ff9b::c000:201"},
      {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
      {"", std::nullopt},
      {"1.2.3", std::nullopt},
      {"1.2.3.4.5", std::nullopt},
      {"1.2.3.256", std::nullopt},
      {"01.2.3.4", std::nullopt},
      {"1..3.4", std::nullopt},
      {"1.2.3.4 ", std::nullopt},
      {"1.2.3.+4", std::nullopt},
      {":", std::nullopt},
      {":::", std::nullopt},
      {":1::2", std::nullopt},
      {"1::2:", std::nullopt},
      {"1::2::3", std::nullopt},
      {"12345::", std::nullopt},
      {"1:2:3:4:5:6:7", std::nullopt},
      {"1:2:3:4:5:6:7:8:9", std::nullopt},
      {"1:2:3:4::5:6:7:8", std::nullopt},
      {"1:2:3:4:5:6:7:1.2.3.4", std::nullopt},
      {"1.2.3.4::", std::nullopt},
      {"::g", std::nullopt},
      {"fe80::1%eth0", std::nullopt},
      {"[::1]", std::nullopt},
      {"::ffff:1.2.3.400", std::nullopt},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.text);
    const auto address = IpAddress::parse(row.text);
    ASSERT_EQ(address.has_value(), row.written.has_value());
    if (!address) continue;
    EXPECT_EQ(address->to_string(), *row.written);
    EXPECT_EQ(IpAddress::parse(address->to_string()), *address);
  }
}

TEST(IpAddress, has_the_forms_that_mail_and_dns_need) {
  const auto v4 = *IpAddress::parse("192.0.2.1");
  const auto v6 = *IpAddress::parse("2001:db8::1");
  EXPECT_EQ(v4.to_literal(), "[192.0.2.1]");
  EXPECT_EQ(v6.to_literal(), "[IPv6:2001:db8::1]");
  EXPECT_EQ(v4.reverse_name(), "1.2.0.192.in-addr.arpa");
  EXPECT_EQ(v6.reverse_name(), "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
  EXPECT_TRUE(IpAddress::parse("127.9.9.9")->is_loopback());
  EXPECT_TRUE(IpAddress::parse("::1")->is_loopback());
  EXPECT_FALSE(v4.is_loopback());
  EXPECT_FALSE(IpAddress::parse("::2")->is_loopback());
}

TEST(IpAddress, is_masked_at_any_bit) {
  const auto v4 = *IpAddress::parse("255.255.255.255");
  const auto v6 = *IpAddress::parse("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
  EXPECT_EQ(v4.masked(0).to_string(), "0.0.0.0");
  EXPECT_EQ(v4.masked(1).to_string(), "128.0.0.0");
  EXPECT_EQ(v4.masked(23).to_string(), "255.255.254.0");
  EXPECT_EQ(v4.masked(32), v4);
  EXPECT_EQ(v6.masked(64).to_string(), "ffff:ffff:ffff:ffff::");
  EXPECT_EQ(v6.masked(127).to_string(), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe");
  EXPECT_EQ(v6.masked(128), v6);
}

TEST(Network, contains_its_addresses_only) {
  struct Row {
    std::string network;
    std::string address;
    bool contains;
  };
  const std::vector<Row> rows = {
      {"192.0.2.0/24", "192.0.2.255", true},
      {"192.0.2.0/24", "192.0.3.0", false},
      {"192.0.2.7", "192.0.2.7", true},
      {"192.0.2.7", "192.0.2.8", false},
      {"0.0.0.0/0", "203.0.113.9", true},
      {"0.0.0.0/0", "::1", false},
      {"::/0", "192.0.2.1", false},
      {"2001:db8::/32", "2001:db8:ffff::1", true},
      {"2001:db8::/32", "2001:db9::1", false},
      {"::ffff:192.0.2.0/120", "192.0.2.9", true},
  };
  for (const auto &row : rows)
    EXPECT_EQ(Network::parse(row.network)->contains(*IpAddress::parse(row.address)), row.contains)
        << row.network << " " << row.address;
}

TEST(Network, refuses_bad_prefixes) {
  for (const auto *text : {"192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/", "192.0.2.0/x", "192.0.2.1/24",
                           "2001:db8::1/32", "2001:db8::/129", "/8", "::ffff:192.0.2.0/24"})
    EXPECT_FALSE(Network::parse(text)) << text;
  EXPECT_EQ(Network::parse("192.0.2.1/24").error().detail,
            "network \"192.0.2.1/24\" has bits set after its prefix; 192.0.2.0/24 would be right");
  EXPECT_EQ(Network::parse("10.0.0.0/8")->to_string(), "10.0.0.0/8");
  EXPECT_EQ(Network::parse("10.0.0.1")->to_string(), "10.0.0.1/32");
}

TEST(SocketAddress, has_an_address_and_a_port) {
  struct Row {
    std::string text;
    std::optional<std::string> written;
  };
  const std::vector<Row> rows = {
      {"192.0.2.1:2525", "192.0.2.1:2525"},
      {"192.0.2.1", "192.0.2.1:25"},
      {"[2001:db8::1]:2525", "[2001:db8::1]:2525"},
      {"[2001:db8::1]", "[2001:db8::1]:25"},
      {"2001:db8::1", "[2001:db8::1]:25"},
      {"127.0.0.1:0", "127.0.0.1:0"},
      {"192.0.2.1:", std::nullopt},
      {"192.0.2.1:65536", std::nullopt},
      {"192.0.2.1:x", std::nullopt},
      {"[2001:db8::1", std::nullopt},
      {"[2001:db8::1]25", std::nullopt},
      {"[2001:db8::1]:", std::nullopt},
      {"localhost:25", std::nullopt},
      {"", std::nullopt},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.text);
    const auto address = SocketAddress::parse(row.text, 25);
    ASSERT_EQ(address.has_value(), row.written.has_value());
    if (address) {
      EXPECT_EQ(address->to_string(), *row.written);
    }
  }
}

} // namespace ip_address_test
