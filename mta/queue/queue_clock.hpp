// QueueClock: the queue's time, which runs on the steady clock and follows the wall clock only where that was set.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <utility>

#include "mta/queue/message.hpp"

namespace mta {

/// Waits, expiry and delay notices are measured by what really passed: a wall clock that is set ahead for some seconds
/// makes nothing due and ends nothing. Times still look like wall times, so that they can be stored and shown.
class QueueClock {
public:
  using Steady = std::chrono::steady_clock;
  /// Without `steady` the wall clock is taken for what passes (tests of other things).
  QueueClock(std::function<WallTime()> wall, std::function<Steady::time_point()> steady)
      : wall_(std::move(wall)), steady_(std::move(steady)) {
    set();
  }

  [[nodiscard]] WallTime now() const {
    if (!steady_) return wall_();
    return set_to_ + std::chrono::duration_cast<WallTime::duration>(steady_() - set_at_);
  }
  /// Looks at the wall clock. When it was set, now() jumps with it, and the result is by how much: whoever holds times
  /// of this clock moves them as far. Smaller differences than `smallest_jump` are followed without a word.
  [[nodiscard]] std::optional<WallTime::duration> look() {
    if (!steady_) return std::nullopt;
    const WallTime::duration difference = wall_() - now();
    set();
    if (difference > -smallest_jump && difference < smallest_jump) return std::nullopt;
    return difference;
  }
  [[nodiscard]] bool is_steady() const noexcept { return steady_ != nullptr; }

  static constexpr std::chrono::seconds smallest_jump{5};

private:
  void set() {
    if (!steady_) return;
    set_to_ = wall_();
    set_at_ = steady_();
  }
  std::function<WallTime()> wall_;
  std::function<Steady::time_point()> steady_;
  WallTime set_to_{};
  Steady::time_point set_at_{};
};

} // namespace mta
