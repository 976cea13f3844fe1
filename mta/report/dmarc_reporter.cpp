#include "mta/report/dmarc_reporter.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "mta/report/dmarc_xml.hpp"
#include "mta/report/gzip.hpp"
#include "mta/report/report_mail.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

/// Records of one document, which is held in memory as a tree while it is written.
constexpr std::size_t rows_of_a_part = 20'000;

/// A report, or a part of it, without its address.
struct Part {
  DmarcReport report;
  std::string id;
  std::string filename;
  std::string xml;
  std::string gzipped;
};

/// What a size limit makes of a report.
struct Parts {
  std::vector<Part> parts;
  std::string note; ///< empty: all rows are in the parts
};

std::string text_of(const Part &part, const DmarcReportSettings &settings) {
  const DmarcReport &report = part.report;
  const char *form = report.form == DmarcReportForm::rfc9990 ? "RFC 9990" : "RFC 7489";
  std::string text = fmt::format("This is a DMARC aggregate report ({}) for the domain\n{}\nfrom {}\n"
                                 "of the day {} (UTC).\n\n",
                                 form, report.published.domain, settings.submitter, format_day(report.day));
  if (report.parts > 1)
    text += fmt::format("It is part {} of {}, split to keep each mail small enough.\n", report.part, report.parts);
  text += fmt::format("It counts {} messages in {} records.\n\n"
                      "It was sent by a program because the domain's DMARC record asks for it (rua).\n",
                      report.messages, report.rows.size());
  return text;
}

std::string mail_of(const Part &part, const smtp::Mailbox &to, const DmarcReportSettings &settings,
                    std::chrono::system_clock::time_point now) {
  return build_report_mail({.from = *settings.from,
                            .from_name = settings.org_name,
                            .to = to,
                            .policy_domain = part.report.published.domain,
                            .submitter = settings.submitter,
                            .report_id = part.id,
                            .filename = part.filename,
                            .text = text_of(part, settings),
                            .attachment = part.gzipped,
                            .now = now,
                            .kind = ReportKind::dmarc});
}

/// The `number`th of `count` parts of `size` rows.
smtp::Result<Part> make_part(const DmarcReport &whole, std::size_t number, std::size_t count, std::size_t size,
                             const DmarcReportSettings &settings) {
  Part part{{whole.published, whole.org_domain, whole.day, {}, 0, number, count, whole.form}, {}, {}, {}, {}};
  const std::size_t begin = (number - 1) * size;
  const std::size_t end = std::min(begin + size, whole.rows.size());
  for (std::size_t i = begin; i < end; ++i) {
    part.report.messages += whole.rows[i].count;
    part.report.rows.push_back(whole.rows[i]);
  }
  part.id = report_id(part.report, settings.submitter);
  part.filename = report_filename(part.report, settings.submitter);
  part.xml = build_report_xml(part.report, settings);
  auto gzipped = gzip(part.xml);
  if (!gzipped) return tl::unexpected(gzipped.error());
  part.gzipped = std::move(*gzipped);
  return part;
}

/// Cuts the report into parts whose mail is at most `limit` octets. The rows are sorted, so that what is left out when
/// there are too many parts is what is rarest. The same rows make the same parts.
smtp::Result<Parts> split(const DmarcReport &report, std::uint64_t limit, const DmarcReportSettings &settings) {
  const std::size_t rows = report.rows.size();
  std::size_t size = std::min(rows, rows_of_a_part);
  for (;;) {
    const std::size_t needed = (rows + size - 1) / size;
    const std::size_t count = std::min(needed, settings.max_parts);
    Parts result;
    std::uint64_t largest = 0;
    for (std::size_t number = 1; number <= count && largest <= limit; ++number) {
      auto part = make_part(report, number, count, size, settings);
      if (!part) return tl::unexpected(part.error());
      // The longest address there is, so that the parts do not depend on who gets them.
      largest = std::max<std::uint64_t>(largest, mail_of(*part, *settings.from, settings, {}).size() + 320);
      result.parts.push_back(std::move(*part));
    }
    if (largest <= limit) {
      if (count < needed)
        result.note = fmt::format("{} of {} rows are left out: the report would have over {} parts",
                                  rows - count * size, rows, settings.max_parts);
      return result;
    }
    if (size == 1)
      return Parts{{}, fmt::format("nothing is sent: one row alone is over the limit of {} octets", limit)};
    const auto guess = static_cast<std::size_t>(static_cast<double>(size) * static_cast<double>(limit) * 0.9 /
                                                static_cast<double>(largest));
    size = std::clamp<std::size_t>(guess, 1, size - 1);
  }
}

} // namespace

