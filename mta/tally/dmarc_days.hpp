// DmarcDays: the counted rows of past days on disk, and which of their reports were already handed to the queue.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "mta/tally/dmarc_row.hpp"
#include "smtp/base/result.hpp"

namespace mta {

/// Midnight UTC at the start of a day.
using UtcDay = std::chrono::sys_days;

/// "2026-11-22", and back.
[[nodiscard]] std::string format_day(UtcDay day);
[[nodiscard]] std::optional<UtcDay> parse_day(std::string_view text);

struct CountedRow {
  DmarcRow row;
  std::uint64_t count = 0;
  std::chrono::sys_seconds last; ///< when the last of them came
};

/// One day, equal rows counted together.
struct DmarcDay {
  UtcDay day;
  std::vector<CountedRow> rows; ///< in the order of their first occurrence
  std::uint64_t messages = 0;   ///< sum of the counts
  std::uint64_t damaged = 0;    ///< stretches of the file that could not be read and were passed over
  std::uint64_t omitted = 0;    ///< messages whose row came after the limit of distinct rows
};

/// A record of a day's file: a row that occurred `count` times up to `last`.
struct DmarcRecord {
  std::string_view row; ///< encode_row()
  std::uint64_t count = 0;
  std::chrono::sys_seconds last;
};

/// The record with its length and checksum in front.
void append_record(std::string &out, const DmarcRecord &record);

/// Reads the records of a file that comes in pieces. Damage is passed over: the scan goes on at the next octet where a
/// record with a right checksum begins. The visitor's views live for its call.
class DmarcRecordScanner {
public:
  using Visit = std::function<void(const DmarcRecord &)>;
  /// Takes the next octets of the file.
  void feed(std::string_view octets, const Visit &visit);
  /// The file is at its end: what is left is a torn tail.
  void finish(const Visit &visit);
  /// Stretches passed over so far.
  [[nodiscard]] std::uint64_t damaged() const noexcept { return damaged_; }

private:
  void scan(const Visit &visit, bool at_end);
  std::string held_;
  std::uint64_t damaged_ = 0;
  bool in_damage_ = false;
};

/// The folder of the tally, for reading and for marks. Several processes may read; one marks. Every member blocks on
/// the disk. Holds no state but the folder's name.
class DmarcDays {
public:
  explicit DmarcDays(std::string folder) : folder_(std::move(folder)) {}

  /// The days that have rows, the oldest first; none when the folder is not there.
  [[nodiscard]] smtp::Result<std::vector<UtcDay>> list() const;
  /// A day without a file has no rows. `row_limit`: distinct rows held in memory.
  [[nodiscard]] smtp::Result<DmarcDay> read(UtcDay day, std::size_t row_limit = default_row_limit) const;

  /// The reports of the day that were marked, and whether the whole day is done. A mark that was torn by a crash does
  /// not count, so its report is sent again: at least once, under the same Report-ID and file name.
  struct Marks {
    std::set<std::string, std::less<>> submitted;
    bool complete = false;
  };
  [[nodiscard]] smtp::Result<Marks> marks(UtcDay day) const;
  /// Durable (fdatasync) when it returns. `report` is any text without line ends.
  [[nodiscard]] smtp::Result<void> mark_submitted(UtcDay day, std::string_view report) const;
  [[nodiscard]] smtp::Result<void> mark_complete(UtcDay day) const;

  /// Removes complete days older than `keep` days, and every day older than twice that. Gives the days removed.
  [[nodiscard]] smtp::Result<std::vector<UtcDay>> remove_old(UtcDay today, unsigned keep) const;

  [[nodiscard]] const std::string &folder() const noexcept { return folder_; }
  [[nodiscard]] std::string rows_file(UtcDay day) const;
  [[nodiscard]] std::string marks_file(UtcDay day) const;

  static constexpr std::size_t default_row_limit = 100'000;

private:
  [[nodiscard]] smtp::Result<void> append_mark(UtcDay day, std::string_view text) const;
  std::string folder_;
};

} // namespace mta
