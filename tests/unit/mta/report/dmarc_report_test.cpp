// DmarcReport: how a day's rows become reports, and what a report is called; gzip.
#include "mta/report/dmarc_report.hpp"

#include <ostream>

#include <gtest/gtest.h>

#include "mta/report/gzip.hpp"
#include "tests/support/dmarc_rows.hpp"

namespace dmarc_report_test {

using namespace mta;
using support::a_row;
using support::day;

class GroupTest : public testing::Test {
protected:
  GroupTest() { day_.day = day("2026-11-21"); }
  DmarcRow &add(const std::string &policy_domain, std::uint64_t count = 1, int second = 0) {
    DmarcRow row = a_row();
    row.published.domain = policy_domain;
    day_.rows.push_back({row, count, std::chrono::sys_seconds(day_.day) + std::chrono::seconds(second)});
    return day_.rows.back().row;
  }
  std::vector<DmarcReport> group(DmarcReportForm form = DmarcReportForm::automatic) {
    return group_reports(day_, form);
  }
  static std::string names(const std::vector<DmarcReport> &reports) {
    std::string text;
    for (const DmarcReport &report : reports) text += report.published.domain + " ";
    return text;
  }
  DmarcDay day_;
};

TEST_F(GroupTest, no_rows_make_no_reports) {
  EXPECT_TRUE(group().empty());
}

TEST_F(GroupTest, each_policy_domain_has_one_report) {
  add("foo.example", 3);
  add("bar.example", 4);
  add("FOO.example").header_from = "other.foo.example";
  const auto reports = group();
  EXPECT_EQ(names(reports), "bar.example foo.example ");
  EXPECT_EQ(reports[0].messages, 4U);
  EXPECT_EQ(reports[1].messages, 4U);
  EXPECT_EQ(reports[1].rows.size(), 2U);
  EXPECT_EQ(reports[1].day, day("2026-11-21"));
}

TEST_F(GroupTest, the_most_frequent_rows_come_first) {
  add("foo.example", 1).envelope_to = "a.example";
  add("foo.example", 9).envelope_to = "b.example";
  add("foo.example", 5).envelope_to = "c.example";
  const auto reports = group();
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].rows[0].row.envelope_to, "b.example");
  EXPECT_EQ(reports[0].rows[2].row.envelope_to, "a.example");
}

TEST_F(GroupTest, a_policy_that_changed_is_the_last_one_and_its_rows_are_counted_together) {
  add("foo.example", 2, 50).published.p = auth::DmarcPolicy::none;
  add("foo.example", 3, 10).published.p = auth::DmarcPolicy::reject;
  const auto reports = group();
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].published.p, auth::DmarcPolicy::none);
  ASSERT_EQ(reports[0].rows.size(), 1U);
  EXPECT_EQ(reports[0].rows[0].count, 5U);
}

TEST_F(GroupTest, reports_alone_never_cause_a_report) {
  add("foo.example", 100).is_report = true;
  add("bar.example", 1).is_report = true;
  add("bar.example", 1);
  const auto reports = group();
  EXPECT_EQ(names(reports), "bar.example ");
  EXPECT_EQ(reports[0].messages, 2U) << "beside other mail they are counted";
}

TEST_F(GroupTest, names_that_no_dns_message_holds_are_left_out) {
  for (const std::string &name :
       {std::string(), std::string("a..example"), std::string(".example"), std::string("example."),
        std::string("a b.example"), std::string("a\r\nBcc: x.example"), std::string("<x>.example"),
        std::string("\xff.example"), std::string("a!b.example"), std::string(64, 'a') + ".example",
        std::string(200, 'a') + std::string(60, '.')})
    add(name);
  add("_under.score-1.example");
  EXPECT_EQ(names(group()), "_under.score-1.example ");
}

struct FormRow {
  std::string name;
  DmarcReportForm asked = DmarcReportForm::automatic;
  bool uses_rfc9989 = false;
  DmarcReportForm form = DmarcReportForm::rfc7489;
  friend std::ostream &operator<<(std::ostream &out, const FormRow &row) { return out << row.name; }
};

class FormTest : public GroupTest, public testing::WithParamInterface<FormRow> {};

TEST_P(FormTest, is_chosen) {
  add("foo.example").published.uses_rfc9989 = GetParam().uses_rfc9989;
  EXPECT_EQ(group(GetParam().asked).at(0).form, GetParam().form);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, FormTest,
    testing::Values(FormRow{"a record of today gets RFC 9990's", DmarcReportForm::automatic, true,
                            DmarcReportForm::rfc9990},
                    FormRow{"one that asks for nothing newer gets RFC 7489's", DmarcReportForm::automatic, false,
                            DmarcReportForm::rfc7489},
                    FormRow{"always RFC 9990's", DmarcReportForm::rfc9990, false, DmarcReportForm::rfc9990},
                    FormRow{"always RFC 7489's", DmarcReportForm::rfc7489, true, DmarcReportForm::rfc7489}));

TEST_F(GroupTest, names_follow_the_grammar_and_tell_parts_apart) {
  add("foo.example");
  DmarcReport report = group().at(0);
  EXPECT_EQ(report_id(report, "mx.example.org"), "20261121.foo.example@mx.example.org");
  EXPECT_EQ(report_filename(report, "mx.example.org"), "mx.example.org!foo.example!1795219200!1795305599.xml.gz");
  report.part = 2;
  report.parts = 3;
  EXPECT_EQ(report_id(report, "mx.example.org"), "20261121.foo.example.2of3@mx.example.org");
  EXPECT_EQ(report_filename(report, "mx.example.org"), "mx.example.org!foo.example!1795219200!1795305599!2of3.xml.gz");
}

// ---- gzip

TEST(GzipTest, a_text_comes_back) {
  std::string noise;
  for (unsigned i = 0, value = 1; i < 500'000; ++i)
    noise += static_cast<char>((value = value * 1664525U + 1013904223U) >> 24U);
  for (const std::string &text : {std::string(), std::string("x"), std::string(3'000'000, 'a'), noise}) {
    const auto packed = gzip(text);
    ASSERT_TRUE(packed);
    EXPECT_EQ(packed->substr(0, 3), "\x1f\x8b\x08");
    EXPECT_EQ(packed->substr(4, 4), std::string(4, '\0')) << "no time in it";
    EXPECT_EQ(gunzip(*packed, 3'000'000).value(), text);
    EXPECT_EQ(gzip(text).value(), *packed);
  }
}

TEST(GzipTest, what_is_cut_damaged_or_too_long_is_refused) {
  const std::string packed = gzip("a text that is not very long").value();
  for (std::size_t size = 0; size < packed.size(); ++size) EXPECT_FALSE(gunzip(packed.substr(0, size), 1000)) << size;
  std::string damaged = packed;
  damaged[packed.size() - 6] = static_cast<char>(damaged[packed.size() - 6] ^ 1);
  EXPECT_FALSE(gunzip(damaged, 1000));
  const auto bomb = gunzip(gzip(std::string(1'000'000, 'a')).value(), 999'999);
  ASSERT_FALSE(bomb);
  EXPECT_EQ(bomb.error().code, smtp::ErrorCode::too_long);
}

} // namespace dmarc_report_test
