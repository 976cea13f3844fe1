// Scheduler: what operators see and do; every act durable before it counts, and logged with who and why.
#include "tests/unit/mta/queue/scheduler_fixture.hpp"

namespace queue_test {
namespace {

class ActTest : public SchedulerTest {
protected:
  std::function<void(std::size_t)> count_to() {
    touched_.reset();
    return [this](std::size_t count) { touched_ = count; };
  }
  static QueueFilter to(const std::string &domain) {
    QueueFilter filter;
    filter.recipient_domain = domain;
    return filter;
  }
  std::optional<std::size_t> touched_;
};

TEST_F(ActTest, hold_stops_attempts_and_release_begins_them) {
  start({}, {.retry = {}, .connections = 1, .connections_per_destination = 20});
  submit(message(1, {"p@a.example"}));
  submit(message(2, {"p@b.example"}));
  submit(message(3, {"p@b.example"}));
  scheduler_->hold(to("b.example"), "looks odd", "op", count_to());
  settle();
  EXPECT_EQ(touched_, 2U);
  EXPECT_TRUE(on_disk(2).held);
  EXPECT_EQ(on_disk(2).hold_reason, "looks odd");
  EXPECT_EQ(log_.count({"event=queue_hold", "by=op", "reason=\"looks odd\""}), 2U);
  finish(Kind::delivered);
  EXPECT_EQ(running(), "");
  EXPECT_EQ(scheduler_->count({}).held, 2U);
  advance(300h);
  EXPECT_EQ(running(), "");
  EXPECT_TRUE(asked_.empty()) << "what is held neither expires nor is it late";
  QueueFilter one;
  one.id = QueueId{3};
  scheduler_->release(one, "is fine", "op", count_to());
  settle();
  EXPECT_EQ(touched_, 1U);
  EXPECT_FALSE(on_disk(3).held);
  EXPECT_EQ(running(), "3>b.example[0]");
  EXPECT_EQ(log_.count({"event=queue_release", "reason=\"is fine\""}), 1U);
}

TEST_F(ActTest, a_hold_is_not_done_before_the_disk_has_it) {
  start();
  submit(message(1, {"p@a.example"}));
  finish(Kind::temporary, FailureCause::reply);
  spool_.hold_commits();
  scheduler_->hold({}, "r", "op", count_to());
  settle();
  EXPECT_FALSE(touched_);
  advance(60s);
  EXPECT_EQ(running(), "") << "held in memory at once";
  spool_.release();
  settle();
  EXPECT_EQ(touched_, 1U);
}

TEST_F(ActTest, a_hold_that_the_disk_refuses_does_not_count) {
  start();
  submit(message(1, {"p@a.example"}));
  finish(Kind::temporary, FailureCause::reply);
  spool_.fail(support::MemorySpool::Step::update_durably, smtp::Error{smtp::ErrorCode::io, "disk full"});
  scheduler_->hold({}, "r", "op", count_to());
  settle();
  EXPECT_EQ(touched_, 0U);
  EXPECT_EQ(log_.count({"event=queue_act_failed", "act=hold", "disk full"}), 1U);
  advance(60s);
  EXPECT_EQ(running(), "1>a.example[0]") << "not held";
}

TEST_F(ActTest, an_attempt_that_runs_while_its_message_is_held_ends_as_it_does) {
  start();
  submit(message(1, {"p@a.example"}));
  submit(message(2, {"p@a.example"}));
  scheduler_->hold({}, "r", "op", count_to());
  settle();
  finish(Kind::delivered);
  EXPECT_EQ(spool_.stored().count(1), 0U);
  finish(Kind::temporary, FailureCause::reply);
  EXPECT_TRUE(on_disk(2).held);
  EXPECT_EQ(on_disk(2).recipients[0].attempts, 1U);
  advance(3600s);
  EXPECT_EQ(running(), "");
}

TEST_F(ActTest, a_release_outlives_an_attempt_that_ends_while_it_is_written) {
  start();
  submit(message(1, {"p@a.example"}));
  scheduler_->hold({}, "r", "op", count_to());
  settle();
  spool_.hold_commits();
  scheduler_->release({}, "ok", "op", count_to());
  finish(Kind::temporary, FailureCause::reply);
  EXPECT_TRUE(on_disk(1).held);
  spool_.release();
  settle();
  EXPECT_EQ(touched_, 1U);
  EXPECT_FALSE(on_disk(1).held);
  EXPECT_EQ(on_disk(1).recipients[0].attempts, 1U);
}

TEST_F(ActTest, remove_is_durable_then_logged_then_gone) {
  start();
  submit(message(1, {"p@a.example"}));
  finish(Kind::temporary, FailureCause::reply);
  spool_.forget_acts();
  spool_.hold_commits();
  scheduler_->remove({}, "spam", "op@desk", count_to());
  settle();
  EXPECT_FALSE(touched_);
  EXPECT_EQ(on_disk(1).recipients[0].status, RecipientStatus::failed) << "what a restart would find: nothing to do";
  EXPECT_EQ(on_disk(1).recipients[0].cause, FailureCause::operator_act);
  EXPECT_EQ(log_.count({"event=queue_delete"}), 0U);
  spool_.release();
  settle();
  EXPECT_EQ(touched_, 1U);
  EXPECT_EQ(acts(), "durable 1, remove 1");
  EXPECT_EQ(log_.count({"event=queue_delete", "id=" + QueueId{1}.to_string(), "by=op@desk", "reason=spam"}), 1U);
  EXPECT_TRUE(asked_.empty()) << "an operator's removal is told to nobody";
}

TEST_F(ActTest, removal_of_a_message_in_delivery_waits_for_the_jobs_end) {
  start();
  submit(message(1, {"p@a.example", "q@b.example"}));
  scheduler_->remove({}, "spam", "op", count_to());
  settle();
  EXPECT_EQ(touched_, 1U);
  EXPECT_EQ(acts(), "durable 1");
  EXPECT_TRUE(scheduler_->list({}, 10).empty());
  finish(Kind::temporary, FailureCause::reply);
  EXPECT_EQ(acts(), "durable 1");
  finish(Kind::permanent, FailureCause::reply);
  EXPECT_EQ(acts(), "durable 1, remove 1");
  EXPECT_TRUE(asked_.empty());
}

TEST_F(ActTest, a_removal_that_the_disk_refuses_keeps_the_message) {
  start();
  submit(message(1, {"p@a.example"}));
  finish(Kind::temporary, FailureCause::reply);
  spool_.fail(support::MemorySpool::Step::update_durably, smtp::Error{smtp::ErrorCode::io, "disk full"});
  scheduler_->remove({}, "spam", "op", count_to());
  settle();
  EXPECT_EQ(touched_, 0U);
  EXPECT_EQ(log_.count({"event=queue_delete"}), 0U);
  advance(60s);
  EXPECT_EQ(running(), "1>a.example[0]");
}

TEST_F(ActTest, removal_waits_for_a_notice_in_flight) {
  start();
  submit(message(1, {"p@a.example"}));
  finish(Kind::permanent, FailureCause::reply);
  scheduler_->remove({}, "spam", "op", count_to());
  settle();
  EXPECT_EQ(spool_.stored().count(1), 1U);
  store_notice(false);
  EXPECT_EQ(spool_.stored().count(1), 0U);
  EXPECT_EQ(scheduler_->count({}).messages, 0U);
}

TEST_F(ActTest, retry_tries_at_once_even_a_dead_destination) {
  start();
  submit(message(1, {"p@a.example"}));
  submit(message(2, {"p@b.example"}));
  finish(Kind::temporary, FailureCause::connect, true);
  finish(Kind::temporary, FailureCause::reply);
  EXPECT_EQ(running(), "");
  scheduler_->retry(to("a.example"), count_to());
  settle();
  EXPECT_EQ(touched_, 1U);
  EXPECT_EQ(running(), "1>a.example[0]");
  EXPECT_EQ(log_.count({"event=queue_retry"}), 1U);
}

TEST_F(ActTest, retry_leaves_held_messages_and_settled_recipients_alone) {
  start();
  submit(message(1, {"p@a.example"}));
  submit(message(2, {"p@b.example"}));
  finish(Kind::temporary, FailureCause::reply);
  finish(Kind::permanent, FailureCause::reply);
  QueueFilter one;
  one.id = QueueId{1};
  scheduler_->hold(one, "r", "op", count_to());
  settle();
  scheduler_->retry({}, count_to());
  settle();
  EXPECT_EQ(touched_, 1U);
  EXPECT_EQ(running(), "") << "message 2 waits for its notice only";
}

TEST_F(ActTest, acts_on_nothing_are_done_at_once) {
  start();
  scheduler_->remove({}, "spam", "op", count_to());
  EXPECT_EQ(touched_, 0U);
}

TEST_F(ActTest, list_is_in_order_of_acceptance_up_to_the_limit) {
  start({}, {.retry = {}, .connections = 2, .connections_per_destination = 20});
  for (const std::uint64_t id : {5, 3, 9}) submit(message(id, {"p@a.example"}));
  const auto listed = scheduler_->list({}, 2);
  ASSERT_EQ(listed.size(), 2U);
  EXPECT_EQ(listed[0]->id.value, 3U);
  EXPECT_EQ(listed[1]->id.value, 5U);
  EXPECT_TRUE(scheduler_->list({}, 0).empty());
  EXPECT_TRUE(scheduler_->list(to("b.example"), 10).empty());
}

TEST_F(ActTest, count_counts_what_matches) {
  start({}, {.retry = {}, .connections = 2, .connections_per_destination = 20});
  submit(message(1, {"p@a.example", "q@b.example"}));
  submit(message(2, {"p@c.example"}));
  const QueueCounts all = scheduler_->count({});
  EXPECT_EQ(all.messages, 2U);
  EXPECT_EQ(all.recipients, 3U);
  EXPECT_EQ(all.active_jobs, 2U);
  EXPECT_EQ(all.destinations, 3U);
  const QueueCounts some = scheduler_->count(to("c.example"));
  EXPECT_EQ(some.messages, 1U);
  EXPECT_EQ(some.active_jobs, 0U);
  EXPECT_EQ(some.destinations, 1U);
}

} // namespace
} // namespace queue_test
