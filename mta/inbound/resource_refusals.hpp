// ResourceRefusals: how often mail was put off for want of room, by reason, and when that is worth a line.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "mta/spool/spool.hpp"

namespace mta::inbound {

/// What was wanting.
enum class Resource : std::uint8_t { queue, disk, spool, memory, quarantine };
inline constexpr std::size_t resource_count = 5;
/// "queue_full", "disk_full", "spool_broken", "memory", "quarantine_full": the words of the log, of status and of the
/// metrics.
[[nodiscard]] const char *to_string(Resource resource) noexcept;
/// What an error of the spool was for want of.
[[nodiscard]] Resource resource_of(const smtp::Error &error, const SpoolStatus &status) noexcept;

/// Thread-safe.
class ResourceRefusals {
public:
  using Clock = std::chrono::steady_clock;
  /// Counts one. Says how many there were since the last line when a line is due: the first at once, then one in
  /// `line_every` for each reason, so that a crowd that comes again and again makes no crowd of lines.
  [[nodiscard]] std::optional<std::uint64_t> note(Resource resource, Clock::time_point now) noexcept;
  [[nodiscard]] std::uint64_t count(Resource resource) const noexcept {
    return rows_[static_cast<std::size_t>(resource)].count.load(std::memory_order_relaxed);
  }

  static constexpr std::chrono::seconds line_every{10};

private:
  struct Row {
    std::atomic<std::uint64_t> count{0};
    std::atomic<std::uint64_t> unsaid{0};
    std::atomic<Clock::rep> next_line{Clock::time_point::min().time_since_epoch().count()};
  };
  std::array<Row, resource_count> rows_;
};

} // namespace mta::inbound
