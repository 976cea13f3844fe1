// DmarcRow: which messages make a row, what is in it, and that its octets tell rows apart and nothing else.
#include "mta/tally/dmarc_row.hpp"

#include <ostream>

#include <gtest/gtest.h>

#include "tests/support/dmarc_rows.hpp"

namespace dmarc_row_test {

using namespace mta;
using auth::DmarcPolicy;
using auth::DmarcResult;

auth::DmarcVerdict verdict_of(std::string record) {
  auth::DmarcVerdict verdict;
  verdict.result = DmarcResult::fail;
  verdict.policy = DmarcPolicy::reject;
  verdict.domain = "news.example.com";
  verdict.org_domain = "example.com";
  verdict.policy_domain = "example.com";
  verdict.rua = {"mailto:reports@example.com"};
  verdict.record = std::move(record);
  return verdict;
}

struct PublishedRow {
  std::string name;
  std::string record;
  DmarcPolicy p = DmarcPolicy::none;
  std::optional<DmarcPolicy> sp = std::nullopt;
  std::optional<DmarcPolicy> np = std::nullopt;
  bool uses_rfc9989 = false;
  friend std::ostream &operator<<(std::ostream &out, const PublishedRow &row) { return out << row.name; }
};

class PublishedTest : public testing::TestWithParam<PublishedRow> {};

TEST_P(PublishedTest, is_what_the_record_says) {
  const DmarcPublished published = read_published(verdict_of(GetParam().record));
  EXPECT_EQ(published.domain, "example.com");
  EXPECT_EQ(published.p, GetParam().p);
  EXPECT_EQ(published.sp, GetParam().sp);
  EXPECT_EQ(published.np, GetParam().np);
  EXPECT_EQ(published.uses_rfc9989, GetParam().uses_rfc9989);
  EXPECT_EQ(published.rua, std::vector<std::string>{"mailto:reports@example.com"});
}

const std::string rua = "; rua=mailto:reports@example.com";

INSTANTIATE_TEST_SUITE_P(Rows, PublishedTest,
                         testing::Values(PublishedRow{"p alone", "v=DMARC1; p=reject" + rua, DmarcPolicy::reject},
                                         PublishedRow{"p and sp", "v=DMARC1; p=reject; sp=quarantine" + rua,
                                                      DmarcPolicy::reject, DmarcPolicy::quarantine},
                                         PublishedRow{"np is new", "v=DMARC1; p=none; np=reject" + rua,
                                                      DmarcPolicy::none, std::nullopt, DmarcPolicy::reject, true},
                                         PublishedRow{"t is new", "v=DMARC1; p=reject; t=n" + rua, DmarcPolicy::reject,
                                                      std::nullopt, std::nullopt, true},
                                         PublishedRow{"psd is new", "v=DMARC1; p=reject; psd=n" + rua,
                                                      DmarcPolicy::reject, std::nullopt, std::nullopt, true},
                                         PublishedRow{"pct, rf and ri are old",
                                                      "v=DMARC1; p=reject; pct=20; rf=afrf; ri=3600" + rua,
                                                      DmarcPolicy::reject},
                                         PublishedRow{"a bad p is none", "v=DMARC1; p=refuse" + rua, DmarcPolicy::none},
                                         PublishedRow{"no record at all", "", DmarcPolicy::none}));

struct CountRow {
  std::string name;
  DmarcResult result = DmarcResult::fail;
  std::string policy_domain = "example.com";
  std::vector<std::string> rua = {"mailto:reports@example.com"};
  std::string subject = "Hello";
  bool counted = true;
  bool is_report = false;
  friend std::ostream &operator<<(std::ostream &out, const CountRow &row) { return out << row.name; }
};

class CountTest : public testing::TestWithParam<CountRow> {};

TEST_P(CountTest, decides_whether_a_message_is_counted) {
  auth::DmarcVerdict verdict = verdict_of("v=DMARC1; p=reject");
  verdict.result = GetParam().result;
  verdict.policy_domain = GetParam().policy_domain;
  verdict.rua = GetParam().rua;
  const auth::SpfVerdicts spf;
  const auto row = make_dmarc_row({.source = smtp::IpAddress::parse("192.0.2.1").value(),
                                   .spf = spf,
                                   .dkim = {},
                                   .dmarc = verdict,
                                   .reasons = {},
                                   .envelope_from = {},
                                   .envelope_to = {},
                                   .subject = GetParam().subject});
  ASSERT_EQ(row.has_value(), GetParam().counted);
  if (!row) return;
  EXPECT_EQ(row->is_report, GetParam().is_report);
}

const std::string report_subject = "Report Domain: example.org Submitter: mx.example.com Report-ID: <1@example.com>";

INSTANTIATE_TEST_SUITE_P(
    Rows, CountTest,
    testing::Values(CountRow{"a failure"}, CountRow{"a pass", DmarcResult::pass},
                    CountRow{"no DMARC record: nobody asks", DmarcResult::none, "", {}, "Hello", false},
                    CountRow{"no rua: nobody asks", DmarcResult::pass, "example.com", {}, "Hello", false},
                    CountRow{"a temporary error: the message comes again",
                             DmarcResult::temperror,
                             "example.com",
                             {"mailto:r@example.com"},
                             "Hello",
                             false},
                    CountRow{"a permanent error: no policy was applied",
                             DmarcResult::permerror,
                             "example.com",
                             {"mailto:r@example.com"},
                             "Hello",
                             false},
                    CountRow{"a report that passes is not counted",
                             DmarcResult::pass,
                             "example.com",
                             {"mailto:r@example.com"},
                             report_subject,
                             false},
                    CountRow{"what only looks like a report is counted and marked",
                             DmarcResult::fail,
                             "example.com",
                             {"mailto:r@example.com"},
                             report_subject,
                             true,
                             true}));

TEST(DmarcRowTest, a_row_has_what_the_checks_found) {
  auth::DmarcVerdict verdict = verdict_of("v=DMARC1; p=reject; fo=1; ruf=mailto:f@example.com");
  verdict.result = DmarcResult::pass;
  verdict.spf_aligned = true;
  verdict.strict_dkim = true;
  auth::SpfVerdicts spf;
  spf.mail_from.result = auth::SpfResult::pass;
  spf.mail_from.domain = "news.example.com";
  std::vector<auth::DkimVerdict> dkim(2);
  dkim[0].result = auth::DkimResult::policy;
  dkim[0].domain = "example.com";
  dkim[0].selector = "s1";
  const auto row = make_dmarc_row({.source = smtp::IpAddress::parse("2001:db8::1").value(),
                                   .spf = spf,
                                   .dkim = dkim,
                                   .dmarc = verdict,
                                   .disposition = DmarcPolicy::quarantine,
                                   .reasons = {{auth::OverrideKind::trusted_forwarder, "a list"}},
                                   .envelope_from = "news.example.com",
                                   .envelope_to = "example.org",
                                   .subject = "Hello"});
  ASSERT_TRUE(row);
  EXPECT_EQ(row->source.to_string(), "2001:db8::1");
  EXPECT_EQ(row->header_from, "news.example.com");
  EXPECT_EQ(row->org_domain, "example.com");
  EXPECT_EQ(row->published.fo, "1");
  EXPECT_TRUE(row->published.strict_dkim);
  EXPECT_EQ(row->disposition, DmarcPolicy::quarantine);
  EXPECT_TRUE(row->spf_aligned);
  EXPECT_FALSE(row->dkim_aligned);
  ASSERT_EQ(row->reasons.size(), 1U);
  EXPECT_EQ(row->spf, (std::vector<SpfFact>{{"news.example.com", SpfScope::mail_from, auth::SpfResult::pass}}))
      << "HELO was not checked";
  EXPECT_EQ(row->dkim, (std::vector<DkimFact>{{"example.com", "s1", auth::DkimResult::policy}}))
      << "result none is not a signature";
  EXPECT_EQ(row->envelope_to, "example.org");
}

struct SubjectRow {
  std::string subject;
  bool is_report = false;
  friend std::ostream &operator<<(std::ostream &out, const SubjectRow &row) { return out << '"' << row.subject << '"'; }
};

class SubjectTest : public testing::TestWithParam<SubjectRow> {};

TEST_P(SubjectTest, is_known) {
  EXPECT_EQ(is_report_subject(GetParam().subject), GetParam().is_report);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, SubjectTest,
    testing::Values(SubjectRow{"Report Domain: a.example Submitter: b.example Report-ID: <1@b.example>", true},
                    SubjectRow{" Report Domain: a.example\r\n\tSubmitter: b.example\r\n Report-ID: <1@b.example>",
                               true},
                    SubjectRow{"report domain: a.example submitter: b.example", true},
                    SubjectRow{"Report  Domain:a.example  Submitter:b.example", true}, SubjectRow{"", false},
                    SubjectRow{"Report", false}, SubjectRow{"Report Domain:", false},
                    SubjectRow{"Report Domain: a.example", false}, SubjectRow{"Report Domain: Submitter: b", false},
                    SubjectRow{"Re: Report Domain: a.example Submitter: b.example", false},
                    SubjectRow{"Reporting Domains: a.example Submitter: b.example", false}));

// ---- octets

struct ChangeRow {
  std::string name;
  void (*change)(DmarcRow &);
  friend std::ostream &operator<<(std::ostream &out, const ChangeRow &row) { return out << row.name; }
};

class ChangeTest : public testing::TestWithParam<ChangeRow> {};

TEST_P(ChangeTest, comes_back_and_makes_other_octets) {
  DmarcRow row = support::a_row();
  GetParam().change(row);
  const std::string octets = encode_row(row);
  EXPECT_NE(octets, encode_row(support::a_row()));
  const auto read = decode_row(octets);
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(*read, row);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, ChangeTest,
    testing::Values(
        ChangeRow{"IPv6", [](DmarcRow &row) { row.source = smtp::IpAddress::parse("2001:db8::1").value(); }},
        ChangeRow{"header From", [](DmarcRow &row) { row.header_from = "x.example"; }},
        ChangeRow{"policy domain", [](DmarcRow &row) { row.published.domain = "x.example"; }},
        ChangeRow{"organizational domain", [](DmarcRow &row) { row.org_domain = "x.example"; }},
        ChangeRow{"p", [](DmarcRow &row) { row.published.p = DmarcPolicy::none; }},
        ChangeRow{"no sp", [](DmarcRow &row) { row.published.sp.reset(); }},
        ChangeRow{"np none is not no np", [](DmarcRow &row) { row.published.np = DmarcPolicy::none; }},
        ChangeRow{"adkim", [](DmarcRow &row) { row.published.strict_dkim = true; }},
        ChangeRow{"aspf", [](DmarcRow &row) { row.published.strict_spf = true; }},
        ChangeRow{"t", [](DmarcRow &row) { row.published.testing = true; }},
        ChangeRow{"newer tags", [](DmarcRow &row) { row.published.uses_rfc9989 = true; }},
        ChangeRow{"fo", [](DmarcRow &row) { row.published.fo = "d:s"; }},
        ChangeRow{"no rua", [](DmarcRow &row) { row.published.rua.clear(); }},
        ChangeRow{"discovery", [](DmarcRow &row) { row.published.discovery = DmarcDiscovery::psl; }},
        ChangeRow{"policy", [](DmarcRow &row) { row.policy = DmarcPolicy::none; }},
        ChangeRow{"disposition", [](DmarcRow &row) { row.disposition = DmarcPolicy::reject; }},
        ChangeRow{"spf aligned", [](DmarcRow &row) { row.spf_aligned = false; }},
        ChangeRow{"dkim aligned", [](DmarcRow &row) { row.dkim_aligned = false; }},
        ChangeRow{"a report", [](DmarcRow &row) { row.is_report = true; }},
        ChangeRow{"a reason",
                  [](DmarcRow &row) {
                    row.reasons = {{auth::OverrideKind::local_policy, "why"}};
                  }},
        ChangeRow{"spf result", [](DmarcRow &row) { row.spf[0].result = auth::SpfResult::permerror; }},
        ChangeRow{"no spf", [](DmarcRow &row) { row.spf.clear(); }},
        ChangeRow{"dkim selector", [](DmarcRow &row) { row.dkim[0].selector = "s2"; }},
        ChangeRow{"no dkim", [](DmarcRow &row) { row.dkim.clear(); }},
        ChangeRow{"null reverse-path", [](DmarcRow &row) { row.envelope_from.clear(); }},
        ChangeRow{"recipient", [](DmarcRow &row) { row.envelope_to = "x.example"; }},
        ChangeRow{"hostile octets", [](DmarcRow &row) { row.header_from = std::string("\0<>&\xff\n", 6); }}));

TEST(DmarcRowTest, every_cut_and_every_octet_more_is_refused) {
  const std::string octets = encode_row(support::a_row());
  ASSERT_TRUE(decode_row(octets));
  for (std::size_t size = 0; size < octets.size(); ++size)
    EXPECT_FALSE(decode_row(std::string_view(octets).substr(0, size))) << size;
  EXPECT_FALSE(decode_row(octets + '\0'));
}

TEST(DmarcRowTest, an_unknown_version_is_refused) {
  std::string octets = encode_row(support::a_row());
  octets[0] = 2;
  const auto row = decode_row(octets);
  ASSERT_FALSE(row);
  EXPECT_EQ(row.error().detail, "row: version is 2, known is 1");
}

TEST(DmarcRowTest, a_number_has_one_form_only) {
  std::string octets = encode_row(support::a_row());
  octets.replace(0, 1, "\x81\x00", 2);
  EXPECT_FALSE(decode_row(octets)) << "equal rows would have unequal octets";
}

TEST(DmarcRowTest, over_the_limits_texts_are_cut_and_entries_left_out) {
  DmarcRow row = support::a_row();
  row.header_from = std::string(1000, 'a');
  row.reasons.assign(10, {auth::OverrideKind::other, std::string(1000, 'c')});
  row.published.rua = {"mailto:" + std::string(1000, 'u')};
  for (int i = 0; i < 20; ++i) row.published.rua.push_back("mailto:r@example.com");
  row.dkim.clear();
  for (int i = 0; i < 300; ++i)
    row.dkim.push_back({std::string(300, 'd'), std::string(300, 's'), auth::DkimResult::fail});
  // RFC 9990: these are to be kept, in this order.
  row.dkim.push_back({"other.example", "third", auth::DkimResult::pass});
  row.dkim.push_back({"example.com", "second", auth::DkimResult::pass});
  row.dkim.push_back({std::string(1000, 'a'), "first", auth::DkimResult::pass});
  const std::string octets = encode_row(row);
  EXPECT_LE(octets.size(), 60'000U) << "a record holds 64 KiB";
  const auto read = decode_row(octets);
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(read->header_from, std::string(255, 'a'));
  ASSERT_EQ(read->reasons.size(), 5U);
  EXPECT_EQ(read->reasons[0].comment.size(), 200U);
  EXPECT_EQ(read->published.rua, std::vector<std::string>(10, "mailto:r@example.com"));
  ASSERT_EQ(read->dkim.size(), 100U);
  EXPECT_EQ(read->dkim[0].selector, "first");
  EXPECT_EQ(read->dkim[1].selector, "second");
  EXPECT_EQ(read->dkim[2].selector, "third");
  EXPECT_EQ(encode_row(*read), octets);
}

} // namespace dmarc_row_test
