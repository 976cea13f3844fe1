// TlsReporter: makes the ready reports of one day's SMTP TLS reports.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "mta/base/async.hpp"
#include "mta/report/daily_report.hpp"
#include "mta/report/tls_report.hpp"
#include "mta/tally/tlsrpt_tally.hpp"
#include "smtp/dns/answer.hpp"

namespace mta {

/// Reads the day's file and builds JSON: run it on an executor that serves nothing else. Its parts must outlive the
/// coroutines.
class TlsReporter {
public:
  struct Services {
    const TlsrptDays &days;
    /// The TXT records at a name.
    std::function<Task<smtp::DnsAnswer<std::string>>(std::string name)> find_texts;
    std::function<std::chrono::system_clock::time_point()> now;
  };

  explicit TlsReporter(Services services) : services_(std::move(services)) {}

  /// As RunDay. The day's domains are asked for their TLSRPT record one after the other. Errors also: no address to
  /// send from is set.
  [[nodiscard]] Task<smtp::Result<DayOutcome>> run(UtcDay day, TlsReportSettings settings, ReportScope scope,
                                                   TakeReport take) const;

  /// As print_reports().
  [[nodiscard]] Task<smtp::Result<std::string>> dry_run(UtcDay day, TlsReportSettings settings) const;

private:
  struct Destinations {
    std::vector<ReportAddress> served;
    std::vector<ReportNote> notes;
    bool asked = false; ///< the domain has a record, or may have one
  };
  [[nodiscard]] Task<Destinations> find_destinations(std::string domain, TlsReportSettings settings) const;
  Services services_;
};

} // namespace mta
