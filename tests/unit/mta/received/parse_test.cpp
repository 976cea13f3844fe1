// The parsers of received reports: forms that must be read, and what is refused with which words.
#include <gtest/gtest.h>

#include "mta/received/read_dmarc_xml.hpp"
#include "mta/received/read_tlsrpt.hpp"
#include "mta/received/report_text.hpp"
#include "tests/support/report_texts.hpp"

namespace parse_test {

using namespace mta;
using support::dmarc_text;
using support::one_record;
using support::tls_text;

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  if (at != std::string::npos) text.replace(at, from.size(), to);
  return text;
}

TEST(ReadDmarcXml, AReportArrivesWhole) {
  const auto report = read_dmarc_xml(dmarc_text(one_record));
  ASSERT_TRUE(report) << report.error().detail;
  EXPECT_EQ(report->kind(), ReceivedKind::dmarc);
  EXPECT_EQ(report->domain, "example.com");
  EXPECT_EQ(report->begin.time_since_epoch().count(), 1'700'000'000);
  const auto &dmarc = std::get<ReceivedDmarc>(report->content);
  EXPECT_EQ(dmarc.p, "reject");
  EXPECT_EQ(dmarc.aspf, "s");
  ASSERT_EQ(dmarc.rows.size(), 1U);
  const ReportedRow &row = dmarc.rows[0];
  EXPECT_EQ(row.source_ip, "192.0.2.7");
  EXPECT_EQ(row.count, 3U);
  EXPECT_TRUE(row.passes());
  EXPECT_EQ(row.dkim_results, (std::vector<ReportedCheck>{{"example.com", "s1", "", "pass", ""}}));
  EXPECT_EQ(row.spf_results, (std::vector<ReportedCheck>{{"bounce.example.com", "", "mfrom", "softfail", ""}}));
}

struct Case {
  const char *name;
  std::string text;
  std::string refusal; ///< empty: it is read
};

TEST(ReadDmarcXml, FormsAndRefusals) {
  const std::string good = dmarc_text(one_record);
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "<a>";
  for (int i = 0; i < 40; ++i) deep += "</a>";
  const std::string laughs = "<!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol1 \"&lol;&lol;&lol;&lol;&lol;&lol;\">"
                             "<!ENTITY lol2 \"&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;\">]>";
  const std::vector<Case> cases = {
      {"names with a namespace prefix",
       "<d:feedback xmlns:d=\"urn:ietf:params:xml:ns:dmarc-2.0\"><d:report_metadata><d:report_id>x</d:report_id>"
       "<d:date_range><d:begin>1</d:begin><d:end>2</d:end></d:date_range></d:report_metadata>"
       "<d:policy_published><d:domain>example.com</d:domain></d:policy_published><d:record><d:row>"
       "<d:source_ip>2001:DB8:0:0:0:0:0:1</d:source_ip><d:count> 7 </d:count></d:row></d:record></d:feedback>",
       ""},
      {"a byte order mark and white space in front", "\xEF\xBB\xBF\r\n" + good, ""},
      {"times with fractions", replaced(good, "1700000000", "1700000000.5"), ""},
      {"times in milliseconds", replaced(replaced(good, "1700000000", "1700000000000"), "1700086399", "1700086399999"),
       ""},
      {"a stray tag", replaced(good, "<org_name>", "<br><org_name>"), ""},
      {"a stray end", replaced(good, "<record>", "</b><record>"), ""},
      {"a sign that begins nothing", replaced(good, "example.net", "a < b & c"), ""},
      {"an element that is not closed", replaced(good, "</selector>", ""), ""},
      {"a record that is not closed", replaced(good, "</record>", ""), ""},
      {"words of HTML around it", "<p>here it is" + good + "</p>", ""},
      {"broken, and cut", replaced(good, "<org_name>", "<br><org_name>").substr(0, good.size() / 2), "XML is broken"},
      {"broken, with a document type",
       replaced(replaced(good, "<feedback>", "<!DOCTYPE feedback><feedback>"), "<record>", "</b><record>"),
       "XML is broken"},
      {"an unknown element", replaced(good, "<record>", "<new><x/></new><record>"), ""},
      {"text in front of the element is broken", "<?xml?>" + std::string("<feedback>"), "XML is broken"},
      {"cut in the middle", good.substr(0, good.size() / 2), "XML is broken at octet"},
      {"another document", "<html><body>hello</body></html>", "its element is <html>, not <feedback>"},
      {"no metadata", "<feedback><record/></feedback>", "report has no report_metadata"},
      {"no report id", replaced(good, "r-1", " "), "report has no report_id"},
      {"a time that is none", replaced(good, "1700086399", "tomorrow"), "which are no times in seconds since 1970"},
      {"a time beyond all calendars", replaced(good, "1700086399", "99999999999999"), "which are no times"},
      {"the end before the begin", replaced(good, "1700086399", "1600000000"), "ends (1600000000) before it begins"},
      {"no policy", replaced(replaced(good, "<policy_published>", "<x>"), "</policy_published>", "</x>"),
       "report has no policy_published"},
      {"no domain", replaced(good, "Example.COM", ""), "policy_published has no domain"},
      {"no record", dmarc_text(""), "report has no record"},
      {"only a record without an address", replaced(good, "192.0.2.7", "192.0.2.700"),
       "none of 1 records has a source address and a count"},
      {"only a record with a negative count", replaced(good, "<count>3", "<count>-3"), "none of 1 records"},
      {"a document type alone", replaced(good, "<feedback>", "<!DOCTYPE feedback><feedback>"),
       "document type declaration, which no report needs"},
      {"the billion laughs", replaced(replaced(good, "<feedback>", laughs + "<feedback>"), "example.net", "&lol2;"),
       "document type declaration, which no report needs"},
      {"an external entity",
       replaced(replaced(good, "<feedback>", "<!DOCTYPE f [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><feedback>"),
                "example.net", "&x;"),
       "document type declaration, which no report needs"},
      {"nested too deep", replaced(good, "<record>", deep + "<record>"), "deeper than the limit of 32"},
  };
  for (const Case &one : cases) {
    const auto report = read_dmarc_xml(one.text);
    if (one.refusal.empty()) {
      EXPECT_TRUE(report) << one.name << ": " << report.error().detail;
    } else {
      ASSERT_FALSE(report) << one.name;
      EXPECT_NE(report.error().detail.find(one.refusal), std::string::npos)
          << one.name << ": " << report.error().detail;
    }
  }
}

TEST(ReadDmarcXml, AnEntityThatNobodyDeclaredStaysAsItIsWritten) {
  const auto report = read_dmarc_xml(replaced(dmarc_text(one_record), "example.net", "&xxe; &amp; &#65;"));
  ASSERT_TRUE(report) << report.error().detail;
  EXPECT_EQ(report->organisation, "&xxe; & A");
}

TEST(ReadDmarcXml, BrokenMarkupCostsOnlyWhatItBreaks) {
  ReadHints hints;
  const std::string broken =
      replaced(replaced(dmarc_text(one_record + one_record), "</row>", ""), "example.net", "<b>x<b> & y");
  const auto report = read_dmarc_xml(broken, {}, hints);
  ASSERT_TRUE(report) << report.error().detail;
  EXPECT_EQ(report->organisation, "x & y");
  EXPECT_EQ(hints.flaw_count, 1U);
  EXPECT_TRUE(hints.flaws.at(0).starts_with("XML is broken at octet")) << hints.flaws[0];
  const auto &rows = std::get<ReceivedDmarc>(report->content).rows;
  ASSERT_EQ(rows.size(), 2U);
  for (const ReportedRow &row : rows) {
    EXPECT_EQ(row.source_ip, "192.0.2.7");
    EXPECT_EQ(row.count, 3U);
    EXPECT_EQ(row.disposition, "none");
  }
}

TEST(ReadDmarcXml, AReasonMayBeText) {
  const auto reason_of = [](const std::string &text) {
    const auto report =
        read_dmarc_xml(dmarc_text(replaced(one_record, "</policy_evaluated>", text + "</policy_evaluated>")));
    return std::get<ReceivedDmarc>(report.value().content).rows.at(0).reasons.at(0);
  };
  EXPECT_EQ(reason_of("<reason><type>Forwarded</type><comment>c</comment></reason>"),
            (ReportedReason{"forwarded", "c"}));
  EXPECT_EQ(reason_of("<reason>Mailing_List</reason>"), (ReportedReason{"mailing_list", ""}));
  EXPECT_EQ(reason_of("<reason> some words </reason>"), (ReportedReason{"", "some words"}));
  EXPECT_EQ(reason_of("<reason>words<type>other</type></reason>"), (ReportedReason{"other", "words"}));
}

TEST(ReadDmarcXml, TheMailMayNameTheDomain) {
  ReadHints hints;
  hints.domain = "example.com";
  const auto report = read_dmarc_xml(replaced(dmarc_text(one_record), "Example.COM", ""), {}, hints);
  ASSERT_TRUE(report) << report.error().detail;
  EXPECT_EQ(report->domain, "example.com");
  hints.domain = "other.example";
  EXPECT_EQ(read_dmarc_xml(dmarc_text(one_record), {}, hints).value().domain, "example.com")
      << "the report's word counts";
}

TEST(ReadDmarcXml, UnusableRecordsArePassedOverAndCounted) {
  const auto report =
      read_dmarc_xml(dmarc_text(one_record + replaced(one_record, "192.0.2.7", "unknown") + one_record));
  ASSERT_TRUE(report) << report.error().detail;
  EXPECT_EQ(std::get<ReceivedDmarc>(report->content).rows.size(), 2U);
  EXPECT_EQ(std::get<ReceivedDmarc>(report->content).skipped_rows, 1U);
}

TEST(ReadDmarcXml, LimitsAreTold) {
  XmlLimits limits;
  limits.rows = 2;
  const auto rows = read_dmarc_xml(dmarc_text(one_record + one_record + one_record), limits);
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().detail, "report has more than the limit of 2 records");
  EXPECT_EQ(rows.error().code, smtp::ErrorCode::too_long);
  limits.markup = 10;
  const auto markup = read_dmarc_xml(dmarc_text(one_record), limits);
  ASSERT_FALSE(markup);
  EXPECT_NE(markup.error().detail.find("limit is 10"), std::string::npos) << markup.error().detail;
}

