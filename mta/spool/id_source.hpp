// IdSource: hands out queue ids, below a limit that is on disk, so that no id is ever given twice.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

namespace mta::spool {

/// Ids under this were given by spools that began at 1: such a spool goes on at a place of its own.
inline constexpr std::uint64_t least_drawn_id = std::uint64_t{1} << 43U;

/// Where the ids of a new spool begin, so that those of two nodes, or of a spool and the one that replaces it, are
/// never the same in practice: the hours since 1970 above 43 bits of `random`. A later spool's ids are higher; two of
/// one hour that take a thousand million messages each meet with a chance of about 1 in 4,000.
[[nodiscard]] constexpr std::uint64_t draw_first_id(std::chrono::system_clock::time_point now,
                                                    std::uint64_t random) noexcept {
  const auto hours = std::chrono::floor<std::chrono::hours>(now).time_since_epoch().count();
  const std::uint64_t high = hours < 1 ? 1 : static_cast<std::uint64_t>(hours) & 0xF'FFFFU;
  return high << 43U | (random & (least_drawn_id - 1));
}

/// Ids are reserved in blocks: a segment header or a checkpoint says below which limit ids may be in use, and a
/// recovery goes on from the last limit. Thread-safe.
class IdSource {
public:
  static constexpr std::uint64_t block = 1U << 20U;

  explicit IdSource(std::uint64_t next) noexcept : next_(next), limit_(next) {}

  /// Nothing when the reserved ids are used up and the next block is not on disk yet.
  [[nodiscard]] std::optional<std::uint64_t> take() noexcept {
    std::uint64_t id = next_.load(std::memory_order_relaxed);
    while (id < limit_.load(std::memory_order_relaxed)) {
      if (next_.compare_exchange_weak(id, id + 1, std::memory_order_relaxed)) return id;
    }
    return std::nullopt;
  }
  [[nodiscard]] std::uint64_t next() const noexcept { return next_.load(std::memory_order_relaxed); }
  /// What a record written now should reserve.
  [[nodiscard]] std::uint64_t wanted_limit() const noexcept { return next() + block; }
  [[nodiscard]] bool runs_low() const noexcept { return next() + block / 2 > limit_.load(std::memory_order_relaxed); }
  /// The limit is on disk.
  void raise(std::uint64_t limit) noexcept {
    std::uint64_t before = limit_.load(std::memory_order_relaxed);
    while (before < limit && !limit_.compare_exchange_weak(before, limit, std::memory_order_relaxed)) {
    }
  }

private:
  std::atomic<std::uint64_t> next_;
  std::atomic<std::uint64_t> limit_;
};

} // namespace mta::spool
