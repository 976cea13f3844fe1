// The JSON of reports received.
#include "mta/received/report_json.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

namespace mta {

namespace {

namespace json = boost::json;

/// Adds the member unless it is empty, which reads back the same.
void put(json::object &out, std::string_view key, const std::string &text) {
  if (!text.empty()) out[key] = text;
}

json::array checks_json(const std::vector<ReportedCheck> &checks) {
  json::array list;
  for (const ReportedCheck &check : checks) {
    json::object one;
    put(one, "domain", check.domain);
    put(one, "selector", check.selector);
    put(one, "scope", check.scope);
    put(one, "result", check.result);
    put(one, "comment", check.comment);
    list.push_back(std::move(one));
  }
  return list;
}

json::object row_json(const ReportedRow &row) {
  json::object out;
  out["source_ip"] = row.source_ip;
  out["count"] = row.count;
  put(out, "disposition", row.disposition);
  put(out, "dkim", row.dkim);
  put(out, "spf", row.spf);
  put(out, "envelope_to", row.envelope_to);
  put(out, "envelope_from", row.envelope_from);
  put(out, "header_from", row.header_from);
  if (!row.reasons.empty()) {
    json::array reasons;
    for (const ReportedReason &reason : row.reasons) {
      json::object one;
      put(one, "type", reason.type);
      put(one, "comment", reason.comment);
      reasons.push_back(std::move(one));
    }
    out["reasons"] = std::move(reasons);
  }
  if (!row.dkim_results.empty()) out["dkim_results"] = checks_json(row.dkim_results);
  if (!row.spf_results.empty()) out["spf_results"] = checks_json(row.spf_results);
  return out;
}

void put_dmarc(json::object &out, const ReceivedDmarc &dmarc) {
  json::object policy;
  put(policy, "p", dmarc.p);
  put(policy, "sp", dmarc.sp);
  put(policy, "np", dmarc.np);
  put(policy, "adkim", dmarc.adkim);
  put(policy, "aspf", dmarc.aspf);
  put(policy, "pct", dmarc.pct);
  put(policy, "fo", dmarc.fo);
  put(policy, "testing", dmarc.testing);
  put(policy, "discovery_method", dmarc.discovery_method);
  out["policy_published"] = std::move(policy);
  put(out, "generator", dmarc.generator);
  if (dmarc.skipped_rows != 0) out["skipped_rows"] = dmarc.skipped_rows;
  json::array rows;
  rows.reserve(dmarc.rows.size());
  for (const ReportedRow &row : dmarc.rows) rows.push_back(row_json(row));
  out["rows"] = std::move(rows);
}

json::array texts_json(const std::vector<std::string> &texts) {
  return json::array(texts.begin(), texts.end());
}

void put_tls(json::object &out, const ReceivedTls &tls) {
  json::array policies;
  for (const ReportedTlsPolicy &policy : tls.policies) {
    json::object one;
    put(one, "type", policy.type);
    if (!policy.policy.empty()) one["policy"] = texts_json(policy.policy);
    put(one, "domain", policy.domain);
    if (!policy.mx_hosts.empty()) one["mx_hosts"] = texts_json(policy.mx_hosts);
    one["successes"] = policy.successes;
    one["failures"] = policy.failures;
    json::array details;
    for (const ReportedTlsFailure &failure : policy.details) {
      json::object detail;
      put(detail, "result_type", failure.result_type);
      put(detail, "sending_mta_ip", failure.sending_mta_ip);
      put(detail, "receiving_mx_hostname", failure.receiving_mx_hostname);
      put(detail, "receiving_mx_helo", failure.receiving_mx_helo);
      put(detail, "receiving_ip", failure.receiving_ip);
      detail["sessions"] = failure.sessions;
      put(detail, "additional_information", failure.additional_information);
      put(detail, "failure_reason_code", failure.failure_reason_code);
      details.push_back(std::move(detail));
    }
    if (!details.empty()) one["details"] = std::move(details);
    policies.push_back(std::move(one));
  }
  out["policies"] = std::move(policies);
}

} // namespace

std::string format_report_time(std::chrono::sys_seconds time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count());
}

json::object summary_json(const ReportSummary &summary) {
  json::object out;
  out["id"] = summary.id;
  out["kind"] = summary.kind;
  out["received"] = format_report_time(summary.received);
  put(out, "from", summary.from);
  put(out, "subject", summary.subject);
  put(out, "authenticated", summary.authenticated);
  put(out, "problem", summary.problem);
  if (summary.kind == "unreadable") return out;
  out["organisation"] = summary.organisation;
  out["report_id"] = summary.report_id;
  out["domain"] = summary.domain;
  if (!summary.other_domains.empty()) out["other_domains"] = texts_json(summary.other_domains);
  out["begin"] = format_report_time(summary.begin);
  out["end"] = format_report_time(summary.end);
  json::object totals;
  totals["good"] = summary.totals.good;
  totals["bad"] = summary.totals.bad;
  totals["rows"] = summary.totals.rows;
  out["totals"] = std::move(totals);
  return out;
}

json::object report_json(const ReceivedReport &report) {
  json::object out;
  put(out, "contact", report.contact);
  put(out, "extra_contact", report.extra_contact);
  if (const auto *dmarc = std::get_if<ReceivedDmarc>(&report.content)) put_dmarc(out, *dmarc);
  if (const auto *tls = std::get_if<ReceivedTls>(&report.content)) put_tls(out, *tls);
  return out;
}

} // namespace mta
