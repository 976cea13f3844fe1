#include "mta/tally/day_tally.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "mta/base/files.hpp"
#include "mta/tally/tally_file.hpp"

namespace mta {

namespace {

/// What a row costs in memory besides its octets.
constexpr std::uint64_t row_overhead = 96;
constexpr std::uint64_t unique_overhead = tally_record_head + sizeof(std::size_t);

} // namespace

struct DayTally::OpenFile {
  TallyFile file;
};

DayTally::DayTally(DayTallyOptions options, MailLog &log)
    : options_(std::move(options)), files_of_days_(options_.folder, options_.prefix), log_(log) {}

smtp::Result<std::unique_ptr<DayTally>> DayTally::open(DayTallyOptions options, MailLog &log) {
  if (auto made = make_folder(options.folder); !made) return tl::unexpected(made.error());
  std::unique_ptr<DayTally> tally(new DayTally(std::move(options), log));
  tally->thread_ = std::thread([&self = *tally] { self.run(); });
  return tally;
}

DayTally::~DayTally() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
  static_cast<void>(flush()); // a failure was logged there
}

/// `keep` puts the row of `size` octets among those of its day, and says whether there was room; called with the mutex.
template <typename Keep>
void DayTally::count(std::size_t size, std::chrono::system_clock::time_point time, std::uint64_t times, Keep keep) {
  const UtcDay day = std::chrono::floor<std::chrono::days>(time);
  if (size > longest_tally_row) return drop(times, "row_limit", day);
  bool is_counted = false;
  bool wakes = false;
  {
    const std::scoped_lock lock(mutex_);
    const std::uint64_t before = pending_octets_;
    is_counted = keep(pending_[day], std::chrono::floor<std::chrono::seconds>(time));
    if (is_counted) status_.counted += times;
    status_.pending = pending_octets_;
    // The first row wakes the thread, which then waits for the interval; a buffer half full ends that wait.
    const std::uint64_t half = options_.memory_limit / 2;
    wakes = (before == 0 && pending_octets_ > 0) || (before <= half && pending_octets_ > half);
  }
  if (wakes) wake_.notify_one();
  if (!is_counted) drop(times, "memory_limit", day);
}

void DayTally::add(std::string row, std::chrono::system_clock::time_point time, std::uint64_t times) {
  count(row.size(), time, times, [&](Rows &rows, std::chrono::sys_seconds second) {
    auto found = rows.counted.find(row);
    if (found == rows.counted.end()) {
      if (!take_room(row.size() + row_overhead)) return false;
      found = rows.counted.emplace(std::move(row), Count{}).first;
    }
    found->second.times += times;
    found->second.last = std::max(found->second.last, second);
    return true;
  });
}

void DayTally::add_unique(std::string_view row, std::chrono::system_clock::time_point time) {
  count(row.size(), time, 1, [&](Rows &rows, std::chrono::sys_seconds second) {
    if (!take_room(row.size() + unique_overhead)) return false;
    append_record(rows.unique, {row, 1, second});
    rows.ends.push_back(rows.unique.size());
    return true;
  });
}

/// Called with the mutex. False: the limit is reached.
bool DayTally::take_room(std::uint64_t octets) {
  if (pending_octets_ + octets > options_.memory_limit) return false;
  pending_octets_ += octets;
  return true;
}

void DayTally::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return stopping_ || pending_octets_ > 0; });
    if (stopping_) return;
    wake_.wait_for(lock, options_.flush_interval,
                   [&] { return stopping_ || pending_octets_ > options_.memory_limit / 2; });
    if (stopping_) return;
    lock.unlock();
    const bool failed = !flush().has_value();
    lock.lock();
    // A full disk is tried again after the interval, however much waits.
    if (failed) wake_.wait_for(lock, options_.flush_interval, [&] { return stopping_; });
  }
}

