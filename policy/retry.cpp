#include "policy/retry.hpp"

#include <algorithm>
#include <cmath>

namespace policy {

std::chrono::seconds retry_wait(const RetrySchedule &schedule, std::uint32_t attempts, double random) noexcept {
  if (schedule.waits.empty()) return std::chrono::hours(1); // the configuration refuses an empty list
  const std::size_t index = std::min<std::size_t>(attempts == 0 ? 0 : attempts - 1, schedule.waits.size() - 1);
  const double jitter = std::clamp(schedule.jitter, 0.0, 1.0);
  const double factor = 1.0 - jitter + 2.0 * jitter * std::clamp(random, 0.0, 1.0);
  const double seconds = std::round(static_cast<double>(schedule.waits[index].count()) * factor);
  // Never at once: a destination that fails immediately must not be asked in a tight loop.
  return std::chrono::seconds(std::max<std::int64_t>(1, static_cast<std::int64_t>(seconds)));
}

} // namespace policy
