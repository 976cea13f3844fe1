#include "mta/inbound/connection_limits.hpp"

#include <deque>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace connection_limits_test {

using mta::LimitConfig;
using mta::inbound::ConnectionLimits;
using smtp::IpAddress;
using Ticket = ConnectionLimits::Ticket;
using Seconds = std::chrono::seconds;

/// One step: `from` connects `times` times at `at`, and each attempt is let in or refused for the limit in `refusal`.
struct Step {
  enum class Kind { connect, leave_all } kind = Kind::connect;
  std::string from;
  int times = 1;
  int at = 0;          ///< seconds
  std::string refusal; ///< part of the detail; empty: let in
};

struct Row {
  std::string name;
  LimitConfig limits;
  std::vector<Step> steps;
};

LimitConfig make_limits(std::size_t total, std::size_t address, std::size_t network, std::size_t rate) {
  LimitConfig limits;
  limits.connections = total;
  limits.connections_per_address = address;
  limits.connections_per_network = network;
  limits.connection_rate = rate;
  return limits;
}

LimitConfig with_exempt(LimitConfig limits, const std::string &network) {
  limits.exempt_networks.push_back(smtp::Network::parse(network).value());
  return limits;
}

LimitConfig with_rate_per_network(LimitConfig limits, std::size_t rate) {
  limits.connection_rate_per_network = rate;
  return limits;
}

Step connect(std::string from, int times, int at = 0) {
  return {.kind = Step::Kind::connect, .from = std::move(from), .times = times, .at = at, .refusal = ""};
}
Step refused(std::string from, std::string why, int at = 0) {
  return {.kind = Step::Kind::connect, .from = std::move(from), .times = 1, .at = at, .refusal = std::move(why)};
}
Step all_leave() {
  return {.kind = Step::Kind::leave_all, .from = "", .times = 0, .at = 0, .refusal = ""};
}

