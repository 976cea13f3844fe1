// StoredReport: one report received as the store keeps it: the mail that came, and the report in it or why there is
// none.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/store/received_report.hpp"

namespace mta {

struct StoredReport {
  std::chrono::sys_seconds received{};
  std::string from; ///< of the mail's header
  std::string subject;
  std::string mail_domain;   ///< whom the report is about as the mail's header says it; empty: it does not
  std::string queue_id;      ///< under which the mail came
  std::string authenticated; ///< of our own Authentication-Results: "dmarc=pass example.org"; empty: we did not check
  std::optional<ReceivedReport> report; ///< nothing: unreadable
  std::string problem;                  ///< why it is unreadable
  [[nodiscard]] bool is_authenticated() const noexcept { return authenticated.starts_with("dmarc=pass"); }
  friend bool operator==(const StoredReport &, const StoredReport &) = default;
};

/// 16 lower-case hexadecimal digits: of (kind, organisation, report id, domain) for a report, so that a second copy has
/// the same; of the queue id for an unreadable mail. SHA-256 cut short.
[[nodiscard]] std::string id_of(const StoredReport &stored);

/// What `list` shows of an entry.
struct ReportSummary {
  std::string id;
  std::string kind; ///< "dmarc", "tlsrpt", "unreadable"
  std::chrono::sys_seconds received{};
  std::string from, subject, authenticated, problem;
  std::string organisation, report_id, domain;
  std::vector<std::string> other_domains; ///< the first `most_other_domains` that it is about as well, sorted
  std::chrono::sys_seconds begin{}, end{};
  ReportTotals totals;
  friend bool operator==(const ReportSummary &, const ReportSummary &) = default;
};
/// So that a summary stays short.
inline constexpr std::size_t most_other_domains = 100;
/// Beside the report's `domain`: those of a TLS report's other policies, and `mail_domain`; sorted, each once.
[[nodiscard]] std::vector<std::string> other_domains_of(const StoredReport &stored);
[[nodiscard]] ReportSummary summarize(const StoredReport &stored);

} // namespace mta
