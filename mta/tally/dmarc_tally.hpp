// DmarcTally: counts the DMARC rows of checked messages, and writes them to the spool's folder in the background.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>

#include "mta/log/mail_log.hpp"
#include "mta/tally/dmarc_days.hpp"
#include "mta/tally/dmarc_row.hpp"
#include "smtp/base/result.hpp"

namespace mta {

struct DmarcTallyOptions {
  std::string folder;                             ///< "…/spool/tally"; made (0700) when it is not there
  std::uint64_t day_limit = 268'435'456;          ///< octets of a day's file; further rows of the day are dropped
  std::uint64_t memory_limit = 16'777'216;        ///< octets of rows not yet on disk; further rows are dropped
  std::chrono::milliseconds flush_interval{1000}; ///< what a crash may lose
};

/// Thread-safe. add() encodes the row and counts it in memory, where equal rows are one; it never waits for the disk. A
/// thread of the tally's own appends what came together to the day's file and syncs it, each `flush_interval`. So a
/// crash loses the rows of about the last second: reports are statistics, and the SMTP reply does not wait for them.
class DmarcTally {
public:
  struct Status {
    std::uint64_t counted = 0; ///< messages since the start
    std::uint64_t dropped = 0; ///< messages not counted because a limit was passed or the disk failed
    std::uint64_t pending = 0; ///< octets not yet on disk
    std::string problem;       ///< of the last flush; empty: it worked
  };

  /// Errors: the folder cannot be made. `log` must outlive the tally.
  [[nodiscard]] static smtp::Result<std::unique_ptr<DmarcTally>> open(DmarcTallyOptions options, MailLog &log);
  /// Writes out what is pending.
  ~DmarcTally();
  DmarcTally(const DmarcTally &) = delete;
  DmarcTally &operator=(const DmarcTally &) = delete;

  /// Counts one message on the UTC day of `time`.
  void add(const DmarcRow &row, std::chrono::system_clock::time_point time);
  /// Writes out what is pending now; blocks on the disk. Errors: the disk; the rows stay pending.
  [[nodiscard]] smtp::Result<void> flush();
  [[nodiscard]] Status status() const;
  [[nodiscard]] const DmarcDays &days() const noexcept { return days_; }

private:
  struct Count {
    std::uint64_t messages = 0;
    std::chrono::sys_seconds last;
  };
  using Rows = std::unordered_map<std::string, Count>;
  using Pending = std::map<UtcDay, Rows>;
  struct DayFile;

  DmarcTally(DmarcTallyOptions options, MailLog &log);
  void run();
  [[nodiscard]] smtp::Result<void> write_day(UtcDay day, const Rows &rows);
  void drop(std::uint64_t messages, std::string_view why, UtcDay day);
  void give_back(Pending rows);

  const DmarcTallyOptions options_;
  const DmarcDays days_;
  MailLog &log_;

  mutable std::mutex mutex_; ///< guards what follows, up to the thread
  std::condition_variable wake_;
  Pending pending_;
  std::uint64_t pending_octets_ = 0;
  Status status_;
  std::map<UtcDay, std::string> drops_logged_; ///< the last cause that was logged for a day: once each
  bool stopping_ = false;

  std::mutex file_mutex_; ///< guards the files; taken before mutex_
  std::map<UtcDay, std::unique_ptr<DayFile>> files_;
  std::thread thread_;
};

} // namespace mta