smtp::Result<void> DayTally::flush() {
  const std::scoped_lock files_lock(file_mutex_);
  Pending rows;
  std::uint64_t octets = 0;
  {
    const std::scoped_lock lock(mutex_);
    rows.swap(pending_);
    octets = pending_octets_;
  }
  smtp::Result<void> result;
  while (!rows.empty() && result) {
    result = write_day(rows.begin()->first, rows.begin()->second);
    if (result) rows.erase(rows.begin());
  }
  // Rows come for this day and, around midnight, for the one before it.
  while (open_files_.size() > 2) open_files_.erase(open_files_.begin());

  bool is_news = false;
  {
    const std::scoped_lock lock(mutex_);
    pending_octets_ -= octets;
    give_back(std::move(rows));
    status_.pending = pending_octets_;
    const std::string problem = result ? std::string() : result.error().detail;
    is_news = problem != status_.problem;
    status_.problem = problem;
  }
  if (is_news && result) log_.write(Event(options_.event).with("result", "the rows can be written again"));
  if (is_news && !result) log_.write(Event(options_.event, LogLevel::error).with("problem", result.error().detail));
  return result;
}

/// Called with the mutex.
void DayTally::give_back(Pending rows) {
  for (auto &[day, from] : rows) {
    Rows &into = pending_[day];
    pending_octets_ += from.unique.size() + from.ends.size() * sizeof(std::size_t);
    for (const std::size_t end : from.ends) into.ends.push_back(into.unique.size() + end);
    into.unique += from.unique;
    while (!from.counted.empty()) {
      auto node = from.counted.extract(from.counted.begin());
      const auto [place, fresh] = into.counted.try_emplace(std::move(node.key()));
      if (fresh) pending_octets_ += place->first.size() + row_overhead;
      place->second.times += node.mapped().times;
      place->second.last = std::max(place->second.last, node.mapped().last);
    }
  }
}

/// Called with the file mutex.
smtp::Result<void> DayTally::write_day(UtcDay day, const Rows &rows) {
  if (rows.empty()) return {};
  auto found = open_files_.find(day);
  if (found == open_files_.end()) {
    auto file = TallyFile::open_for_append(files_of_days_.rows_file(day));
    if (!file) return tl::unexpected(file.error());
    found = open_files_.emplace(day, std::make_unique<OpenFile>(OpenFile{std::move(*file)})).first;
  }
  TallyFile &file = found->second->file;
  std::string piece;
  std::uint64_t dropped = 0;
  const auto room = [&](std::size_t octets) { return file.size() + octets <= options_.day_limit; };
  const auto fitting = std::partition_point(rows.ends.begin(), rows.ends.end(), room);
  if (fitting != rows.ends.begin()) piece = rows.unique.substr(0, *std::prev(fitting));
  dropped += static_cast<std::uint64_t>(rows.ends.end() - fitting);
  for (const auto &[octets, count] : rows.counted) {
    const std::size_t before = piece.size();
    append_record(piece, {octets, count.times, count.last});
    if (!room(piece.size())) {
      piece.resize(before);
      dropped += count.times;
    }
  }
  if (auto result = file.append(piece); !result) {
    open_files_.erase(found);
    return result;
  }
  if (dropped > 0) drop(dropped, "day_limit", day);
  return {};
}

void DayTally::drop(std::uint64_t times, std::string_view why, UtcDay day) {
  bool is_news = false;
  {
    const std::scoped_lock lock(mutex_);
    status_.dropped += times;
    std::string &logged = drops_logged_[day];
    is_news = logged != why;
    logged = why;
    while (drops_logged_.size() > 3) drops_logged_.erase(drops_logged_.begin());
  }
  const std::uint64_t limit = why == "day_limit"      ? options_.day_limit
                              : why == "memory_limit" ? options_.memory_limit
                                                      : longest_tally_row;
  if (is_news)
    log_.write(Event(options_.event, LogLevel::warning)
                   .with("day", format_day(day))
                   .with("note", "rows are dropped: the day will count too little")
                   .with("limit", why)
                   .with("octets", limit));
}

DayTally::Status DayTally::status() const {
  const std::scoped_lock lock(mutex_);
  return status_;
}

} // namespace mta
