// What follows from the values of a report received: its id, its sums, the domains that it is about.
#include "mta/store/stored_report.hpp"

#include <limits>
#include <set>

#include <fmt/format.h>

#include "auth/dkim/digest.hpp"

namespace mta {

namespace {

void add(std::uint64_t &sum, std::uint64_t more) noexcept {
  sum = more > std::numeric_limits<std::uint64_t>::max() - sum ? std::numeric_limits<std::uint64_t>::max() : sum + more;
}

} // namespace

const char *to_string(ReceivedKind kind) noexcept {
  switch (kind) {
  case ReceivedKind::dmarc: return "dmarc";
  case ReceivedKind::tlsrpt: return "tlsrpt";
  }
  return "";
}

ReportTotals totals_of(const ReceivedReport &report) noexcept {
  ReportTotals totals;
  if (const auto *dmarc = std::get_if<ReceivedDmarc>(&report.content)) {
    totals.rows = dmarc->rows.size();
    for (const ReportedRow &row : dmarc->rows) add(row.passes() ? totals.good : totals.bad, row.count);
  } else if (const auto *tls = std::get_if<ReceivedTls>(&report.content)) {
    totals.rows = tls->policies.size();
    for (const ReportedTlsPolicy &policy : tls->policies) {
      add(totals.good, policy.successes);
      add(totals.bad, policy.failures);
    }
  }
  return totals;
}

std::string id_of(const StoredReport &stored) {
  // No text of a report holds a line end.
  const std::string key =
      stored.report ? fmt::format("{}\n{}\n{}\n{}", to_string(stored.report->kind()), stored.report->organisation,
                                  stored.report->report_id, stored.report->domain)
                    : "unreadable\n" + stored.queue_id;
  const std::string digest = auth::digest_of(auth::HashKind::sha256, key);
  std::string id;
  for (const char octet : digest.substr(0, 8)) id += fmt::format("{:02x}", static_cast<unsigned char>(octet));
  return id;
}

std::vector<std::string> other_domains_of(const StoredReport &stored) {
  if (!stored.report) return {};
  std::set<std::string> domains;
  if (const auto *tls = std::get_if<ReceivedTls>(&stored.report->content))
    for (const ReportedTlsPolicy &policy : tls->policies) domains.insert(policy.domain);
  domains.insert(stored.mail_domain);
  domains.erase(stored.report->domain);
  domains.erase("");
  return {domains.begin(), domains.end()};
}

ReportSummary summarize(const StoredReport &stored) {
  ReportSummary summary;
  summary.id = id_of(stored);
  summary.kind = stored.report ? to_string(stored.report->kind()) : "unreadable";
  summary.received = stored.received;
  summary.from = stored.from;
  summary.subject = stored.subject;
  summary.authenticated = stored.authenticated;
  summary.problem = stored.problem;
  if (!stored.report) return summary;
  summary.organisation = stored.report->organisation;
  summary.report_id = stored.report->report_id;
  summary.domain = stored.report->domain;
  summary.other_domains = other_domains_of(stored);
  if (summary.other_domains.size() > most_other_domains) summary.other_domains.resize(most_other_domains);
  summary.begin = stored.report->begin;
  summary.end = stored.report->end;
  summary.totals = totals_of(*stored.report);
  return summary;
}

} // namespace mta
