// Scheduler: from submission to the last act in the spool, with retries, notices, expiry and dead destinations.
#include "mta/queue/scheduler.hpp"

#include <thread>

#include "mta/queue/destination.hpp"
#include "tests/unit/mta/queue/scheduler_fixture.hpp"

namespace queue_test {
namespace scheduler_test {

TEST_F(SchedulerTest, one_recipient_delivered_costs_one_act) {
  start();
  submit(message(1, {"bob@a.example"}));
  EXPECT_EQ(running(), "1>a.example[0]");
  finish(Kind::delivered);
  EXPECT_EQ(acts(), "remove 1");
  EXPECT_TRUE(asked_.empty());
  EXPECT_EQ(scheduler_->count({}).messages, 0U);
}

TEST_F(SchedulerTest, recipients_of_one_destination_share_a_job) {
  routes_["c.example"] = "route:hub";
  routes_["d.example"] = "route:hub";
  start();
  submit(message(1, {"p@a.example", "q@c.example", "r@a.example", "s@d.example"}));
  EXPECT_EQ(running(), "1>a.example[02] 1>route:hub[13]");
  finish(Kind::delivered);
  EXPECT_EQ(acts(), "update 1");
  finish(Kind::delivered);
  EXPECT_EQ(acts(), "update 1, remove 1");
}

TEST_F(SchedulerTest, a_job_takes_at_most_a_hundred_recipients) {
  std::vector<std::string> many;
  for (int i = 0; i < 250; ++i) many.push_back("r" + std::to_string(i) + "@a.example");
  start();
  submit(message(1, many));
  std::vector<std::size_t> sizes;
  while (!running_.empty()) {
    sizes.push_back(running_.front().job.recipients.size());
    finish(Kind::delivered);
  }
  EXPECT_EQ(sizes, (std::vector<std::size_t>{100, 100, 50}));
  EXPECT_TRUE(spool_.stored().empty());
}

TEST_F(SchedulerTest, what_happens_between_two_looks_is_one_update) {
  start();
  submit(message(1, {"p@a.example", "q@b.example", "r@c.example"}));
  ASSERT_EQ(running_.size(), 3U);
  for (int i = 0; i < 2; ++i) {
    Running one = std::move(running_.front());
    running_.pop_front();
    one.done({.number = one.job.number,
              .destination = one.job.destination,
              .results = {
                  {.index = one.job.recipients[0], .kind = Kind::delivered, .reply = {}, .host = {}, .detail = {}}}});
  }
  settle();
  EXPECT_EQ(acts(), "update 1");
}

TEST_F(SchedulerTest, temporary_failures_follow_the_schedule) {
  start();
  submit(message(1, {"bob@a.example"}));
  for (const auto wait : {60s, 300s, 900s, 1800s, 3600s, 7200s, 14400s, 14400s}) {
    ASSERT_EQ(running(), "1>a.example[0]");
    finish(Kind::temporary, FailureCause::reply);
    EXPECT_EQ(running(), "");
    EXPECT_EQ(on_disk(1).recipients[0].next_attempt, now_ + wait);
    while (!asked_.empty()) store_notice(true); // the delay notice is another test's matter
    advance(wait - 1s);
    EXPECT_EQ(running(), "");
    advance(1s);
  }
  EXPECT_EQ(on_disk(1).recipients[0].attempts, 8U);
  finish(Kind::delivered);
  EXPECT_TRUE(spool_.stored().empty());
}

TEST_F(SchedulerTest, partial_success_tries_only_the_rest_again) {
  start();
  submit(message(1, {"p@a.example", "q@a.example", "r@a.example"}));
  finish_at(0, {Kind::delivered, Kind::temporary, Kind::delivered});
  EXPECT_EQ(on_disk(1).recipients[0].status, RecipientStatus::delivered);
  advance(60s);
  EXPECT_EQ(running(), "1>a.example[1]");
  finish(Kind::delivered);
  EXPECT_TRUE(spool_.stored().empty());
}

TEST_F(SchedulerTest, a_failure_is_recorded_only_when_its_notice_is_stored) {
  start();
  submit(message(1, {"p@a.example", "q@b.example"}));
  finish(Kind::permanent, FailureCause::reply);
  ASSERT_EQ(asked_.size(), 1U);
  EXPECT_EQ(asked_[0].request.kind, NoticeKind::failure);
  EXPECT_EQ(asked_[0].request.recipients, std::vector<std::size_t>{0});
  EXPECT_EQ(asked_[0].request.message->recipients[0].cause, FailureCause::reply);
  EXPECT_EQ(asked_[0].request.message->recipients[0].detail, "why");
  EXPECT_EQ(on_disk(1).recipients[0].status, RecipientStatus::pending) << "a crash now repeats the attempt";
  finish(Kind::temporary, FailureCause::reply);
  EXPECT_EQ(on_disk(1).recipients[0].status, RecipientStatus::pending)
      << "another recipient's update says nothing of it";
  advance(60s);
  EXPECT_EQ(running(), "1>b.example[1]") << "the failed one is not tried again meanwhile";
  store_notice(true);
  EXPECT_EQ(on_disk(1).recipients[0].status, RecipientStatus::failed);
  finish(Kind::delivered);
  EXPECT_TRUE(spool_.stored().empty());
  EXPECT_EQ(log_.count({"event=recipient_failed", "recipient=p@a.example", "cause=reply"}), 1U);
}

TEST_F(SchedulerTest, a_message_goes_only_after_its_last_notice) {
  start();
  submit(message(1, {"p@a.example"}));
  finish(Kind::permanent, FailureCause::reply);
  EXPECT_EQ(spool_.stored().count(1), 1U);
  store_notice(true);
  EXPECT_EQ(spool_.stored().count(1), 0U);
}

TEST_F(SchedulerTest, a_notice_that_cannot_be_stored_is_asked_for_again_without_another_attempt) {
  start();
  submit(message(1, {"p@a.example"}));
  finish(Kind::permanent, FailureCause::reply);
  for (int i = 0; i < 3; ++i) {
    store_notice(false);
    EXPECT_TRUE(asked_.empty());
    advance(60s);
    EXPECT_EQ(running(), "");
    ASSERT_EQ(asked_.size(), 1U);
  }
  store_notice(true);
  EXPECT_TRUE(spool_.stored().empty());
  EXPECT_EQ(log_.count({"event=notice_not_stored"}), 3U);
}

TEST_F(SchedulerTest, a_success_notice_comes_before_the_end_and_never_a_second_delivery) {
  start();
  QueuedMessage asks = message(1, {"p@a.example"});
  asks.recipients[0].recipient.parameters.notify = {.given = true, .success = true};
  submit(asks);
  finish(Kind::delivered);
  ASSERT_EQ(asked_.size(), 1U);
  EXPECT_EQ(asked_[0].request.kind, NoticeKind::success);
  EXPECT_EQ(spool_.stored().count(1), 1U);
  store_notice(false);
  advance(60s);
  EXPECT_EQ(running(), "");
  ASSERT_EQ(asked_.size(), 1U);
  store_notice(true);
  EXPECT_TRUE(spool_.stored().empty());
}

TEST_F(SchedulerTest, a_delay_is_told_once) {
  start();
  submit(message(1, {"p@a.example"}));
  while (now_ < start_time + 24h) {
    if (!running_.empty()) finish(Kind::temporary, FailureCause::reply);
    advance(600s);
  }
  ASSERT_EQ(asked_.size(), 1U);
  EXPECT_EQ(asked_[0].request.kind, NoticeKind::delay);
  store_notice(true);
  EXPECT_TRUE(on_disk(1).recipients[0].delay_notified);
  while (now_ < start_time + 48h) {
    if (!running_.empty()) finish(Kind::temporary, FailureCause::reply);
    advance(600s);
  }
  EXPECT_TRUE(asked_.empty());
}

TEST_F(SchedulerTest, a_delay_notice_comes_at_its_time_even_between_two_attempts) {
  start();
  submit(message(1, {"p@a.example"}));
  while (now_ < start_time + 3h + 50min) {
    if (!running_.empty()) finish(Kind::temporary, FailureCause::reply);
    advance(600s);
  }
  ASSERT_TRUE(running_.empty());
  EXPECT_TRUE(asked_.empty());
  advance(600s);
  EXPECT_EQ(running(), "");
  EXPECT_EQ(asked_.size(), 1U);
}

TEST_F(SchedulerTest, at_the_end_of_its_time_one_last_attempt_then_expired_with_the_last_reason) {
  start();
  submit(message(1, {"p@a.example"}));
  std::size_t attempts = 0;
  while (now_ < start_time + 120h) {
    if (!running_.empty()) {
      finish(Kind::temporary, FailureCause::tls);
      ++attempts;
    }
    while (!asked_.empty()) store_notice(true);
    advance(600s);
  }
  ASSERT_EQ(running(), "1>a.example[0]");
  finish(Kind::temporary, FailureCause::tls);
  ASSERT_EQ(asked_.size(), 1U);
  const RecipientState &state = asked_[0].request.message->recipients[0];
  EXPECT_EQ(asked_[0].request.kind, NoticeKind::failure);
  EXPECT_EQ(state.cause, FailureCause::expired);
  EXPECT_EQ(state.before_expiry, FailureCause::tls);
  EXPECT_EQ(state.detail, "why");
  EXPECT_EQ(state.attempts, attempts + 1);
  store_notice(true);
  EXPECT_TRUE(spool_.stored().empty());
}

TEST_F(SchedulerTest, a_message_recovered_after_its_time_is_tried_for_ten_minutes_more) {
  QueuedMessage old = message(1, {"p@a.example"});
  old.envelope.arrival = start_time - 200h;
  old.expires = start_time - 80h;
  old.recipients[0].attempts = 5;
  old.recipients[0].delay_notified = true;
  start({old});
  EXPECT_EQ(running(), "1>a.example[0]");
  EXPECT_TRUE(asked_.empty());
  finish(Kind::temporary, FailureCause::connect);
  EXPECT_TRUE(asked_.empty());
  advance(10min);
  EXPECT_EQ(running(), "1>a.example[0]");
  finish(Kind::temporary, FailureCause::connect);
  ASSERT_EQ(asked_.size(), 1U);
  EXPECT_EQ(asked_[0].request.message->recipients[0].cause, FailureCause::expired);
}

TEST_F(SchedulerTest, while_a_destination_is_dead_its_messages_wait_untried) {
  start();
  for (std::uint64_t id = 1; id <= 20; ++id) submit(message(id, {"p@dead.example"}));
  ASSERT_EQ(running_.size(), 5U);
  for (int i = 0; i < 5; ++i) finish(Kind::temporary, FailureCause::connect, true);
  EXPECT_EQ(running(), "");
  submit(message(21, {"p@alive.example"}));
  EXPECT_EQ(running(), "21>alive.example[0]");
  finish(Kind::delivered);
  advance(60s);
  EXPECT_EQ(running(), "6>dead.example[0]") << "one probe";
  finish(Kind::temporary, FailureCause::connect, true);
  for (std::uint64_t id = 7; id <= 20; ++id) EXPECT_TRUE(spool_.stored(id).update.empty()) << id;
  EXPECT_EQ(log_.count({"event=destination_dead", "destination=dead.example", "cause=connect"}), 1U);
  advance(300s);
  ASSERT_EQ(running_.size(), 1U);
  finish(Kind::delivered);
  EXPECT_EQ(log_.count({"event=destination_recovered"}), 1U);
  std::size_t delivered = 0;
  while (!running_.empty()) {
    finish(Kind::delivered);
    ++delivered;
  }
  EXPECT_EQ(delivered, 19U) << "all 20, less the probe that succeeded: what waited goes out at once";
  EXPECT_TRUE(spool_.stored().empty());
}

TEST_F(SchedulerTest, messages_behind_a_dead_destination_show_its_reason_and_when_it_is_tried) {
  start();
  for (std::uint64_t id = 1; id <= 48; ++id) submit(message(id, {"p@dead.example", "q@alive.example"}));
  while (!running_.empty()) {
    const bool dead = running_.front().job.destination == "dead.example";
    finish(dead ? Kind::temporary : Kind::delivered, FailureCause::tls, dead);
  }
  QueueFilter tls;
  tls.reason = "tls";
  EXPECT_EQ(scheduler_->count(tls).messages, 48U) << "those that were never tried too";
  const auto shown = scheduler_->list(tls, 100);
  ASSERT_EQ(shown.size(), 48U);
  for (const auto &one : shown) {
    EXPECT_EQ(one->recipients[0].cause, FailureCause::tls);
    EXPECT_EQ(one->recipients[0].detail, "why");
    EXPECT_GT(one->recipients[0].next_attempt, now_) << "no attempt before the destination's";
    EXPECT_EQ(one->recipients[1].status, RecipientStatus::delivered);
    EXPECT_EQ(one->recipients[1].cause, FailureCause::none);
  }
  QueueFilter dns;
  dns.reason = "dns";
  EXPECT_EQ(scheduler_->count(dns).messages, 0U);
  EXPECT_EQ(on_disk(40).recipients[0].cause, FailureCause::none) << "shown, not written";
}

TEST_F(SchedulerTest, messages_behind_a_dead_destination_are_told_late_and_expire_with_its_reason) {
  start();
  for (std::uint64_t id = 1; id <= 12; ++id) submit(message(id, {"p@dead.example"}));
  std::set<std::uint64_t> late;
  std::set<std::uint64_t> failed;
  while (now_ < start_time + 121h) {
    while (!running_.empty()) finish(Kind::temporary, FailureCause::connect, true);
    while (!asked_.empty()) {
      const auto &request = asked_[0].request;
      const std::uint64_t id = request.message->id.value;
      if (request.kind == NoticeKind::delay) {
        EXPECT_TRUE(late.insert(id).second);
      } else {
        EXPECT_TRUE(failed.insert(id).second);
        EXPECT_EQ(request.message->recipients[0].cause, FailureCause::expired);
        EXPECT_EQ(request.message->recipients[0].before_expiry, FailureCause::connect);
        EXPECT_EQ(request.message->recipients[0].detail, "why");
      }
      store_notice(true);
    }
    advance(300s);
  }
  EXPECT_EQ(late.size(), 12U);
  EXPECT_EQ(failed.size(), 12U);
  EXPECT_TRUE(spool_.stored().empty());
}

TEST_F(SchedulerTest, messages_that_wait_for_room_are_told_late_and_expire_while_one_goes_on) {
  start();
  for (std::uint64_t id = 1; id <= 12; ++id) submit(message(id, {"p@full.example"}));
  std::set<std::uint64_t> late, failed;
  const auto host = smtp::IpAddress::v4({192, 0, 2, 1});
  while (now_ < start_time + 121h) {
    // Its host has one connection of ours, which does not end, and takes no other.
    auto running = std::exchange(running_, {});
    for (auto &one : running) {
      if (now_ == start_time && one.job.message->id.value == 1) {
        running_.push_back(std::move(one));
        continue;
      }
      JobResult result{.number = one.job.number, .destination = "full.example", .results = {}};
      result.put_off = result.nothing_learnt = true;
      result.address = host;
      one.done(std::move(result));
    }
    settle();
    while (!asked_.empty()) {
      const auto &request = asked_[0].request;
      const std::uint64_t id = request.message->id.value;
      if (request.kind == NoticeKind::delay) {
        EXPECT_TRUE(late.insert(id).second);
      } else {
        EXPECT_TRUE(failed.insert(id).second);
        EXPECT_EQ(request.message->recipients[0].cause, FailureCause::expired);
        EXPECT_NE(request.message->recipients[0].detail.find("no room"), std::string::npos)
            << request.message->recipients[0].detail;
      }
      store_notice(true);
    }
    advance(300s);
  }
  EXPECT_GE(late.size(), 11U);
  EXPECT_GE(failed.size(), 11U);
}

TEST_F(SchedulerTest, recovered_messages_keep_their_state_and_finished_ones_go) {
  QueuedMessage waits = message(1, {"p@a.example", "q@a.example"});
  waits.recipients[0].status = RecipientStatus::delivered;
  waits.recipients[1].attempts = 2;
  waits.recipients[1].next_attempt = start_time + 100s;
  QueuedMessage finished = message(2, {"p@a.example"});
  finished.recipients[0].status = RecipientStatus::delivered;
  QueuedMessage held = message(3, {"p@a.example"});
  held.held = true;
  start({waits, finished, held});
  EXPECT_EQ(acts(), "remove 2");
  EXPECT_EQ(running(), "");
  advance(100s);
  EXPECT_EQ(running(), "1>a.example[1]");
}

TEST_F(SchedulerTest, nothing_is_started_before_start) {
  make();
  submit(message(1, {"p@a.example"}));
  EXPECT_EQ(running(), "");
  scheduler_->start({});
  EXPECT_EQ(running(), "1>a.example[0]");
}

TEST_F(SchedulerTest, results_that_lack_a_recipient_or_come_twice_lose_nothing) {
  start();
  submit(message(1, {"p@a.example", "q@a.example"}));
  auto done = running_.front().done;
  const std::uint64_t number = running_.front().job.number;
  running_.clear();
  done({.number = number,
        .destination = "a.example",
        .results = {{.index = 1, .kind = Kind::delivered, .reply = {}, .host = {}, .detail = {}},
                    {.index = 99, .kind = Kind::delivered, .reply = {}, .host = {}, .detail = {}}}});
  done({.number = number, .destination = "a.example", .results = {}});
  settle();
  EXPECT_EQ(on_disk(1).recipients[0].status, RecipientStatus::pending);
  EXPECT_EQ(on_disk(1).recipients[0].cause, FailureCause::local);
  EXPECT_EQ(on_disk(1).recipients[1].status, RecipientStatus::delivered);
  advance(60s);
  EXPECT_EQ(running(), "1>a.example[0]");
}

TEST_F(SchedulerTest, what_was_handed_out_does_not_change_under_its_reader) {
  start();
  submit(message(1, {"p@a.example"}));
  const auto snapshot = running_.front().job.message;
  const auto listed = scheduler_->list({}, 10);
  finish(Kind::temporary, FailureCause::reply);
  EXPECT_EQ(snapshot->recipients[0].attempts, 0U);
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(listed[0]->recipients[0].attempts, 0U);
  EXPECT_EQ(scheduler_->list({}, 10)[0]->recipients[0].attempts, 1U);
}

TEST_F(SchedulerTest, reconfigure_groups_anew_and_tries_dead_destinations) {
  start();
  submit(message(1, {"p@a.example", "q@b.example"}));
  submit(message(2, {"p@a.example"}));
  ASSERT_EQ(running(), "1>a.example[0] 1>b.example[1] 2>a.example[0]");
  finish(Kind::temporary, FailureCause::connect, true);
  finish(Kind::temporary, FailureCause::connect, true);
  routes_["a.example"] = "route:hub";
  routes_["b.example"] = "route:hub";
  scheduler_->reconfigure({});
  settle();
  finish(Kind::temporary, FailureCause::connect, true);
  EXPECT_EQ(running(), "");
  advance(60s);
  ASSERT_EQ(running(), "1>route:hub[01] 2>route:hub[0]");
  finish(Kind::delivered);
  finish(Kind::delivered);
  EXPECT_TRUE(spool_.stored().empty());
}

TEST_F(SchedulerTest, a_reload_groups_a_long_queue_in_steps) {
  constexpr std::uint64_t count = 4000;
  start({}, {.retry = {}, .connections = 1, .connections_per_destination = 1});
  for (std::uint64_t i = 1; i <= count; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".example";
    submit(message(i, {"p@" + domain}));
    routes_[domain] = "route:hub";
  }
  ASSERT_EQ(running_.size(), 1U);
  ASSERT_EQ(scheduler_->count({}).destinations, count);
  scheduler_->reconfigure({.retry = {}, .connections = 1, .connections_per_destination = 1});
  EXPECT_GT(scheduler_->count({}).destinations, 1000U) << "most are left for later: others come between";
  scheduler_->reconfigure({.retry = {}, .connections = 1, .connections_per_destination = 1}); // begins anew
  settle();
  EXPECT_EQ(scheduler_->count({}).destinations, 2U) << "that of the running job, and the new one";
  finish(Kind::delivered);
  EXPECT_EQ(scheduler_->count({}).destinations, 1U);
  EXPECT_EQ(running_.size(), 1U);
  EXPECT_EQ(scheduler_->count({}).messages, count - 1);
}

TEST_F(SchedulerTest, drain_lets_running_jobs_end_and_starts_none) {
  start({}, {.retry = {}, .connections = 1, .connections_per_destination = 1});
  submit(message(1, {"p@a.example"}));
  submit(message(2, {"p@b.example"}));
  ASSERT_EQ(running_.size(), 1U);
  bool idle = false;
  scheduler_->drain([&] { idle = true; });
  settle();
  EXPECT_FALSE(idle);
  finish(Kind::permanent, FailureCause::reply);
  EXPECT_FALSE(idle) << "its notice is owed";
  store_notice(true);
  EXPECT_TRUE(idle);
  EXPECT_EQ(running(), "");
  advance(200h);
  EXPECT_EQ(running(), "");
  EXPECT_TRUE(asked_.empty());
  scheduler_->resume();
  settle();
  EXPECT_EQ(running(), "2>b.example[0]");
}

TEST_F(SchedulerTest, drain_of_an_idle_queue_is_idle_at_once) {
  start();
  bool idle = false;
  scheduler_->drain([&] { idle = true; });
  EXPECT_TRUE(idle);
}

TEST_F(SchedulerTest, many_threads_submit_and_finish) {
  start({}, {.retry = {}, .connections = 64, .connections_per_destination = 64});
  spool_.keep_no_acts();
  constexpr std::uint64_t threads = 4;
  constexpr std::uint64_t each = 500;
  std::vector<std::thread> senders;
  for (std::uint64_t sender = 0; sender < threads; ++sender)
    senders.emplace_back([this, sender] {
      for (std::uint64_t i = 0; i < each; ++i)
        scheduler_->submit(std::make_shared<QueuedMessage>(
            message(1 + sender * each + i, {"p@d" + std::to_string(i % 10) + ".example"})));
    });
  std::size_t delivered = 0;
  while (delivered < threads * each) {
    settle();
    std::deque<Running> batch;
    batch.swap(running_);
    delivered += batch.size();
    std::thread finisher([&batch] {
      for (Running &one : batch)
        one.done({.number = one.job.number,
                  .destination = one.job.destination,
                  .results = {{.index = 0, .kind = Kind::delivered, .reply = {}, .host = {}, .detail = {}}}});
    });
    finisher.join();
  }
  for (auto &sender : senders) sender.join();
  settle();
  EXPECT_EQ(scheduler_->count({}).messages, 0U);
}

TEST_F(SchedulerTest, a_result_after_the_schedulers_end_is_harmless) {
  start();
  submit(message(1, {"p@a.example"}));
  auto done = running_.front().done;
  scheduler_.reset();
  done({.number = 1, .destination = "a.example", .results = {}});
  settle();
  EXPECT_EQ(spool_.stored().count(1), 1U);
}

TEST_F(SchedulerTest, what_only_our_limits_kept_back_is_no_attempt_and_is_tried_again_soon) {
  start();
  submit(message(1, {"p@a.example"}));
  const auto put_off = [this] {
    auto running = std::move(running_.front());
    running_.clear();
    JobResult result{.number = running.job.number, .destination = "a.example", .results = {}};
    result.put_off = result.nothing_learnt = true;
    running.done(std::move(result));
    settle();
  };
  put_off();
  EXPECT_EQ(running(), "");
  EXPECT_TRUE(spool_.stored(1).update.empty()) << "nothing is written of it";
  advance(put_off_wait);
  EXPECT_EQ(running(), "1>a.example[0]");
  finish(Kind::delivered);
  EXPECT_EQ(scheduler_->count({}).messages, 0U);
}

TEST_F(SchedulerTest, what_is_put_off_until_its_time_is_over_fails) {
  start();
  submit(message(1, {"p@a.example"}));
  now_ += 121h;
  auto running = std::move(running_.front());
  running_.clear();
  JobResult result{.number = running.job.number, .destination = "a.example", .results = {}};
  result.put_off = true;
  running.done(std::move(result));
  settle();
  ASSERT_EQ(asked_.size(), 1U);
  EXPECT_EQ(asked_[0].request.kind, NoticeKind::failure);
}

TEST_F(SchedulerTest, one_messages_unmet_demand_does_not_put_off_the_others) {
  start();
  submit(message(1, {"p@inside.example"}));
  finish(Kind::temporary, FailureCause::tls); // not: destination_failed
  submit(message(2, {"p@inside.example"}));
  EXPECT_EQ(running(), "2>inside.example[0]");
  finish(Kind::delivered);
}

TEST_F(SchedulerTest, strangers_leave_room_for_our_own) {
  Scheduler::Options options;
  options.connections = 10;
  options.reserved_percent = 20;
  options.notices_percent = 25;
  options.unreached_percent = 50;
  routes_["inside.example"] = "route:inside";
  is_ours_ = [](std::string_view key) { return key.starts_with("route:"); };
  start({}, options);
  std::uint64_t id = 0;
  for (int i = 0; i < 20; ++i) submit(message(++id, {"p@n" + std::to_string(i) + ".wild.example"}, ""));
  EXPECT_EQ(running_.size(), 2U) << "notices: a quarter";
  for (int i = 0; i < 20; ++i) submit(message(++id, {"p@s" + std::to_string(i) + ".wild.example"}));
  EXPECT_EQ(running_.size(), 7U) << "and destinations that were never reached: half";
  for (int i = 0; i < 4; ++i) submit(message(++id, {"p@inside.example"}));
  EXPECT_EQ(running_.size(), 10U) << "the rest is for our own";
}

TEST_F(SchedulerTest, after_a_reload_only_what_it_concerns_is_tried_at_once) {
  start();
  submit(message(1, {"p@dead.example"}));
  submit(message(2, {"p@changed.example"}));
  submit(message(3, {"p@later.example", "q@changed.example"}));
  while (!running_.empty())
    finish(Kind::temporary, FailureCause::connect, running_.front().job.destination != "later.example");
  advance(5s);
  EXPECT_EQ(running(), "");
  scheduler_->reconfigure({}, [](const smtp::Mailbox &mailbox) { return mailbox.host() == "changed.example"; });
  settle();
  EXPECT_EQ(running(), "2>changed.example[0]") << "it was dead: one unit tries it";
  finish(Kind::delivered);
  EXPECT_EQ(running(), "3>changed.example[1]");
  finish(Kind::delivered);
  EXPECT_EQ(running(), "");
  advance(55s);
  EXPECT_EQ(running_.size(), 2U) << "the others at their time: " << running();
}

TEST_F(SchedulerTest, a_job_under_way_at_a_reload_that_concerns_it_is_followed_by_another) {
  start();
  submit(message(1, {"p@changed.example"}));
  scheduler_->reconfigure({}, [](const smtp::Mailbox &) { return true; });
  settle();
  finish(Kind::temporary, FailureCause::tls);
  EXPECT_EQ(running(), "1>changed.example[0]") << "it began under the old rule";
}

} // namespace scheduler_test
} // namespace queue_test
