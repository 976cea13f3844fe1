// DmarcReporter: makes the ready mails of one day's DMARC aggregate reports.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "auth/core/dmarc_destination.hpp"
#include "mta/base/async.hpp"
#include "mta/report/daily_report.hpp"
#include "mta/report/dmarc_report.hpp"
#include "mta/tally/dmarc_days.hpp"

namespace mta {

/// Supplied by the integrator: asks the DNS until auth::judge_destination() misses nothing. `policy_domain` is where
/// the record was found.
using CheckDestination = std::function<Task<auth::DestinationVerdict>(std::string policy_domain, auth::DmarcUri uri)>;

/// Reads the day's file and builds XML, which takes seconds for a large day: run it on an executor that serves nothing
/// else. Its parts must outlive the coroutines.
class DmarcReporter {
public:
  struct Services {
    const DmarcDays &days;
    CheckDestination check_destination;
    std::function<std::chrono::system_clock::time_point()> now;
  };
  using Take = TakeReport;
  using Scope = ReportScope;

  explicit DmarcReporter(Services services) : services_(std::move(services)) {}

  /// As RunDay. Errors also: no address to send from is set.
  [[nodiscard]] Task<smtp::Result<DayOutcome>> run(UtcDay day, DmarcReportSettings settings, Scope scope, Take take);

  /// As print_reports().
  [[nodiscard]] Task<smtp::Result<std::string>> dry_run(UtcDay day, DmarcReportSettings settings);

private:
  struct Destination {
    smtp::Mailbox mailbox;
    std::uint64_t size_limit = 0;
  };
  struct Destinations {
    std::vector<Destination> served;
    std::vector<ReportNote> notes;
  };
  [[nodiscard]] Task<Destinations> find_destinations(DmarcPublished published, DmarcReportSettings settings) const;
  Services services_;
};

} // namespace mta