Task<DmarcReporter::Destinations> DmarcReporter::find_destinations(DmarcPublished published,
                                                                   DmarcReportSettings settings) const {
  Destinations found;
  const auto note = [&](std::string text, bool again = false) {
    found.notes.push_back({published.domain, std::move(text), again});
  };
  std::size_t served = 0;
  for (const std::string &text : published.rua) {
    // RFC 9990 section 3.5: URIs in the order given, malformed ones ignored, up to our limit.
    const auto uri = auth::parse_dmarc_uri(text);
    const std::string shown = smtp::escape(text, 120);
    if (!uri) {
      note(fmt::format("rua \"{}\" is ignored: no URI for reports", shown));
      continue;
    }
    if (uri->scheme != "mailto") {
      note(fmt::format("rua \"{}\" is ignored: reports go by mailto only", shown));
      continue;
    }
    if (++served > settings.max_destinations) {
      note(fmt::format("rua \"{}\" is ignored: over the limit of {} destinations", shown, settings.max_destinations));
      continue;
    }
    auth::DestinationVerdict verdict = co_await services_.check_destination(published.domain, *uri);
    if (verdict.status == auth::DestinationStatus::temporary) {
      note(fmt::format("rua \"{}\" could not be checked: {}", shown, verdict.reason), true);
      continue;
    }
    if (!verdict.may_send()) {
      note(fmt::format("rua \"{}\" is ignored: {}", shown, verdict.reason));
      continue;
    }
    for (const auth::DmarcUri &target : verdict.uris) {
      auto mailbox = smtp::Mailbox::parse(target.address);
      if (target.scheme != "mailto" || !mailbox) continue;
      const bool known = std::any_of(found.served.begin(), found.served.end(),
                                     [&](const Destination &one) { return one.mailbox == *mailbox; });
      if (known) continue;
      // RFC 9989 has the size obsolete and asks to ignore it; in a record that asks for nothing newer it counts.
      const auto limit = published.uses_rfc9989 ? std::nullopt : target.size_limit;
      found.served.push_back({std::move(*mailbox), std::min(limit.value_or(settings.max_size), settings.max_size)});
    }
  }
  co_return found;
}

Task<smtp::Result<DayOutcome>> DmarcReporter::run(UtcDay day, DmarcReportSettings settings, Scope scope, Take take) {
  if (!settings.from) co_return smtp::fail(smtp::ErrorCode::not_found, "no address to send DMARC reports from is set");
  auto rows = services_.days.read(day);
  if (!rows) co_return tl::unexpected(rows.error());
  auto started = DayRun::start(services_.days, day, ReportKind::dmarc, scope, std::move(take));
  if (!started) co_return tl::unexpected(started.error());
  DayRun &work = *started;
  work.note_rows(rows->total, rows->damaged, rows->omitted);
  std::vector<DmarcReport> reports = group_reports(std::move(*rows), settings.form);
  for (DmarcReport &report : reports) {
    ++work.outcome.domains;
    Destinations destinations = co_await find_destinations(report.published, settings);
    for (ReportNote &note : destinations.notes) add_note(work.outcome, std::move(note));
    std::map<std::uint64_t, Parts> by_limit;
    for (const Destination &destination : destinations.served) {
      auto found = by_limit.find(destination.size_limit);
      if (found == by_limit.end()) {
        auto parts = split(report, destination.size_limit, settings);
        if (!parts) co_return tl::unexpected(parts.error());
        if (!parts->note.empty())
          add_note(work.outcome,
                   {report.published.domain, fmt::format("{}: {}", destination.mailbox.to_string(), parts->note)});
        found = by_limit.emplace(destination.size_limit, std::move(*parts)).first;
      }
      for (const Part &part : found->second.parts) {
        ReadyReport ready{.to = destination.mailbox,
                          .mail = {},
                          .body = {},
                          .policy_domain = report.published.domain,
                          .report_id = part.id,
                          .filename = part.filename,
                          .text = {},
                          .mark = {},
                          .counted = part.report.messages,
                          .rows = part.report.rows.size()};
        const DayRun::Prepare prepare = [&](ReadyReport &made, bool wants_text) {
          made.mail = mail_of(part, destination.mailbox, settings, services_.now());
          if (wants_text) made.text = part.xml;
        };
        co_await work.hand_over(std::move(ready), prepare);
      }
    }
    report = {}; // its rows are not needed again
  }
  co_return std::move(work.outcome);
}

Task<smtp::Result<std::string>> DmarcReporter::dry_run(UtcDay day, DmarcReportSettings settings) {
  return print_reports(day, ReportKind::dmarc,
                       [this, day, settings = std::move(settings)](ReportScope scope, Take take) {
                         return run(day, settings, scope, std::move(take));
                       });
}

} // namespace mta
