// run_daily_reports: sends the reports of one kind of each UTC day once the day is over.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "mta/base/async.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/report/daily_report.hpp"
#include "mta/report/submit_report.hpp"
#include "mta/tally/day_tally.hpp"

namespace mta {

/// The days before today that have rows and are not complete, the oldest first, once their hour has come.
[[nodiscard]] std::vector<UtcDay> due_days(const std::vector<UtcDay> &unreported, WallTime now,
                                           const ReportSettings &settings);
/// The next time at which a day becomes due: the settings' hour of this day or of the next one, after `now`.
[[nodiscard]] WallTime next_due_time(WallTime now, const ReportSettings &settings);

/// A timer that a test can replace. cancel() is thread-safe.
class ReportTimer {
public:
  virtual ~ReportTimer() = default;
  /// Suspends until the wall clock is at `time`, also when the clock is set meanwhile; false when cancelled.
  [[nodiscard]] virtual Task<bool> wait_until(WallTime time) = 0;
  /// Ends the wait under way and each later one.
  virtual void cancel() = 0;
  [[nodiscard]] virtual bool is_cancelled() const noexcept = 0;
  /// On the system's clock.
  [[nodiscard]] static std::unique_ptr<ReportTimer> create(asio::any_io_executor executor);
};

/// Posts a report; supplied by the integrator. Errors: why the server does not have it.
using PostReport = std::function<Task<smtp::Result<void>>(Url url, std::string body)>;

/// All must outlive the coroutine.
struct DailyReportServices {
  ReportKind kind = ReportKind::dmarc;
  DayTally &tally;
  /// The reports of a day, with the settings in force.
  std::function<Task<smtp::Result<DayOutcome>>(UtcDay, ReportScope, TakeReport)> run;
  const SubmitServices &submit;
  PostReport post; ///< may be empty where no report has a URL
  MailLog &log;
  ReportTimer &timer;
  /// The settings in force; asked anew for each run.
  std::function<ReportSettings()> settings;
  std::function<WallTime()> now;
  std::function<double()> random; ///< 0 up to 1
};

/// Runs until the timer is cancelled. At each due time and at the start: after a random part of the settings' spread,
/// for each due day the reports that have no mark are submitted or posted, each is marked once the spool has it on disk
/// or the server has taken it, and the day is marked when nothing is left. A crash between the two sends a report
/// again, under the same id. What failed for a temporary reason is tried again each hour; a day older than give_up_days
/// is left. Old days are removed.
///
/// It blocks its executor while it reads and builds, so it needs a thread of its own.
[[nodiscard]] Task<> run_daily_reports(const DailyReportServices &services);

} // namespace mta
