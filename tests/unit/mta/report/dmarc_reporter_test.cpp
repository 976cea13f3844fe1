// DmarcReporter: which mails a day makes, to whom, how large, and that each is made again until it is marked.
#include "mta/report/dmarc_reporter.hpp"

#include <ostream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mta/report/report_settings.hpp"
#include "tests/support/dmarc_rows.hpp"
#include "tests/support/reporter_fixture.hpp"

namespace dmarc_reporter_test {

using namespace mta;
using support::a_row;
using support::day;
using testing::ElementsAre;
using testing::HasSubstr;

class ReporterTest : public support::ReporterFixture {
protected:
  ReporterTest() {
    settings_.org_name = "Example Org";
    settings_.from = smtp::Mailbox::parse("reports@example.org").value();
    settings_.submitter = "mx.example.org";
  }
  void add(const DmarcRow &row, std::uint64_t count = 1) {
    append_record(file_, {encode_row(row), count, std::chrono::sys_seconds(date_)});
    support::write_all(days_.rows_file(date_), file_);
  }
  void add_rua(const std::string &domain, std::vector<std::string> rua, bool uses_rfc9989 = false) {
    DmarcRow row = a_row();
    row.published.domain = domain;
    row.published.rua = std::move(rua);
    row.published.uses_rfc9989 = uses_rfc9989;
    add(row);
  }
  /// Rows that no compression makes small.
  void add_many(int count) {
    support::Noise noise;
    for (int i = 0; i < count; ++i) {
      DmarcRow row = a_row();
      row.header_from = noise.text(16).substr(0, 200) + ".example";
      add(row, static_cast<std::uint64_t>(count - i));
    }
  }
  DayOutcome run(DmarcReporter::Scope scope = DmarcReporter::Scope::unsubmitted, bool taken = true) {
    auto outcome = await(reporter_.run(date_, settings_, scope, taker(taken)));
    EXPECT_TRUE(outcome) << outcome.error().detail;
    return outcome.value();
  }

