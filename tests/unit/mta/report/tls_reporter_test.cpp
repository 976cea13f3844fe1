// TlsReporter and its daily run: who gets a report, what the mail says, what is posted, and that each goes out once.
#include "mta/report/tls_reporter.hpp"

#include <ostream>

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mta/report/daily_reports.hpp"
#include "mta/tally/dmarc_row.hpp"
#include "tests/support/dmarc_rows.hpp"
#include "tests/support/memory_log.hpp"
#include "tests/support/memory_spool.hpp"
#include "tests/support/reporter_fixture.hpp"

namespace tls_reporter_test {

using namespace mta;
using namespace std::chrono_literals;
using policy::TlsFault;
using support::day;
using testing::ElementsAre;
using testing::HasSubstr;

/// A session of the day for the domain, in clear or with TLS.
std::shared_ptr<const TlsSession> session_of(const std::string &domain, const char *date, bool encrypted,
                                             const std::string &problem = {}) {
  auto session = std::make_shared<TlsSession>();
  session->time = day(date) + 12h;
  session->domain = domain;
  session->host = "mx." + domain;
  session->address = "192.0.2.25";
  session->local_address = "198.51.100.1";
  session->starttls_offered = encrypted || !problem.empty();
  session->facts.encrypted = encrypted;
  session->tls_problem = problem;
  return session;
}

class TlsReporterTest : public support::ReporterFixture {
protected:
  TlsReporterTest() {
    settings_.org_name = "Example Org";
    settings_.from = smtp::Mailbox::parse("tls@example.org").value();
    settings_.submitter = "mx.example.org";
    settings_.spread = 0s;
    settings_.give_up_days = 1;
    open();
  }
  void open() {
    tally_.reset();
    tally_ =
        TlsrptTally::open({.folder = folder_.file("tally"), .flush_interval = 1h, .is_counting = {}}, log_).value();
    reporter_ = std::make_unique<TlsReporter>(
        TlsReporter::Services{.days = tally_->days(),
                              .find_texts = [this](std::string name) { return resolver_.txt(std::move(name)); },
                              .now = [] { return std::chrono::system_clock::time_point(day("2026-11-22")); }});
  }
  void count(const std::string &domain, const char *date = "2026-11-21", bool encrypted = true,
             const std::string &problem = {}) {
    tally_->session(session_of(domain, date, encrypted, problem));
    ASSERT_TRUE(tally_->flush());
  }
  void ask(const std::string &domain, const std::string &rua) {
    resolver_.add_txt("_smtp._tls." + domain, "v=TLSRPTv1; rua=" + rua);
  }
  DayOutcome run(ReportScope scope = ReportScope::unsubmitted, bool taken = true) {
    return await(reporter_->run(day("2026-11-21"), settings_, scope, taker(taken))).value();
  }

