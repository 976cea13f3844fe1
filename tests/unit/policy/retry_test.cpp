// retry_wait: the schedule of waits with its jitter.
#include "policy/retry.hpp"

#include <gtest/gtest.h>

namespace retry_test {

using namespace policy;
using namespace std::chrono_literals;

TEST(RetryWait, FollowsTheScheduleAndRepeatsTheLast) {
  const RetrySchedule schedule;
  const std::vector<std::pair<std::uint32_t, std::chrono::seconds>> rows = {
      {1, 1min}, {2, 5min}, {3, 15min}, {4, 30min},           {5, 1h},  {6, 2h},
      {7, 4h},   {8, 4h},   {1000, 4h}, {4'294'967'295U, 4h}, {0, 1min}};
  for (const auto &[attempts, wait] : rows) EXPECT_EQ(retry_wait(schedule, attempts, 0.5), wait) << attempts;
}

TEST(RetryWait, JitterSpreadsToBothSides) {
  const RetrySchedule schedule;
  EXPECT_EQ(retry_wait(schedule, 2, 0.0), 240s);
  EXPECT_EQ(retry_wait(schedule, 2, 0.25), 270s);
  EXPECT_EQ(retry_wait(schedule, 2, 0.999999), 360s);
  EXPECT_EQ(retry_wait(schedule, 2, -5), 240s) << "a random number out of range is cut";
  EXPECT_EQ(retry_wait(schedule, 2, 5), 360s);
}

TEST(RetryWait, WithoutJitterNothingIsRandom) {
  RetrySchedule schedule;
  schedule.jitter = 0;
  EXPECT_EQ(retry_wait(schedule, 1, 0.0), retry_wait(schedule, 1, 0.99));
}

TEST(RetryWait, IsNeverAtOnce) {
  RetrySchedule schedule;
  schedule.waits = {0s};
  EXPECT_EQ(retry_wait(schedule, 1, 0.5), 1s);
  schedule.waits = {1s};
  schedule.jitter = 1;
  EXPECT_EQ(retry_wait(schedule, 1, 0.0), 1s);
  schedule.waits.clear();
  EXPECT_EQ(retry_wait(schedule, 1, 0.5), 1h);
}

} // namespace retry_test
