// Figures of a load run: latencies, percentiles, and the resident memory of a process.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

namespace bench {

using Clock = std::chrono::steady_clock;

/// Latencies in microseconds; percentiles by nearest rank.
class Latencies {
public:
  void add(Clock::duration latency) {
    values_.push_back(
        static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(latency).count()));
  }
  void merge(const Latencies &other) { values_.insert(values_.end(), other.values_.begin(), other.values_.end()); }
  /// Milliseconds; 0 when nothing was measured.
  [[nodiscard]] double percentile(double share) {
    if (values_.empty()) return 0;
    const auto rank = static_cast<std::size_t>(share * static_cast<double>(values_.size() - 1));
    std::nth_element(values_.begin(), values_.begin() + static_cast<std::ptrdiff_t>(rank), values_.end());
    return static_cast<double>(values_[rank]) / 1000.0;
  }
  [[nodiscard]] std::size_t count() const noexcept { return values_.size(); }

private:
  std::vector<std::uint32_t> values_;
};

} // namespace bench
