#include "mta/report/daily_report.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "smtp/base/text.hpp"

namespace mta {

namespace {

constexpr std::size_t note_limit = 1'000;

std::int64_t seconds_of(UtcDay day) {
  return std::chrono::duration_cast<std::chrono::seconds>(day.time_since_epoch()).count();
}

/// The text belongs to the waiting caller.
Task<bool> print_report(std::string *text, ReportKind kind, ReadyReport report) {
  if (report.to.mailbox() != nullptr) {
    std::string header = report.mail.substr(0, report.mail.find("\r\n\r\n"));
    std::erase(header, '\r');
    *text +=
        fmt::format("Envelope: from <> to <{}>, {} octets\n{}\n\n", report.to.to_string(), report.mail.size(), header);
  } else {
    *text += fmt::format("POST {}, {} octets\n\n", report.to.to_string(), report.body.size());
  }
  *text += fmt::format("Attachment: {}, of {} {} in {} records\n{}\n", report.filename, report.counted,
                       counted_word(kind), report.rows, report.text);
  co_return true;
}

} // namespace

std::string ReportAddress::to_string() const {
  if (const auto *box = mailbox()) return box->to_string();
  return url()->to_string();
}

void add_note(DayOutcome &outcome, ReportNote note) {
  if (note.again) outcome.complete = false;
  if (outcome.notes.size() < note_limit) outcome.notes.push_back(std::move(note));
}

smtp::Result<DayRun> DayRun::start(const DayFiles &days, UtcDay day, ReportKind kind, ReportScope scope,
                                   TakeReport take) {
  DayRun run(days, kind, scope, std::move(take));
  run.outcome.day = day;
  if (scope == ReportScope::unsubmitted) {
    auto known = days.marks(day);
    if (!known) return tl::unexpected(known.error());
    run.marks_ = std::move(*known);
  }
  return run;
}

void DayRun::note_rows(std::uint64_t counted, std::uint64_t damaged, std::uint64_t omitted) {
  outcome.counted = counted;
  if (damaged > 0)
    add_note(outcome,
             {{}, fmt::format("{} damaged places in {} were passed over", damaged, days_->rows_file(outcome.day))});
  if (omitted > 0)
    add_note(outcome, {{},
                       fmt::format("{} {} are left out: over the limit of {} distinct rows", omitted,
                                   counted_word(kind_), DayFiles::default_row_limit)});
}

Task<void> DayRun::hand_over(ReadyReport report, Prepare prepare) {
  report.mark = fmt::format("{} {}", report.report_id, report.to.to_string());
  if (marks_.submitted.contains(report.mark)) {
    ++outcome.already;
    co_return;
  }
  prepare(report, scope_ == ReportScope::everything);
  ReportNote failed{report.policy_domain, fmt::format("{}: could not be handed over", report.to.to_string()), true};
  const bool taken = co_await take_(std::move(report));
  if (taken)
    ++outcome.reports;
  else
    add_note(outcome, std::move(failed));
}

Task<smtp::Result<std::string>> print_reports(UtcDay day, ReportKind kind, RunDay run) {
  std::string text;
  TakeReport take = [&text, kind](ReadyReport report) { return print_report(&text, kind, std::move(report)); };
  const auto outcome = co_await run(ReportScope::everything, std::move(take));
  if (!outcome) co_return tl::unexpected(outcome.error());
  for (const ReportNote &note : outcome->notes)
    text += fmt::format("Note: {}{}{}\n", note.policy_domain, note.policy_domain.empty() ? "" : ": ", note.text);
  text += fmt::format("{}: {} {}, {} domains, {} reports\n", format_day(day), outcome->counted, counted_word(kind),
                      outcome->domains, outcome->reports);
  co_return text;
}

std::string_view counted_word(ReportKind kind) noexcept {
  switch (kind) {
  case ReportKind::dmarc: return "messages";
  case ReportKind::tls: return "sessions";
  }
  return "?";
}

bool is_reportable_name(std::string_view name) noexcept {
  constexpr std::size_t longest_name = 253;
  constexpr std::size_t longest_label = 63;
  if (name.size() > longest_name) return false;
  const auto labels = smtp::split(name, '.');
  return std::all_of(labels.begin(), labels.end(), [](std::string_view label) {
    return !label.empty() && label.size() <= longest_label && std::all_of(label.begin(), label.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
  });
}

std::int64_t begin_of(UtcDay day) {
  return seconds_of(day);
}

std::int64_t end_of(UtcDay day) {
  return seconds_of(day + std::chrono::days(1)) - 1;
}

} // namespace mta