  support::MemoryLog log_;
  TlsReportSettings settings_;
  std::unique_ptr<TlsrptTally> tally_;
  std::unique_ptr<TlsReporter> reporter_;
};

TEST_F(TlsReporterTest, the_mail_is_as_section_5_3_wants_it) {
  count("example.com");
  count("example.com", "2026-11-21", false);
  ask("example.com", "mailto:tls@reports.example");
  const DayOutcome outcome = run();
  EXPECT_TRUE(outcome.complete);
  EXPECT_EQ(outcome.reports, 1U);
  EXPECT_EQ(outcome.counted, 2U);
  ASSERT_EQ(made_.size(), 1U);
  const ReadyReport &report = made_[0];
  EXPECT_EQ(report.to.to_string(), "tls@reports.example") << "RFC 8460 asks for no consent of other domains";
  EXPECT_TRUE(report.body.empty());
  const auto message = test::read_mime(report.mail);
  EXPECT_TRUE(message.faults.empty()) << testing::PrintToString(message.faults);
  const auto &fields = message.top.fields;
  EXPECT_EQ(fields.at("from"), "\"Example Org\" <tls@example.org>");
  EXPECT_EQ(fields.at("subject"), "Report Domain: example.com Submitter: mx.example.org Report-ID: "
                                  "<tls.20261121.example.com@mx.example.org>");
  EXPECT_TRUE(is_report_subject(fields.at("subject"))) << "DMARC counts no reports";
  EXPECT_EQ(fields.at("tls-report-domain"), "example.com");
  EXPECT_EQ(fields.at("tls-report-submitter"), "mx.example.org");
  EXPECT_EQ(fields.at("message-id"), "<tls.20261121.example.com@mx.example.org>");
  EXPECT_THAT(fields.at("content-type"), testing::StartsWith("multipart/report; report-type=\"tlsrpt\"; boundary="));
  ASSERT_EQ(message.parts.size(), 2U);
  EXPECT_THAT(message.parts[0].fields.at("content-type"), HasSubstr("text/plain"));
  const std::string name = "mx.example.org!example.com!1795219200!1795305599.json.gz";
  EXPECT_EQ(message.parts[1].fields.at("content-type"), "application/tlsrpt+gzip; name=\"" + name + "\"");
  EXPECT_EQ(message.parts[1].fields.at("content-disposition"), "attachment; filename=\"" + name + "\"");
  EXPECT_EQ(message.parts[1].fields.at("content-transfer-encoding"), "base64");
  const auto text = gunzip(smtp::from_base64(message.parts[1].body).value(), 1'000'000);
  ASSERT_TRUE(text);
  const auto json = boost::json::parse(*text);
  const auto &policy = json.at("policies").at(0);
  EXPECT_EQ(policy.at("policy").at("policy-type"), "no-policy-found");
  EXPECT_EQ(policy.at("summary").at("total-successful-session-count"), 1);
  EXPECT_EQ(policy.at("summary").at("total-failure-session-count"), 1);
  EXPECT_EQ(policy.at("failure-details").at(0).at("result-type"), "starttls-not-supported");
  EXPECT_EQ(policy.at("failure-details").at(0).at("sending-mta-ip"), "198.51.100.1");
  EXPECT_EQ(json.at("date-range").at("start-datetime"), "2026-11-21T00:00:00Z");
  EXPECT_EQ(json.at("date-range").at("end-datetime"), "2026-11-21T23:59:59Z");
}

TEST_F(TlsReporterTest, the_names_may_be_as_long_as_names_can_be) {
  const std::string label(61, 'a');
  const std::string domain = label + "." + label + "." + label + ".com";
  settings_.submitter = domain;
  count(domain);
  ask(domain, "mailto:r@example.com");
  run();
  ASSERT_EQ(made_.size(), 1U);
  EXPECT_TRUE(test::read_mime(made_[0].mail).faults.empty())
      << testing::PrintToString(test::read_mime(made_[0].mail).faults);
}

TEST_F(TlsReporterTest, what_is_posted_is_the_gzipped_json) {
  count("example.com");
  ask("example.com", "https://reports.example/v1?key=a");
  run(ReportScope::everything);
  ASSERT_EQ(made_.size(), 1U);
  ASSERT_NE(made_[0].to.url(), nullptr);
  EXPECT_EQ(made_[0].to.to_string(), "https://reports.example/v1?key=a");
  EXPECT_TRUE(made_[0].mail.empty());
  EXPECT_EQ(gunzip(made_[0].body, 1'000'000).value(), made_[0].text);
}

struct RecordRow {
  std::string name;
  std::vector<std::string> records;
  std::vector<std::string> to;
  std::string note = "";
  bool complete = true;
  friend std::ostream &operator<<(std::ostream &out, const RecordRow &row) { return out << row.name; }
};

class TlsRecordTest : public TlsReporterTest, public testing::WithParamInterface<RecordRow> {};

TEST_P(TlsRecordTest, is_served_or_not) {
  count("example.com");
  for (const std::string &record : GetParam().records) {
    if (record == "SERVFAIL")
      resolver_.fail("_smtp._tls.example.com");
    else
      resolver_.add_txt("_smtp._tls.example.com", record);
  }
  const DayOutcome outcome = run();
  EXPECT_EQ(addresses(), GetParam().to);
  EXPECT_THAT(notes(outcome), HasSubstr(GetParam().note));
  EXPECT_EQ(outcome.notes.empty(), GetParam().note.empty()) << notes(outcome);
  EXPECT_EQ(outcome.complete, GetParam().complete);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, TlsRecordTest,
    testing::Values(RecordRow{"no record: nobody asks", {}, {}},
                    RecordRow{"other records: nobody asks", {"v=spf1 -all"}, {}},
                    RecordRow{"one record", {"v=TLSRPTv1; rua=mailto:a@example.com"}, {"a@example.com"}},
                    RecordRow{"both ways, in order",
                              {"v=spf1 -all", "v=TLSRPTv1; rua=mailto:a@example.com,https://example.com/r"},
                              {"a@example.com", "https://example.com/r"}},
                    RecordRow{"two records count as none",
                              {"v=TLSRPTv1; rua=mailto:a@example.com", "v=TLSRPTv1; rua=mailto:b@example.com"},
                              {},
                              "there are 2 TLSRPT records"},
                    RecordRow{"a record without rua", {"v=TLSRPTv1; x=1"}, {}, "no rua"},
                    RecordRow{"a URI that is none", {"v=TLSRPTv1; rua=a@example.com"}, {}, "not a URI for reports"},
                    RecordRow{"a URL that cannot be asked",
                              {"v=TLSRPTv1; rua=https://example.com:99999/,mailto:a@example.com"},
                              {"a@example.com"},
                              "is ignored"},
                    RecordRow{"too many",
                              {"v=TLSRPTv1; rua=mailto:1@example.com,mailto:2@example.com,mailto:3@example.com,"
                               "mailto:4@example.com,mailto:5@example.com,mailto:6@example.com"},
                              {"1@example.com", "2@example.com", "3@example.com", "4@example.com", "5@example.com"},
                              "over the limit of 5 destinations"},
                    RecordRow{"the DNS is broken: later", {"SERVFAIL"}, {}, "could not be looked up", false}));

TEST_F(TlsReporterTest, https_can_be_switched_off) {
  settings_.https = false;
  count("example.com");
  ask("example.com", "https://example.com/r,mailto:a@example.com");
  const DayOutcome outcome = run();
  EXPECT_EQ(addresses(), std::vector<std::string>{"a@example.com"});
  EXPECT_THAT(notes(outcome), HasSubstr("by mail only"));
}

TEST_F(TlsReporterTest, a_day_without_sessions_makes_nothing_and_asks_nobody) {
  ask("example.com", "mailto:a@example.com");
  const DayOutcome outcome = run();
  EXPECT_TRUE(made_.empty());
  EXPECT_TRUE(outcome.complete);
  EXPECT_EQ(resolver_.asked("txt _smtp._tls.example.com"), 0U);
}

TEST_F(TlsReporterTest, without_an_address_to_send_from_nothing_is_made) {
  settings_.from.reset();
  const TakeReport take = taker(true);
  EXPECT_FALSE(await(reporter_->run(day("2026-11-21"), settings_, ReportScope::unsubmitted, take)));
}

TEST_F(TlsReporterTest, what_does_not_fit_is_left_out_and_the_sums_stay) {
  support::Noise noise;
  for (int i = 0; i < 500; ++i)
    tally_->session(session_of("example.com", "2026-11-21", false, "handshake " + noise.text(10)));
  ASSERT_TRUE(tally_->flush());
  ask("example.com", "mailto:a@example.com");
  settings_.max_size = 30'000;
  const DayOutcome outcome = run(ReportScope::everything);
  ASSERT_EQ(made_.size(), 1U);
  EXPECT_LE(made_[0].mail.size(), 30'000U);
  EXPECT_GT(made_[0].mail.size(), 10'000U) << "what fits is there";
  EXPECT_THAT(notes(outcome), HasSubstr("failure details are left out, the rarest"));
  const auto policy = boost::json::parse(made_[0].text).at("policies").at(0);
  EXPECT_EQ(policy.at("summary").at("total-failure-session-count"), 500);
  EXPECT_LT(policy.at("failure-details").as_array().size(), 500U);
  settings_.max_size = 500;
  EXPECT_THAT(notes(run()), HasSubstr("nothing is sent: the counts alone are over the limit of 500 octets"));
  EXPECT_TRUE(made_.empty());
}

TEST_F(TlsReporterTest, a_dry_run_prints_everything_and_marks_nothing) {
  count("example.com");
  count("other.example");
  ask("example.com", "mailto:a@example.com,https://example.com/r");
  const auto text = await(reporter_->dry_run(day("2026-11-21"), settings_)).value();
  EXPECT_THAT(text, HasSubstr("Envelope: from <> to <a@example.com>"));
  EXPECT_THAT(text, HasSubstr("TLS-Report-Domain: example.com"));
  EXPECT_THAT(text, HasSubstr("POST https://example.com/r, "));
  EXPECT_THAT(text, HasSubstr("\"policy-type\":\"no-policy-found\""));
  EXPECT_THAT(text, HasSubstr("2026-11-21: 2 sessions, 1 domains, 2 reports"));
  EXPECT_TRUE(tally_->days().marks(day("2026-11-21")).value().submitted.empty());
}

// ---- the daily run

/// A clock that jumps to what is waited for, and stops the driver after some waits.
class JumpingTimer : public ReportTimer {
public:
  Task<bool> wait_until(WallTime time) override {
    ++waits;
    if (waits >= limit) co_return false;
    now = std::max(now, time);
    co_return true;
  }
  void cancel() override { limit = 0; }
  [[nodiscard]] bool is_cancelled() const noexcept override { return waits >= limit; }
  WallTime now = day("2026-11-22") + 2h;
  std::size_t waits = 0;
  std::size_t limit = 0;
};

Task<smtp::Result<void>> answer_post(std::vector<std::string> *posted, std::string url, bool good) {
  posted->push_back(std::move(url));
  if (good) co_return smtp::Result<void>();
  co_return smtp::fail(smtp::ErrorCode::protocol, "the server answered 503");
}

class TlsDailyTest : public TlsReporterTest {
protected:
  void run_daily(std::size_t waits) {
    timer_.waits = 0;
    timer_.limit = waits;
    const DailyReportServices services{
        .kind = ReportKind::tls,
        .tally = tally_->tally(),
        .run = [this](UtcDay day, ReportScope scope,
                      TakeReport take) { return reporter_->run(day, settings_, scope, std::move(take)); },
        .submit = submit_,
        .post = [this](Url url, std::string) { return answer_post(&posted_, url.to_string(), post_works_); },
        .log = log_,
        .timer = timer_,
        .settings = [this] { return settings_; },
        .now = [this] { return timer_.now; },
        .random = [] { return 0.5; }};
    asio::io_context context;
    asio::co_spawn(context, run_daily_reports(services), [](std::exception_ptr error) {
      if (error) std::rethrow_exception(error);
    });
    context.run();
  }
  [[nodiscard]] bool is_complete() const { return tally_->days().marks(day("2026-11-21")).value().complete; }

  support::MemorySpool spool_;
  JumpingTimer timer_;
  bool post_works_ = true;
  std::vector<std::string> posted_;
  std::vector<std::shared_ptr<QueuedMessage>> submitted_;
  SubmitServices submit_{
      .spool = spool_,
      .log = log_,
      .submit = [this](std::shared_ptr<QueuedMessage> message) { submitted_.push_back(std::move(message)); },
      .now = [this] { return timer_.now; },
      .sign = [](std::string_view) { return std::string("DKIM-Signature: v=1\r\n"); },
      .lifetime = [] { return std::chrono::hours(120); }};
};

TEST_F(TlsDailyTest, a_report_is_mail_that_no_mandate_keeps_back) {
  count("example.com");
  ask("example.com", "mailto:a@example.com");
  run_daily(3);
  ASSERT_EQ(submitted_.size(), 1U);
  EXPECT_TRUE(submitted_[0]->envelope.is_tls_report);
  EXPECT_TRUE(submitted_[0]->envelope.is_notification);
  EXPECT_TRUE(submitted_[0]->envelope.sender.path.is_null());
  EXPECT_EQ(submitted_[0]->envelope.trace, "DKIM-Signature: v=1\r\n");
  EXPECT_TRUE(is_complete());
  EXPECT_EQ(log_.count({"event=tls_report ", "day=2026-11-21", "domain=example.com", "to=a@example.com", "sessions=1"}),
            1U);
  EXPECT_EQ(log_.count({"event=tls_reports ", "sessions=1", "complete=true"}), 1U);
}

TEST_F(TlsDailyTest, each_goes_out_once_over_restarts) {
  count("example.com");
  ask("example.com", "mailto:a@example.com,https://example.com/r");
  run_daily(3);
  open();
  run_daily(6);
  EXPECT_EQ(submitted_.size(), 1U);
  EXPECT_THAT(posted_, ElementsAre("https://example.com/r"));
}

TEST_F(TlsDailyTest, a_failed_post_is_tried_again_and_the_mail_is_not) {
  count("example.com");
  ask("example.com", "mailto:a@example.com,https://example.com/r");
  post_works_ = false;
  run_daily(4);
  EXPECT_FALSE(is_complete());
  EXPECT_GE(posted_.size(), 2U);
  EXPECT_EQ(submitted_.size(), 1U);
  EXPECT_GE(log_.count({"event=tls_report ", "to=https://example.com/r", "503"}), 2U);
  post_works_ = true;
  run_daily(2);
  EXPECT_TRUE(is_complete());
  EXPECT_EQ(submitted_.size(), 1U);
}

TEST_F(TlsDailyTest, it_is_tried_for_a_day_and_then_given_up) {
  count("example.com");
  ask("example.com", "https://example.com/r");
  post_works_ = false;
  timer_.now = day("2026-11-22") + 23h;
  run_daily(2);
  EXPECT_FALSE(is_complete());
  timer_.now = day("2026-11-23") + 2h;
  run_daily(2);
  EXPECT_TRUE(is_complete());
  EXPECT_EQ(log_.count({"event=tls_reports ", "given up"}), 1U);
}

TEST_F(TlsDailyTest, nothing_goes_out_while_it_is_switched_off) {
  count("example.com");
  ask("example.com", "mailto:a@example.com");
  settings_.enabled = false;
  run_daily(4);
  EXPECT_TRUE(submitted_.empty());
  EXPECT_FALSE(is_complete());
}

} // namespace tls_reporter_test
