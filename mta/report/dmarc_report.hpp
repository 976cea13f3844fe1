// DmarcReport: the facts of one DMARC aggregate report as values: of one policy domain and one UTC day (RFC 9990).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/config/config.hpp"
#include "mta/tally/dmarc_days.hpp"
#include "smtp/names/mailbox.hpp"

namespace mta {

/// What the operator configures. The integrator fills it from the configuration file.
struct DmarcReportSettings {
  bool enabled = true;
  std::string org_name;                ///< of whoever runs this server; empty: `submitter`
  std::optional<smtp::Mailbox> from;   ///< author and contact of the reports; nothing: none are sent
  std::string submitter;               ///< our domain name in file names and subjects: the host name
  std::string extra_contact;           ///< a URL or text for people; may be empty
  unsigned hour = 1;                   ///< UTC hour from which the day before is reported
  std::chrono::seconds spread{3600};   ///< a random delay of up to this long is added
  std::uint64_t max_size = 10'485'760; ///< octets of one mail; larger reports are split
  std::size_t max_parts = 20;          ///< of one report; what does not fit is left out, the rarest rows first
  std::size_t max_destinations = 5;    ///< URIs of one rua tag that are served
  unsigned give_up_days = 7;           ///< a day that could not be reported for so long is left
  unsigned keep_days = 14;             ///< how long a reported day's rows are kept
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

/// The reporting period in seconds since 1970, both ends included.
[[nodiscard]] std::int64_t begin_of(const DmarcReport &report);
[[nodiscard]] std::int64_t end_of(const DmarcReport &report);

/// dot-atom "@" dot-atom, unique for each domain, day and part, and the same when the report is made again.
[[nodiscard]] std::string report_id(const DmarcReport &report, std::string_view submitter);
/// receiver "!" policy-domain "!" begin "!" end [ "!" unique-id ] ".xml.gz" (RFC 9990 section 3.5.2).
[[nodiscard]] std::string report_filename(const DmarcReport &report, std::string_view submitter);

} // namespace mta
