// OutboundLoad: how many connections one address may have.
#include "mta/outbound/load.hpp"

#include <gtest/gtest.h>

namespace load_test {

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

TEST(OutboundLoad, a_host_that_turns_one_more_away_takes_as_many_as_there_are) {
  using namespace std::chrono_literals;
  const auto now = OutboundLoad::Clock::now();
  const auto load = std::make_shared<OutboundLoad>();
  const auto host = address("192.0.2.1");
  EXPECT_FALSE(load->note_no_room(host, now)) << "nothing of ours is there: it is not well";
  std::vector<OutboundLoad::Hold> holds;
  holds.emplace_back(load, host);
  holds.emplace_back(load, host);
  EXPECT_TRUE(load->takes_more(host, now)) << "it has not said otherwise";
  EXPECT_TRUE(load->note_no_room(host, now));
  EXPECT_FALSE(load->takes_more(host, now));
  EXPECT_FALSE(load->has_room(host, 20, 1000));
  EXPECT_TRUE(load->takes_more(address("192.0.2.2"), now)) << "another host";
  holds.pop_back();
  EXPECT_TRUE(load->takes_more(host, now)) << "one has ended";
  holds.emplace_back(load, host);
  EXPECT_FALSE(load->takes_more(host, now + OutboundLoad::room_is_known - 1s));
  EXPECT_TRUE(load->takes_more(host, now + OutboundLoad::room_is_known)) << "it may have more room by now";
  // One that said QUIT may still be counted there; long ago it is not.
  holds.clear();
  load->note_ended(host, now);
  EXPECT_TRUE(load->note_no_room(host, now + OutboundLoad::just_now - 1s));
  EXPECT_FALSE(load->note_no_room(host, now + OutboundLoad::just_now));
  // Also where it never said so before, and however many others ended since.
  const auto other = address("192.0.2.9");
  load->note_ended(other, now);
  EXPECT_TRUE(load->note_no_room(other, now + 1s));
  for (int i = 0; i < 1000; ++i)
    load->note_ended(address(("198.51.100." + std::to_string(i % 250)).c_str()), now + std::chrono::milliseconds(i));
  load->note_ended(other, now + 2s);
  EXPECT_TRUE(load->note_no_room(other, now + 3s));
}

} // namespace load_test
