// OutboundLoad: how many connections one address may have.
#include "mta/outbound/load.hpp"

#include <gtest/gtest.h>

namespace {

using mta::OutboundLoad;

smtp::IpAddress address(const char *text) {
  return smtp::IpAddress::parse(text).value();
}

TEST(OutboundLoad, an_address_that_never_answered_holds_a_tenth) {
  const auto load = std::make_shared<OutboundLoad>();
  const auto slow = address("192.0.2.1");
  std::vector<OutboundLoad::Hold> holds;
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(load->has_room(slow, 20, 100)) << i;
    holds.emplace_back(load, slow);
  }
  EXPECT_FALSE(load->has_room(slow, 20, 100));
  EXPECT_TRUE(load->has_room(address("192.0.2.2"), 20, 100)) << "another address";
  load->note_answered(slow);
  EXPECT_TRUE(load->has_room(slow, 20, 100));
  EXPECT_FALSE(load->has_room(slow, 10, 100)) << "connections_per_address";
  EXPECT_EQ(load->connections(), 10U);
  holds.pop_back();
  EXPECT_TRUE(load->has_room(slow, 10, 100));
  holds.clear();
  EXPECT_EQ(load->connections(), 0U);
}

TEST(OutboundLoad, a_small_pool_leaves_one) {
  const auto load = std::make_shared<OutboundLoad>();
  EXPECT_TRUE(load->has_room(address("192.0.2.1"), 20, 1));
  const OutboundLoad::Hold hold(load, address("192.0.2.1"));
  EXPECT_FALSE(load->has_room(address("192.0.2.1"), 20, 1));
}

TEST(OutboundLoad, ipv6_counts_by_its_network) {
  const auto load = std::make_shared<OutboundLoad>();
  const OutboundLoad::Hold hold(load, address("2001:db8:1:2::1"));
  EXPECT_FALSE(load->has_room(address("2001:db8:1:2:ffff::9"), 1, 100));
  EXPECT_TRUE(load->has_room(address("2001:db8:1:3::1"), 1, 100));
}

TEST(OutboundLoad, a_hold_that_moves_counts_once) {
  const auto load = std::make_shared<OutboundLoad>();
  OutboundLoad::Hold first(load, address("192.0.2.1"));
  OutboundLoad::Hold second(std::move(first));
  EXPECT_EQ(load->connections(), 1U);
  second = OutboundLoad::Hold(load, address("192.0.2.2"));
  EXPECT_EQ(load->connections(), 1U);
  second.release();
  second.release();
  EXPECT_EQ(load->connections(), 0U);
}

} // namespace
