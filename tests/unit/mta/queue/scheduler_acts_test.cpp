// Scheduler: what operators see and do; every act durable before it counts, and logged with who and why.
#include "tests/unit/mta/queue/scheduler_fixture.hpp"

namespace queue_test {
namespace scheduler_acts_test {

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

TEST_F(ActTest, each_recipient_that_a_removal_ends_has_its_line) {
  start();
  submit(message(1, {"p@a.example", "q@a.example"}));
  finish_at(0, {Kind::delivered, Kind::temporary});
  spool_.hold_commits();
  scheduler_->remove({}, "spam", "op@desk", count_to());
  settle();
  EXPECT_EQ(log_.count({"event=recipient ", "status=deleted"}), 0U) << "not before the disk has it";
  spool_.release();
  settle();
  EXPECT_EQ(log_.count({"event=recipient ", "id=" + QueueId{1}.to_string(), "to=q@a.example", "status=deleted",
                        "by=op@desk", "reason=spam"}),
            1U);
  EXPECT_EQ(log_.count({"event=recipient ", "to=p@a.example", "status=deleted"}), 0U) << "it had arrived";
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

policy::OperatorOverride override_to(tls::Level level) {
  return {.level = level, .reason = "the minister waits", .by = "Jo Duty (user root)", .when = start_time};
}

TEST_F(ActTest, an_override_is_durable_then_logged_and_the_message_is_tried_at_once) {
  start();
  submit(message(1, {"p@a.example"}));
  submit(message(2, {"p@b.example"}));
  finish(Kind::temporary, FailureCause::tls);
  finish(Kind::temporary, FailureCause::tls);
  spool_.hold_commits();
  scheduler_->override_tls({1}, override_to(tls::Level::opportunistic), "root", count_to());
  settle();
  EXPECT_FALSE(touched_);
  EXPECT_EQ(running(), "") << "not before it is on disk";
  EXPECT_EQ(log_.count({"event=queue_override"}), 0U);
  spool_.release();
  settle();
  EXPECT_EQ(touched_, 1U);
  ASSERT_EQ(running(), "1>a.example[0]") << "the other message waits on";
  EXPECT_EQ(running_.front().job.message->tls_override, override_to(tls::Level::opportunistic));
  EXPECT_EQ(on_disk(1).tls_override, override_to(tls::Level::opportunistic));
  EXPECT_FALSE(on_disk(2).tls_override);
  EXPECT_EQ(log_.count({"event=queue_override", "id=" + QueueId{1}.to_string(), "level=opportunistic",
                        "by=\"Jo Duty (user root)\"", "reason=\"the minister waits\""}),
            1U);
}

TEST_F(ActTest, an_override_stays_with_the_message_through_attempts_and_a_restart) {
  start();
  submit(message(1, {"p@a.example"}));
  finish(Kind::temporary, FailureCause::tls);
  scheduler_->override_tls({1}, override_to(tls::Level::encrypted), "root", count_to());
  settle();
  finish(Kind::temporary, FailureCause::connect);
  EXPECT_EQ(on_disk(1).tls_override, override_to(tls::Level::encrypted));
  auto recovered = on_disk(1);
  start({recovered});
  advance(4h);
  ASSERT_FALSE(running_.empty());
  EXPECT_EQ(running_.back().job.message->tls_override, override_to(tls::Level::encrypted));
}

TEST_F(ActTest, an_override_releases_a_held_message) {
  start();
  submit(message(1, {"p@a.example"}));
  finish(Kind::temporary, FailureCause::tls);
  scheduler_->hold({}, "TLS was stripped", "op", count_to());
  settle();
  scheduler_->override_tls({1}, override_to(tls::Level::opportunistic), "root", count_to());
  settle();
  EXPECT_EQ(touched_, 1U);
  EXPECT_FALSE(on_disk(1).held);
  EXPECT_EQ(running(), "1>a.example[0]");
}

TEST_F(ActTest, an_attempt_under_the_old_rule_is_followed_by_one_under_the_new) {
  start();
  submit(message(1, {"p@a.example"}));
  scheduler_->override_tls({1}, override_to(tls::Level::opportunistic), "root", count_to());
  settle();
  EXPECT_EQ(touched_, 1U);
  EXPECT_EQ(running(), "1>a.example[0]") << "one at a time";
  EXPECT_FALSE(running_.front().job.message->tls_override);
  finish(Kind::temporary, FailureCause::tls, true);
  ASSERT_EQ(running(), "1>a.example[0]") << "at once, without waiting for its turn or for its destination";
  EXPECT_TRUE(running_.front().job.message->tls_override);
  finish(Kind::temporary, FailureCause::tls, true);
  EXPECT_EQ(running(), "") << "once";
}

TEST_F(ActTest, an_override_is_cleared_without_a_further_attempt) {
  start();
  submit(message(1, {"p@a.example"}));
  finish(Kind::temporary, FailureCause::tls);
  scheduler_->override_tls({1}, override_to(tls::Level::opportunistic), "root", count_to());
  settle();
  finish(Kind::temporary, FailureCause::connect);
  scheduler_->override_tls({1}, std::nullopt, "root", count_to());
  settle();
  EXPECT_EQ(touched_, 1U);
  EXPECT_EQ(running(), "");
  EXPECT_FALSE(on_disk(1).tls_override);
  EXPECT_EQ(log_.count({"event=queue_override", "level=cleared", "by=root"}), 1U);
  scheduler_->override_tls({1}, std::nullopt, "root", count_to());
  settle();
  EXPECT_EQ(touched_, 0U) << "there is none";
}

TEST_F(ActTest, an_override_that_the_disk_refuses_does_not_count) {
  start();
  submit(message(1, {"p@a.example"}));
  finish(Kind::temporary, FailureCause::tls);
  spool_.fail(support::MemorySpool::Step::update_durably, smtp::Error{smtp::ErrorCode::io, "disk full"});
  scheduler_->override_tls({1}, override_to(tls::Level::opportunistic), "root", count_to());
  settle();
  EXPECT_EQ(touched_, 0U);
  EXPECT_EQ(log_.count({"event=queue_act_failed", "act=override", "disk full"}), 1U);
  EXPECT_EQ(log_.count({"event=queue_override"}), 0U);
  EXPECT_EQ(running(), "");
  EXPECT_FALSE(scheduler_->list({}, 1).at(0)->tls_override);
}

TEST_F(ActTest, an_override_of_what_is_not_in_the_queue_or_is_being_removed_touches_nothing) {
  start();
  submit(message(1, {"p@a.example"}));
  scheduler_->override_tls({2}, override_to(tls::Level::opportunistic), "root", count_to());
  settle();
  EXPECT_EQ(touched_, 0U);
  scheduler_->remove({}, "spam", "op", count_to()); // it goes when its attempt has ended
  settle();
  scheduler_->override_tls({1}, override_to(tls::Level::opportunistic), "root", count_to());
  settle();
  EXPECT_EQ(touched_, 0U);
}

TEST_F(ActTest, bounce_ends_delivery_with_a_notice_and_is_durable_first) {
  start();
  submit(message(1, {"p@a.example", "q@a.example"}));
  finish(Kind::temporary, FailureCause::reply);
  spool_.hold_commits();
  scheduler_->bounce(to("a.example"), "a broken script", "op", count_to());
  settle();
  EXPECT_TRUE(asked_.empty()) << "not before the disk has it";
  spool_.release();
  settle();
  EXPECT_EQ(touched_, 1U);
  ASSERT_EQ(asked_.size(), 1U);
  EXPECT_EQ(asked_[0].request.kind, NoticeKind::failure);
  EXPECT_EQ(asked_[0].request.recipients, (std::vector<std::size_t>{0, 1}));
  EXPECT_EQ(asked_[0].request.message->recipients[0].cause, FailureCause::operator_act);
  EXPECT_EQ(asked_[0].request.message->recipients[0].detail, "a broken script");
  EXPECT_EQ(log_.count({"event=queue_bounce", "by=op", "reason=\"a broken script\""}), 1U);
  for (const char *recipient : {"recipient=p@a.example", "recipient=q@a.example"})
    EXPECT_EQ(log_.count({"event=recipient_failed", recipient, "cause=operator", "detail=\"a broken script\""}), 1U)
        << "each of them has its line";
  advance(2h);
  EXPECT_EQ(running(), "") << "no further attempt";
  store_notice(true);
  EXPECT_TRUE(spool_.stored().empty()) << "the message is done";
}

TEST_F(ActTest, a_bounce_goes_on_after_a_restart) {
  QueuedMessage one = message(1, {"p@a.example"});
  one.recipients[0].cause = FailureCause::operator_act;
  one.recipients[0].detail = "why";
  spool_.put(one.id, encode_envelope(one), "body");
  start({one});
  EXPECT_EQ(running(), "");
  ASSERT_EQ(asked_.size(), 1U);
  EXPECT_EQ(asked_[0].request.message->recipients[0].detail, "why");
}

TEST_F(ActTest, what_is_under_way_when_a_bounce_comes_ends_with_it_or_is_delivered) {
  start();
  submit(message(1, {"p@a.example"}));
  submit(message(2, {"p@b.example"}));
  scheduler_->bounce({}, "why", "op", count_to());
  settle();
  EXPECT_TRUE(asked_.empty()) << "jobs run";
  finish(Kind::temporary, FailureCause::reply);
  ASSERT_EQ(asked_.size(), 1U);
  EXPECT_EQ(asked_[0].request.message->id.value, 1U);
  finish(Kind::delivered);
  EXPECT_EQ(asked_.size(), 1U) << "the other arrived";
  EXPECT_EQ(spool_.stored().size(), 1U);
}

TEST_F(ActTest, redirect_puts_one_mailbox_in_the_place_of_those_that_wait) {
  start();
  submit(message(1, {"p@a.example", "q@a.example", "r@c.example"}));
  finish(Kind::temporary, FailureCause::reply);
  finish(Kind::delivered);
  const smtp::Mailbox desk = smtp::Mailbox::parse("desk@b.example").value();
  scheduler_->redirect({1}, {"nobody@a.example", desk}, "moved", "op", count_to());
  settle();
  EXPECT_EQ(touched_, 0U) << "no such recipient";
  scheduler_->redirect({1}, {"", desk}, "moved", "op", count_to());
  settle();
  EXPECT_EQ(touched_, 1U);
  EXPECT_EQ(running(), "1>b.example[0]") << "at once, one copy";
  const QueuedMessage stored = on_disk(1);
  EXPECT_EQ(stored.recipients[0].recipient.mailbox, desk);
  EXPECT_EQ(stored.recipients[0].redirected_from, "p@a.example");
  EXPECT_EQ(stored.recipients[1].status, RecipientStatus::delivered);
  EXPECT_EQ(log_.count({"event=recipient", "status=redirected", "to=p@a.example", "redirected_to=desk@b.example",
                        "by=op", "reason=moved"}),
            1U);
  EXPECT_EQ(log_.count({"event=recipient", "status=redirected", "to=q@a.example"}), 1U);
  scheduler_->redirect({1}, {"", desk}, "again", "op", count_to());
  settle();
  EXPECT_EQ(touched_, 0U) << "not while it is being delivered";
  finish(Kind::delivered);
  EXPECT_TRUE(spool_.stored().empty());
}

TEST_F(ActTest, a_standing_hold_holds_what_comes_until_it_is_released) {
  standing_hold_ = "b.example";
  start();
  submit(message(1, {"p@a.example"}));
  submit(message(2, {"p@b.example"}));
  EXPECT_EQ(running(), "1>a.example[0]");
  EXPECT_TRUE(on_disk(2).held);
  EXPECT_EQ(on_disk(2).hold_reason, "hold-rule 1: why");
  EXPECT_EQ(on_disk(2).held_since, now_);
  QueueFilter one;
  one.id = QueueId{2};
  scheduler_->release(one, "is fine", "op", count_to());
  settle();
  EXPECT_EQ(running(), "1>a.example[0] 2>b.example[0]");
  EXPECT_TRUE(on_disk(2).passes_holds);
  const QueuedMessage released = on_disk(2);
  running_.clear();
  scheduler_.reset();
  start({released});
  EXPECT_EQ(running(), "2>b.example[0]") << "the rule does not hold it again";
}

} // namespace scheduler_acts_test
} // namespace queue_test