TEST(ReadDmarcXml, ForeignTextsAreOneCleanLine) {
  const std::string bad = "a\tb\nc\x1b[31m \xff " + std::string(2'000, 'x');
  const auto report = read_dmarc_xml(dmarc_text(one_record, "r-1", bad));
  ASSERT_TRUE(report) << report.error().detail;
  EXPECT_LE(report->organisation.size(), longest_report_text);
  EXPECT_TRUE(report->organisation.starts_with("a b c [31m ? x")) << report->organisation.substr(0, 40);
}

TEST(ReportTotals, SumsStopAtTheLargestNumber) {
  const std::string most = replaced(one_record, "<count>3", "<count>18446744073709551615");
  const auto report = read_dmarc_xml(dmarc_text(most + most));
  ASSERT_TRUE(report) << report.error().detail;
  EXPECT_EQ(totals_of(*report).good, 18'446'744'073'709'551'615ULL);
}

TEST(ReadTlsrpt, FormsAndRefusals) {
  std::string deep = "{\"policies\":";
  for (int i = 0; i < 40; ++i) deep += "[";
  const std::vector<Case> cases = {
      {"the usual form", tls_text, ""},
      {"a byte order mark in front", "\xEF\xBB\xBF" + tls_text, ""},
      {"mx-host as one string", replaced(tls_text, R"(["mx1.example.com","mx2.example.com"])", R"("mx1.example.com")"),
       ""},
      {"policy-string as one string", replaced(tls_text, R"(["version: STSv1","mode: testing"])", R"("x")"), ""},
      {"counts as texts", replaced(tls_text, R"(count":10)", R"(count":"10")"), ""},
      {"no failure-details", tls_text.substr(0, tls_text.find(",\n\"failure-details")) + "}]}", ""},
      {"a time with an offset", replaced(tls_text, "00:00:00Z", "00:00:00+01:00"), ""},
      {"no JSON", "{\"policies\" 5}", "JSON is broken near octet"},
      {"cut in the middle", tls_text.substr(0, 300), "JSON is broken"},
      {"another document", "{\"a\":1}", "it has no \"policies\""},
      {"an array", "[1]", "it has no \"policies\""},
      {"a report id that is a number", replaced(tls_text, R"("report-id":"t-1")", R"("report-id":7)"), ""},
      {"times in milliseconds",
       replaced(replaced(tls_text, R"("2026-04-01T00:00:00Z")", "1775001600000"), R"("2026-04-01T23:59:59Z")",
                R"("1775087999000")"),
       ""},
      {"times in seconds",
       replaced(replaced(tls_text, R"("2026-04-01T00:00:00Z")", "1775001600.5"), R"("2026-04-01T23:59:59Z")",
                "1775087999"),
       ""},
      {"a comma too many", replaced(tls_text, "}]}]}", "},],}],}"), ""},
      {"words behind it", tls_text + "bye", ""},
      {"no report id", replaced(tls_text, R"("report-id":"t-1")", R"("report-id":null)"), "report has no report-id"},
      {"no date range", replaced(tls_text, "date-range", "range"), "report has no date-range"},
      {"a day that does not exist", replaced(tls_text, "2026-04-01T23", "2026-02-30T23"), "end-datetime: \"2026-02-30"},
      {"the end before the begin", replaced(tls_text, "2026-04-01T23", "2025-04-01T23"), "ends before it begins"},
      {"no policies", replaced(tls_text, "\"policies\":[", "\"policies\":[],\"x\":["), "report has no policy"},
      {"a policy without its domain", replaced(tls_text, "Example.COM", ""), "a policy has no policy-domain"},
      {"no policy that is one", replaced(tls_text, R"({"policy":)", R"({"pol":)"),
       "an entry of policies has no policy"},
      {"nested too deep", deep, "deeper than the limit of 16"},
  };
  for (const Case &one : cases) {
    const auto report = read_tlsrpt(one.text);
    if (one.refusal.empty()) {
      ASSERT_TRUE(report) << one.name << ": " << report.error().detail;
      EXPECT_EQ(report->domain, "example.com") << one.name;
      EXPECT_EQ(totals_of(*report).good, 10U) << one.name;
      EXPECT_EQ(totals_of(*report).bad, 2U) << one.name;
    } else {
      ASSERT_FALSE(report) << one.name;
      EXPECT_NE(report.error().detail.find(one.refusal), std::string::npos)
          << one.name << ": " << report.error().detail;
    }
  }
}

TEST(ReadTlsrpt, OneBadPartCostsNothingElse) {
  const std::string policy =
      R"({"policy":{"policy-type":"sts","policy-domain":"b.example"},"summary":{"total-successful-session-count":4}})";
  struct Row {
    const char *name;
    std::string text;
    std::size_t policies;
    std::uint64_t good;
    std::size_t flaws;
  };
  for (const Row &row : std::vector<Row>{
           {"an entry without a policy",
            replaced(tls_text, "\"policies\":[", R"("policies":[{"summary":{}},)" + policy + ","), 2, 14, 1},
           {"entries that are no objects", replaced(tls_text, "\"policies\":[", "\"policies\":[7,\"x\","), 1, 10, 0},
           {"a count that is none", replaced(tls_text, R"(count":10)", R"(count":-1)"), 1, 0, 1},
           {"a detail's count that is none",
            replaced(tls_text, R"(failed-session-count":2)", R"(failed-session-count":"two")"), 1, 10, 1}}) {
    SCOPED_TRACE(row.name);
    ReadHints hints;
    const auto report = read_tlsrpt(row.text, {}, hints);
    ASSERT_TRUE(report) << report.error().detail;
    const auto &policies = std::get<ReceivedTls>(report->content).policies;
    EXPECT_EQ(policies.size(), row.policies);
    EXPECT_EQ(totals_of(*report).good, row.good);
    EXPECT_EQ(policies.back().details.size(), 1U);
    EXPECT_EQ(hints.flaw_count, row.flaws);
  }
}

TEST(ReadTlsrpt, TheMailOrAnotherPolicyMayNameTheDomain) {
  const std::string without = replaced(tls_text, R"("policy-domain":"Example.COM",)", "");
  ReadHints hints;
  hints.domain = "example.com";
  const auto named = read_tlsrpt(without, {}, hints);
  ASSERT_TRUE(named) << named.error().detail;
  EXPECT_EQ(named->domain, "example.com");
  EXPECT_EQ(std::get<ReceivedTls>(named->content).policies.at(0).domain, "example.com");
  const std::string two =
      replaced(without, "\"policies\":[", R"("policies":[{"policy":{"policy-domain":"b.example"}},)");
  EXPECT_EQ(read_tlsrpt(two).value().domain, "b.example");
}

TEST(ReadTlsrpt, LimitsAreTold) {
  JsonLimits limits;
  limits.details = 0;
  EXPECT_EQ(read_tlsrpt(tls_text, limits).error().detail, "report has more than the limit of 0 failure-details");
  limits = {};
  limits.policies = 0;
  EXPECT_EQ(read_tlsrpt(tls_text, limits).error().detail, "report has 1 policies, limit is 0");
  limits = {};
  limits.markup = 5;
  EXPECT_NE(read_tlsrpt(tls_text, limits).error().detail.find("limit is 5"), std::string::npos);
}

TEST(CleanReportDomain, IsTheFormThatIsAskedFor) {
  EXPECT_EQ(clean_report_domain(" Example.COM. "), "example.com");
  EXPECT_EQ(clean_report_domain("b\xC3\xBC"
                                "cher.example"),
            "xn--bcher-kva.example");
  EXPECT_EQ(clean_report_domain("a..B"), "a..b") << "no domain";
  EXPECT_EQ(clean_report_domain("a\xE2\x80\xAE"
                                "b.example"),
            "a?b.example");
  EXPECT_EQ(read_dmarc_xml(replaced(dmarc_text(one_record), "Example.COM", "Example.COM.")).value().domain,
            "example.com");
  EXPECT_EQ(read_tlsrpt(replaced(tls_text, "Example.COM", "Example.COM.")).value().domain, "example.com");
}

TEST(CleanReportDomain, ASubjectNamesIt) {
  EXPECT_EQ(domain_of_subject("Report Domain: Example.com. Submitter: x.example Report-ID: <1>"), "example.com");
  EXPECT_EQ(domain_of_subject("[Preview] report domain:b.example"), "b.example");
  EXPECT_EQ(domain_of_subject("hello"), "");
  EXPECT_EQ(domain_of_subject("Report Domain:"), "");
}

TEST(ParseReportTime, FormsAndRefusals) {
  const auto seconds = [](std::string_view text) -> std::int64_t {
    const auto time = parse_report_time(text);
    return time ? time->time_since_epoch().count() : -1;
  };
  EXPECT_EQ(seconds("1970-01-02T00:00:01Z"), 86'401);
  EXPECT_EQ(seconds("1970-01-02T00:00:01.123Z"), 86'401);
  EXPECT_EQ(seconds("1970-01-02T01:00:00+01:00"), 86'400);
  EXPECT_EQ(seconds("1970-01-01T23:30:00-0030"), 86'400);
  EXPECT_EQ(seconds("1970-01-02 00:00:00"), 86'400);
  for (const char *wrong : {"", "1970", "1970-13-01T00:00:00Z", "1970-01-01T24:00:00Z", "1970-01-01T00:00:00X",
                            "1970-01-01T00:00:00+1", "1969-12-31T00:00:00Z", "1970-01-01T00:00:00Z "})
    EXPECT_EQ(seconds(wrong), -1) << wrong;
}

} // namespace parse_test
