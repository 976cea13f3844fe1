// What the daily reports of every kind have in common: their settings, a report that is ready to go, what came of a
// day.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "mta/base/async.hpp"
#include "mta/http/url.hpp"
#include "mta/tally/day_files.hpp"
#include "smtp/base/result.hpp"
#include "smtp/names/mailbox.hpp"

namespace mta {

enum class ReportKind : std::uint8_t {
  dmarc, ///< DMARC aggregate reports (RFC 9990); they count messages
  tls    ///< SMTP TLS reports (RFC 8460); they count sessions
};

/// What the operator configures for either kind.
struct ReportSettings {
  bool enabled = true;
  std::string org_name;                ///< of whoever runs this server; empty: `submitter`
  std::optional<smtp::Mailbox> from;   ///< author and contact of the reports; nothing: none are sent
  std::string submitter;               ///< our domain name in file names and subjects: the host name
  unsigned hour = 1;                   ///< UTC hour from which the day before is reported
  std::chrono::seconds spread{3600};   ///< a random delay of up to this long is added
  std::uint64_t max_size = 10'485'760; ///< octets of one mail
  std::size_t max_destinations = 5;    ///< URIs of one domain that are served
  unsigned give_up_days = 7;           ///< a day that could not be reported for so long is left
  unsigned keep_days = 14;             ///< how long a reported day's rows are kept
};

/// Where a report goes: by mail, or by a POST.
class ReportAddress {
public:
  ReportAddress(smtp::Mailbox mailbox) : target_(std::move(mailbox)) {} // NOLINT(google-explicit-constructor)
  ReportAddress(Url url) : target_(std::move(url)) {}                   // NOLINT(google-explicit-constructor)
  [[nodiscard]] const smtp::Mailbox *mailbox() const noexcept { return std::get_if<smtp::Mailbox>(&target_); }
  [[nodiscard]] const Url *url() const noexcept { return std::get_if<Url>(&target_); }
  [[nodiscard]] std::string to_string() const;

private:
  std::variant<smtp::Mailbox, Url> target_;
};

/// One report, or a part of it, for one address.
struct ReadyReport {
  ReportAddress to;
  std::string mail; ///< to a mailbox: the message, CRLF line ends
  std::string body; ///< to a URL: what is posted
  std::string policy_domain;
  std::string report_id;
  std::string filename;
  std::string text;          ///< the report unpacked, for `--dry-run`; empty unless asked for
  std::string mark;          ///< for DayFiles::mark_submitted
  std::uint64_t counted = 0; ///< messages or sessions in this report or part
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
  std::size_t reports = 0;       ///< made and taken
  std::size_t already = 0;       ///< left out because they were submitted before
  std::uint64_t counted = 0;     ///< messages or sessions of the day's rows
  std::vector<ReportNote> notes; ///< at most 1,000
  bool complete = true;          ///< false: run the day again later
};

void add_note(DayOutcome &outcome, ReportNote note);

/// Takes a report; false when it could not be handed over: the day is then not complete.
using TakeReport = std::function<Task<bool>(ReadyReport)>;
enum class ReportScope : std::uint8_t {
  unsubmitted, ///< what has no mark yet: for sending
  everything   ///< as if nothing had been sent, with its text: for `--dry-run`
};

/// One way through a day: what was sent before, who takes the rest, and what came of it.
class DayRun {
public:
  /// Errors: the day's marks cannot be read.
  [[nodiscard]] static smtp::Result<DayRun> start(const DayFiles &days, UtcDay day, ReportKind kind, ReportScope scope,
                                                  TakeReport take);
  /// What the day's file gave: `counted`, and notes on what it could not give.
  void note_rows(std::uint64_t counted, std::uint64_t damaged, std::uint64_t omitted);
  /// Puts in what costs something: the mail or body, and the text where `wants_text`.
  using Prepare = std::function<void(ReadyReport &report, bool wants_text)>;
  /// Prepares the report, hands it over and counts it, unless it was sent before.
  [[nodiscard]] Task<void> hand_over(ReadyReport report, Prepare prepare);

  DayOutcome outcome;

private:
  DayRun(const DayFiles &days, ReportKind kind, ReportScope scope, TakeReport take)
      : days_(&days), kind_(kind), scope_(scope), take_(std::move(take)) {}
  const DayFiles *days_;
  ReportKind kind_;
  ReportScope scope_;
  TakeReport take_;
  DayFiles::Marks marks_;
};

/// Hands each report of the day to `take`, one after the other. Marks nothing. Errors: the day's files cannot be read.
using RunDay = std::function<Task<smtp::Result<DayOutcome>>(ReportScope, TakeReport)>;

/// What would be sent, for people: for each report its address, header section and text, then the notes and the sums.
[[nodiscard]] Task<smtp::Result<std::string>> print_reports(UtcDay day, ReportKind kind, RunDay run);

/// "messages", "sessions".
[[nodiscard]] std::string_view counted_word(ReportKind kind) noexcept;

/// A name as the DNS knows it, of lower-case letters, digits, hyphens and underscores: it goes into a file name and a
/// Subject.
[[nodiscard]] bool is_reportable_name(std::string_view name) noexcept;

/// The reporting period in seconds since 1970, both ends included.
[[nodiscard]] std::int64_t begin_of(UtcDay day);
[[nodiscard]] std::int64_t end_of(UtcDay day);

} // namespace mta
