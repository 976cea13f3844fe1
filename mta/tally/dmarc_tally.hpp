// DmarcTally: counts the DMARC rows of checked messages.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "mta/tally/day_tally.hpp"
#include "mta/tally/dmarc_days.hpp"
#include "mta/tally/dmarc_row.hpp"

namespace mta {

/// As DayTallyOptions.
struct DmarcTallyOptions {
  std::string folder;
  std::uint64_t day_limit = DayTallyOptions{}.day_limit;
  std::uint64_t memory_limit = DayTallyOptions{}.memory_limit;
  std::chrono::milliseconds flush_interval = DayTallyOptions{}.flush_interval;
};

/// Thread-safe, as DayTally. add() encodes the row on the caller's thread.
class DmarcTally {
public:
  using Status = DayTally::Status;

  /// Errors: the folder cannot be made. `log` must outlive the tally.
  [[nodiscard]] static smtp::Result<std::unique_ptr<DmarcTally>> open(DmarcTallyOptions options, MailLog &log);

  /// Counts one message on the UTC day of `time`.
  void add(const DmarcRow &row, std::chrono::system_clock::time_point time) { tally_->add(encode_row(row), time); }
  [[nodiscard]] smtp::Result<void> flush() { return tally_->flush(); }
  [[nodiscard]] Status status() const { return tally_->status(); }
  [[nodiscard]] const DmarcDays &days() const noexcept { return days_; }
  [[nodiscard]] DayTally &tally() noexcept { return *tally_; }

private:
  DmarcTally(std::unique_ptr<DayTally> tally, std::string folder)
      : tally_(std::move(tally)), days_(std::move(folder)) {}
  std::unique_ptr<DayTally> tally_;
  DmarcDays days_;
};

} // namespace mta
