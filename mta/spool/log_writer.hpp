// LogWriter: appends records to the head of the log, rolls to the next segment, and knows what is durable.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mta/spool/id_source.hpp"
#include "mta/spool/index.hpp"
#include "mta/spool/segment_supply.hpp"

namespace mta::spool {

/// Used by the commit thread alone. Records are gathered by add() and written by flush() or sync(); only the head can
/// hold records that are not durable. After an error the head is given up (it is listed as abandoned from the last
/// durable record on), everything that was not durable is void, and add() fails until start() succeeds.
class LogWriter {
public:
  struct Placed {
    Extent extent;
    std::uint64_t sequence = 0;
  };

  LogWriter(SegmentSupply &supply, Index &index, IdSource &ids, std::uint64_t last_sequence);

  /// Takes a new segment and writes a checkpoint that names the abandoned ones into it; durable with the next sync().
  /// Until then nothing but what must be durable together with it may be added.
  [[nodiscard]] smtp::Result<void> start();
  [[nodiscard]] bool has_head() const noexcept { return head_ != nullptr; }
  [[nodiscard]] bool is_on_reserve() const noexcept { return head_ && head_->is_reserve(); }
  [[nodiscard]] bool is_half_full() const noexcept { return head_ && position_ > head_->size() / 2; }

  /// `header` has type, id, copy, extra, length and payload CRC. The pieces of the payload must stay until flush() or
  /// sync().
  [[nodiscard]] smtp::Result<Placed> add(RecordHeader header, std::span<const std::string_view> payload);
  [[nodiscard]] smtp::Result<Placed> add(RecordHeader header, std::string_view payload) {
    return add(header, std::span<const std::string_view>(&payload, 1));
  }
  /// Writes what was added. It survives the end of this process, not the end of power.
  [[nodiscard]] smtp::Result<void> flush();
  /// flush() and one fdatasync: all that was added is durable.
  [[nodiscard]] smtp::Result<void> sync();
  /// sync() with a seal behind it that tells recovery the next queue id: a clean end.
  [[nodiscard]] smtp::Result<void> finish();

  [[nodiscard]] std::uint64_t sequence() const noexcept { return sequence_; }
  [[nodiscard]] std::uint64_t durable() const noexcept { return durable_; }
  [[nodiscard]] std::uint64_t syncs() const noexcept { return syncs_; }
  /// Octets of all records so far.
  [[nodiscard]] std::uint64_t appended() const noexcept { return appended_; }

private:
  void place(RecordHeader header, std::span<const std::string_view> payload);
  [[nodiscard]] smtp::Result<void> roll(std::uint64_t space);
  [[nodiscard]] smtp::Result<void> take_segment(std::uint64_t space);
  [[nodiscard]] tl::unexpected<smtp::Error> give_up(const smtp::Error &error);
  char *from_arena(std::size_t length);
  void add_piece(const char *octets, std::size_t length);
  void forget_pieces();

  SegmentSupply &supply_;
  Index &index_;
  IdSource &ids_;
  std::shared_ptr<Segment> head_;
  std::uint64_t position_ = 0;   ///< where the next record goes
  std::uint64_t write_from_ = 0; ///< where the gathered pieces go
  std::uint64_t sequence_;
  std::uint64_t durable_;
  std::uint64_t syncs_ = 0;
  std::uint64_t appended_ = 0;
  bool next_requested_ = false;
  std::vector<Abandoned> abandoned_; ///< not yet named by a durable checkpoint
  std::string checkpoint_;           ///< the payload in the pieces
  std::vector<iovec> pieces_;
  std::vector<std::unique_ptr<char[]>> arena_; ///< headers and small payloads, in blocks of arena_block
  std::size_t arena_used_ = 0;
};

} // namespace mta::spool