std::vector<Row> rows() {
  return {
      {"the last place in total is given, the next is refused with the limit",
       make_limits(3, 10, 10, 100),
       {connect("192.0.2.1", 1), connect("198.51.100.1", 1), connect("203.0.113.1", 1),
        refused("203.0.113.99", "too many connections, limit is 3")}},
      {"the limit per address does not touch a neighbour",
       make_limits(100, 2, 50, 100),
       {connect("192.0.2.1", 2), refused("192.0.2.1", "your address, limit is 2"), connect("192.0.2.2", 2)}},
      {"the limit per /24 counts all its addresses",
       make_limits(100, 2, 3, 100),
       {connect("192.0.2.1", 2), connect("192.0.2.200", 1),
        refused("192.0.2.77", "your network 192.0.2.0/24, limit is 3"), connect("192.0.3.1", 1)}},
      {"the limit per /64 counts all its addresses",
       make_limits(100, 2, 3, 100),
       {connect("2001:db8:0:1::1", 2), connect("2001:db8:0:1:ffff::1", 1),
        refused("2001:db8:0:1::2", "your network 2001:db8:0:1::/64, limit is 3"), connect("2001:db8:0:2::1", 1)}},
      {"the limit per /56 is twice that per /64 and counts all its /64",
       make_limits(100, 10, 2, 100),
       {connect("2001:db8:0:1::1", 2), connect("2001:db8:0:2::1", 2),
        refused("2001:db8:0:3::1", "your network 2001:db8::/56, limit is 4"), connect("2001:db8:0:100::1", 1)}},
      {"the limit per /48 is four times that per /64",
       make_limits(100, 10, 1, 100),
       {connect("2001:db8:0:1::1", 1), connect("2001:db8:0:101::1", 1), connect("2001:db8:0:201::1", 1),
        connect("2001:db8:0:301::1", 1), refused("2001:db8:0:401::1", "your network 2001:db8::/48, limit is 4"),
        connect("2001:db8:1::1", 1)}},
      {"the rate counts networks: each address of a /64 is another one",
       with_rate_per_network(make_limits(100, 10, 10, 100), 3),
       {connect("2001:db8::1", 1), all_leave(), connect("2001:db8::2", 1), all_leave(), connect("2001:db8::3", 1),
        all_leave(), refused("2001:db8::4", "your network 2001:db8::/64 within a minute, limit is 3"),
        connect("2001:db8:0:1::4", 1)}},
      {"the rate of a /56 is twice that of a /64, of a /48 four times",
       with_rate_per_network(make_limits(100, 10, 10, 100), 1),
       {connect("2001:db8:0:1::1", 1), connect("2001:db8:0:2::1", 1),
        refused("2001:db8:0:3::1", "2001:db8::/56 within a minute, limit is 2"), connect("2001:db8:0:101::1", 1),
        connect("2001:db8:0:201::1", 1), refused("2001:db8:0:301::1", "2001:db8::/48 within a minute, limit is 4")}},
      {"the rate counts the addresses of a /24",
       with_rate_per_network(make_limits(100, 10, 10, 100), 2),
       {connect("192.0.2.1", 1), connect("192.0.2.2", 1),
        refused("192.0.2.3", "your network 192.0.2.0/24 within a minute, limit is 2"), connect("192.0.3.3", 1)}},
      {"without a word of its own the rate per network is five times that per address",
       make_limits(100, 10, 10, 1),
       {connect("192.0.2.1", 1), connect("192.0.2.2", 1), connect("192.0.2.3", 1), connect("192.0.2.4", 1),
        connect("192.0.2.5", 1), refused("192.0.2.6", "within a minute, limit is 5")}},
      {"who leaves makes room",
       make_limits(2, 2, 2, 100),
       {connect("192.0.2.1", 2), refused("192.0.2.1", "limit is 2"), all_leave(), connect("192.0.2.1", 2)}},
      {"a refused connection holds no place",
       make_limits(3, 2, 50, 100),
       {connect("192.0.2.1", 2), refused("192.0.2.1", "your address"), refused("192.0.2.1", "your address"),
        connect("198.51.100.1", 1)}},
      {"the rate counts connections that have ended",
       make_limits(100, 10, 10, 3),
       {connect("192.0.2.1", 1), all_leave(), connect("192.0.2.1", 1, 1), all_leave(), connect("192.0.2.1", 1, 2),
        all_leave(), refused("192.0.2.1", "within a minute, limit is 3", 3), connect("192.0.2.2", 1, 3)}},
      {"the rate is forgotten after two minutes",
       make_limits(100, 10, 10, 3),
       {connect("192.0.2.1", 3), all_leave(), refused("192.0.2.1", "within a minute", 59),
        connect("192.0.2.1", 3, 120)}},
      {"the minute slides: half a minute later half of the rate is free",
       make_limits(100, 10, 10, 4),
       {connect("192.0.2.1", 4), all_leave(), refused("192.0.2.1", "within a minute", 60), connect("192.0.2.1", 2, 90),
        refused("192.0.2.1", "within a minute", 90)}},
      {"an exempt network is not counted per address, network or minute",
       with_exempt(make_limits(100, 1, 1, 1), "192.0.2.0/24"),
       {connect("192.0.2.1", 20), connect("198.51.100.1", 1), refused("198.51.100.1", "your network")}},
      {"an exempt network counts in total",
       with_exempt(make_limits(5, 1, 1, 1), "192.0.2.0/24"),
       {connect("192.0.2.1", 5), refused("192.0.2.1", "too many connections, limit is 5")}},
      {"a limit of nothing lets nobody in", make_limits(100, 0, 10, 10), {refused("192.0.2.1", "limit is 0")}},
  };
}

class ConnectionLimitsTable : public testing::TestWithParam<Row> {};

TEST_P(ConnectionLimitsTable, HoldsEachStep) {
  const Row &row = GetParam();
  ConnectionLimits limits;
  std::vector<Ticket> open;
  const ConnectionLimits::Clock::time_point start{std::chrono::hours(1)};
  for (std::size_t i = 0; i < row.steps.size(); ++i) {
    const Step &step = row.steps[i];
    if (step.kind == Step::Kind::leave_all) {
      open.clear();
      EXPECT_EQ(limits.connections(), 0U);
      continue;
    }
    for (int time = 0; time < step.times; ++time) {
      auto ticket = limits.admit(IpAddress::parse(step.from).value(), row.limits, start + Seconds(step.at));
      if (step.refusal.empty()) {
        ASSERT_TRUE(ticket) << "step " << i << ", connection " << time << ": " << ticket.error().detail;
        open.push_back(std::move(*ticket));
      } else {
        ASSERT_FALSE(ticket) << "step " << i;
        EXPECT_EQ(ticket.error().code, smtp::ErrorCode::full);
        EXPECT_NE(ticket.error().detail.find(step.refusal), std::string::npos) << ticket.error().detail;
      }
      EXPECT_EQ(limits.connections(), open.size());
    }
  }
}

