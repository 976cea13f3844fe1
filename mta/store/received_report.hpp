// ReceivedReport: what others report about our domains, as values: DMARC aggregate reports and TLSRPT.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace mta {

/// All texts of a report are foreign. The parsers make each of them one line of valid UTF-8 without controls, and cut
/// it to `longest_report_text` octets; nothing else is checked unless it is said.
inline constexpr std::size_t longest_report_text = 1000;

/// RFC 9990 section 3.1.1.11 and 3.1.1.14: "reason", and an entry of "auth_results".
struct ReportedReason {
  std::string type;
  std::string comment;
  friend bool operator==(const ReportedReason &, const ReportedReason &) = default;
};
struct ReportedCheck {
  std::string domain;
  std::string selector; ///< DKIM
  std::string scope;    ///< SPF: "mfrom", "helo", or nothing
  std::string result;   ///< lower case
  std::string comment;  ///< "human_result"
  friend bool operator==(const ReportedCheck &, const ReportedCheck &) = default;
};

/// One "record".
struct ReportedRow {
  std::string source_ip; ///< a valid address, in RFC 5952's form
  std::uint64_t count = 0;
  std::string disposition; ///< lower case: none, quarantine, reject, pass
  std::string dkim;        ///< lower case, of the aligned evaluation: "pass" or "fail"
  std::string spf;
  std::vector<ReportedReason> reasons;
  std::string envelope_to;
  std::string envelope_from;
  std::string header_from;
  std::vector<ReportedCheck> dkim_results;
  std::vector<ReportedCheck> spf_results;
  /// DMARC passes when one of the two aligned checks does.
  [[nodiscard]] bool passes() const noexcept { return dkim == "pass" || spf == "pass"; }
  friend bool operator==(const ReportedRow &, const ReportedRow &) = default;
};

struct ReceivedDmarc {
  // "policy_published"; empty where the report says nothing.
  std::string adkim, aspf, p, sp, np, pct, fo, testing, discovery_method;
  std::string generator;
  std::vector<ReportedRow> rows;
  std::uint64_t skipped_rows = 0; ///< records without a usable source address or count
  friend bool operator==(const ReceivedDmarc &, const ReceivedDmarc &) = default;
};

/// RFC 8460 section 4.4, "failure-details".
struct ReportedTlsFailure {
  std::string result_type; ///< lower case: "certificate-expired"
  std::string sending_mta_ip;
  std::string receiving_mx_hostname;
  std::string receiving_mx_helo;
  std::string receiving_ip;
  std::uint64_t sessions = 0;
  std::string additional_information;
  std::string failure_reason_code;
  friend bool operator==(const ReportedTlsFailure &, const ReportedTlsFailure &) = default;
};

struct ReportedTlsPolicy {
  std::string type; ///< lower case: "sts", "tlsa", "no-policy-found"
  std::vector<std::string> policy;
  std::string domain;
  std::vector<std::string> mx_hosts;
  std::uint64_t successes = 0; ///< sessions
  std::uint64_t failures = 0;
  std::vector<ReportedTlsFailure> details;
  friend bool operator==(const ReportedTlsPolicy &, const ReportedTlsPolicy &) = default;
};

struct ReceivedTls {
  std::vector<ReportedTlsPolicy> policies;
  friend bool operator==(const ReceivedTls &, const ReceivedTls &) = default;
};

enum class ReceivedKind : std::uint8_t { dmarc, tlsrpt };
[[nodiscard]] const char *to_string(ReceivedKind kind) noexcept;

struct ReceivedReport {
  std::string organisation; ///< who reports; the domain of `contact` when the report has no name; may be empty
  std::string contact;
  std::string extra_contact;
  std::string report_id; ///< never empty
  std::chrono::sys_seconds begin{};
  std::chrono::sys_seconds end{};
  std::string domain; ///< whom it is about, a lower-case A-label form if it is valid; TLSRPT: of the first policy
  std::variant<ReceivedDmarc, ReceivedTls> content;

  [[nodiscard]] ReceivedKind kind() const noexcept {
    return std::holds_alternative<ReceivedDmarc>(content) ? ReceivedKind::dmarc : ReceivedKind::tlsrpt;
  }
  friend bool operator==(const ReceivedReport &, const ReceivedReport &) = default;
};

/// DMARC: messages that passed and failed. TLSRPT: sessions. Sums stop at the largest number.
struct ReportTotals {
  std::uint64_t good = 0;
  std::uint64_t bad = 0;
  std::uint64_t rows = 0; ///< records, or policies
  friend bool operator==(const ReportTotals &, const ReportTotals &) = default;
};
[[nodiscard]] ReportTotals totals_of(const ReceivedReport &report) noexcept;

} // namespace mta
