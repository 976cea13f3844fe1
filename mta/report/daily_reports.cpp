// run_daily_reports: see daily_reports.hpp.
#include "mta/report/daily_reports.hpp"

#include <algorithm>
#include <atomic>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

namespace mta {

namespace {

using std::chrono::days;
using std::chrono::hours;

/// How long until the settings are looked at again, and until what failed is tried again.
constexpr auto longest_wait = hours(1);
/// How long a set clock stays unnoticed.
constexpr auto clock_check = std::chrono::minutes(1);

/// Shared with posted cancellations, which may run when the owner is gone.
struct TimerState {
  explicit TimerState(asio::any_io_executor executor) : timer(std::move(executor)) {}
  asio::steady_timer timer;
  std::atomic<bool> cancelled = false;
};

Task<bool> wait_for_clock(std::shared_ptr<TimerState> state, WallTime time) {
  while (!state->cancelled) {
    const auto left = time - std::chrono::system_clock::now();
    if (left <= WallTime::duration::zero()) co_return true;
    state->timer.expires_after(std::min<std::chrono::nanoseconds>(left, clock_check));
    const auto [error] = co_await state->timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error) break;
  }
  co_return false;
}

class SystemTimer final : public ReportTimer {
public:
  explicit SystemTimer(asio::any_io_executor executor) : state_(std::make_shared<TimerState>(std::move(executor))) {}
  Task<bool> wait_until(WallTime time) override { return wait_for_clock(state_, time); }
  void cancel() override {
    state_->cancelled = true;
    asio::post(state_->timer.get_executor(), [state = state_] { state->timer.cancel(); });
  }
  [[nodiscard]] bool is_cancelled() const noexcept override { return state_->cancelled; }

private:
  std::shared_ptr<TimerState> state_;
};

UtcDay day_of(WallTime time) {
  return std::chrono::floor<days>(time);
}

/// Stores one mail and marks it; false: not stored.
Task<bool> hand_over(const DailyReportServices *services, UtcDay day, ReadyReport report) {
  if (services->timer.is_cancelled()) co_return false;
  const SubmitServices *submit = &services->submit;
  const smtp::Mailbox to = report.to;
  const auto begin = [submit, to, mail = std::move(report.mail)](auto done) mutable {
    submit_report(*submit, to, std::move(mail), std::move(done));
  };
  const smtp::Result<QueueId> stored = co_await await_callback<smtp::Result<QueueId>>(begin);
  if (!stored) {
    services->log.write(Event("dmarc_report", LogLevel::error)
                            .with("day", format_day(day))
                            .with("domain", report.policy_domain)
                            .with("to", to.to_string())
                            .with("problem", stored.error().detail));
    co_return false;
  }
  services->log.write(Event("dmarc_report")
                          .with("day", format_day(day))
                          .with("domain", report.policy_domain)
                          .with("to", to.to_string())
                          .with("report_id", report.report_id)
                          .with("id", stored->to_string())
                          .with("messages", report.messages)
                          .with("rows", static_cast<std::uint64_t>(report.rows)));
  // A crash before the mark is on disk sends the report again, under the same id.
  if (const auto marked = services->tally.days().mark_submitted(day, report.mark); !marked)
    services->log.write(Event("dmarc_report", LogLevel::error).with("problem", marked.error().detail));
  co_return true;
}

void log_outcome(const DailyReportServices &services, const DayOutcome &outcome) {
  for (const ReportNote &note : outcome.notes)
    services.log.write(Event("dmarc_report_note", note.again ? LogLevel::warning : LogLevel::info)
                           .with("day", format_day(outcome.day))
                           .with_if("domain", note.policy_domain)
                           .with("note", note.text));
  services.log.write(Event("dmarc_reports")
                         .with("day", format_day(outcome.day))
                         .with("messages", outcome.messages)
                         .with("domains", static_cast<std::uint64_t>(outcome.domains))
                         .with("reports", static_cast<std::uint64_t>(outcome.reports))
                         .with("sent_before", static_cast<std::uint64_t>(outcome.already))
                         .with("complete", outcome.complete));
}

void log_problem(const DailyReportServices &services, const smtp::Error &error) {
  services.log.write(Event("dmarc_reports", LogLevel::error).with("problem", error.detail));
}

Task<> report_day(const DailyReportServices *services, UtcDay day, DmarcReportSettings settings) {
  const DmarcDays &store = services->tally.days();
  const bool is_last_try = day_of(services->now()) - day > days(settings.give_up_days);
  DmarcReporter::Take take = [services, day](ReadyReport report) {
    return hand_over(services, day, std::move(report));
  };
  const auto outcome =
      co_await services->reporter.run(day, std::move(settings), DmarcReporter::Scope::unsubmitted, std::move(take));
  if (outcome)
    log_outcome(*services, *outcome);
  else
    log_problem(*services, outcome.error());
  const bool is_complete = outcome && outcome->complete;
  if (services->timer.is_cancelled() || (!is_complete && !is_last_try)) co_return;
  if (!is_complete)
    services->log.write(Event("dmarc_reports", LogLevel::warning)
                            .with("day", format_day(day))
                            .with("note", "the reports that could not be sent are given up"));
  if (const auto marked = store.mark_complete(day); !marked) log_problem(*services, marked.error());
}

/// The days that are due now; none when that cannot be found out.
std::vector<UtcDay> find_due(const DailyReportServices &services, const DmarcReportSettings &settings) {
  const DmarcDays &store = services.tally.days();
  const auto all = store.list();
  if (!all) log_problem(services, all.error());
  std::vector<UtcDay> unreported;
  for (const UtcDay day : due_days(all.value_or(std::vector<UtcDay>()), services.now(), settings)) {
    const auto marks = store.marks(day);
    if (!marks) log_problem(services, marks.error());
    if (marks && !marks->complete) unreported.push_back(day);
  }
  return unreported;
}

void remove_old(const DailyReportServices &services, const DmarcReportSettings &settings) {
  const auto removed = services.tally.days().remove_old(day_of(services.now()), settings.keep_days);
  if (!removed) return log_problem(services, removed.error());
  for (const UtcDay day : *removed)
    services.log.write(Event("dmarc_tally").with("day", format_day(day)).with("result", "removed, it is old"));
}

} // namespace

