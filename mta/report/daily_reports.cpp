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

/// The names of a kind's events in the log.
struct Words {
  std::string_view report;  ///< one report
  std::string_view reports; ///< a day
  std::string_view note;
  std::string_view tally;
};

Words words_of(ReportKind kind) {
  switch (kind) {
  case ReportKind::dmarc: return {"dmarc_report", "dmarc_reports", "dmarc_report_note", "dmarc_tally"};
  case ReportKind::tls: return {"tls_report", "tls_reports", "tls_report_note", "tlsrpt_tally"};
  }
  return {};
}

/// Stores the mail in the queue, whose id comes back, or posts the report, which has none.
Task<smtp::Result<std::string>> send(const DailyReportServices *services, ReadyReport report) {
  if (const Url *url = report.to.url()) {
    if (!services->post) co_return smtp::fail(smtp::ErrorCode::not_permitted, "reports are not posted");
    const auto posted = co_await services->post(*url, std::move(report.body));
    if (!posted) co_return tl::unexpected(posted.error());
    co_return std::string();
  }
  auto begin = [services, to = *report.to.mailbox(), mail = std::move(report.mail)](auto done) mutable {
    submit_report(services->submit, services->kind, to, std::move(mail), std::move(done));
  };
  const smtp::Result<QueueId> stored = co_await await_callback<smtp::Result<QueueId>>(std::move(begin));
  if (!stored) co_return tl::unexpected(stored.error());
  co_return stored->to_string();
}

/// Sends one report and marks it; false: not sent.
Task<bool> hand_over(const DailyReportServices *services, UtcDay day, ReadyReport report) {
  if (services->timer.is_cancelled()) co_return false;
  const Words words = words_of(services->kind);
  const std::string to = report.to.to_string();
  const std::string domain = report.policy_domain;
  const std::string id = report.report_id;
  const std::string mark = report.mark;
  const std::uint64_t counted = report.counted;
  const auto rows = static_cast<std::uint64_t>(report.rows);
  const auto sent = co_await send(services, std::move(report));
  if (!sent) {
    services->log.write(Event(words.report, LogLevel::error)
                            .with("day", format_day(day))
                            .with("domain", domain)
                            .with("to", to)
                            .with("problem", sent.error().detail));
    co_return false;
  }
  services->log.write(Event(words.report)
                          .with("day", format_day(day))
                          .with("domain", domain)
                          .with("to", to)
                          .with("report_id", id)
                          .with_if("id", *sent)
                          .with(counted_word(services->kind), counted)
                          .with("rows", rows));
  // A crash before the mark is on disk sends the report again, under the same id.
  if (const auto marked = services->tally.files().mark_submitted(day, mark); !marked)
    services->log.write(Event(words.report, LogLevel::error).with("problem", marked.error().detail));
  co_return true;
}

void log_outcome(const DailyReportServices &services, const DayOutcome &outcome) {
  const Words words = words_of(services.kind);
  for (const ReportNote &note : outcome.notes)
    services.log.write(Event(words.note, note.again ? LogLevel::warning : LogLevel::info)
                           .with("day", format_day(outcome.day))
                           .with_if("domain", note.policy_domain)
                           .with("note", note.text));
  services.log.write(Event(words.reports)
                         .with("day", format_day(outcome.day))
                         .with(counted_word(services.kind), outcome.counted)
                         .with("domains", static_cast<std::uint64_t>(outcome.domains))
                         .with("reports", static_cast<std::uint64_t>(outcome.reports))
                         .with("sent_before", static_cast<std::uint64_t>(outcome.already))
                         .with("complete", outcome.complete));
}

void log_problem(const DailyReportServices &services, const smtp::Error &error) {
  services.log.write(Event(words_of(services.kind).reports, LogLevel::error).with("problem", error.detail));
}

Task<> report_day(const DailyReportServices *services, UtcDay day, unsigned give_up_days) {
  const DayFiles &store = services->tally.files();
  const bool is_last_try = day_of(services->now()) - day > days(give_up_days);
  TakeReport take = [services, day](ReadyReport report) { return hand_over(services, day, std::move(report)); };
  const auto outcome = co_await services->run(day, ReportScope::unsubmitted, std::move(take));
  if (outcome)
    log_outcome(*services, *outcome);
  else
    log_problem(*services, outcome.error());
  const bool is_complete = outcome && outcome->complete;
  if (services->timer.is_cancelled() || (!is_complete && !is_last_try)) co_return;
  if (!is_complete)
    services->log.write(Event(words_of(services->kind).reports, LogLevel::warning)
                            .with("day", format_day(day))
                            .with("note", "the reports that could not be sent are given up"));
  if (const auto marked = store.mark_complete(day); !marked) log_problem(*services, marked.error());
}

/// The days that are due now; none when that cannot be found out.
std::vector<UtcDay> find_due(const DailyReportServices &services, const ReportSettings &settings) {
  const DayFiles &store = services.tally.files();
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

void remove_old(const DailyReportServices &services, const ReportSettings &settings) {
  const auto removed = services.tally.files().remove_old(day_of(services.now()), settings.keep_days);
  if (!removed) return log_problem(services, removed.error());
  for (const UtcDay day : *removed)
    services.log.write(
        Event(words_of(services.kind).tally).with("day", format_day(day)).with("result", "removed, it is old"));
}

} // namespace

std::unique_ptr<ReportTimer> ReportTimer::create(asio::any_io_executor executor) {
  return std::make_unique<SystemTimer>(std::move(executor));
}

std::vector<UtcDay> due_days(const std::vector<UtcDay> &unreported, WallTime now, const ReportSettings &settings) {
  std::vector<UtcDay> due;
  for (const UtcDay day : unreported)
    if (now >= day + days(1) + hours(settings.hour)) due.push_back(day);
  std::sort(due.begin(), due.end());
  return due;
}

WallTime next_due_time(WallTime now, const ReportSettings &settings) {
  const WallTime today = day_of(now) + hours(settings.hour);
  return today > now ? today : today + days(1);
}

Task<> run_daily_reports(const DailyReportServices &services) {
  for (;;) {
    const ReportSettings settings = services.settings();
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
        co_await report_day(&services, day, settings.give_up_days);
      }
    }
    remove_old(services, settings); // also of a time when reports were sent
    const WallTime next = std::min<WallTime>(next_due_time(services.now(), settings), services.now() + longest_wait);
    const bool waited = co_await services.timer.wait_until(next);
    if (!waited) co_return;
  }
}

} // namespace mta
