// Compactor: moves the live messages out of a segment that is mostly done, a bounded slice at a time.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "mta/spool/index.hpp"
#include "mta/spool/log_writer.hpp"

namespace mta::spool {

/// Of the commit thread alone. A message moves as a whole: parts, envelope and update are written again with the same
/// id and the next copy number, and only when they are durable does the index look at them; then the old records are
/// dead. At any crash the newest complete copy is the message, so it is there once.
class Compactor {
public:
  Compactor(Index &index, LogWriter &log, std::uint64_t segment_size)
      : index_(index), log_(log), segment_size_(segment_size) {}

  /// Does one slice (about slice_octets, one sync) if there is something to do; false when there is not.
  [[nodiscard]] smtp::Result<bool> step();
  /// After a write error: what was being moved is void.
  void reset();
  /// Messages moved so far. Any thread.
  [[nodiscard]] std::uint64_t moved() const noexcept { return moved_messages_.load(std::memory_order_relaxed); }

  static constexpr std::size_t slice_octets = 1U << 20U;
  /// At most so much is rewritten: some segments, and four octets for each that came in. Whatever the messages are
  /// like, compaction comes to rest when the traffic does.
  static constexpr std::uint64_t free_segments = 16;
  static constexpr std::uint64_t per_octet = 4;

private:
  /// The message that is being moved.
  struct Move {
    std::uint64_t id = 0;
    Entry from;
    std::vector<Extent> parts; ///< written, held
  };
  /// A message that is written again, and becomes the one that counts when `sequence` is durable.
  struct Moved {
    std::uint64_t id = 0;
    Entry entry;
    std::uint64_t sequence = 0;
  };
  enum class Outcome : std::uint8_t { moved, slice_full, unreadable };

  [[nodiscard]] smtp::Result<Outcome> advance(Move &move);
  [[nodiscard]] smtp::Result<void> fill_slice();
  void apply_durable();
  [[nodiscard]] smtp::Result<void> rebury(const Index::Reburial &reburial);
  [[nodiscard]] smtp::Result<LogWriter::Placed> rewrite(const Extent &from, RecordHeader header);
  [[nodiscard]] bool begin_next();
  void abandon_move();

  Index &index_;
  LogWriter &log_;
  const std::uint64_t segment_size_;
  std::optional<std::uint32_t> victim_;
  bool collecting_ = false;
  std::size_t cursor_ = 0;
  std::vector<std::uint64_t> ids_;
  std::optional<Move> move_;
  std::set<std::uint32_t> excused_;   ///< hold a record that cannot be read: left alone
  std::vector<Moved> moved_;          ///< in this slice
  std::vector<std::string> payloads_; ///< of the slice, until it is written
  std::size_t slice_used_ = 0;
  std::uint64_t rewritten_ = 0;
  std::atomic<std::uint64_t> moved_messages_{0};
};

} // namespace mta::spool
