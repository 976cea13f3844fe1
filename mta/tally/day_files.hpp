// DayFiles: the counted rows of past days on disk, of one kind, and which of their reports were already handed over.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mta/tally/tally_record.hpp"
#include "smtp/base/result.hpp"

namespace mta {

/// Midnight UTC at the start of a day.
using UtcDay = std::chrono::sys_days;

/// "2026-11-22", and back.
[[nodiscard]] std::string format_day(UtcDay day);
[[nodiscard]] std::optional<UtcDay> parse_day(std::string_view text);

template <typename Row> struct Counted {
  Row row;
  std::uint64_t count = 0;
  std::chrono::sys_seconds last; ///< when the last of them came
};

/// One day, equal rows counted together.
template <typename Row> struct DayRows {
  UtcDay day;
  std::vector<Counted<Row>> rows; ///< in the order of their first occurrence
  std::uint64_t total = 0;        ///< sum of the counts
  std::uint64_t damaged = 0;      ///< stretches of the file that could not be read and were passed over
  std::uint64_t omitted = 0;      ///< occurrences whose row came after the limit of distinct rows
};

/// The files of one kind in the tally's folder, for reading and for marks. Several processes may read; one marks. Every
/// member blocks on the disk. Holds no state but the names.
class DayFiles {
public:
  /// `prefix`: of the kind's file names, "dmarc-"; no other kind's prefix may begin with it.
  DayFiles(std::string folder, std::string prefix) : folder_(std::move(folder)), prefix_(std::move(prefix)) {}

  /// The days that have rows, the oldest first; none when the folder is not there.
  [[nodiscard]] smtp::Result<std::vector<UtcDay>> list() const;

  /// Shows each record of the day to `visit`, equal rows as often as they were written. A day without a file has none.
  /// Gives the stretches that could not be read.
  [[nodiscard]] smtp::Result<std::uint64_t> scan(UtcDay day, const TallyRecordScanner::Visit &visit) const;

  /// The day's rows, decoded once each. `row_limit`: distinct rows held in memory.
  template <typename Row>
  [[nodiscard]] smtp::Result<DayRows<Row>> read(UtcDay day, smtp::Result<Row> (*decode)(std::string_view),
                                                std::size_t row_limit = default_row_limit) const;

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
  /// For kinds that nobody marks: removes every day older than `keep` days.
  [[nodiscard]] smtp::Result<std::vector<UtcDay>> remove_older(UtcDay today, unsigned keep) const;

  [[nodiscard]] const std::string &folder() const noexcept { return folder_; }
  [[nodiscard]] std::string rows_file(UtcDay day) const;
  [[nodiscard]] std::string marks_file(UtcDay day) const;

  static constexpr std::size_t default_row_limit = 100'000;

private:
  [[nodiscard]] smtp::Result<std::set<UtcDay>> days_with(const std::vector<std::string_view> &endings) const;
  [[nodiscard]] smtp::Result<void> append_mark(UtcDay day, std::string_view text) const;
  [[nodiscard]] smtp::Result<void> remove(UtcDay day) const;
  std::string folder_;
  std::string prefix_;
};

template <typename Row>
smtp::Result<DayRows<Row>> DayFiles::read(UtcDay day, smtp::Result<Row> (*decode)(std::string_view),
                                          std::size_t row_limit) const {
  DayRows<Row> result;
  result.day = day;
  std::unordered_map<std::string, std::size_t> places;
  std::uint64_t unreadable = 0;
  const auto damaged = scan(day, [&](const TallyRecord &record) {
    auto found = places.find(std::string(record.row));
    if (found == places.end()) {
      if (places.size() >= row_limit) {
        result.omitted += record.count;
        return;
      }
      auto row = decode(record.row);
      if (!row) {
        ++unreadable;
        return;
      }
      found = places.emplace(record.row, result.rows.size()).first;
      result.rows.push_back({std::move(*row), 0, record.last});
    }
    Counted<Row> &counted = result.rows[found->second];
    counted.count += record.count;
    counted.last = std::max(counted.last, record.last);
    result.total += record.count;
  });
  if (!damaged) return tl::unexpected(damaged.error());
  result.damaged = *damaged + unreadable;
  return result;
}

} // namespace mta
