#include "mta/spool/segment_supply.hpp"

#include <algorithm>
#include <utility>

namespace mta::spool {

using smtp::ErrorCode;
using smtp::Result;

namespace {
constexpr std::uint64_t first_size = 4U << 20U;
constexpr std::uint64_t growth = 4;
constexpr std::uint64_t smallest_size = 1U << 20U; ///< on a nearly full disk
constexpr std::size_t max_spares = 4;
} // namespace

SegmentSupply::SegmentSupply(FileSystem &files, Index &index, IdSource &ids, Options options)
    : files_(files), index_(index), ids_(ids), options_(std::move(options)),
      spares_(options_.spares.begin(), options_.spares.end()), next_number_(options_.next_number),
      next_size_(std::min(options_.segment_size, first_size)), has_reserve_(options_.has_reserve),
      thread_([this] { run(); }) {}

SegmentSupply::~SegmentSupply() {
  stop();
}

Result<std::shared_ptr<Segment>> SegmentSupply::next(std::uint64_t smallest) {
  std::unique_lock lock(mutex_);
  if (!prepared_ || prepared_->size() < smallest) {
    if (prepared_) unwanted_ = std::exchange(prepared_, nullptr);
    wanted_size_ = smallest;
    needed_ = true;
    error_.reset();
    work_.notify_one();
    ready_.wait(lock, [this] { return prepared_ || error_ || stop_; });
    if (!prepared_) {
      if (!error_) return smtp::fail(ErrorCode::stopping, "the spool is closing");
      return tl::unexpected(*error_);
    }
  }
  return std::exchange(prepared_, nullptr);
}

void SegmentSupply::prepare() {
  const std::scoped_lock lock(mutex_);
  if (prepared_ || wanted_size_ != 0 || error_) return; // after an error only next() tries again
  wanted_size_ = segment_header_size;
  work_.notify_one();
}

void SegmentSupply::keep_reserve() {
  if (options_.reserve_size == 0) return;
  const std::scoped_lock lock(mutex_);
  reserve_due_ = true;
  work_.notify_one();
}

void SegmentSupply::release(std::vector<std::shared_ptr<Segment>> segments, std::function<void()> gone) {
  const std::scoped_lock lock(mutex_);
  gone_ = std::move(gone);
  reserve_due_ = options_.reserve_size != 0;
  released_.insert(released_.end(), std::make_move_iterator(segments.begin()), std::make_move_iterator(segments.end()));
  work_.notify_one();
}

void SegmentSupply::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
    work_.notify_one();
    ready_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void SegmentSupply::run() {
  std::vector<std::shared_ptr<Segment>> failed; // could not be put aside: tried again when something else happens
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [this] { return stop_ || wanted_size_ != 0 || !released_.empty() || reserve_due_; });
    if (stop_) return;
    std::vector<std::shared_ptr<Segment>> released = std::exchange(released_, {});
    const std::uint64_t size = wanted_size_;
    const bool is_needed = std::exchange(needed_, false);
    const std::function<void()> gone = std::exchange(gone_, nullptr);
    if (unwanted_) {
      // Its number is lower than that of the segment about to be made: kept, it would come into use out of order.
      released.push_back(std::exchange(unwanted_, nullptr));
    }
    lock.unlock();
    released.insert(released.begin(), failed.begin(), failed.end());
    take_back(released);
    failed = std::move(released);
    if (gone) gone();
    std::optional<Result<std::shared_ptr<Segment>>> made;
    if (size != 0) made = make(size, is_needed);
    lock.lock();
    if (!made && reserve_due_) {
      reserve_due_ = false;
      lock.unlock();
      make_reserve();
      lock.lock();
    }
    if (!made) continue;
    wanted_size_ = 0;
    if (*made)
      prepared_ = std::move(**made);
    else
      error_ = made->error();
    ready_.notify_all();
  }
}

Result<std::shared_ptr<Segment>> SegmentSupply::make(std::uint64_t smallest, bool is_needed) {
  SegmentHeader header{
      .number = next_number_++, .key = draw_key(), .size = options_.segment_size, .id_limit = ids_.wanted_limit()};
  if (smallest <= options_.segment_size) {
    while (!spares_.empty()) {
      const std::uint32_t spare = spares_.front();
      spares_.pop_front();
      auto segment = recycle_segment(files_, options_.folder, header, spare);
      if (segment) return segment;
      static_cast<void>(files_.remove(file_path(options_.folder, FileKind::spare, spare)));
    }
  }
  // On a disk that is nearly full a smaller one may find room; on a full one there is the reserve, for what is needed
  // now.
  Result<std::shared_ptr<Segment>> segment = smtp::fail(ErrorCode::full, "no size was tried");
  std::uint64_t tried = 0;
  for (const std::uint64_t size : {next_size_, first_size, smallest_size}) {
    header.size = std::max(std::min(size, next_size_), next_block(smallest));
    if (header.size == tried) continue;
    tried = header.size;
    segment = create_segment(files_, options_.folder, header, stop_);
    if (segment) next_size_ = std::min(options_.segment_size, std::min(header.size, next_size_) * growth);
    if (segment || segment.error().code != ErrorCode::full) return segment;
  }
  if (!is_needed || !has_reserve_ || next_block(smallest) > options_.reserve_size) return segment;
  header.size = options_.reserve_size;
  auto reserve = use_reserve(files_, options_.folder, header);
  has_reserve_ = false; // in use, or of another size or unusable: made anew when there is room
  return reserve ? reserve : segment;
}

void SegmentSupply::make_reserve() {
  if (has_reserve_) return;
  const auto space = files_.free_space(options_.folder);
  if (!space || *space < options_.min_free + options_.reserve_size) return;
  has_reserve_ = create_reserve(files_, options_.folder, options_.reserve_size, stop_).has_value();
}

void SegmentSupply::take_back(std::vector<std::shared_ptr<Segment>> &segments) {
  if (segments.empty()) return;
  std::erase_if(segments, [this](const std::shared_ptr<Segment> &segment) {
    if (!put_aside(*segment)) return false;
    index_.gone(segment->number());
    return true;
  });
}

// The new name is made durable before the index hears of it: what the segment buried may go only after it.
Result<void> SegmentSupply::put_aside(const Segment &segment) {
  const std::string path = file_path(options_.folder, FileKind::segment, segment.number());
  const auto space = files_.free_space(options_.folder);
  const bool short_of_space = !space || *space < 2 * options_.min_free;
  if (short_of_space) {
    for (const std::uint32_t spare : spares_)
      static_cast<void>(files_.remove(file_path(options_.folder, FileKind::spare, spare)));
    spares_.clear();
  }
  // One that a reader still holds is not written to again: its file goes when the reader does.
  const bool keep =
      !short_of_space && !segment.is_pinned() && segment.size() == options_.segment_size && spares_.size() < max_spares;
  Result<void> moved;
  if (keep)
    moved = files_.rename(path, file_path(options_.folder, FileKind::spare, segment.number()));
  else
    moved = files_.remove(path);
  // Not found: an earlier try came this far, and only the sync was missing.
  if (!moved && moved.error().code != ErrorCode::not_found) return moved;
  if (const auto synced = files_.sync_folder(options_.folder); !synced) return synced;
  if (keep && moved) spares_.push_back(segment.number());
  return {};
}

} // namespace mta::spool