  DmarcDays days_{folder_.path().string()};
  UtcDay date_ = day("2026-11-21");
  std::string file_;
  DmarcReportSettings settings_;
  DmarcReporter reporter_{{.days = days_,
                           .check_destination =
                               [this](std::string domain, auth::DmarcUri uri) {
                                 return check_report_destination(&resolver_, std::chrono::seconds(10),
                                                                 std::move(domain), std::move(uri));
                               },
                           .now = [] { return std::chrono::system_clock::time_point(day("2026-11-22")); }}};
};

TEST_F(ReporterTest, a_day_without_rows_makes_nothing) {
  const DayOutcome outcome = run();
  EXPECT_TRUE(made_.empty());
  EXPECT_TRUE(outcome.complete);
  EXPECT_EQ(outcome.domains, 0U);
}

TEST_F(ReporterTest, the_mail_is_as_the_rfc_wants_it) {
  add(a_row(), 3);
  const DayOutcome outcome = run();
  EXPECT_TRUE(outcome.complete);
  EXPECT_EQ(outcome.reports, 1U);
  ASSERT_EQ(made_.size(), 1U);
  const ReadyReport &report = made_[0];
  EXPECT_EQ(report.to.to_string(), "reports@example.com");
  const auto message = test::read_mime(report.mail);
  EXPECT_TRUE(message.faults.empty()) << testing::PrintToString(message.faults);
  const auto &fields = message.top.fields;
  EXPECT_EQ(fields.at("from"), "\"Example Org\" <reports@example.org>");
  EXPECT_EQ(fields.at("to"), "<reports@example.com>");
  EXPECT_EQ(fields.at("subject"), "Report Domain: example.com Submitter: mx.example.org Report-ID: "
                                  "<20261121.example.com@mx.example.org>");
  EXPECT_TRUE(is_report_subject(fields.at("subject"))) << "ours are known as what they are";
  EXPECT_EQ(fields.at("message-id"), "<20261121.example.com@mx.example.org>");
  EXPECT_EQ(fields.at("date"), "Sun, 22 Nov 2026 00:00:00 +0000");
  EXPECT_EQ(fields.at("auto-submitted"), "auto-generated");
  EXPECT_EQ(fields.at("mime-version"), "1.0");
  ASSERT_EQ(message.parts.size(), 2U);
  EXPECT_THAT(message.parts[0].body, HasSubstr("It counts 3 messages in 1 records."));
  const std::string name = "mx.example.org!example.com!1795219200!1795305599.xml.gz";
  EXPECT_EQ(message.parts[1].fields.at("content-type"), "application/gzip; name=\"" + name + "\"");
  EXPECT_EQ(message.parts[1].fields.at("content-disposition"), "attachment; filename=\"" + name + "\"");
  EXPECT_EQ(message.parts[1].fields.at("content-transfer-encoding"), "base64");
  EXPECT_THAT(support::decode_attachment(report.mail), HasSubstr("<count>3</count>"));
}

TEST_F(ReporterTest, the_names_may_be_as_long_as_names_can_be) {
  const std::string label(61, 'a');
  const std::string domain = label + "." + label + "." + label + "." + label + ".com";
  settings_.submitter = domain;
  settings_.org_name = std::string(300, '"');
  add_rua(domain, {"mailto:r@" + domain});
  run();
  ASSERT_EQ(made_.size(), 1U);
  EXPECT_TRUE(test::read_mime(made_[0].mail).faults.empty());
}

struct UriRow {
  std::string name;
  std::vector<std::string> rua;
  std::vector<std::string> to;
  std::string note = "";
  bool complete = true;
  friend std::ostream &operator<<(std::ostream &out, const UriRow &row) { return out << row.name; }
};

class DestinationTest : public ReporterTest, public testing::WithParamInterface<UriRow> {};

TEST_P(DestinationTest, is_served_or_not) {
  resolver_.add_txt("_dmarc.example.com", "v=DMARC1; p=reject");
  resolver_.add_txt("example.com._report._dmarc.willing.example", "v=DMARC1");
  resolver_.add_txt("example.com._report._dmarc.moved.example", "v=DMARC1; rua=mailto:new@moved.example!5m");
  resolver_.add_txt("example.com._report._dmarc.wrong.example", "v=DMARC1; rua=mailto:x@victim.example");
  resolver_.fail("example.com._report._dmarc.broken.example");
  add_rua("example.com", GetParam().rua);
  const DayOutcome outcome = run();
  EXPECT_EQ(addresses(), GetParam().to);
  EXPECT_THAT(notes(outcome), HasSubstr(GetParam().note));
  EXPECT_EQ(outcome.notes.empty(), GetParam().note.empty()) << notes(outcome);
  EXPECT_EQ(outcome.complete, GetParam().complete);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, DestinationTest,
    testing::Values(
        UriRow{"the domain itself", {"mailto:r@example.com"}, {"r@example.com"}},
        UriRow{"a name of the same organization", {"mailto:r@sub.example.com"}, {"r@sub.example.com"}},
        UriRow{"escapes and fields of the URI", {"mailto:a%2Bb@example.com?subject=x"}, {"a+b@example.com"}},
        UriRow{"all of several, in order",
               {"mailto:a@example.com", "mailto:b@example.com"},
               {"a@example.com", "b@example.com"}},
        UriRow{"each once", {"mailto:a@example.com", "mailto:a@EXAMPLE.com!1m"}, {"a@example.com"}},
        UriRow{"elsewhere, with consent", {"mailto:r@willing.example"}, {"r@willing.example"}},
        UriRow{"elsewhere, the consent names another mailbox", {"mailto:r@moved.example"}, {"new@moved.example"}},
        UriRow{"elsewhere, the consent leads to another host", {"mailto:r@wrong.example"}, {}, "leads to another host"},
        UriRow{"elsewhere, without consent", {"mailto:r@victim.example"}, {}, "no record that agrees"},
        UriRow{"elsewhere, the DNS is broken: later",
               {"mailto:r@broken.example", "mailto:r@example.com"},
               {"r@example.com"},
               "could not be checked",
               false},
        UriRow{"https is not sent to",
               {"https://example.com/r", "mailto:r@example.com"},
               {"r@example.com"},
               "mailto only"},
        UriRow{"no URI", {"r@example.com"}, {}, "no URI for reports"},
        UriRow{"a bad size", {"mailto:r@example.com!10x"}, {}, "no URI for reports"},
        UriRow{"a header in the address", {"mailto:r%0D%0ABcc:x@example.com"}, {}, "no URI for reports"},
        UriRow{"a literal", {"mailto:r@[192.0.2.1]"}, {}, "no URI for reports"},
        UriRow{"too many",
               {"mailto:1@example.com", "mailto:2@example.com", "mailto:3@example.com", "mailto:4@example.com",
                "mailto:5@example.com", "mailto:6@example.com"},
               {"1@example.com", "2@example.com", "3@example.com", "4@example.com", "5@example.com"},
               "over the limit of 5 destinations"}));

TEST_F(ReporterTest, what_is_marked_is_not_made_again_and_what_is_not_is_the_same) {
  add_rua("example.com", {"mailto:a@example.com", "mailto:b@example.com"});
  add_rua("other.example", {"mailto:c@other.example"});
  run();
  ASSERT_EQ(addresses(), (std::vector<std::string>{"a@example.com", "b@example.com", "c@other.example"}));
  const std::vector<ReadyReport> first = made_;
  ASSERT_TRUE(days_.mark_submitted(date_, first[1].mark));
  // A restart in between: all that is left is the folder.
  const DayOutcome outcome = run();
  EXPECT_EQ(addresses(), (std::vector<std::string>{"a@example.com", "c@other.example"}));
  EXPECT_EQ(outcome.already, 1U);
  EXPECT_EQ(made_[0].mail, first[0].mail) << "so that the receiver knows it as the same";
  for (const ReadyReport &report : first) ASSERT_TRUE(days_.mark_submitted(date_, report.mark));
  run();
  EXPECT_TRUE(made_.empty());
  run(DmarcReporter::Scope::everything);
  EXPECT_EQ(made_.size(), 3U);
  EXPECT_THAT(made_[0].text, HasSubstr("<feedback"));
}

TEST_F(ReporterTest, what_cannot_be_handed_over_leaves_the_day_open) {
  add(a_row());
  const DayOutcome outcome = run(DmarcReporter::Scope::unsubmitted, false);
  EXPECT_FALSE(outcome.complete);
  EXPECT_EQ(outcome.reports, 0U);
}

TEST_F(ReporterTest, without_an_address_of_ours_nothing_is_made) {
  add(a_row());
  settings_.from.reset();
  const TakeReport take = taker(true);
  EXPECT_FALSE(await(reporter_.run(date_, settings_, DmarcReporter::Scope::unsubmitted, take)));
  EXPECT_TRUE(made_.empty());
}

TEST_F(ReporterTest, damage_in_the_file_is_said_and_the_rest_is_reported) {
  add(a_row());
  support::write_all(days_.rows_file(date_), "noise" + file_);
  const DayOutcome outcome = run();
  EXPECT_EQ(made_.size(), 1U);
  EXPECT_THAT(notes(outcome), HasSubstr("1 damaged places"));
}

// ---- sizes

TEST_F(ReporterTest, a_large_report_is_split_and_nothing_is_lost_or_repeated) {
  add_many(300);
  settings_.max_size = 40'000;
  const DayOutcome outcome = run();
  EXPECT_TRUE(outcome.notes.empty()) << notes(outcome);
  ASSERT_GT(made_.size(), 1U);
  std::uint64_t messages = 0;
  std::set<std::string> ids;
  for (const ReadyReport &report : made_) {
    EXPECT_LE(report.mail.size(), settings_.max_size);
    messages += report.counted;
    ids.insert(report.report_id);
    ids.insert(report.filename);
    EXPECT_THAT(support::decode_attachment(report.mail), HasSubstr("<feedback>"));
  }
  EXPECT_EQ(messages, 300U * 301U / 2U);
  EXPECT_EQ(ids.size(), made_.size() * 2);
  EXPECT_THAT(made_[0].filename, HasSubstr(fmt::format("!1of{}.xml.gz", made_.size())));
}

TEST_F(ReporterTest, what_does_not_fit_the_parts_is_what_is_rarest) {
  add_many(300);
  settings_.max_size = 20'000;
  settings_.max_parts = 2;
  const DayOutcome outcome = run();
  ASSERT_EQ(made_.size(), 2U);
  EXPECT_THAT(notes(outcome), HasSubstr("rows are left out: the report would have over 2 parts"));
  EXPECT_THAT(support::decode_attachment(made_[0].mail), HasSubstr("<count>300</count>"));
  EXPECT_TRUE(outcome.complete) << "a later run would do no better";
}

TEST_F(ReporterTest, a_limit_too_small_for_one_row_sends_nothing) {
  add_rua("example.com", {"mailto:r@example.com!1k"});
  const DayOutcome outcome = run();
  EXPECT_TRUE(made_.empty());
  EXPECT_THAT(notes(outcome), HasSubstr("one row alone is over the limit of 1024 octets"));
  EXPECT_TRUE(outcome.complete);
}

TEST_F(ReporterTest, the_size_of_a_uri_counts_unless_the_record_is_of_today) {
  add_rua("old.example", {"mailto:r@old.example!1k"}, false);
  add_rua("new.example", {"mailto:r@new.example!1k"}, true);
  run();
  EXPECT_EQ(addresses(), std::vector<std::string>{"r@new.example"});
}

TEST_F(ReporterTest, a_dry_run_prints_everything_and_marks_nothing) {
  add_rua("example.com", {"mailto:r@example.com", "https://example.com/"});
  const auto text = await(reporter_.dry_run(date_, settings_));
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, HasSubstr("Envelope: from <> to <r@example.com>"));
  EXPECT_THAT(*text, HasSubstr("Report-ID:"));
  EXPECT_THAT(*text, HasSubstr("<policy_published>"));
  EXPECT_THAT(*text, HasSubstr("Note: example.com: rua \"https://example.com/\" is ignored"));
  EXPECT_THAT(*text, HasSubstr("2026-11-21: 1 messages, 1 domains, 1 reports"));
  EXPECT_TRUE(days_.marks(date_).value().submitted.empty());
}

} // namespace dmarc_reporter_test
