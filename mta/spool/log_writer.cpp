#include "mta/spool/log_writer.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "mta/spool/crc32c.hpp"

namespace mta::spool {

using smtp::Result;

namespace {

constexpr std::size_t arena_block = 65'536;
/// A payload up to this size is copied beside its header: cheaper than one more piece for the kernel.
constexpr std::size_t copy_limit = 2'048;
/// The next segment is made ready when this part of the head is used.
constexpr std::uint64_t prepare_at_part = 4;

/// The last block is kept for the seal, so that a segment always can be closed in order.
std::uint64_t room_until(const Segment &segment) noexcept {
  return segment.size() - block_size;
}

} // namespace

LogWriter::LogWriter(SegmentSupply &supply, Index &index, IdSource &ids, std::uint64_t last_sequence)
    : supply_(supply), index_(index), ids_(ids), sequence_(last_sequence), durable_(last_sequence) {}

Result<void> LogWriter::start() {
  assert(!head_);
  checkpoint_ = encode_abandoned(abandoned_);
  if (auto taken = take_segment(record_space(checkpoint_.size())); !taken) return taken;
  const std::string_view payload = checkpoint_;
  place({.type = RecordType::checkpoint,
         .length = static_cast<std::uint32_t>(payload.size()),
         .payload_crc = crc32c(payload),
         .extra = head_->id_limit()},
        {&payload, 1});
  for (const Abandoned &abandoned : abandoned_) index_.abandon(head_->number(), abandoned.segment);
  return {};
}

Result<LogWriter::Placed> LogWriter::add(RecordHeader header, std::span<const std::string_view> payload) {
  if (!head_) return smtp::fail(smtp::ErrorCode::io, "the log has no segment to write to");
  const std::uint64_t space = record_space(header.length);
  if (next_block(position_ + space) > room_until(*head_)) {
    if (auto rolled = roll(space); !rolled) return tl::unexpected(rolled.error());
  }
  const Placed placed{{head_->number(), static_cast<std::uint32_t>(position_ / record_alignment), header.length},
                      sequence_ + 1};
  place(header, payload);
  if (!next_requested_ && position_ > head_->size() / prepare_at_part) {
    next_requested_ = true;
    supply_.prepare();
  }
  return placed;
}

void LogWriter::place(RecordHeader header, std::span<const std::string_view> payload) {
  header.sequence = ++sequence_;
  header.durable = durable_;
  header.segment_key = head_->key();
  const RecordOctets octets = encode_record_header(header);
  const bool copy = header.length <= copy_limit;
  char *at = from_arena(record_header_size);
  std::memcpy(at, octets.data(), octets.size());
  add_piece(at, record_header_size);
  for (const std::string_view piece : payload) {
    if (copy && !piece.empty()) {
      char *to = from_arena(piece.size());
      std::memcpy(to, piece.data(), piece.size());
      add_piece(to, piece.size());
    } else {
      add_piece(piece.data(), piece.size());
    }
  }
  const std::uint64_t space = record_space(header.length);
  const auto padding = static_cast<std::size_t>(space - record_header_size - header.length);
  if (padding != 0) {
    char *to = from_arena(padding);
    std::memset(to, 0, padding);
    add_piece(to, padding);
  }
  position_ += space;
  appended_ += space;
}

// A segment is closed off with everything in it durable, so that a batch over two segments keeps its order.
Result<void> LogWriter::roll(std::uint64_t space) {
  place({.type = RecordType::seal}, {});
  if (auto synced = sync(); !synced) return synced;
  index_.seal(head_->number());
  head_.reset();
  return take_segment(space);
}

Result<void> LogWriter::take_segment(std::uint64_t space) {
  auto segment = supply_.next(segment_header_size + next_block(space) + block_size);
  if (!segment) return tl::unexpected(segment.error());
  head_ = std::move(*segment);
  index_.add_segment(head_);
  ids_.raise(head_->id_limit());
  next_requested_ = false;
  position_ = write_from_ = segment_header_size;
  return {};
}

Result<void> LogWriter::flush() {
  std::size_t index = 0;
  while (index < pieces_.size()) {
    const std::size_t count = std::min(pieces_.size() - index, File::max_pieces);
    const auto written = head_->file().pwritev(write_from_, std::span(pieces_).subspan(index, count));
    if (!written) return give_up(written.error());
    write_from_ += *written;
    std::size_t left = *written;
    for (; index < pieces_.size() && left >= pieces_[index].iov_len; ++index) left -= pieces_[index].iov_len;
    if (left != 0) {
      pieces_[index].iov_base = static_cast<char *>(pieces_[index].iov_base) + left;
      pieces_[index].iov_len -= left;
    }
  }
  forget_pieces();
  return {};
}

Result<void> LogWriter::sync() {
  if (!head_) return smtp::fail(smtp::ErrorCode::io, "the log has no segment to write to");
  if (auto written = flush(); !written) return written;
  if (durable_ == sequence_) return {};
  ++syncs_;
  if (auto synced = head_->file().sync_data(); !synced) return give_up(synced.error());
  durable_ = sequence_;
  abandoned_.clear();
  // What is durable is not written over, not even with itself: the log goes on in the next block.
  position_ = write_from_ = next_block(position_);
  return {};
}

Result<void> LogWriter::finish() {
  if (!head_) return smtp::fail(smtp::ErrorCode::io, "the log has no segment to write to");
  place({.type = RecordType::seal, .extra = ids_.next()}, {});
  return sync();
}

tl::unexpected<smtp::Error> LogWriter::give_up(const smtp::Error &error) {
  forget_pieces();
  abandoned_.push_back({head_->number(), durable_});
  index_.seal(head_->number());
  head_.reset();
  return tl::unexpected(error);
}

char *LogWriter::from_arena(std::size_t length) {
  if (arena_.empty() || arena_used_ + length > arena_block) {
    arena_.push_back(std::make_unique_for_overwrite<char[]>(arena_block));
    arena_used_ = 0;
  }
  char *at = arena_.back().get() + arena_used_;
  arena_used_ += length;
  return at;
}

void LogWriter::add_piece(const char *octets, std::size_t length) {
  if (length == 0) return;
  if (!pieces_.empty()) {
    iovec &last = pieces_.back();
    if (static_cast<const char *>(last.iov_base) + last.iov_len == octets) {
      last.iov_len += length;
      return;
    }
  }
  pieces_.push_back({const_cast<char *>(octets), length}); // pwritev does not write through it
}

void LogWriter::forget_pieces() {
  pieces_.clear();
  if (arena_.size() > 1) arena_.resize(1);
  arena_used_ = 0;
}

} // namespace mta::spool
