// The report files of the conformance collection: every valid one is read with its counts, every other one is refused
// with its reason.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include <gtest/gtest.h>

#include "mta/received/read_message.hpp"
#include "source_dir.hpp"

namespace conformance_reports_test {

using namespace mta;
namespace fs = std::filesystem;

struct Wanted {
  std::string organisation;
  std::string domain;
  std::string report_id;
  std::uint64_t rows = 0, good = 0, bad = 0;
  std::string refusal; ///< a part of its text; empty: it is read
};

Wanted refused(std::string text) {
  return {"", "", "", 0, 0, 0, std::move(text)};
}

/// By path below dmarc/reports; the numbers were counted with another XML parser.
const std::map<std::string, Wanted> dmarc_files = {
    {"dmarcbis-draft-dmarc-xml-0.2.xml",
     {"Sample Reporter", "example.com", "3v98abbp8ya9n3va8yr8oa3ya", 1, 123, 0, ""}},
    {"mail-dmarc-test_dmarc.xml", {"Test Sender", "example.com", "1234567890", 1, 1, 0, ""}},
    {"parsedmarc/aggregate/addisonfoods.com~example.com~1536105600~1536191999.xml",
     {"addisonfoods.com", "example.com", "3ceb5548498640beaeb47327e202b0b9", 1, 0, 1, ""}},
    {"parsedmarc/aggregate/estadocuenta1.infonacot.gob.mx~example.com~1536853302~1536939702~2940.xml.zip",
     {"XYZ Corporation", "example.com", "2940", 1, 0, 1, ""}},
    {"parsedmarc/aggregate/fastmail.com~example.com~1516060800~1516147199~102675056.xml.gz",
     {"FastMail Pty Ltd", "indemed.com", "102675056", 1, 0, 1, ""}},
    {"parsedmarc/aggregate/invalid_utf_8.xml",
     {"accurateplastics.com", "example.com", "example.com:1538463741", 1, 0, 1, ""}},
    {"parsedmarc/aggregate/mimecast-weird-gzip.eml",
     {"Mimecast", "ab.id.au", "157a5fe30ec76f4bc0d8bccfc96c118a167a1280fee7c7465af5115e73082e5e", 1, 1, 0, ""}},
    {"parsedmarc/aggregate/old_draft_from_wiki.xml", {"acme.com", "example.com", "9391651994964116463", 1, 2, 0, ""}},
    {"parsedmarc/aggregate/protection.outlook.com~example.com~1711756800~1711843200.xml",
     {"Outlook.com", "example.com", "cfeafefe4129445e8c81018bd9177197", 1, 0, 1, ""}},
    {"parsedmarc/aggregate/rfc9990-example.net~example.com~1700000000~1700086399.xml",
     {"example.net", "example.com", "dmarcbis-test-report-001", 2, 5, 2, ""}},
    {"parsedmarc/aggregate/rfc9990-sample.xml",
     {"Sample Reporter", "example.com", "3v98abbp8ya9n3va8yr8oa3ya", 1, 123, 0, ""}},
    {"parsedmarc/aggregate/usssa.com~example.com~1538784000~1538870399.xml",
     {"usssa.com", "example.com", "8953b4d4a4ee4218b6ac0e2cb2667ee1", 2, 0, 2, ""}},
    {"parsedmarc/aggregate/~example.com~1538204542~1538463818.xml",
     {"accurateplastics.com", "example.com", "example.com:1538463741", 1, 0, 1, ""}},
    {"parsedmarc/aggregate_invalid/report_with_upper_cased_pass.xml",
     {"example.com", "example.com", "aggr_report_example.com_20191202_1638", 1, 1, 0, ""}},
    {"parsedmarc/extract_report/changed-input.xml",
     {"fred.com", "example.com", "11038226378739404135", 20, 3047, 0, ""}},
    {"parsedmarc/extract_report/nice-input.xml.gz",
     {"google.com", "example.com", "11038226378739404135", 20, 3047, 0, ""}},
    {"parsedmarc/failure/DMARC_Failure_Report_for_domain.de_(mail-from=sharepoint@domain.de,_ip=10.10.10.10).eml",
     refused("it is a report of one message that failed")},
    {"parsedmarc/failure/dmarc_ruf_report_linkedin.crlf.eml", refused("it is a report of one message that failed")},
    {"parsedmarc/failure/exim_plain_text_only_no_arf_part.eml", refused("no part of the message is a report")},
};

std::string read_file(const fs::path &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void check(const std::string &name, const std::string &octets, const Wanted &wanted) {
  ReportMessage message;
  if (sniff(octets) == Packing::unknown) {
    auto read = read_report_message(source_of(octets), {});
    ASSERT_TRUE(read) << name << ": " << read.error().detail;
    message = std::move(*read);
  } else {
    auto report = read_report(octets, {});
    if (report)
      message.reports.push_back(std::move(*report));
    else
      message.problems.push_back(report.error().detail);
  }
  if (!wanted.refusal.empty()) {
    EXPECT_TRUE(message.reports.empty()) << name;
    ASSERT_FALSE(message.problems.empty()) << name;
    EXPECT_NE(message.problems.front().find(wanted.refusal), std::string::npos)
        << name << ": " << message.problems.front();
    return;
  }
  ASSERT_EQ(message.reports.size(), 1U) << name << ": " << (message.problems.empty() ? "" : message.problems.front());
  const ReceivedReport &report = message.reports.front();
  EXPECT_EQ(report.organisation, wanted.organisation) << name;
  EXPECT_EQ(report.domain, wanted.domain) << name;
  EXPECT_EQ(report.report_id, wanted.report_id) << name;
  EXPECT_LE(report.begin, report.end) << name;
  const ReportTotals totals = totals_of(report);
  EXPECT_EQ(totals.rows, wanted.rows) << name;
  EXPECT_EQ(totals.good, wanted.good) << name;
  EXPECT_EQ(totals.bad, wanted.bad) << name;
}

TEST(ConformanceReports, EveryDmarcFileIsReadWithItsCountsOrRefusedWithItsReason) {
  const fs::path folder = fs::path(source_dir) / "../shared/conformance/dmarc/reports";
  if (!fs::exists(folder)) GTEST_SKIP() << "the conformance collection is not here";
  std::size_t files = 0;
  for (const auto &entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const std::string name = fs::relative(entry.path(), folder).generic_string();
    const auto wanted = dmarc_files.find(name);
    ASSERT_NE(wanted, dmarc_files.end()) << name << " is not in the table";
    check(name, read_file(entry.path()), wanted->second);
    ++files;
  }
  EXPECT_EQ(files, dmarc_files.size());
}

TEST(ConformanceReports, Rfc8460AppendixB) {
  const fs::path file = fs::path(source_dir) / "../shared/conformance/tlsrpt/parsedmarc/rfc8460.json";
  if (!fs::exists(file)) GTEST_SKIP() << "the conformance collection is not here";
  const auto report = read_report(read_file(file), {});
  ASSERT_TRUE(report) << report.error().detail;
  EXPECT_EQ(report->organisation, "Company-X");
  EXPECT_EQ(report->contact, "sts-reporting@company-x.example");
  EXPECT_EQ(report->domain, "company-y.example");
  const auto &policies = std::get<ReceivedTls>(report->content).policies;
  ASSERT_EQ(policies.size(), 1U);
  EXPECT_EQ(policies[0].type, "sts");
  EXPECT_EQ(policies[0].policy.size(), 4U);
  EXPECT_EQ(policies[0].mx_hosts, std::vector<std::string>{"*.mail.company-y.example"});
  EXPECT_EQ(policies[0].successes, 5326U);
  EXPECT_EQ(policies[0].failures, 303U);
  ASSERT_EQ(policies[0].details.size(), 3U);
  EXPECT_EQ(policies[0].details[1].result_type, "starttls-not-supported");
  EXPECT_EQ(policies[0].details[1].sessions, 200U);
  EXPECT_EQ(policies[0].details[2].failure_reason_code, "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED");
}

} // namespace conformance_reports_test
