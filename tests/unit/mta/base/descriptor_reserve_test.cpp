// The reserve of descriptors: what each use may keep, and that the kernel's numbers mean what the reserve takes them
// for.
#include "mta/base/descriptor_reserve.hpp"

#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

namespace descriptor_reserve_test {

using mta::DescriptorReserve;
using mta::DescriptorUse;

struct Row {
  std::string name;
  std::size_t limit = 0;
  std::size_t sessions = 0; ///< room
  std::size_t delivery = 0;
};

TEST(DescriptorReserve, EachUseLeavesRoomForThoseBehindIt) {
  const std::vector<Row> rows = {
      {"the usual soft limit", 1024, 704, 960},
      {"systemd's hard limit", 524'288, 519'680, 523'776},
      {"a very small limit is shared by quarters", 40, 20, 30},
      {"nothing", 0, 0, 0},
  };
  for (const auto &row : rows) {
    const auto reserve = DescriptorReserve::for_limit(row.limit);
    EXPECT_EQ(reserve.room_for(DescriptorUse::session), row.sessions) << row.name;
    EXPECT_EQ(reserve.room_for(DescriptorUse::delivery), row.delivery) << row.name;
    EXPECT_EQ(reserve.room_for(DescriptorUse::service), row.limit) << row.name;
  }
}

TEST(DescriptorReserve, TheFirstNumberOfTheReserveIsNotKept) {
  const auto reserve = DescriptorReserve::for_limit(1024);
  EXPECT_TRUE(reserve.may_keep(703, DescriptorUse::session));
  EXPECT_FALSE(reserve.may_keep(704, DescriptorUse::session));
  EXPECT_TRUE(reserve.may_keep(704, DescriptorUse::delivery));
  EXPECT_FALSE(reserve.may_keep(960, DescriptorUse::delivery));
  EXPECT_TRUE(reserve.may_keep(1023, DescriptorUse::service));
}

TEST(DescriptorReserve, WithoutLimitEverythingIsKept) {
  EXPECT_TRUE(DescriptorReserve().may_keep(1'000'000, DescriptorUse::session));
}

TEST(DescriptorReserve, StrangersWhoTakeAllTheyMayLeaveTheReserve) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 128;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &small), 0);
  const auto reserve = DescriptorReserve::of_process();
  EXPECT_EQ(reserve.limit(), 128U);
  std::vector<int> taken;
  const auto take = [&](DescriptorUse use) {
    for (;;) {
      const int descriptor = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
      if (descriptor < 0) return;
      if (!reserve.may_keep(descriptor, use)) {
        ::close(descriptor);
        return;
      }
      taken.push_back(descriptor);
    }
  };
  take(DescriptorUse::session);
  const std::size_t sessions = taken.size();
  take(DescriptorUse::delivery);
  const std::size_t deliveries = taken.size() - sessions;
  take(DescriptorUse::service);
  const std::size_t services = taken.size() - sessions - deliveries;
  for (const int descriptor : taken) ::close(descriptor);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_GT(sessions, 0U);
  EXPECT_EQ(deliveries, 32U);
  EXPECT_EQ(services, 16U);
}

} // namespace descriptor_reserve_test