std::string name_of(const testing::TestParamInfo<Row> &row) {
  std::string name;
  for (const char c : row.param.name) name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Rows, ConnectionLimitsTable, testing::ValuesIn(rows()), name_of);

TEST(ConnectionLimits, MemoryIsBoundedWhenEveryConnectionComesFromAnotherAddress) {
  ConnectionLimits limits;
  const LimitConfig config = with_rate_per_network(make_limits(1'000'000, 10, 1'000'000, 10), 1'000'000);
  const ConnectionLimits::Clock::time_point start{std::chrono::hours(1)};
  for (std::uint32_t i = 0; i < 200'000; ++i) {
    const auto address = IpAddress::v4(
        {10, static_cast<std::uint8_t>(i >> 16U), static_cast<std::uint8_t>(i >> 8U), static_cast<std::uint8_t>(i)});
    ASSERT_TRUE(limits.admit(address, config, start));
  }
  EXPECT_LE(limits.remembered(), ConnectionLimits::shard_count * ConnectionLimits::idle_per_shard);
}

TEST(ConnectionLimits, ATrustedClientIsCountedInTotalOnly) {
  ConnectionLimits limits;
  const LimitConfig config = make_limits(3, 1, 1, 1);
  const ConnectionLimits::Clock::time_point start{std::chrono::hours(1)};
  const auto address = IpAddress::parse("192.0.2.1").value();
  const auto first = limits.admit(address, config, start, true);
  const auto second = limits.admit(address, config, start, true);
  const auto third = limits.admit(address, config, start, true);
  ASSERT_TRUE(first && second && third);
  EXPECT_TRUE(first->is_exempt());
  EXPECT_FALSE(limits.admit(address, config, start, true)) << "the limit in total holds for everybody";
}

TEST(ConnectionLimits, StrangersLeaveAShareToThoseWhoAreExempt) {
  ConnectionLimits limits;
  LimitConfig config = make_limits(4, 10, 10, 10);
  config.reserved_for_exempt = 1;
  const ConnectionLimits::Clock::time_point start{std::chrono::hours(1)};
  std::vector<Ticket> open;
  for (const char *stranger : {"192.0.2.1", "192.0.2.2", "192.0.2.3"})
    open.push_back(std::move(*limits.admit(IpAddress::parse(stranger).value(), config, start, false)));
  const auto refused = limits.admit(IpAddress::parse("192.0.2.4").value(), config, start, false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().detail, "too many connections, limit is 3");
  EXPECT_TRUE(limits.admit(IpAddress::parse("192.0.2.5").value(), config, start, true)) << "trusted";
  config.exempt_networks = {smtp::Network::parse("192.0.2.6/32").value()};
  EXPECT_TRUE(limits.admit(IpAddress::parse("192.0.2.6").value(), config, start, false)) << "exempt";
}

TEST(ConnectionLimits, AClientThatShowsItsCertificateGivesBackItsPlaceAndItsRate) {
  ConnectionLimits limits;
  const LimitConfig config = make_limits(100, 1, 1, 1);
  const ConnectionLimits::Clock::time_point start{std::chrono::hours(1)};
  const auto address = IpAddress::parse("2001:db8::1").value();
  std::vector<Ticket> open;
  for (int i = 0; i < 20; ++i) {
    auto ticket = limits.admit(address, config, start);
    ASSERT_TRUE(ticket) << i << ": " << ticket.error().detail;
    EXPECT_FALSE(ticket->is_exempt());
    ticket->exempt();
    ticket->exempt();
    EXPECT_TRUE(ticket->is_exempt());
    open.push_back(std::move(*ticket));
  }
  EXPECT_EQ(limits.connections(), 20U);
  const auto stranger = limits.admit(address, config, start);
  EXPECT_TRUE(stranger);
  EXPECT_FALSE(limits.admit(address, config, start));
  open.clear();
  EXPECT_EQ(limits.connections(), 1U);
}

