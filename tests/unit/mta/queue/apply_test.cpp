// apply: every kind of result against every wish of the sender and every age of the message.
#include "mta/queue/apply.hpp"

#include <ostream>

#include <gtest/gtest.h>

namespace apply_test {

using namespace mta;
using namespace std::chrono_literals;
using Kind = RecipientResult::Kind;

const WallTime arrival{std::chrono::hours(1'000'000 / 2)};

enum class Then : std::uint8_t { delivered, success_notice, failure_notice, retried, retried_and_delay_notice };

struct Row {
  std::string name;
  Kind kind = Kind::delivered;
  FailureCause cause = FailureCause::none;
  std::chrono::seconds age{60};
  bool notify_success = false;
  bool null_sender = false;
  bool dsn_passed_on = false;
  bool delay_notified = false;
  std::uint32_t attempts_before = 0;
  Then then = Then::delivered;
  RecipientStatus status = RecipientStatus::pending;
  FailureCause cause_after = FailureCause::none;
  std::chrono::seconds next_after_arrival{0}; ///< when retried
  friend std::ostream &operator<<(std::ostream &out, const Row &row) { return out << row.name; }
};

class ApplyTest : public testing::TestWithParam<Row> {};

QueuedMessage message_of(std::size_t recipients) {
  QueuedMessage message;
  message.id = {9};
  message.envelope.sender.path = smtp::ReversePath(smtp::Mailbox::parse("alice@example.org").value());
  message.envelope.arrival = arrival;
  message.expires = arrival + 120h;
  for (std::size_t i = 0; i < recipients; ++i)
    message.recipients.push_back(
        RecipientState{smtp::Recipient{smtp::Mailbox::parse("r" + std::to_string(i) + "@example.net").value(), {}}});
  return message;
}

RecipientResult result_of(std::size_t index, Kind kind, FailureCause cause) {
  return {.index = index,
          .kind = kind,
          .cause = cause,
          .reply = {static_cast<std::uint16_t>(kind == Kind::delivered   ? 250
                                               : kind == Kind::temporary ? 451
                                                                         : 550),
                    std::nullopt, "said"},
          .host = "mx[192.0.2.1]",
          .detail = "why"};
}

TEST_P(ApplyTest, gives_what_follows) {
  const Row &row = GetParam();
  QueuedMessage message = message_of(1);
  RecipientState &state = message.recipients[0];
  if (row.null_sender) message.envelope.sender.path = smtp::ReversePath();
  state.recipient.parameters.notify = {.given = row.notify_success, .success = row.notify_success};
  state.delay_notified = row.delay_notified;
  state.attempts = row.attempts_before;
  JobResult result;
  result.results.push_back(result_of(0, row.kind, row.cause));
  result.results[0].dsn_passed_on = row.dsn_passed_on;
  const WallTime now = arrival + row.age;
  const bool plain = finishes_plainly(message, result);

  const Applied applied = apply(message, result, policy::RetrySchedule{}, now, 0.5, message.envelope.arrival);

  const std::vector<std::size_t> first{0};
  const std::vector<std::size_t> none;
  const auto expected = [&](bool yes) { return yes ? first : none; };
  const bool retried = row.then == Then::retried || row.then == Then::retried_and_delay_notice;
  EXPECT_EQ(applied.delivered, expected(row.then == Then::delivered));
  EXPECT_EQ(applied.success, expected(row.then == Then::success_notice));
  EXPECT_EQ(applied.failure, expected(row.then == Then::failure_notice));
  EXPECT_EQ(applied.retried, expected(retried));
  EXPECT_EQ(applied.delay, expected(row.then == Then::retried_and_delay_notice));
  EXPECT_EQ(plain, row.then == Then::delivered);
  EXPECT_EQ(state.status, row.status);
  EXPECT_EQ(state.cause, row.cause_after);
  EXPECT_EQ(state.before_expiry, row.cause_after == FailureCause::expired ? row.cause : FailureCause::none);
  EXPECT_EQ(state.attempts, row.attempts_before + 1);
  EXPECT_EQ(state.last_attempt, now);
  EXPECT_EQ(state.last_host, "mx[192.0.2.1]");
  EXPECT_EQ(state.detail, "why");
  EXPECT_EQ(state.last_reply.text, "said");
  if (retried) {
    EXPECT_EQ(state.next_attempt, arrival + row.next_after_arrival);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Rows, ApplyTest,
    testing::Values(
        Row{.name = "delivered, nobody asked", .status = RecipientStatus::delivered},
        Row{.name = "delivered, success asked, the hop has no DSN: our notice first, then finished",
            .notify_success = true,
            .then = Then::success_notice},
        Row{.name = "delivered, success asked, the hop took it over",
            .notify_success = true,
            .dsn_passed_on = true,
            .status = RecipientStatus::delivered},
        Row{.name = "delivered, success asked by nobody",
            .notify_success = true,
            .null_sender = true,
            .status = RecipientStatus::delivered},
        Row{.name = "delivered after its time is still delivered", .age = 200h, .status = RecipientStatus::delivered},
        Row{.name = "refused for good",
            .kind = Kind::permanent,
            .cause = FailureCause::reply,
            .then = Then::failure_notice,
            .cause_after = FailureCause::reply},
        Row{.name = "refused for good by null MX",
            .kind = Kind::permanent,
            .cause = FailureCause::dns,
            .then = Then::failure_notice,
            .cause_after = FailureCause::dns},
        Row{.name = "refused for good, null sender: the notifier decides",
            .kind = Kind::permanent,
            .cause = FailureCause::reply,
            .null_sender = true,
            .then = Then::failure_notice,
            .cause_after = FailureCause::reply},
        Row{.name = "first temporary failure: a minute",
            .kind = Kind::temporary,
            .cause = FailureCause::connect,
            .then = Then::retried,
            .cause_after = FailureCause::connect,
            .next_after_arrival = 120s},
        Row{.name = "second temporary failure: five minutes",
            .kind = Kind::temporary,
            .cause = FailureCause::tls,
            .attempts_before = 1,
            .then = Then::retried,
            .cause_after = FailureCause::tls,
            .next_after_arrival = 360s},
        Row{.name = "twentieth temporary failure: four hours",
            .kind = Kind::temporary,
            .cause = FailureCause::reply,
            .age = 100h,
            .delay_notified = true,
            .attempts_before = 19,
            .then = Then::retried,
            .cause_after = FailureCause::reply,
            .next_after_arrival = 104h},
        Row{.name = "the last wait ends with the time allowed",
            .kind = Kind::temporary,
            .cause = FailureCause::dns,
            .age = 119h,
            .delay_notified = true,
            .attempts_before = 19,
            .then = Then::retried,
            .cause_after = FailureCause::dns,
            .next_after_arrival = 120h},
        Row{.name = "temporary failure a second before four hours: no delay notice",
            .kind = Kind::temporary,
            .cause = FailureCause::reply,
            .age = 4h - 1s,
            .then = Then::retried,
            .cause_after = FailureCause::reply,
            .next_after_arrival = 4h + 59s},
        Row{.name = "temporary failure at four hours: a delay notice",
            .kind = Kind::temporary,
            .cause = FailureCause::reply,
            .age = 4h,
            .then = Then::retried_and_delay_notice,
            .cause_after = FailureCause::reply,
            .next_after_arrival = 4h + 60s},
        Row{.name = "the delay notice comes once",
            .kind = Kind::temporary,
            .cause = FailureCause::reply,
            .age = 5h,
            .delay_notified = true,
            .then = Then::retried,
            .cause_after = FailureCause::reply,
            .next_after_arrival = 5h + 60s},
        Row{.name = "temporary failure at the end of the time: expired, the reason kept",
            .kind = Kind::temporary,
            .cause = FailureCause::tls,
            .age = 120h,
            .then = Then::failure_notice,
            .cause_after = FailureCause::expired},
        Row{.name = "temporary failure of our own at the end",
            .kind = Kind::temporary,
            .cause = FailureCause::local,
            .age = 121h,
            .then = Then::failure_notice,
            .cause_after = FailureCause::expired}));

TEST(ApplyTest, each_recipient_of_a_job_has_its_own_outcome) {
  QueuedMessage message = message_of(4);
  message.recipients[3].status = RecipientStatus::failed;
  JobResult result;
  result.results = {
      result_of(2, Kind::delivered, FailureCause::none), result_of(0, Kind::permanent, FailureCause::reply),
      result_of(1, Kind::temporary, FailureCause::reply), result_of(3, Kind::delivered, FailureCause::none),
      result_of(77, Kind::delivered, FailureCause::none)};
  EXPECT_FALSE(finishes_plainly(message, result));
  const Applied applied = apply(message, result, policy::RetrySchedule{}, arrival + 1min, 0.5, arrival);
  EXPECT_EQ(applied.delivered, std::vector<std::size_t>{2});
  EXPECT_EQ(applied.failure, std::vector<std::size_t>{0});
  EXPECT_EQ(applied.retried, std::vector<std::size_t>{1});
  EXPECT_EQ(message.recipients[3].status, RecipientStatus::failed) << "what is finished stays as it is";
  EXPECT_EQ(message.recipients[3].attempts, 0U);
  EXPECT_FALSE(message.is_finished());
}

TEST(ApplyTest, recipients_that_fail_together_stay_together) {
  QueuedMessage message = message_of(3);
  JobResult result;
  for (std::size_t i = 0; i < 3; ++i) result.results.push_back(result_of(i, Kind::temporary, FailureCause::connect));
  static_cast<void>(apply(message, result, policy::RetrySchedule{}, arrival + 1min, 0.9, arrival));
  EXPECT_EQ(message.recipients[0].next_attempt, message.recipients[1].next_attempt);
  EXPECT_EQ(message.recipients[0].next_attempt, message.recipients[2].next_attempt);
}

TEST(ApplyTest, a_peers_flood_of_words_is_cut) {
  QueuedMessage message = message_of(1);
  JobResult result;
  result.results.push_back(result_of(0, Kind::temporary, FailureCause::reply));
  result.results[0].reply.text.assign(60'000, 'x');
  result.results[0].detail.assign(60'000, 'x');
  static_cast<void>(apply(message, result, policy::RetrySchedule{}, arrival + 1min, 0.5, arrival));
  EXPECT_EQ(message.recipients[0].last_reply.text.size(), 2048U);
  EXPECT_EQ(message.recipients[0].detail.size(), 1024U);
}

TEST(ApplyTest, no_delay_notice_when_they_are_off) {
  policy::RetrySchedule schedule;
  schedule.delay_notice_after = 0s;
  QueuedMessage message = message_of(1);
  EXPECT_FALSE(owes_delay_notice(arrival, message.recipients[0], schedule, arrival + 100h));
}

TEST(ApplyTest, a_full_mailbox_is_tried_for_a_time_of_its_own) {
  policy::RetrySchedule schedule;
  schedule.full_mailbox_after = 24h;
  auto full = result_of(0, Kind::temporary, FailureCause::reply);
  full.reply = {552, smtp::EnhancedCode{5, 2, 2}, "mailbox full"};
  JobResult job;
  job.results = {full};
  auto message = message_of(1);
  message.recipients[0].attempts = 10;
  auto applied = apply(message, job, schedule, arrival + 23h, 0.5, arrival);
  EXPECT_EQ(applied.retried.size(), 1U);
  EXPECT_EQ(message.recipients[0].next_attempt, arrival + 24h) << "the last attempt falls on the end of that time";
  applied = apply(message, job, schedule, arrival + 24h, 0.5, arrival);
  EXPECT_EQ(applied.failure.size(), 1U);
  EXPECT_EQ(message.recipients[0].cause, FailureCause::reply) << "it failed by what it said, not by its age";
  // Too many recipients has the same code, and waits as others do.
  for (const auto &enhanced : {std::optional<smtp::EnhancedCode>(), std::optional(smtp::EnhancedCode{5, 5, 3})}) {
    job.results[0].reply.enhanced = enhanced;
    auto other = message_of(1);
    EXPECT_EQ(apply(other, job, schedule, arrival + 25h, 0.5, arrival).retried.size(), 1U);
  }
}

} // namespace apply_test
