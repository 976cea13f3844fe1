// The queue under a wall clock that is set, by seconds and by years, ahead and back, with restarts in between.
#include <random>

#include "mta/queue/queue_clock.hpp"
#include "tests/unit/mta/queue/scheduler_fixture.hpp"

namespace queue_test {
namespace clock_test {

TEST(QueueClockTest, it_follows_what_passes_and_tells_of_a_jump) {
  WallTime wall = start_time;
  QueueClock::Steady::time_point steady{};
  QueueClock clock([&] { return wall; }, [&] { return steady; });
  const auto pass = [&](std::chrono::seconds time) {
    wall += time;
    steady += time;
  };
  pass(100s);
  EXPECT_EQ(clock.now(), start_time + 100s);
  EXPECT_EQ(clock.look(), std::nullopt);
  wall += 3s; // a small correction is followed
  EXPECT_EQ(clock.now(), start_time + 100s);
  EXPECT_EQ(clock.look(), std::nullopt);
  EXPECT_EQ(clock.now(), start_time + 103s);
  wall += 24h * 365;
  EXPECT_EQ(clock.now(), start_time + 103s) << "until it was looked at nothing is due";
  EXPECT_EQ(clock.look(), std::optional<WallTime::duration>(24h * 365));
  EXPECT_EQ(clock.now(), wall);
  wall -= 24h * 365;
  EXPECT_EQ(clock.look(), std::optional<WallTime::duration>(-24h * 365));
  EXPECT_EQ(clock.now(), start_time + 103s);
}

class ClockTest : public SchedulerTest {
protected:
  /// Time passes on both clocks.
  void pass(std::chrono::seconds time) {
    steady_ += time;
    advance(time);
  }
  /// Only the wall clock is set.
  void set_clock(WallTime::duration by) {
    now_ += by;
    scheduler_->wake();
    settle();
  }
  void start_daemon(std::vector<QueuedMessage> recovered = {}, Scheduler::Options options = {}) {
    running_.clear();
    asked_.clear();
    scheduler_.reset();
    auto hooks_now = [this] { return now_; };
    scheduler_ = std::make_unique<Scheduler>(
        context_.get_executor(), spool_, log_, std::move(options),
        Scheduler::Hooks{.deliver =
                             [this](Job job, std::function<void(JobResult)> done) {
                               running_.push_back({std::move(job), std::move(done)});
                             },
                         .notify =
                             [this](NotificationRequest request, std::function<void(bool)> stored) {
                               asked_.push_back({std::move(request), std::move(stored)});
                             },
                         .destination_of = [](const smtp::Mailbox &mailbox) { return mailbox.host(); },
                         .now = hooks_now,
                         .random = [] { return 0.5; },
                         .steady = [this] { return steady_; }});
    scheduler_->start(std::move(recovered));
    settle();
  }
  void restart(const std::vector<std::uint64_t> &ids, Scheduler::Options options = {}) {
    std::vector<QueuedMessage> recovered;
    for (const std::uint64_t id : ids)
      if (spool_.stored().contains(id)) recovered.push_back(on_disk(id));
    start_daemon(std::move(recovered), std::move(options));
  }
  /// By the queue's clock; of the last message.
  [[nodiscard]] std::chrono::seconds waited() const {
    std::chrono::seconds seen{-1};
    (void)scheduler_->visit(0, 10, [&seen](const QueuedMessage &, std::chrono::seconds time) { seen = time; });
    return seen;
  }
  std::chrono::steady_clock::time_point steady_{};
};

TEST_F(ClockTest, how_long_mail_has_waited_is_what_passed) {
  start_daemon();
  submit(message(1, {"p@a.example"}));
  finish(Kind::temporary);
  const auto older_than = [this](std::chrono::seconds age) {
    QueueFilter filter;
    filter.older_than = age;
    return scheduler_->count(filter).messages;
  };
  pass(40s);
  EXPECT_EQ(waited(), 40s);
  set_clock(24h * 700);
  EXPECT_EQ(waited(), 40s) << "ahead";
  EXPECT_EQ(older_than(41s), 0U) << "queue count --older-than, which monitoring asks";
  EXPECT_EQ(older_than(40s), 1U);
  now_ += 24h; // not looked at yet
  EXPECT_EQ(waited(), 40s);
  now_ -= 24h;
  set_clock(-24h * 1400);
  EXPECT_EQ(waited(), 40s) << "and back";
  EXPECT_EQ(older_than(40s), 1U);
}

TEST_F(ClockTest, a_restart_makes_mail_no_younger) {
  start_daemon();
  submit(message(1, {"p@a.example"}));
  finish(Kind::temporary);
  const auto pass_and_fail = [this](std::chrono::seconds time) {
    pass(time);
    while (!running_.empty()) finish(Kind::temporary);
  };
  pass_and_fail(50h);
  while (!asked_.empty()) store_notice(true);
  restart({1});
  EXPECT_EQ(waited(), 50h) << "though its notices have their grace";
  now_ += 24h * 365; // a machine that starts with a wrong clock
  restart({1});
  set_clock(-24h * 365);
  EXPECT_EQ(waited(), 50h);
}

TEST_F(ClockTest, ahead_for_some_seconds_bounces_nothing_and_tries_nothing_early) {
  start_daemon();
  submit(message(1, {"p@a.example"}));
  finish(Kind::temporary);
  set_clock(24h * 700);
  EXPECT_EQ(running(), "") << "one minute of waiting is one minute";
  EXPECT_TRUE(asked_.empty()) << "neither expired nor delayed";
  pass(5s);
  submit(message(2, {"p@b.example"}));
  finish(Kind::temporary);
  set_clock(-24h * 700);
  EXPECT_TRUE(asked_.empty());
  pass(55s);
  EXPECT_EQ(running(), "1>a.example[0]");
  pass(5s);
  EXPECT_EQ(running(), "1>a.example[0] 2>b.example[0]") << "what came while it was ahead goes on too";
  EXPECT_EQ(log_.count({"event=clock_jump", "by_s=60480000"}), 1U);
  EXPECT_EQ(log_.count({"event=clock_jump", "by_s=-60480000"}), 1U);
  finish(Kind::temporary);
  EXPECT_EQ(on_disk(1).recipients[0].next_attempt, now_ + 300s);
  EXPECT_EQ(on_disk(1).expires, start_time + 120h);
}

TEST_F(ClockTest, what_was_stored_while_ahead_is_tried_soon_after_a_restart_with_the_right_time) {
  start_daemon();
  submit(message(1, {"p@a.example"}));
  now_ += 24h * 700;
  submit(message(2, {"p@b.example"}));
  finish(Kind::temporary);
  finish(Kind::temporary); // both next attempts are stored in the far future
  EXPECT_GT(on_disk(1).recipients[0].next_attempt, start_time + 24h * 699);
  now_ -= 24h * 700;
  restart({1, 2});
  pass(7h);
  EXPECT_EQ(running(), "1>a.example[0] 2>b.example[0]");
  for (int i = 0; i < 2; ++i) finish(Kind::temporary);
  EXPECT_LE(on_disk(2).expires, now_ + 120h) << "and is given up in the time allowed, not in two years";
  while (!asked_.empty()) store_notice(true); // they are late
  pass(121h);
  for (int i = 0; i < 2; ++i) finish(Kind::temporary);
  EXPECT_EQ(asked_.size(), 2U);
}

TEST_F(ClockTest, a_start_while_ahead_gives_up_nothing_and_what_was_stored_counts_again_afterwards) {
  start_daemon();
  submit(message(1, {"p@a.example"}));
  finish(Kind::temporary, FailureCause::connect, true);
  now_ += 24h * 30;
  restart({1});
  finish(Kind::temporary, FailureCause::connect, true);
  EXPECT_TRUE(asked_.empty()) << "neither expired nor delayed within the grace";
  pass(60s);
  set_clock(-24h * 30);
  pass(4h - 61s);
  EXPECT_TRUE(asked_.empty()) << "it is four hours old now, not 30 days";
  while (!running_.empty()) finish(Kind::temporary, FailureCause::connect, true);
  pass(110h);
  for (const Asked &asked : asked_) EXPECT_EQ(asked.request.kind, NoticeKind::delay) << "five days are not over";
}

TEST_F(ClockTest, what_was_accepted_with_a_clock_of_1970_has_its_five_days) {
  now_ = WallTime{} + 60s;
  start_daemon();
  submit(message(1, {"p@a.example"}));
  set_clock(start_time - now_);
  finish(Kind::temporary);
  EXPECT_TRUE(asked_.empty());
  EXPECT_EQ(on_disk(1).expires, now_ + 120h) << "stored with the next state";
  restart({1});
  pass(60s);
  finish(Kind::temporary);
  EXPECT_TRUE(asked_.empty()) << "it is not 50 years old";
  EXPECT_EQ(on_disk(1).recipients[0].next_attempt, now_ + 300s);
}

TEST_F(ClockTest, a_day_of_jumps) {
  std::mt19937_64 random(20'281'129);
  const auto draw = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  Scheduler::Options options;
  options.retry.give_up_after = 12h;
  options.retry.delay_notice_after = 0s;
  start_daemon({}, options);
  // Message 1 to 20 are put off again and again; each is told of once, after twelve hours and not before.
  constexpr std::uint64_t count = 20;
  for (std::uint64_t id = 1; id <= count; ++id) {
    QueuedMessage one = message(id, {"p@host" + std::to_string(id) + ".example"});
    one.expires = now_ + options.retry.give_up_after;
    one.envelope.arrival = now_;
    spool_.put(one.id, encode_envelope(one), "body");
    scheduler_->submit(std::make_shared<QueuedMessage>(std::move(one)));
  }
  settle();
  const auto begin = steady_;
  std::map<std::uint64_t, std::chrono::steady_clock::time_point> tried;
  std::map<std::uint64_t, std::uint32_t> attempts;
  std::map<std::uint64_t, std::chrono::steady_clock::duration> failed_after;
  WallTime::duration error{};
  const auto work = [&] {
    while (!running_.empty()) {
      const std::uint64_t id = running_.front().job.message->id.value;
      if (const auto last = tried.find(id); last != tried.end()) {
        EXPECT_GE(steady_ - last->second, 59s) << "not before its wait is over";
        EXPECT_LE(steady_ - last->second, 4h + 62s) << "no message waits longer than the longest wait";
      }
      tried[id] = steady_;
      ++attempts[id];
      finish(Kind::temporary);
    }
    while (!asked_.empty()) {
      const std::uint64_t id = asked_.front().request.message->id.value;
      EXPECT_EQ(asked_.front().request.kind, NoticeKind::failure);
      failed_after[id] = steady_ - begin;
      store_notice(true);
    }
  };
  for (int minute = 0; minute < 24 * 60; ++minute) {
    work();
    if (draw(0, 29) == 0) { // a jump twice an hour: seconds, hours or years, and often back to the right time
      const bool back = draw(0, 2) == 0;
      const std::int64_t sign = draw(-1, 1); // each draw in a statement of its own: their order is part of the case
      const std::int64_t exponent = draw(2, 27);
      const WallTime::duration by = back ? -error : std::chrono::seconds(sign * (1LL << exponent));
      error += by;
      set_clock(by);
    }
    pass(60s);
  }
  EXPECT_EQ(failed_after.size(), count);
  for (const auto &[id, after] : failed_after) {
    EXPECT_GE(after, 12h - 60s) << id;
    EXPECT_LE(after, 12h + 5min) << id;
    EXPECT_GE(attempts[id], 8U) << "1 + 5 + 15 + 30 minutes, 1 + 2 + 4 hours, and at the end: " << id;
  }
  EXPECT_TRUE(spool_.stored().empty()) << "and nothing is left behind";
  EXPECT_GE(log_.count({"event=clock_jump"}), 20U);
}

TEST_F(ClockTest, a_day_of_jumps_and_restarts_loses_nothing_and_leaves_nothing_untried) {
  std::mt19937_64 random(4);
  const auto draw = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  start_daemon();
  std::vector<std::uint64_t> ids;
  for (std::uint64_t id = 1; id <= 10; ++id) {
    submit(message(id, {"p@host" + std::to_string(id) + ".example"}));
    ids.push_back(id);
  }
  std::map<std::uint64_t, std::chrono::steady_clock::time_point> tried;
  for (const std::uint64_t id : ids) tried[id] = steady_;
  WallTime::duration error{};
  int correct_at = -1;
  for (int minute = 0; minute < 24 * 60; ++minute) {
    while (!running_.empty()) {
      tried[running_.front().job.message->id.value] = steady_;
      finish(Kind::temporary);
    }
    while (!asked_.empty()) {
      EXPECT_EQ(asked_.front().request.kind, NoticeKind::delay) << "nothing is given up in a day of five";
      store_notice(true);
    }
    if (minute == correct_at) {
      now_ -= error;
      error = {};
    } else if (draw(0, 59) == 0) {
      const bool back = draw(0, 1) == 0;
      const std::int64_t sign = draw(-1, 1);
      const std::int64_t exponent = draw(10, 27);
      const WallTime::duration by = back ? -error : std::chrono::seconds(sign * (1LL << exponent));
      error += by;
      now_ += by; // whoever comes first, the timer or the restart
      if (draw(0, 1) == 0) {
        restart(ids);
        // The end of a wait that was stored under another clock is not known: it is at most the longest one. A machine
        // that starts with a wrong clock sets it within the grace; after that a message may look too old.
        correct_at = minute + static_cast<int>(draw(1, 8));
      }
    }
    pass(60s);
    for (const auto &[id, last] : tried) ASSERT_LE(steady_ - last, 12h + 5min) << id << " in minute " << minute;
  }
  EXPECT_EQ(spool_.stored().size(), ids.size());
}

} // namespace clock_test
} // namespace queue_test
