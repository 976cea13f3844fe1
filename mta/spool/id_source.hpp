// IdSource: hands out queue ids, below a limit that is on disk, so that no id is ever given twice.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

namespace mta::spool {

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
