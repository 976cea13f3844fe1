// DmarcReporter: makes the ready mails of one day's DMARC aggregate reports.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "mta/base/async.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/report/dmarc_report.hpp"
#include "mta/report/report_uri.hpp"
#include "mta/tally/dmarc_days.hpp"

namespace mta {

/// What the DNS says of a destination outside the policy domain's organization (RFC 9990 section 4).
struct DestinationAnswer {
  enum class Verdict : std::uint8_t {
    accepted, ///< same Organizational Domain, or the destination publishes its consent
    refused,  ///< no consent: the URI is ignored
    temporary ///< the DNS could not be asked: the report is tried again later
  };
  Verdict verdict = Verdict::refused;
  std::vector<std::string> rua; ///< URIs of the consent's own rua tag, which replace the published one; empty: none
  std::string detail;           ///< for the log
};

/// Supplied by the integrator: asks the DNS for both Organizational Domains and the consent record. `policy_domain` is
/// where the record was found, `host` the domain of the mailto URI.
using CheckDestination = std::function<Task<DestinationAnswer>(std::string policy_domain, std::string host)>;

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

  /// What would be sent, for people: for each mail its envelope, subject, size and XML, then the notes.
  [[nodiscard]] Task<smtp::Result<std::string>> dry_run(UtcDay day, DmarcReportSettings settings);

private:
  struct Destination {
    smtp::Mailbox mailbox;
    std::uint64_t size_limit = 0;
  };
  [[nodiscard]] Task<std::vector<Destination>>
  find_destinations(const DmarcReport &report, const DmarcReportSettings &settings, DayOutcome &outcome) const;
  Services services_;
};

} // namespace mta
