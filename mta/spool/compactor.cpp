#include "mta/spool/compactor.hpp"

#include <algorithm>
#include <utility>

#include "mta/spool/crc32c.hpp"
#include "mta/spool/reader.hpp"

namespace mta::spool {

using smtp::Result;

Result<bool> Compactor::step() {
  if (!victim_) {
    if (rewritten_ > free_segments * segment_size_ + per_octet * (log_.appended() - rewritten_)) return false;
    if (const auto reburial = index_.choose_reburial(segment_size_, excused_)) {
      const std::uint64_t before = log_.appended();
      const auto written = rebury(*reburial);
      rewritten_ += log_.appended() - before;
      if (!written) return tl::unexpected(written.error());
      return true;
    }
    victim_ = index_.choose_victim(segment_size_, excused_);
    if (!victim_) return false;
    collecting_ = true;
    cursor_ = 0;
    ids_.clear();
  }
  if (collecting_) {
    collecting_ = !index_.collect(*victim_, cursor_, ids_);
    return true;
  }
  slice_used_ = 0;
  const std::uint64_t before = log_.appended();
  Result<void> written = fill_slice();
  if (written) written = log_.sync();
  rewritten_ += log_.appended() - before;
  payloads_.clear();
  apply_durable();
  if (!written) return tl::unexpected(written.error());
  if (!move_ && ids_.empty()) victim_.reset();
  return true;
}

Result<void> Compactor::fill_slice() {
  while (slice_used_ < slice_octets && (move_ || begin_next())) {
    const auto outcome = advance(*move_);
    if (!outcome) return tl::unexpected(outcome.error());
    switch (*outcome) {
    case Outcome::slice_full: return {};
    case Outcome::moved: move_.reset(); break;
    case Outcome::unreadable:
      excused_.insert(*victim_);
      abandon_move();
      break;
    }
  }
  return {};
}

// Also after an error: a roll may have made a part of the slice durable, and then these copies count after a crash.
void Compactor::apply_durable() {
  for (Moved &moved : moved_) {
    if (moved.sequence <= log_.durable()) {
      index_.replace(moved.id, std::move(moved.entry), log_.sequence());
      moved_messages_.fetch_add(1, std::memory_order_relaxed);
    } else {
      moved.entry.for_each_part([this](const Extent &part) { index_.drop({&part, 1}, log_.sequence()); });
    }
  }
  moved_.clear();
}

void Compactor::reset() {
  abandon_move();
  payloads_.clear();
  victim_.reset();
}

bool Compactor::begin_next() {
  while (!ids_.empty()) {
    const std::uint64_t id = ids_.back();
    ids_.pop_back();
    auto entry = index_.find(id);
    if (!entry) continue; // removed meanwhile
    move_ = Move{id, std::move(*entry), {}};
    return true;
  }
  return false;
}

void Compactor::abandon_move() {
  if (!move_) return;
  index_.drop(move_->parts, log_.sequence());
  move_.reset();
}

Result<Compactor::Outcome> Compactor::advance(Move &move) {
  const auto failed = [](const smtp::Error &error) -> Result<Outcome> {
    if (error.code == smtp::ErrorCode::bad_syntax) return Outcome::unreadable; // rewrite() says so
    return tl::unexpected(error);
  };
  // Between two slices the message may have been removed, or got an update; the body and the envelope never change.
  auto now = index_.find(move.id);
  if (!now) {
    index_.drop(move.parts, log_.sequence());
    return Outcome::moved;
  }
  move.from = std::move(*now);
  RecordHeader header{.type = RecordType::body, .id = move.id, .copy = move.from.copy + 1};

  std::vector<Extent> parts;
  move.from.for_each_part([&parts](const Extent &part) { parts.push_back(part); });
  for (std::size_t i = 0; i < move.parts.size(); ++i) header.extra += parts[i].length;
  for (std::size_t i = move.parts.size(); i < parts.size(); ++i) {
    if (slice_used_ >= slice_octets) return Outcome::slice_full;
    if (parts[i].segment == 0) return Outcome::unreadable;
    const auto placed = rewrite(parts[i], header);
    if (!placed) return failed(placed.error());
    index_.hold(placed->extent);
    move.parts.push_back(placed->extent);
    header.extra += parts[i].length;
  }
  Entry entry = move.from;
  ++entry.copy;
  // The envelope comes last: without it this copy is nothing, whatever else of it is in the log.
  if (entry.update.segment != 0) {
    header.type = RecordType::update;
    header.extra = 0;
    const auto update = rewrite(entry.update, header);
    if (!update) return failed(update.error());
    entry.update = update->extent;
  }
  header.type = RecordType::envelope;
  header.extra = entry.body_size;
  const auto envelope = rewrite(entry.envelope, header);
  if (!envelope) return failed(envelope.error());
  entry.envelope = envelope->extent;
  if (!move.parts.empty()) entry.body = move.parts.front();
  if (move.parts.size() > 1)
    entry.more = std::make_shared<const std::vector<Extent>>(move.parts.begin() + 1, move.parts.end());
  moved_.push_back({move.id, std::move(entry), envelope->sequence});
  return Outcome::moved;
}

// The removals of all messages of a segment that cannot be moved are written again, together, so that the many segments
// they are spread over need not wait for it.
Result<void> Compactor::rebury(const Index::Reburial &reburial) {
  constexpr std::size_t ids_per_record = 1'024;
  std::vector<std::uint32_t> graves;
  std::span<const std::uint64_t> ids = reburial.ids;
  Result<void> written;
  while (written && !ids.empty()) {
    const auto some = ids.first(std::min(ids.size(), ids_per_record));
    ids = ids.subspan(some.size());
    payloads_.push_back(encode_ids(some));
    const std::string &payload = payloads_.back();
    const auto placed = log_.add({.type = RecordType::graves,
                                  .length = static_cast<std::uint32_t>(payload.size()),
                                  .payload_crc = crc32c(payload)},
                                 payload);
    if (placed)
      graves.push_back(placed->extent.segment);
    else
      written = tl::unexpected(placed.error());
  }
  if (written) written = log_.sync();
  payloads_.clear();
  if (written) index_.rebury(reburial.segment, graves);
  return written;
}

// Error bad_syntax: the old record cannot be read; others: the log failed.
Result<LogWriter::Placed> Compactor::rewrite(const Extent &from, RecordHeader header) {
  auto payload = read_record(index_.pin(from.segment), from, header.type, header.id);
  if (!payload) return smtp::fail(smtp::ErrorCode::bad_syntax, payload.error().detail);
  header.length = from.length;
  header.payload_crc = payload->crc;
  slice_used_ += record_space(from.length);
  payloads_.push_back(std::move(payload->octets));
  return log_.add(header, payloads_.back());
}

} // namespace mta::spool
