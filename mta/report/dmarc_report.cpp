#include "mta/report/dmarc_report.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>

#include <fmt/format.h>

#include "smtp/base/text.hpp"

namespace mta {

namespace {

/// A report while its rows are gathered.
struct GatheredMessages {
  DmarcReport report;
  std::unordered_map<std::string, std::size_t> places;
  std::chrono::sys_seconds last{std::chrono::sys_seconds::min()};
  bool has_mail = false; ///< a row that is not of a report
};

void add_row(GatheredMessages &gathered, CountedRow counted) {
  DmarcReport &report = gathered.report;
  if (counted.last >= gathered.last) {
    gathered.last = counted.last;
    report.org_domain = counted.row.org_domain;
    report.published = std::move(counted.row.published);
  }
  gathered.has_mail = gathered.has_mail || !counted.row.is_report;
  report.messages += counted.count;
  // What no record shows must not tell two rows apart: above all a policy that changed during the day.
  counted.row.published = {};
  counted.row.org_domain.clear();
  counted.row.is_report = false;
  const auto [place, fresh] = gathered.places.try_emplace(encode_row(counted.row), report.rows.size());
  if (fresh) {
    report.rows.push_back(std::move(counted));
  } else {
    CountedRow &known = report.rows[place->second];
    known.count += counted.count;
    known.last = std::max(known.last, counted.last);
  }
}

} // namespace

std::vector<DmarcReport> group_reports(DmarcDay day, DmarcReportForm form) {
  std::map<std::string, GatheredMessages> by_domain;
  for (CountedRow &counted : day.rows) {
    std::string domain = smtp::to_lower(counted.row.published.domain);
    if (is_reportable_name(domain)) add_row(by_domain[std::move(domain)], std::move(counted));
  }
  std::vector<DmarcReport> reports;
  for (auto &[domain, gathered] : by_domain) {
    if (!gathered.has_mail) continue;
    DmarcReport &report = gathered.report;
    report.published.domain = domain;
    report.day = day.day;
    report.form = form;
    if (form == DmarcReportForm::automatic)
      report.form = report.published.uses_rfc9989 ? DmarcReportForm::rfc9990 : DmarcReportForm::rfc7489;
    std::stable_sort(report.rows.begin(), report.rows.end(),
                     [](const CountedRow &left, const CountedRow &right) { return left.count > right.count; });
    reports.push_back(std::move(report));
  }
  return reports;
}

std::string report_id(const DmarcReport &report, std::string_view submitter) {
  std::string day = format_day(report.day);
  std::erase(day, '-');
  const std::string part = report.parts > 1 ? fmt::format(".{}of{}", report.part, report.parts) : std::string();
  return fmt::format("{}.{}{}@{}", day, report.published.domain, part, submitter);
}

std::string report_filename(const DmarcReport &report, std::string_view submitter) {
  const std::string part = report.parts > 1 ? fmt::format("!{}of{}", report.part, report.parts) : std::string();
  return fmt::format("{}!{}!{}!{}{}.xml.gz", submitter, report.published.domain, begin_of(report.day),
                     end_of(report.day), part);
}

} // namespace mta
