// DmarcReporter: makes the ready mails of one day's DMARC aggregate reports.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "auth/core/dmarc_destination.hpp"
#include "mta/base/async.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/report/dmarc_report.hpp"
#include "mta/tally/dmarc_days.hpp"

namespace mta {

/// Supplied by the integrator: asks the DNS until auth::judge_destination() misses nothing. `policy_domain` is where
/// the record was found.
using CheckDestination = std::function<Task<auth::DestinationVerdict>(std::string policy_domain, auth::DmarcUri uri)>;

/// One mail, ready for the queue.
struct ReadyReport {
  smtp::Mailbox to;
  std::string mail; ///< CRLF line ends
  std::string policy_domain;
  std::string report_id;
  std::string filename;
  std::string xml;            ///< for `--dry-run`; empty unless asked for
  std::string mark;           ///< for DmarcDays::mark_submitted
  std::uint64_t messages = 0; ///< counted in this report or part
  std::size_t rows = 0;
};

/// Why something is not sent, or not whole.
struct ReportNote {
  std::string policy_domain;
  std::string text;
  bool again = false; ///< temporary: the day is not complete
};

struct DayOutcome {
  UtcDay day;
  std::size_t domains = 0;       ///< that were to be reported
  std::size_t reports = 0;       ///< mails made
  std::size_t already = 0;       ///< mails left out because they were submitted before
  std::uint64_t messages = 0;    ///< that the day's rows count
  std::vector<ReportNote> notes; ///< at most 1,000
  bool complete = true;          ///< false: run the day again later
};

/// Reads the day's file and builds XML, which takes seconds for a large day: run it on an executor that serves nothing
/// else. Its parts must outlive the coroutines.
class DmarcReporter {
public:
  struct Services {
    const DmarcDays &days;
    CheckDestination check_destination;
    std::function<std::chrono::system_clock::time_point()> now;
  };
  /// Takes a mail; false when it could not be handed over: the day is then not complete.
  using Take = std::function<Task<bool>(ReadyReport)>;
  enum class Scope : std::uint8_t {
    unsubmitted, ///< what has no mark yet: for sending
    everything   ///< as if nothing had been sent, with the XML: for `--dry-run`
  };

  explicit DmarcReporter(Services services) : services_(std::move(services)) {}

  /// Hands each mail of the day to `take`, one after the other. Marks nothing. Errors: the day's files cannot be read.
  [[nodiscard]] Task<smtp::Result<DayOutcome>> run(UtcDay day, DmarcReportSettings settings, Scope scope, Take take);

  /// What would be sent, for people: for each mail its envelope, header section and XML, then the notes and the sums.
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
