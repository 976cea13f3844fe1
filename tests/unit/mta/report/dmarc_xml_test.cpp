// build_report_xml: both documents hold what the rows say, and validate against their schemas for any octets.
#include "mta/report/dmarc_xml.hpp"

#include <cstdlib>
#include <ostream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pugixml.hpp>

#include "source_dir.hpp"
#include "tests/support/dmarc_rows.hpp"

namespace dmarc_xml_test {

using namespace mta;
using auth::DmarcPolicy;
using support::a_row;
using support::day;
using testing::ElementsAre;

constexpr auto old_form = DmarcReportForm::rfc7489;
constexpr auto new_form = DmarcReportForm::rfc9990;

DmarcReportSettings settings() {
  DmarcReportSettings settings;
  settings.org_name = "Example <Org> & \"Sons\"";
  settings.from = smtp::Mailbox::parse("reports@example.org").value();
  settings.submitter = "mx.example.org";
  settings.extra_contact = "https://example.org/?a=1&b=2";
  return settings;
}

DmarcReport report_of(const DmarcRow &row, DmarcReportForm form) {
  DmarcReport report;
  report.published = row.published;
  report.day = day("2026-11-21");
  report.rows = {{row, 7, std::chrono::sys_seconds(report.day)}};
  report.messages = 7;
  report.form = form;
  return report;
}

pugi::xml_document parse(const std::string &xml) {
  pugi::xml_document document;
  const auto result = document.load_buffer(xml.data(), xml.size(), pugi::parse_full);
  EXPECT_TRUE(result) << result.description() << "\n" << xml;
  return document;
}

std::string at(const pugi::xml_document &document, const char *path) {
  const auto node = document.select_node(path).node();
  return node ? node.text().get() : "(absent)";
}

std::vector<std::string> children(const pugi::xml_document &document, const char *path) {
  std::vector<std::string> names;
  for (const auto node : document.select_node(path).node().children()) names.emplace_back(node.name());
  return names;
}

TEST(DmarcXmlTest, the_document_of_rfc_9990) {
  const auto xml = parse(build_report_xml(report_of(a_row(), new_form), settings()));
  EXPECT_STREQ(xml.child("feedback").attribute("xmlns").value(), "urn:ietf:params:xml:ns:dmarc-2.0");
  EXPECT_THAT(children(xml, "/feedback"), ElementsAre("version", "report_metadata", "policy_published", "record"));
  EXPECT_EQ(at(xml, "/feedback/version"), "1.0");
  EXPECT_EQ(at(xml, "/feedback/report_metadata/org_name"), "Example <Org> & \"Sons\"");
  EXPECT_EQ(at(xml, "/feedback/report_metadata/email"), "reports@example.org");
  EXPECT_EQ(at(xml, "/feedback/report_metadata/extra_contact_info"), "https://example.org/?a=1&b=2");
  EXPECT_EQ(at(xml, "/feedback/report_metadata/report_id"), "20261121.example.com@mx.example.org");
  EXPECT_EQ(at(xml, "/feedback/report_metadata/date_range/begin"), "1795219200");
  EXPECT_EQ(at(xml, "/feedback/report_metadata/date_range/end"), "1795305599");
  EXPECT_EQ(at(xml, "/feedback/policy_published/domain"), "example.com");
  EXPECT_EQ(at(xml, "/feedback/policy_published/discovery_method"), "treewalk");
  EXPECT_EQ(at(xml, "/feedback/policy_published/p"), "reject");
  EXPECT_EQ(at(xml, "/feedback/policy_published/sp"), "quarantine");
  EXPECT_EQ(at(xml, "/feedback/policy_published/np"), "quarantine") << "defaults to sp";
  EXPECT_EQ(at(xml, "/feedback/policy_published/testing"), "n");
  EXPECT_EQ(at(xml, "/feedback/policy_published/pct"), "(absent)");
  EXPECT_EQ(at(xml, "/feedback/record/row/source_ip"), "192.0.2.1");
  EXPECT_EQ(at(xml, "/feedback/record/row/count"), "7");
  EXPECT_EQ(at(xml, "/feedback/record/identifiers/header_from"), "news.example.com");
  EXPECT_EQ(at(xml, "/feedback/record/identifiers/envelope_from"), "news.example.com");
  EXPECT_EQ(at(xml, "/feedback/record/identifiers/envelope_to"), "example.org");
  EXPECT_THAT(children(xml, "/feedback/record/auth_results"), ElementsAre("dkim", "spf"))
      << "only the identity that DMARC uses";
  EXPECT_EQ(at(xml, "/feedback/record/auth_results/dkim/selector"), "s1");
  EXPECT_EQ(at(xml, "/feedback/record/auth_results/spf/domain"), "news.example.com");
  EXPECT_EQ(at(xml, "/feedback/record/auth_results/spf/scope"), "mfrom");
}

TEST(DmarcXmlTest, the_document_of_rfc_7489) {
  DmarcRow row = a_row();
  row.source = smtp::IpAddress::parse("2001:db8::1").value();
  const auto xml = parse(build_report_xml(report_of(row, old_form), settings()));
  EXPECT_FALSE(xml.child("feedback").attribute("xmlns"));
  EXPECT_EQ(at(xml, "/feedback/policy_published/pct"), "100");
  EXPECT_EQ(at(xml, "/feedback/policy_published/fo"), "0");
  EXPECT_EQ(at(xml, "/feedback/policy_published/np"), "(absent)");
  EXPECT_EQ(at(xml, "/feedback/policy_published/testing"), "(absent)");
  EXPECT_EQ(at(xml, "/feedback/report_metadata/generator"), "(absent)");
  EXPECT_EQ(at(xml, "/feedback/record/row/source_ip"), "2001:db8:0:0:0:0:0:1");
  EXPECT_THAT(children(xml, "/feedback/record/auth_results"), ElementsAre("dkim", "spf", "spf"));
  EXPECT_EQ(at(xml, "/feedback/record/auth_results/spf[2]/scope"), "helo");
}

struct EvaluatedRow {
  std::string name;
  bool aligned = false;
  DmarcPolicy policy = DmarcPolicy::reject;
  DmarcPolicy done = DmarcPolicy::reject;
  bool testing = false;
  std::vector<auth::PolicyOverride> reasons;
  DmarcReportForm form = new_form;
  std::string disposition;
  std::string reason = "(absent)";
  std::string comment = "(absent)";
  friend std::ostream &operator<<(std::ostream &out, const EvaluatedRow &row) { return out << row.name; }
};

class EvaluatedTest : public testing::TestWithParam<EvaluatedRow> {};

TEST_P(EvaluatedTest, says_what_was_done_and_why) {
  DmarcRow row = a_row();
  row.spf_aligned = false;
  row.dkim_aligned = GetParam().aligned;
  row.policy = GetParam().policy;
  row.disposition = GetParam().done;
  row.published.testing = GetParam().testing;
  row.reasons = GetParam().reasons;
  const auto xml = parse(build_report_xml(report_of(row, GetParam().form), settings()));
  EXPECT_EQ(at(xml, "//policy_evaluated/disposition"), GetParam().disposition);
  EXPECT_EQ(at(xml, "//policy_evaluated/dkim"), GetParam().aligned ? "pass" : "fail");
  EXPECT_EQ(at(xml, "//policy_evaluated/spf"), "fail");
  EXPECT_EQ(at(xml, "//policy_evaluated/reason/type"), GetParam().reason);
  EXPECT_EQ(at(xml, "//policy_evaluated/reason/comment"), GetParam().comment);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, EvaluatedTest,
    testing::Values(EvaluatedRow{.name = "refused as the policy says", .reasons = {}, .disposition = "reject"},
                    EvaluatedRow{.name = "passed under an enforcing policy",
                                 .aligned = true,
                                 .done = DmarcPolicy::none,
                                 .reasons = {},
                                 .disposition = "pass"},
                    EvaluatedRow{.name = "RFC 7489 has no disposition pass",
                                 .aligned = true,
                                 .done = DmarcPolicy::none,
                                 .reasons = {},
                                 .form = old_form,
                                 .disposition = "none"},
                    EvaluatedRow{.name = "passed under no policy",
                                 .aligned = true,
                                 .policy = DmarcPolicy::none,
                                 .done = DmarcPolicy::none,
                                 .reasons = {},
                                 .disposition = "none"},
                    EvaluatedRow{.name = "failed under no policy",
                                 .policy = DmarcPolicy::none,
                                 .done = DmarcPolicy::none,
                                 .reasons = {},
                                 .disposition = "none"},
                    EvaluatedRow{.name = "an override",
                                 .done = DmarcPolicy::none,
                                 .reasons = {{auth::OverrideKind::trusted_forwarder, "arc=pass"}},
                                 .disposition = "none",
                                 .reason = "trusted_forwarder",
                                 .comment = "arc=pass"},
                    EvaluatedRow{.name = "an override without a comment",
                                 .done = DmarcPolicy::quarantine,
                                 .reasons = {{auth::OverrideKind::mailing_list, ""}},
                                 .disposition = "quarantine",
                                 .reason = "mailing_list"},
                    EvaluatedRow{.name = "a difference without a reason has one all the same",
                                 .done = DmarcPolicy::none,
                                 .reasons = {},
                                 .disposition = "none",
                                 .reason = "local_policy"},
                    EvaluatedRow{.name = "test mode",
                                 .done = DmarcPolicy::quarantine,
                                 .testing = true,
                                 .reasons = {},
                                 .disposition = "quarantine",
                                 .reason = "policy_test_mode"},
                    EvaluatedRow{.name = "RFC 7489 knows no test mode",
                                 .done = DmarcPolicy::quarantine,
                                 .testing = true,
                                 .reasons = {{auth::OverrideKind::policy_test_mode, "t=y"}},
                                 .form = old_form,
                                 .disposition = "quarantine",
                                 .reason = "other",
                                 .comment = "policy_test_mode: t=y"}));

// ---- the schemas

struct HostileRow {
  std::string name;
  void (*change)(DmarcRow &);
  friend std::ostream &operator<<(std::ostream &out, const HostileRow &row) { return out << row.name; }
};

class SchemaTest : public testing::TestWithParam<HostileRow> {};

TEST_P(SchemaTest, validates) {
  const std::string schemas = std::string(source_dir) + "/../shared/conformance/dmarc/schema/";
  if (!std::filesystem::exists(schemas)) GTEST_SKIP() << "no schemas at " << schemas;
  if (std::system("xmllint --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "xmllint is not installed";
  DmarcRow row = a_row();
  GetParam().change(row);
  for (const DmarcReportForm form : {old_form, new_form}) {
    DmarcReport report = report_of(row, form);
    report.published.domain = "example.com";
    const std::string xml = build_report_xml(report, settings());
    const test::TempFolder folder;
    const std::string file = folder.file("report.xml");
    support::write_all(file, xml);
    const std::string schema = schemas + (form == old_form ? "rfc7489-rua.xsd" : "dmarcbis-draft-dmarc-xml-0.2.xsd");
    const std::string output = folder.file("output");
    const std::string command = "xmllint --noout --schema '" + schema + "' '" + file + "' >'" + output + "' 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0) << support::read_all(output) << xml;
    parse(xml);
  }
}

/// Every octet, among them all that XML cannot hold, and characters that are none.
std::string all_octets() {
  std::string text = "<&>\"']]>\xEF\xBF\xBE\xEF\xBF\xBF\xED\xA0\x80\xC2\x85";
  for (int octet = 0; octet < 256; ++octet) text += static_cast<char>(octet);
  return text;
}

INSTANTIATE_TEST_SUITE_P(
    Rows, SchemaTest,
    testing::Values(
        HostileRow{"an ordinary row", [](DmarcRow &) {}},
        HostileRow{"IPv6", [](DmarcRow &row) { row.source = smtp::IpAddress::parse("2001:db8::1").value(); }},
        HostileRow{"nothing but what there must be",
                   [](DmarcRow &row) {
                     const DmarcPublished published = row.published;
                     row = DmarcRow();
                     row.published.domain = published.domain;
                   }},
        HostileRow{"the null reverse-path, no SPF, no DKIM",
                   [](DmarcRow &row) {
                     row.envelope_from.clear();
                     row.spf.clear();
                     row.dkim.clear();
                   }},
        HostileRow{"all tags of RFC 9989",
                   [](DmarcRow &row) {
                     row.published.np = DmarcPolicy::none;
                     row.published.testing = true;
                     row.published.strict_dkim = true;
                     row.published.strict_spf = true;
                     row.published.discovery = DmarcDiscovery::psl;
                     row.published.fo = "1:d:s";
                   }},
        HostileRow{"every result",
                   [](DmarcRow &row) {
                     row.dkim.clear();
                     for (int i = 0; i <= static_cast<int>(auth::DkimResult::permerror); ++i)
                       row.dkim.push_back({"example.com", "s", static_cast<auth::DkimResult>(i)});
                     row.spf.clear();
                     for (int i = 0; i <= static_cast<int>(auth::SpfResult::permerror); ++i)
                       row.spf.push_back({"example.com", SpfScope::helo, static_cast<auth::SpfResult>(i)});
                     for (int i = 0; i <= static_cast<int>(auth::SpfResult::permerror); ++i)
                       row.spf.push_back({"example.com", SpfScope::mail_from, static_cast<auth::SpfResult>(i)});
                   }},
        HostileRow{"every override",
                   [](DmarcRow &row) {
                     for (int i = 0; i <= static_cast<int>(auth::OverrideKind::trusted_forwarder); ++i)
                       row.reasons.push_back({static_cast<auth::OverrideKind>(i), i % 2 == 0 ? "" : "a comment"});
                   }},
        HostileRow{"every octet in every text",
                   [](DmarcRow &row) {
                     const std::string octets = all_octets();
                     row.header_from = row.envelope_from = row.envelope_to = row.published.fo = octets;
                     row.spf = {{octets, SpfScope::mail_from, auth::SpfResult::fail}};
                     row.dkim = {{octets, octets, auth::DkimResult::fail}};
                     row.reasons = {{auth::OverrideKind::other, octets}};
                   }},
        HostileRow{"texts that end in the middle of a character", [](DmarcRow &row) {
                     row.header_from = "\xE2\x82";
                     row.reasons = {{auth::OverrideKind::other, std::string(999, 'a') + "\xF0\x9F\x98\x80"}};
                   }}));

TEST(DmarcXmlTest, what_xml_cannot_hold_is_replaced_and_the_rest_kept) {
  DmarcRow row = a_row();
  row.header_from = std::string("a\0b<\x01>\xff\xEF\xBF\xBF\xC3\xA9", 12);
  const auto xml = parse(build_report_xml(report_of(row, new_form), settings()));
  EXPECT_EQ(at(xml, "/feedback/record/identifiers/header_from"), "a b< >??\xC3\xA9");
}

} // namespace dmarc_xml_test
