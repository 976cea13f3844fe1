// DmarcReport: the facts of one DMARC aggregate report as values: of one policy domain and one UTC day (RFC 9990).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mta/config/config.hpp"
#include "mta/report/daily_report.hpp"
#include "mta/tally/dmarc_days.hpp"

namespace mta {

/// The mail of a report is at most `max_size`; larger reports are split.
struct DmarcReportSettings : ReportSettings {
  std::string extra_contact;  ///< a URL or text for people; may be empty
  std::size_t max_parts = 20; ///< of one report; what does not fit is left out, the rarest rows first
  DmarcReportForm form = DmarcReportForm::automatic;
};

/// One report, or one part of it.
struct DmarcReport {
  DmarcPublished published;     ///< the last configuration seen on the day (RFC 9990 section 3.1)
  std::string org_domain;       ///< Organizational Domain of the last message seen
  UtcDay day;                   ///< begin; the end is one second before the next day
  std::vector<CountedRow> rows; ///< the most frequent first; equal ones counted together
  std::uint64_t messages = 0;   ///< sum of the counts
  std::size_t part = 1;         ///< of `parts`
  std::size_t parts = 1;
  DmarcReportForm form = DmarcReportForm::rfc9990; ///< never automatic
};

/// Groups a day's rows by policy domain, in the order of the names. Domains whose only rows are of reports are left
/// out, as are domains whose name no DNS message can carry.
[[nodiscard]] std::vector<DmarcReport> group_reports(DmarcDay day, DmarcReportForm form);

/// dot-atom "@" dot-atom, unique for each domain, day and part, and the same when the report is made again.
[[nodiscard]] std::string report_id(const DmarcReport &report, std::string_view submitter);
/// receiver "!" policy-domain "!" begin "!" end [ "!" unique-id ] ".xml.gz" (RFC 9990 section 3.5.2).
[[nodiscard]] std::string report_filename(const DmarcReport &report, std::string_view submitter);

} // namespace mta
