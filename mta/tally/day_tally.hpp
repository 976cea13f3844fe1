// DayTally: counts rows of one kind by UTC day in memory, and writes them to the spool's folder in the background.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "mta/log/mail_log.hpp"
#include "mta/tally/day_files.hpp"
#include "smtp/base/result.hpp"

namespace mta {

struct DayTallyOptions {
  std::string folder;                             ///< "…/spool/tally"; made (0700) when it is not there
  std::string prefix;                             ///< of the file names: see DayFiles
  std::string event;                              ///< in the log: "dmarc_tally"
  std::uint64_t day_limit = 268'435'456;          ///< octets of a day's file; further rows of the day are dropped
  std::uint64_t memory_limit = 16'777'216;        ///< octets of rows not yet on disk; further rows are dropped
  std::chrono::milliseconds flush_interval{1000}; ///< what a crash may lose
};

/// Thread-safe. add() counts a row in memory, where equal rows are one; it never waits for the disk. A thread of the
/// tally's own appends what came together to the day's file and syncs it, each `flush_interval`. So a crash loses the
/// rows of about the last second: they are statistics, and mail does not wait for them.
class DayTally {
public:
  struct Status {
    std::uint64_t counted = 0; ///< occurrences since the start
    std::uint64_t dropped = 0; ///< not counted because a limit was passed or the disk failed
    std::uint64_t pending = 0; ///< octets not yet on disk
    std::string problem;       ///< of the last flush; empty: it worked
  };

  /// Errors: the folder cannot be made. `log` must outlive the tally.
  [[nodiscard]] static smtp::Result<std::unique_ptr<DayTally>> open(DayTallyOptions options, MailLog &log);
  /// Writes out what is pending.
  ~DayTally();
  DayTally(const DayTally &) = delete;
  DayTally &operator=(const DayTally &) = delete;

  /// Counts the row `count` times on the UTC day of `time`. `row`: the same octets for equal rows, at most
  /// longest_tally_row of them (a longer one is dropped).
  void add(std::string row, std::chrono::system_clock::time_point time, std::uint64_t count = 1);
  /// The same for a row that is known to be the only one of its kind: it is not compared with the others.
  void add_unique(std::string_view row, std::chrono::system_clock::time_point time);
  /// Writes out what is pending now; blocks on the disk. Errors: the disk; the rows stay pending.
  [[nodiscard]] smtp::Result<void> flush();
  [[nodiscard]] Status status() const;
  [[nodiscard]] const DayFiles &files() const noexcept { return files_of_days_; }

private:
  struct Count {
    std::uint64_t times = 0;
    std::chrono::sys_seconds last;
  };
  /// What waits for the disk.
  struct Rows {
    std::unordered_map<std::string, Count> counted;
    std::string unique;            ///< records as the file has them
    std::vector<std::size_t> ends; ///< of each of them
    [[nodiscard]] bool empty() const noexcept { return counted.empty() && ends.empty(); }
  };
  using Pending = std::map<UtcDay, Rows>;
  struct OpenFile;

  DayTally(DayTallyOptions options, MailLog &log);
  void run();
  template <typename Keep>
  void count(std::size_t size, std::chrono::system_clock::time_point time, std::uint64_t times, Keep keep);
  [[nodiscard]] bool take_room(std::uint64_t octets);
  [[nodiscard]] smtp::Result<void> write_day(UtcDay day, const Rows &rows);
  void drop(std::uint64_t times, std::string_view why, UtcDay day);
  void give_back(Pending rows);

  const DayTallyOptions options_;
  const DayFiles files_of_days_;
  MailLog &log_;

  mutable std::mutex mutex_; ///< guards what follows, up to the thread
  std::condition_variable wake_;
  Pending pending_;
  std::uint64_t pending_octets_ = 0;
  Status status_;
  std::map<UtcDay, std::string> drops_logged_; ///< the last cause that was logged for a day: once each
  bool stopping_ = false;

  std::mutex file_mutex_; ///< guards the files; taken before mutex_
  std::map<UtcDay, std::unique_ptr<OpenFile>> open_files_;
  std::thread thread_;
};

} // namespace mta