TEST(ConnectionLimits, RecipientsOfAnAddressAndOfItsNetworkCountForAMinute) {
  ConnectionLimits counts;
  LimitConfig limits = make_limits(100, 100, 100, 100);
  limits.recipient_rate = 10;
  const auto start = ConnectionLimits::Clock::time_point(Seconds(1000));
  std::vector<Ticket> open;
  const auto address = [](int last) { return IpAddress::parse("192.0.2." + std::to_string(last)).value(); };
  for (int last = 1; last <= 7; ++last) open.push_back(counts.admit(address(last), limits, start).value());
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(counts.take_recipient(address(1), limits, start)) << i;
  const auto over = counts.take_recipient(address(1), limits, start + Seconds(30));
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().detail, "too many recipients from your address within a minute, limit is 10");
  for (int last = 2; last <= 5; ++last)
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(counts.take_recipient(address(last), limits, start)) << last << ' ' << i;
  const auto network = counts.take_recipient(address(6), limits, start + Seconds(1));
  ASSERT_FALSE(network);
  EXPECT_EQ(network.error().detail, "too many recipients from your network 192.0.2.0/24 within a minute, limit is 50");
  EXPECT_TRUE(counts.admit(address(6), limits, start).has_value()) << "connections are counted apart";
  EXPECT_TRUE(counts.take_recipient(address(1), limits, start + Seconds(90))) << "half of it is long ago";
  EXPECT_TRUE(counts.take_recipient(address(6), limits, start + Seconds(200)));
}

TEST(ConnectionLimits, OctetsOfUnfinishedMessagesCountForTheAddressAndItsNetworks) {
  ConnectionLimits counts;
  const LimitConfig limits = make_limits(100, 100, 100, 100);
  const auto start = ConnectionLimits::Clock::time_point(Seconds(1000));
  using Unfinished = ConnectionLimits::Unfinished;
  constexpr std::uint64_t step = Unfinished::step;
  const auto address = [](int last) { return IpAddress::parse("192.0.2." + std::to_string(last)).value(); };
  std::vector<Ticket> open;
  for (int last = 1; last <= 3; ++last) open.push_back(counts.admit(address(last), limits, start).value());
  std::deque<Unfinished> messages;
  const auto hold = [&](int last, std::uint64_t octets) {
    return messages.emplace_back(counts, address(last)).hold(octets, 4 * step);
  };
  EXPECT_TRUE(hold(1, step - 1)) << "the first step is free";
  EXPECT_TRUE(hold(1, 3 * step + 5));
  EXPECT_TRUE(messages.back().hold(3 * step + 6, 4 * step)) << "no further step";
  EXPECT_TRUE(hold(1, step));
  const auto over = hold(1, step);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().detail,
            "unfinished messages from your address hold too much of the disk, limit is 1048576 octets");
  EXPECT_TRUE(hold(2, 4 * step));
  const auto network = hold(3, step);
  ASSERT_FALSE(network);
  EXPECT_EQ(network.error().detail, "unfinished messages from your network 192.0.2.0/24 hold too much of the disk, "
                                    "limit is 2097152 octets");
  messages.clear();
  EXPECT_TRUE(hold(3, 4 * step)) << "given back";
  EXPECT_TRUE(hold(2, 4 * step));
  EXPECT_FALSE(hold(1, step));
  open[1].exempt(); // what it holds no longer counts for its address; giving it back takes nothing from others
  messages.clear();
  EXPECT_TRUE(hold(1, 4 * step));
  EXPECT_FALSE(hold(1, step));
}

TEST(ConnectionLimits, AnOpenConnectionIsStillCountedAfterAFloodOfOthers) {
  ConnectionLimits limits;
  const LimitConfig config = make_limits(1'000'000, 1, 1'000'000, 10);
  const ConnectionLimits::Clock::time_point start{std::chrono::hours(1)};
  const auto kept = IpAddress::parse("192.0.2.1").value();
  const auto ticket = limits.admit(kept, config, start);
  ASSERT_TRUE(ticket);
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    const auto address = IpAddress::v4(
        {10, static_cast<std::uint8_t>(i >> 16U), static_cast<std::uint8_t>(i >> 8U), static_cast<std::uint8_t>(i)});
    (void)limits.admit(address, config, start);
  }
  EXPECT_FALSE(limits.admit(kept, config, start));
}

} // namespace connection_limits_test
