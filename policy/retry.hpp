// When to try again: the backoff schedule with jitter, and when to give up or to send a delay notice.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

namespace policy {

struct RetrySchedule {
  /// Waits after the first, second, … failed attempt; the last one repeats.
  std::vector<std::chrono::seconds> waits{std::chrono::minutes(1),  std::chrono::minutes(5), std::chrono::minutes(15),
                                          std::chrono::minutes(30), std::chrono::hours(1),   std::chrono::hours(2),
                                          std::chrono::hours(4)};
  std::chrono::seconds give_up_after = std::chrono::hours(24 * 5);
  std::chrono::seconds delay_notice_after = std::chrono::hours(4); ///< zero: no delay notices
  double jitter = 0.2; ///< each wait is drawn from [1 - jitter, 1 + jitter] times its length
  /// A mailbox that is full (552 5.2.2) is tried for so long; the code is permanent, but people empty their mailboxes.
  std::chrono::seconds full_mailbox_after = std::chrono::hours(24);
  friend bool operator==(const RetrySchedule &, const RetrySchedule &) = default;
};

/// `random` is uniform in [0, 1). `attempts` counts failed attempts so far, at least 1.
[[nodiscard]] std::chrono::seconds retry_wait(const RetrySchedule &schedule, std::uint32_t attempts,
                                              double random) noexcept;

} // namespace policy
