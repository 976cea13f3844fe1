// MemoryGauge: the resident memory of this process, read at most once a second.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace mta::inbound {

/// Thread-safe. Reads /proc/self/statm; where that cannot be read the answer is 0, which no budget refuses.
class MemoryGauge {
public:
  using Clock = std::chrono::steady_clock;
  /// Octets resident, at most a second old. Blocks for one small read of /proc.
  [[nodiscard]] std::uint64_t resident(Clock::time_point now);

private:
  std::atomic<std::int64_t> next_look_{INT64_MIN}; ///< ticks of Clock
  std::atomic<std::uint64_t> resident_{0};
};

} // namespace mta::inbound
