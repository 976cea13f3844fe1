// run_daily_reports and submit_report: when reports go out, that each goes out at least once and, without a crash, only
// once, and that they are mail from nobody that nobody answers.
#include "mta/report/daily_reports.hpp"

#include <ostream>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mta/report/dmarc_reporter.hpp"
#include "mta/tally/dmarc_tally.hpp"
#include "tests/support/dmarc_rows.hpp"
#include "tests/support/memory_log.hpp"
#include "tests/support/memory_spool.hpp"

namespace daily_reports_test {

using namespace mta;
using namespace std::chrono_literals;
using support::a_row;
using support::day;
using testing::ElementsAre;

// ---- when

struct DueRow {
  std::string name;
  WallTime now;
  unsigned hour = 1;
  std::vector<UtcDay> due;
  WallTime next;
  friend std::ostream &operator<<(std::ostream &out, const DueRow &row) { return out << row.name; }
};

class DueTest : public testing::TestWithParam<DueRow> {};

TEST_P(DueTest, is_known) {
  DmarcReportSettings settings;
  settings.hour = GetParam().hour;
  const std::vector<UtcDay> days = {day("2026-11-22"), day("2026-11-21"), day("2026-11-19")};
  EXPECT_EQ(due_days(days, GetParam().now, settings), GetParam().due);
  EXPECT_EQ(next_due_time(GetParam().now, settings), GetParam().next);
}

WallTime at(const char *date, std::chrono::seconds time) {
  return WallTime(day(date)) + time;
}

INSTANTIATE_TEST_SUITE_P(
    Rows, DueTest,
    testing::Values(DueRow{"this day is never due",
                           at("2026-11-22", 23h),
                           1,
                           {day("2026-11-19"), day("2026-11-21")},
                           at("2026-11-23", 1h)},
                    DueRow{"yesterday is not due before its hour",
                           at("2026-11-22", 1h - 1s),
                           1,
                           {day("2026-11-19")},
                           at("2026-11-22", 1h)},
                    DueRow{"yesterday is due at its hour",
                           at("2026-11-22", 1h),
                           1,
                           {day("2026-11-19"), day("2026-11-21")},
                           at("2026-11-23", 1h)},
                    DueRow{"hour 0 is midnight",
                           at("2026-11-22", 0s),
                           0,
                           {day("2026-11-19"), day("2026-11-21")},
                           at("2026-11-23", 0h)},
                    DueRow{"a clock of long ago", at("2026-01-01", 5h), 6, {}, at("2026-01-01", 6h)}));

// ---- the driver

/// A clock that jumps to what is waited for, and stops the driver after some waits.
class JumpingTimer : public ReportTimer {
public:
  Task<bool> wait_until(WallTime time) override {
    waits.push_back(time);
    if (cancelled || waits.size() >= limit) co_return false;
    now = std::max(now, time);
    co_return true;
  }
  void cancel() override { cancelled = true; }
  [[nodiscard]] bool is_cancelled() const noexcept override { return cancelled; }