std::unique_ptr<ReportTimer> ReportTimer::create(asio::any_io_executor executor) {
  return std::make_unique<SystemTimer>(std::move(executor));
}

std::vector<UtcDay> due_days(const std::vector<UtcDay> &unreported, WallTime now, const DmarcReportSettings &settings) {
  std::vector<UtcDay> due;
  for (const UtcDay day : unreported)
    if (now >= day + days(1) + hours(settings.hour)) due.push_back(day);
  std::sort(due.begin(), due.end());
  return due;
}

WallTime next_due_time(WallTime now, const DmarcReportSettings &settings) {
  const WallTime today = day_of(now) + hours(settings.hour);
  return today > now ? today : today + days(1);
}

Task<> run_daily_reports(const DailyReportServices &services) {
  for (;;) {
    const DmarcReportSettings settings = services.settings();
    if (settings.enabled) {
      auto due = find_due(services, settings);
      if (!due.empty()) {
        // Not at the same second as everyone else.
        const auto delay = std::chrono::duration<double>(settings.spread) * services.random();
        const WallTime begin = services.now() + std::chrono::duration_cast<WallTime::duration>(delay);
        const bool waited = co_await services.timer.wait_until(begin);
        if (!waited) co_return;
        // What was counted last may still be in memory.
        if (const auto flushed = services.tally.flush(); !flushed) log_problem(services, flushed.error());
        due = find_due(services, settings); // meanwhile another day may have become due
      }
      for (const UtcDay day : due) {
        if (services.timer.is_cancelled()) co_return;
        co_await report_day(&services, day, settings);
      }
    }
    remove_old(services, settings); // also of a time when reports were sent
    const WallTime next = std::min<WallTime>(next_due_time(services.now(), settings), services.now() + longest_wait);
    const bool waited = co_await services.timer.wait_until(next);
    if (!waited) co_return;
  }
}

} // namespace mta
