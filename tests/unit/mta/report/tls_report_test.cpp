// TlsReport: rows become one report for each domain, and its JSON is that of RFC 8460's appendix B.
#include "mta/report/tls_report.hpp"

#include <algorithm>
#include <filesystem>
#include <map>

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "source_dir.hpp"
#include "tests/support/dmarc_rows.hpp"

namespace tls_report_test {

using namespace mta;
namespace json = boost::json;
using policy::TlsFault;

TlsrptPolicy sts_policy() {
  return {TlsPolicyType::sts,
          "company-y.example",
          {"version: STSv1", "mode: testing", "mx: *.mail.company-y.example", "max_age: 86400"},
          {"*.mail.company-y.example"}};
}

Counted<TlsrptRow> row_of(const TlsrptPolicy &policy, TlsFault fault, std::uint64_t count) {
  TlsrptRow row;
  row.domain = "company-y.example";
  row.policy = policy;
  row.fault = fault;
  return {row, count, {}};
}

/// The sessions of appendix B.
TlsrptDay sample_day() {
  TlsrptDay day{.day = support::day("2016-04-01"), .rows = {}};
  day.rows.push_back(row_of(sts_policy(), TlsFault::none, 5326));
  auto expired = row_of(sts_policy(), TlsFault::certificate_expired, 100);
  expired.row.sending_address = "2001:db8:abcd:0012::1";
  expired.row.receiving_host = "mx1.mail.company-y.example";
  day.rows.push_back(expired);
  auto no_tls = row_of(sts_policy(), TlsFault::starttls_not_supported, 200);
  no_tls.row.sending_address = "2001:db8:abcd:0013::1";
  no_tls.row.receiving_host = "mx2.mail.company-y.example";
  no_tls.row.receiving_address = "203.0.113.56";
  day.rows.push_back(no_tls);
  auto other = row_of(sts_policy(), TlsFault::validation_failure, 3);
  other.row.sending_address = "198.51.100.62";
  other.row.receiving_host = "mx-backup.mail.company-y.example";
  other.row.receiving_address = "203.0.113.58";
  other.row.reason = "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED";
  day.rows.push_back(other);
  return day;
}

TlsReportSettings sample_settings() {
  TlsReportSettings settings;
  settings.org_name = "Company-X";
  settings.contact = "sts-reporting@company-x.example";
  settings.submitter = "mail.company-x.example";
  settings.from = smtp::Mailbox::parse("tls@company-x.example").value();
  return settings;
}

json::object build(const TlsReport &report, const TlsReportSettings &settings = sample_settings()) {
  return json::parse(build_tls_report_json(report, settings)).as_object();
}

/// Neither the order of the failures means anything, nor that of their keys.
json::value with_sorted_details(json::value report) {
  for (json::value &policy : report.as_object().at("policies").as_array()) {
    json::array &details = policy.as_object().at("failure-details").as_array();
    for (json::value &detail : details) {
      std::map<std::string, json::value> by_key;
      for (const auto &entry : detail.as_object()) by_key.emplace(entry.key(), entry.value());
      json::object sorted;
      for (const auto &[key, value] : by_key) sorted[key] = value;
      detail = sorted;
    }
    std::sort(details.begin(), details.end(), [](const json::value &left, const json::value &right) {
      return json::serialize(left) < json::serialize(right);
    });
  }
  return report;
}

TEST(TlsReportJson, is_that_of_appendix_b) {
  const std::filesystem::path file =
      std::filesystem::path(source_dir) / "../shared/conformance/tlsrpt/parsedmarc/rfc8460.json";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not there";
  json::value wanted = json::parse(support::read_all(file.string()));
  // Where ours differs, and why: an array, as section 4.4 describes it and as others send it;
  json::object &wanted_policy = wanted.at("policies").at(0).at("policy").as_object();
  wanted_policy["mx-host"] = json::array{wanted_policy.at("mx-host")};
  // our own identifier;
  wanted.as_object()["report-id"] = "tls.20160401.company-y.example@mail.company-x.example";
  // and no page that says more.
  for (json::value &detail : wanted.at("policies").at(0).at("failure-details").as_array())
    detail.as_object().erase("additional-information");
  const auto reports = group_tls_reports(sample_day());
  ASSERT_EQ(reports.size(), 1U);
  const json::value made = build(reports[0]);
  EXPECT_EQ(with_sorted_details(made), with_sorted_details(wanted)) << made << "\n" << wanted;
}

TEST(TlsReportJson, leaves_out_what_is_not_known) {
  TlsrptDay day{.day = support::day("2026-11-21"), .rows = {}};
  day.rows.push_back(row_of({TlsPolicyType::no_policy_found, "company-y.example", {}, {}}, TlsFault::none, 7));
  const json::object made = build(group_tls_reports(day).at(0));
  const json::object &policy = made.at("policies").at(0).as_object();
  EXPECT_EQ(json::serialize(policy),
            R"({"policy":{"policy-type":"no-policy-found","policy-domain":"company-y.example"},)"
            R"("summary":{"total-successful-session-count":7,"total-failure-session-count":0}})");
}

TEST(TlsReportJson, names_us_where_nothing_is_configured) {
  TlsReportSettings settings = sample_settings();
  settings.org_name.clear();
  settings.contact.clear();
  const json::object made = build(group_tls_reports(sample_day()).at(0), settings);
  EXPECT_EQ(made.at("organization-name"), "mail.company-x.example");
  EXPECT_EQ(made.at("contact-info"), "tls@company-x.example");
}

TEST(TlsReportJson, is_utf8_whatever_a_policy_says) {
  TlsrptDay day = sample_day();
  for (auto &counted : day.rows) counted.row.policy.strings = {"mx: \xff\xfe\"\n"};
  const json::object made = build(group_tls_reports(day).at(0));
  EXPECT_EQ(made.at("policies").at(0).at("policy").at("policy-string").at(0), "mx: ??\"\n");
}

TEST(TlsReportGroups, are_by_domain_in_the_order_of_the_names) {
  TlsrptDay day = sample_day();
  auto other = row_of({TlsPolicyType::no_policy_found, "a.example", {}, {}}, TlsFault::none, 1);
  other.row.domain = "A.example";
  day.rows.push_back(other);
  auto odd = other;
  odd.row.domain = "not a name";
  day.rows.push_back(odd);
  odd.row.domain = "";
  day.rows.push_back(odd);
  const auto reports = group_tls_reports(day);
  ASSERT_EQ(reports.size(), 2U) << "a name that no DNS message can carry has no report";
  EXPECT_EQ(reports[0].domain, "a.example");
  EXPECT_EQ(reports[1].domain, "company-y.example");
  EXPECT_EQ(reports[1].sessions(), 5629U);
}

TEST(TlsReportGroups, each_policy_has_its_own_sums) {
  TlsrptDay day{.day = support::day("2026-11-21"), .rows = {}};
  const TlsrptPolicy tlsa{TlsPolicyType::tlsa, "mx.company-y.example", {"3 1 1 AB"}, {}};
  TlsrptPolicy changed = sts_policy();
  changed.strings[1] = "mode: enforce";
  day.rows = {row_of(tlsa, TlsFault::none, 5), row_of(sts_policy(), TlsFault::none, 3),
              row_of(changed, TlsFault::validation_failure, 2), row_of(tlsa, TlsFault::validation_failure, 1)};
  const auto report = group_tls_reports(day).at(0);
  ASSERT_EQ(report.policies.size(), 3U) << "a policy that changed during the day is two";
  EXPECT_EQ(report.policies[0].policy, tlsa);
  EXPECT_EQ(report.policies[0].successes, 5U);
  EXPECT_EQ(report.policies[0].failures, 1U);
  EXPECT_EQ(report.policies[1].policy, sts_policy());
  EXPECT_EQ(report.policies[1].failures, 0U);
  EXPECT_EQ(report.policies[2].policy, changed);
  EXPECT_EQ(report.policies[2].failures, 2U);
}

TEST(TlsReportGroups, the_most_frequent_failures_come_first_and_are_kept) {
  auto report = group_tls_reports(sample_day()).at(0);
  const auto &details = report.policies.at(0).details;
  ASSERT_EQ(details.size(), 3U);
  EXPECT_EQ(details[0].sessions, 200U);
  EXPECT_EQ(details[2].sessions, 3U);
  EXPECT_EQ(cut_details(report, 5), 0U);
  EXPECT_EQ(cut_details(report, 1), 2U);
  EXPECT_EQ(details.size(), 1U);
  EXPECT_EQ(details[0].sessions, 200U);
  EXPECT_EQ(report.policies[0].failures, 303U) << "the sums stay whole";
}

TEST(TlsReportNames, are_those_of_sections_4_4_and_5_1) {
  const auto report = group_tls_reports(sample_day()).at(0);
  EXPECT_EQ(report_id(report, "mx.example.org"), "tls.20160401.company-y.example@mx.example.org");
  EXPECT_EQ(report_filename(report, "mx.example.org"),
            "mx.example.org!company-y.example!1459468800!1459555199.json.gz");
}

} // namespace tls_report_test
