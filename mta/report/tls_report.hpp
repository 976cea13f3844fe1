// TlsReport: the facts of one SMTP TLS report as values, of one recipient domain and one UTC day, and its JSON (RFC
// 8460).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mta/report/daily_report.hpp"
#include "mta/tally/tlsrpt_tally.hpp"

namespace mta {

/// RFC 8460 section 5.5: what cannot be delivered is tried again for a day.
struct TlsReportSettings : ReportSettings {
  std::string contact;        ///< "contact-info"; empty: the address of `from`
  bool https = true;          ///< also to https: addresses
  std::size_t details = 1000; ///< "failure-details" of one policy; what does not fit is left out, the rarest first
};

/// Sessions that failed alike.
struct TlsFailure {
  policy::TlsFault fault = policy::TlsFault::none;
  std::string sending_address;
  std::string receiving_host;
  std::string receiving_address;
  std::string reason;
  std::uint64_t sessions = 0;
};

struct TlsPolicyReport {
  TlsrptPolicy policy;
  std::uint64_t successes = 0;
  std::uint64_t failures = 0;
  std::vector<TlsFailure> details; ///< the most frequent first; their sum may be less than `failures`
};

struct TlsReport {
  std::string domain; ///< of the recipients
  UtcDay day;
  std::vector<TlsPolicyReport> policies;                 ///< in the order of their first occurrence
  [[nodiscard]] std::uint64_t sessions() const noexcept; ///< of all policies
  [[nodiscard]] std::size_t details() const noexcept;
};

/// Groups a day's rows by recipient domain, in the order of the names. Domains whose name no DNS message can carry are
/// left out.
[[nodiscard]] std::vector<TlsReport> group_tls_reports(TlsrptDay day);

/// Leaves at most `most` failure details in each policy; gives the number of those left out.
std::size_t cut_details(TlsReport &report, std::size_t most);

/// dot-atom "@" dot-atom, unique for each domain and day, and the same when the report is made again. Other than the
/// identifier of the DMARC report of that day, because it is also the Message-ID.
[[nodiscard]] std::string report_id(const TlsReport &report, std::string_view submitter);
/// sender "!" policy-domain "!" begin "!" end ".json.gz" (RFC 8460 section 5.1).
[[nodiscard]] std::string report_filename(const TlsReport &report, std::string_view submitter);

/// RFC 8460 section 4.4, in the shape of its appendix B, but "mx-host" is an array, as its section 4.4 says and others
/// send it.
[[nodiscard]] std::string build_tls_report_json(const TlsReport &report, const TlsReportSettings &settings);

} // namespace mta
