#include "mta/report/tls_reporter.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "mta/report/gzip.hpp"
#include "mta/report/report_mail.hpp"
#include "policy/tlsrpt.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

/// A report without its address.
struct Built {
  std::string id;
  std::string filename;
  std::string json;
  std::string gzipped;
  std::uint64_t sessions = 0;
  std::size_t rows = 0;
  std::string note; ///< empty: it is whole
};

std::string text_of(const TlsReport &report, const TlsReportSettings &settings) {
  return fmt::format("This is an SMTP TLS report (RFC 8460) for the domain\n{}\nfrom {}\nof the day {} (UTC).\n\n"
                     "It counts the sessions in which this server sent mail to the domain.\n\n"
                     "It was sent by a program because the domain's TLSRPT record asks for it (rua).\n",
                     report.domain, settings.submitter, format_day(report.day));
}

std::string mail_of(const TlsReport &report, const Built &built, const smtp::Mailbox &to,
                    const TlsReportSettings &settings, std::chrono::system_clock::time_point now) {
  return build_report_mail({.from = *settings.from,
                            .from_name = settings.org_name,
                            .to = to,
                            .policy_domain = report.domain,
                            .submitter = settings.submitter,
                            .report_id = built.id,
                            .filename = built.filename,
                            .text = text_of(report, settings),
                            .attachment = built.gzipped,
                            .now = now,
                            .kind = ReportKind::tls});
}

/// With as many failure details as the limit of a mail leaves room for; the counts stay whole. The same rows make the
/// same report.
smtp::Result<Built> build(TlsReport &report, const TlsReportSettings &settings) {
  Built built;
  built.id = report_id(report, settings.submitter);
  built.filename = report_filename(report, settings.submitter);
  built.sessions = report.sessions();
  std::size_t most = settings.details;
  std::size_t left_out = 0;
  for (;;) {
    left_out += cut_details(report, most);
    built.json = build_tls_report_json(report, settings);
    auto gzipped = gzip(built.json);
    if (!gzipped) return tl::unexpected(gzipped.error());
    built.gzipped = std::move(*gzipped);
    // The longest address there is, so that the report does not depend on who gets it.
    const std::uint64_t size = mail_of(report, built, *settings.from, settings, {}).size() + 320;
    if (size <= settings.max_size) break;
    if (report.details() == 0)
      return smtp::fail(
          smtp::ErrorCode::too_long,
          fmt::format("nothing is sent: the counts alone are over the limit of {} octets", settings.max_size));
    most /= 2;
  }
  built.rows = report.details();
  if (left_out > 0) built.note = fmt::format("{} failure details are left out, the rarest", left_out);
  return built;
}

} // namespace

Task<TlsReporter::Destinations> TlsReporter::find_destinations(std::string domain, TlsReportSettings settings) const {
  Destinations found;
  const auto note = [&](std::string text, bool again = false) {
    found.notes.push_back({domain, std::move(text), again});
  };
  const auto answer = co_await services_.find_texts(policy::tlsrpt_name(domain));
  if (answer.status == smtp::DnsStatus::temporary) {
    found.asked = true;
    note(fmt::format("the TLSRPT record could not be looked up: {}", answer.detail), true);
    co_return found;
  }
  if (answer.status != smtp::DnsStatus::ok) co_return found;
  const auto record = policy::choose_tlsrpt_record(answer.records);
  if (!record) {
    found.asked = record.error().code != smtp::ErrorCode::not_found;
    if (found.asked) note(record.error().detail);
    co_return found;
  }
  found.asked = true;
  for (const std::string &problem : record->problems) note(problem);
  for (const policy::TlsrptDestination &destination : record->rua) {
    const std::string shown = smtp::escape(destination.address, 120);
    if (found.served.size() == settings.max_destinations) {
      note(fmt::format("rua \"{}\" is ignored: over the limit of {} destinations", shown, settings.max_destinations));
      continue;
    }
    if (destination.scheme == policy::TlsrptDestination::Scheme::mailto) {
      auto mailbox = smtp::Mailbox::parse(destination.address);
      if (mailbox) found.served.emplace_back(std::move(*mailbox));
      continue;
    }
    auto url = parse_url(destination.address);
    if (!settings.https)
      note(fmt::format("rua \"{}\" is ignored: reports go by mail only", shown));
    else if (!url)
      note(fmt::format("rua \"{}\" is ignored: {}", shown, url.error().detail));
    else
      found.served.emplace_back(std::move(*url));
  }
  co_return found;
}

Task<smtp::Result<DayOutcome>> TlsReporter::run(UtcDay day, TlsReportSettings settings, ReportScope scope,
                                                TakeReport take) const {
  if (!settings.from) co_return smtp::fail(smtp::ErrorCode::not_found, "no address to send TLS reports from is set");
  auto rows = services_.days.read(day);
  if (!rows) co_return tl::unexpected(rows.error());
  auto started = DayRun::start(services_.days, day, ReportKind::tls, scope, std::move(take));
  if (!started) co_return tl::unexpected(started.error());
  DayRun &work = *started;
  work.note_rows(rows->total, rows->damaged, rows->omitted);
  std::vector<TlsReport> reports = group_tls_reports(std::move(*rows));
  for (TlsReport &report : reports) {
    Destinations destinations = co_await find_destinations(report.domain, settings);
    if (destinations.asked) ++work.outcome.domains;
    for (ReportNote &note : destinations.notes) add_note(work.outcome, std::move(note));
    if (destinations.served.empty()) continue;
    const auto built = build(report, settings);
    if (!built) {
      add_note(work.outcome, {report.domain, built.error().detail});
      continue;
    }
    if (!built->note.empty()) add_note(work.outcome, {report.domain, built->note});
    for (const ReportAddress &to : destinations.served) {
      ReadyReport ready{.to = to,
                        .mail = {},
                        .body = {},
                        .policy_domain = report.domain,
                        .report_id = built->id,
                        .filename = built->filename,
                        .text = {},
                        .mark = {},
                        .counted = built->sessions,
                        .rows = built->rows};
      const DayRun::Prepare prepare = [&](ReadyReport &made, bool wants_text) {
        if (const auto *mailbox = to.mailbox())
          made.mail = mail_of(report, *built, *mailbox, settings, services_.now());
        else
          made.body = built->gzipped;
        if (wants_text) made.text = built->json;
      };
      co_await work.hand_over(std::move(ready), prepare);
    }
    report = {}; // its rows are not needed again
  }
  co_return std::move(work.outcome);
}

Task<smtp::Result<std::string>> TlsReporter::dry_run(UtcDay day, TlsReportSettings settings) const {
  return print_reports(day, ReportKind::tls,
                       [this, day, settings = std::move(settings)](ReportScope scope, TakeReport take) {
                         return run(day, settings, scope, std::move(take));
                       });
}

} // namespace mta