  WallTime now = at("2026-11-22", 30min);
  std::vector<WallTime> waits;
  std::size_t limit = 4;
  bool cancelled = false;
};

Task<auth::DestinationVerdict> answer_destination(auth::DestinationStatus status, auth::DmarcUri uri) {
  auth::DestinationVerdict verdict;
  verdict.status = status;
  if (status == auth::DestinationStatus::internal) verdict.uris = {uri};
  verdict.reason = "as the test says";
  co_return verdict;
}

class DailyTest : public testing::Test {
protected:
  DailyTest() {
    settings_.from = smtp::Mailbox::parse("reports@example.org").value();
    settings_.submitter = "mx.example.org";
    settings_.spread = 1h;
    open();
  }
  void open() {
    tally_.reset();
    tally_ = DmarcTally::open({.folder = folder_.file("tally"), .flush_interval = 1h}, log_).value();
    reporter_ = std::make_unique<DmarcReporter>(DmarcReporter::Services{
        .days = tally_->days(),
        .check_destination = [this](std::string,
                                    auth::DmarcUri uri) { return answer_destination(status_, std::move(uri)); },
        .now = [this] { return timer_.now; }});
  }
  void count(const char *date, const std::string &domain, const std::string &rua) {
    DmarcRow row = a_row();
    row.published.domain = domain;
    row.published.rua = {rua};
    tally_->add(row, at(date, 12h));
    ASSERT_TRUE(tally_->flush());
  }
  void run(std::size_t waits) {
    timer_.limit = waits;
    timer_.waits.clear();
    timer_.cancelled = false;
    const DailyReportServices services{
        .kind = ReportKind::dmarc,
        .tally = tally_->tally(),
        .run = [this](UtcDay day, ReportScope scope,
                      TakeReport take) { return reporter_->run(day, settings_, scope, std::move(take)); },
        .submit = submit_,
        .post = {},
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
  [[nodiscard]] std::vector<std::string> sent() const {
    std::vector<std::string> to;
    for (const auto &message : submitted_) to.push_back(message->recipients[0].recipient.mailbox.to_string());
    return to;
  }
  [[nodiscard]] bool is_complete(const char *date) const { return tally_->days().marks(day(date)).value().complete; }

  test::TempFolder folder_;
  support::MemoryLog log_;
  support::MemorySpool spool_;
  JumpingTimer timer_;
  DmarcReportSettings settings_;
  auth::DestinationStatus status_ = auth::DestinationStatus::internal;
  std::vector<std::shared_ptr<QueuedMessage>> submitted_;
  SubmitServices submit_{
      .spool = spool_,
      .log = log_,
      .submit = [this](std::shared_ptr<QueuedMessage> message) { submitted_.push_back(std::move(message)); },
      .now = [this] { return timer_.now; },
      .sign = [](std::string_view) { return std::string("DKIM-Signature: v=1\r\n"); },
      .lifetime = [] { return std::chrono::hours(120); }};
  std::unique_ptr<DmarcTally> tally_;
  std::unique_ptr<DmarcReporter> reporter_;
};

TEST_F(DailyTest, yesterday_goes_out_after_its_hour_and_a_random_delay_once) {
  count("2026-11-21", "example.com", "mailto:r@example.com");
  count("2026-11-22", "example.com", "mailto:today@example.com");
  run(4);
  EXPECT_EQ(sent(), std::vector<std::string>{"r@example.com"});
  EXPECT_THAT(timer_.waits, ElementsAre(at("2026-11-22", 1h), at("2026-11-22", 90min), at("2026-11-22", 150min),
                                        at("2026-11-22", 210min)));
  EXPECT_TRUE(is_complete("2026-11-21"));
  EXPECT_FALSE(is_complete("2026-11-22"));
  EXPECT_EQ(log_.count({"event=dmarc_report ", "domain=example.com", "to=r@example.com", "day=2026-11-21"}), 1U);
}

TEST_F(DailyTest, all_unreported_days_go_out_the_oldest_first) {
  count("2026-11-19", "example.com", "mailto:old@example.com");
  count("2026-11-21", "example.com", "mailto:new@example.com");
  run(3);
  EXPECT_EQ(sent(), (std::vector<std::string>{"old@example.com", "new@example.com"}));
}

TEST_F(DailyTest, a_restart_sends_nothing_twice) {
  count("2026-11-21", "example.com", "mailto:r@example.com");
  run(3);
  open();
  run(6);
  EXPECT_EQ(submitted_.size(), 1U);
}

TEST_F(DailyTest, a_crash_before_the_mark_sends_the_same_report_again) {
  count("2026-11-21", "example.com", "mailto:a@example.com");
  count("2026-11-21", "other.example", "mailto:b@other.example");
  run(3);
  ASSERT_EQ(submitted_.size(), 2U);
  const std::string marks = tally_->days().marks_file(day("2026-11-21"));
  // Of "\nsent ID TO CHECKSUM\n" for each, and the mark of the day, the crash leaves the first and a half.
  const std::string text = support::read_all(marks);
  support::write_all(marks, text.substr(0, text.find("sent ", text.find("sent ") + 1) + 20));
  open();
  run(3);
  ASSERT_EQ(sent(), (std::vector<std::string>{"a@example.com", "b@other.example", "b@other.example"}));
  const auto body = [&](std::size_t index) { return spool_.stored(submitted_[index]->id.value).body; };
  const auto id = [](const std::string &text_) { return text_.substr(text_.find("Message-ID:"), 60); };
  EXPECT_EQ(id(body(2)), id(body(1)));
  EXPECT_TRUE(is_complete("2026-11-21"));
}

TEST_F(DailyTest, a_spool_that_fails_leaves_the_day_open_until_it_works) {
  using Step = support::MemorySpool::Step;
  count("2026-11-21", "example.com", "mailto:r@example.com");
  for (const Step step : {Step::begin, Step::append, Step::commit}) {
    spool_.fail(step, smtp::Error{smtp::ErrorCode::full, "no room"});
    log_.lines.clear();
    run(3);
    EXPECT_TRUE(submitted_.empty());
    EXPECT_FALSE(is_complete("2026-11-21"));
    EXPECT_EQ(log_.count({"event=dmarc_report ", "no room"}), 1U);
    spool_.repair(step);
  }
  run(3);
  EXPECT_EQ(submitted_.size(), 1U);
  EXPECT_TRUE(is_complete("2026-11-21"));
}

TEST_F(DailyTest, a_temporary_failure_is_tried_each_time_until_it_is_given_up) {
  status_ = auth::DestinationStatus::temporary;
  count("2026-11-21", "example.com", "mailto:r@example.com");
  run(3);
  EXPECT_FALSE(is_complete("2026-11-21"));
  timer_.now = at("2026-11-28", 2h);
  run(2);
  EXPECT_FALSE(is_complete("2026-11-21")) << "seven days";
  timer_.now = at("2026-11-29", 2h);
  run(2);
  EXPECT_TRUE(is_complete("2026-11-21")) << "more than seven";
  EXPECT_TRUE(submitted_.empty());
  EXPECT_EQ(log_.count({"given up"}), 1U);
}

TEST_F(DailyTest, a_refused_destination_is_no_reason_to_try_again) {
  status_ = auth::DestinationStatus::refused;
  count("2026-11-21", "example.com", "mailto:r@example.com");
  run(3);
  EXPECT_TRUE(submitted_.empty());
  EXPECT_TRUE(is_complete("2026-11-21"));
  EXPECT_EQ(log_.count({"event=dmarc_report_note", "domain=example.com", "is ignored"}), 1U);
}

TEST_F(DailyTest, switched_off_it_sends_nothing) {
  settings_.enabled = false;
  count("2026-11-21", "example.com", "mailto:r@example.com");
  run(6);
  EXPECT_TRUE(submitted_.empty());
  EXPECT_FALSE(is_complete("2026-11-21"));
}

TEST_F(DailyTest, switched_off_it_keeps_no_rows_for_ever) {
  settings_.enabled = false;
  count("2026-11-21", "example.com", "mailto:r@example.com");
  timer_.now = at("2026-12-19", 2h);
  run(2);
  EXPECT_EQ(tally_->days().list().value().size(), 1U) << "28 days";
  timer_.now = at("2026-12-20", 2h);
  run(2);
  EXPECT_TRUE(tally_->days().list().value().empty()) << "more than 28";
}

TEST_F(DailyTest, cancelled_while_it_waits_it_ends) {
  timer_.cancelled = true;
  count("2026-11-21", "example.com", "mailto:r@example.com");
  run(1);
  EXPECT_EQ(timer_.waits.size(), 1U);
  EXPECT_TRUE(submitted_.empty());
}

TEST_F(DailyTest, cancelled_while_it_sends_it_leaves_the_rest_for_later) {
  count("2026-11-21", "example.com", "mailto:a@example.com");
  count("2026-11-21", "other.example", "mailto:b@other.example");
  submit_.submit = [this](std::shared_ptr<QueuedMessage> message) {
    submitted_.push_back(std::move(message));
    if (submitted_.size() == 1) timer_.cancel();
  };
  run(9);
  EXPECT_EQ(sent(), std::vector<std::string>{"a@example.com"});
  EXPECT_FALSE(is_complete("2026-11-21"));
  run(3);
  EXPECT_EQ(sent(), (std::vector<std::string>{"a@example.com", "b@other.example"}));
}

TEST_F(DailyTest, old_days_are_removed_once_they_are_reported) {
  count("2026-11-21", "example.com", "mailto:r@example.com");
  run(3);
  timer_.now = at("2026-12-06", 2h);
  run(2);
  EXPECT_TRUE(tally_->days().list().value().empty());
}

// ---- submit_report

TEST_F(DailyTest, a_report_is_mail_from_nobody_that_nobody_answers) {
  count("2026-11-21", "example.com", "mailto:r@example.com");
  run(3);
  ASSERT_EQ(submitted_.size(), 1U);
  const QueuedMessage &message = *submitted_[0];
  EXPECT_TRUE(message.envelope.sender.path.is_null());
  EXPECT_TRUE(message.envelope.is_notification);
  EXPECT_TRUE(message.recipients[0].recipient.parameters.notify.never);
  EXPECT_EQ(message.envelope.trace, "DKIM-Signature: v=1\r\n");
  EXPECT_EQ(message.envelope.message_id, "<20261121.example.com@mx.example.org>");
  EXPECT_FALSE(message.envelope.has_8bit);
  EXPECT_EQ(message.expires, message.envelope.arrival + 120h);
  const auto stored = spool_.stored(message.id.value);
  EXPECT_EQ(stored.body.size(), message.envelope.body_size);
  EXPECT_TRUE(stored.body.substr(0, message.envelope.header_size).ends_with("\r\n\r\n"));
  const auto recovered = decode_message(message.id, stored.envelope, "");
  ASSERT_TRUE(recovered) << recovered.error().detail;
  EXPECT_EQ(*recovered, message) << "what a restart finds is what was submitted";
}

TEST_F(DailyTest, a_report_counts_only_once_it_is_on_disk) {
  spool_.hold_commits();
  std::optional<smtp::Result<QueueId>> stored;
  submit_report(submit_, ReportKind::dmarc, smtp::Mailbox::parse("r@example.com").value(), "Subject: x\r\n\r\nbody\r\n",
                [&](smtp::Result<QueueId> result) { stored = std::move(result); });
  EXPECT_FALSE(stored);
  EXPECT_TRUE(submitted_.empty());
  spool_.release();
  ASSERT_TRUE(stored && stored->has_value());
  EXPECT_EQ(submitted_.size(), 1U);
}

// ---- the real timer

Task<> wait_and_note(ReportTimer *timer, WallTime time, std::optional<bool> *result) {
  const bool waited = co_await timer->wait_until(time);
  *result = waited;
}

TEST(ReportTimerTest, a_time_that_has_come_is_not_waited_for) {
  asio::io_context context;
  const auto timer = ReportTimer::create(context.get_executor());
  std::optional<bool> result;
  asio::co_spawn(context, wait_and_note(timer.get(), std::chrono::system_clock::now(), &result), asio::detached);
  context.run();
  EXPECT_EQ(result, true);
}

TEST(ReportTimerTest, cancel_ends_the_wait_and_each_later_one) {
  asio::io_context context;
  const auto timer = ReportTimer::create(context.get_executor());
  std::optional<bool> result;
  const auto late = std::chrono::system_clock::now() + 24h;
  asio::co_spawn(context, wait_and_note(timer.get(), late, &result), asio::detached);
  context.poll();
  EXPECT_FALSE(result);
  timer->cancel();
  context.run();
  EXPECT_EQ(result, false);
  result.reset();
  context.restart();
  asio::co_spawn(context, wait_and_note(timer.get(), late, &result), asio::detached);
  context.run();
  EXPECT_EQ(result, false);
  EXPECT_TRUE(timer->is_cancelled());
}

} // namespace daily_reports_test
