#include "mta/report/tls_report.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "smtp/base/text.hpp"

namespace mta {

namespace {

namespace json = boost::json;

/// A report while its rows are gathered: where each policy is, by its octets.
struct GatheredSessions {
  TlsReport report;
  std::unordered_map<std::string, std::size_t> places;
};

/// Equal for equal policies: the row without all that differs between sessions.
std::string key_of(TlsrptPolicy policy) {
  TlsrptRow row;
  row.policy = std::move(policy);
  return encode_tlsrpt_row(row);
}

void add_row(GatheredSessions &gathered, Counted<TlsrptRow> counted) {
  TlsrptRow &row = counted.row;
  row.policy.domain = smtp::to_lower(row.policy.domain);
  auto &policies = gathered.report.policies;
  const auto [place, fresh] = gathered.places.try_emplace(key_of(row.policy), policies.size());
  if (fresh) policies.push_back({std::move(row.policy), 0, 0, {}});
  TlsPolicyReport &policy = policies[place->second];
  if (row.fault == policy::TlsFault::none) {
    policy.successes += counted.count;
    return;
  }
  policy.failures += counted.count;
  policy.details.push_back({row.fault, std::move(row.sending_address), std::move(row.receiving_host),
                            std::move(row.receiving_address), std::move(row.reason), counted.count});
}

/// JSON is UTF-8 (RFC 7493 section 2.1); what peers said may not be.
json::string text_of(std::string_view text) {
  std::string clean(text);
  if (!smtp::is_utf8(clean))
    for (char &c : clean)
      if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  return json::string(clean);
}

json::array list_of(const std::vector<std::string> &texts) {
  json::array list;
  list.reserve(texts.size());
  for (const std::string &text : texts) list.push_back(text_of(text));
  return list;
}

void add_if(json::object &object, std::string_view key, const std::string &text) {
  if (!text.empty()) object[key] = text_of(text);
}

json::object to_json(const TlsFailure &failure) {
  json::object object;
  object["result-type"] = policy::to_string(failure.fault);
  add_if(object, "sending-mta-ip", failure.sending_address);
  add_if(object, "receiving-mx-hostname", failure.receiving_host);
  add_if(object, "receiving-ip", failure.receiving_address);
  object["failed-session-count"] = failure.sessions;
  add_if(object, "failure-reason-code", failure.reason);
  return object;
}

json::object to_json(const TlsPolicyReport &report) {
  json::object policy;
  policy["policy-type"] = to_string(report.policy.type);
  if (!report.policy.strings.empty()) policy["policy-string"] = list_of(report.policy.strings);
  policy["policy-domain"] = text_of(report.policy.domain);
  if (!report.policy.mx_hosts.empty()) policy["mx-host"] = list_of(report.policy.mx_hosts);
  json::object object;
  object["policy"] = std::move(policy);
  object["summary"] = {{"total-successful-session-count", report.successes},
                       {"total-failure-session-count", report.failures}};
  json::array details;
  for (const TlsFailure &failure : report.details) details.push_back(to_json(failure));
  if (!details.empty()) object["failure-details"] = std::move(details);
  return object;
}

} // namespace

std::uint64_t TlsReport::sessions() const noexcept {
  std::uint64_t sum = 0;
  for (const TlsPolicyReport &policy : policies) sum += policy.successes + policy.failures;
  return sum;
}

std::size_t TlsReport::details() const noexcept {
  std::size_t sum = 0;
  for (const TlsPolicyReport &policy : policies) sum += policy.details.size();
  return sum;
}

std::vector<TlsReport> group_tls_reports(TlsrptDay day) {
  std::map<std::string, GatheredSessions> by_domain;
  for (Counted<TlsrptRow> &counted : day.rows) {
    std::string domain = smtp::to_lower(counted.row.domain);
    if (is_reportable_name(domain)) add_row(by_domain[std::move(domain)], std::move(counted));
  }
  std::vector<TlsReport> reports;
  for (auto &[domain, gathered] : by_domain) {
    TlsReport &report = gathered.report;
    report.domain = domain;
    report.day = day.day;
    for (TlsPolicyReport &policy : report.policies)
      std::stable_sort(policy.details.begin(), policy.details.end(),
                       [](const TlsFailure &left, const TlsFailure &right) { return left.sessions > right.sessions; });
    reports.push_back(std::move(report));
  }
  return reports;
}

std::size_t cut_details(TlsReport &report, std::size_t most) {
  std::size_t left_out = 0;
  for (TlsPolicyReport &policy : report.policies) {
    if (policy.details.size() <= most) continue;
    left_out += policy.details.size() - most;
    policy.details.resize(most);
  }
  return left_out;
}

std::string report_id(const TlsReport &report, std::string_view submitter) {
  std::string day = format_day(report.day);
  std::erase(day, '-');
  return fmt::format("tls.{}.{}@{}", day, report.domain, submitter);
}

std::string report_filename(const TlsReport &report, std::string_view submitter) {
  return fmt::format("{}!{}!{}!{}.json.gz", submitter, report.domain, begin_of(report.day), end_of(report.day));
}

std::string build_tls_report_json(const TlsReport &report, const TlsReportSettings &settings) {
  const std::string day = format_day(report.day);
  json::object object;
  object["organization-name"] = text_of(settings.org_name.empty() ? settings.submitter : settings.org_name);
  object["date-range"] = {{"start-datetime", day + "T00:00:00Z"}, {"end-datetime", day + "T23:59:59Z"}};
  const std::string address = settings.from ? settings.from->to_string() : std::string();
  object["contact-info"] = text_of(settings.contact.empty() ? address : settings.contact);
  object["report-id"] = text_of(report_id(report, settings.submitter));
  json::array policies;
  for (const TlsPolicyReport &policy : report.policies) policies.push_back(to_json(policy));
  object["policies"] = std::move(policies);
  return json::serialize(object);
}

} // namespace mta
