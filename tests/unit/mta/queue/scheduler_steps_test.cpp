// Scheduler: a long queue keeps nobody waiting: counters agree with a full count whatever happens, and looks and acts
// go in steps.
#include <random>

#include "tests/unit/mta/queue/scheduler_fixture.hpp"

namespace queue_test {
namespace scheduler_steps_test {

class StepsTest : public SchedulerTest {
protected:
  static std::vector<std::string> many(std::size_t count, const std::string &domain) {
    std::vector<std::string> addresses;
    for (std::size_t i = 0; i < count; ++i) addresses.push_back("p" + std::to_string(i) + "@" + domain);
    return addresses;
  }
  /// Without waiting for the scheduler to settle after each.
  void submit_many(std::uint64_t first, std::uint64_t count, const std::vector<std::string> &recipients) {
    QueuedMessage sample = message(first, recipients);
    for (std::uint64_t i = 0; i < count; ++i) {
      sample.id = {first + i};
      spool_.put(sample.id, encode_envelope(sample), "body");
      scheduler_->submit(std::make_shared<QueuedMessage>(sample));
    }
    settle();
  }
  /// Looks at every message: nothing is younger than this.
  [[nodiscard]] QueueCounts full_count() const {
    QueueFilter every;
    every.older_than = -std::chrono::hours(1'000'000);
    return scheduler_->count(every);
  }
  void expect_counters_agree(const std::string &after) const {
    const QueueCounts kept = scheduler_->count({});
    const QueueCounts full = full_count();
    EXPECT_EQ(kept.messages, full.messages) << after;
    EXPECT_EQ(kept.recipients, full.recipients) << after;
    EXPECT_EQ(kept.held, full.held) << after;
    EXPECT_EQ(kept.active_jobs, running_.size()) << after;
  }
  /// How often others on the executor had their turn until `done`.
  std::size_t turns_until(const std::function<bool()> &done) {
    std::size_t turns = 0;
    context_.restart();
    while (!done() && turns < 1'000'000) {
      bool had_turn = false;
      asio::post(context_, [&] { had_turn = true; });
      while (!had_turn) context_.poll_one();
      ++turns;
    }
    return turns;
  }
};

TEST_F(StepsTest, counters_agree_with_a_full_count_whatever_happens) {
  for (const unsigned seed : {1U, 2U, 3U, 4U}) {
    std::mt19937 random(seed);
    const auto pick = [&](std::size_t count) {
      return std::uniform_int_distribution<std::size_t>(0, count - 1)(random);
    };
    running_.clear();
    asked_.clear();
    routes_.clear();
    scheduler_.reset();
    start();
    std::uint64_t last = seed * 1'000;
    std::map<std::string, int> acts;
    for (int step = 0; step < 600; ++step) {
      QueueFilter filter;
      filter.recipient_domain = std::string(1, static_cast<char>('a' + pick(4))) + ".example";
      std::string act;
      switch (pick(14)) {
      case 0:
      case 1:
      case 2: {
        std::vector<std::string> recipients;
        for (std::size_t i = 0; i <= pick(4); ++i)
          recipients.push_back("p" + std::to_string(i) + "@" + std::string(1, static_cast<char>('a' + pick(4))) +
                               ".example");
        standing_hold_ = pick(5) == 0 ? "a.example" : "";
        submit(message(++last, recipients, pick(3) == 0 ? "" : "alice@example.org"));
        act = "submit";
        break;
      }
      case 3:
      case 4:
      case 5: {
        if (running_.empty()) continue;
        std::vector<Kind> kinds;
        for (std::size_t i = 0; i < running_.front().job.recipients.size(); ++i)
          kinds.push_back(std::array{Kind::delivered, Kind::temporary, Kind::permanent}[pick(3)]);
        finish_at(0, kinds, FailureCause::connect, pick(4) == 0);
        act = "finish";
        break;
      }
      case 6:
        if (asked_.empty()) continue;
        store_notice(pick(3) != 0);
        act = "notice";
        break;
      case 7:
        scheduler_->hold(filter, "r", "op", {});
        act = "hold";
        break;
      case 8:
        scheduler_->release(filter, "r", "op", {});
        act = "release";
        break;
      case 9:
        scheduler_->bounce(filter, "r", "op", {});
        act = "bounce";
        break;
      case 10:
        scheduler_->remove(filter, "r", "op", {});
        act = "delete";
        break;
      case 11:
        scheduler_->redirect({last}, {.only = {}, .to = smtp::Mailbox::parse("desk@b.example").value()}, "r", "op", {});
        act = "redirect";
        break;
      case 12:
        routes_[filter.recipient_domain] = pick(2) == 0 ? "route:hub" : filter.recipient_domain;
        scheduler_->reconfigure({}, [](const smtp::Mailbox &) { return true; });
        act = "reload";
        break;
      case 13:
        if (pick(3) == 0) {
          spool_.fail(support::MemorySpool::Step::update_durably, smtp::Error{smtp::ErrorCode::io, "full"});
          scheduler_->hold(filter, "r", "op", {});
          settle();
          scheduler_->remove(filter, "r", "op", {});
          settle();
          spool_.repair(support::MemorySpool::Step::update_durably);
          act = "disk";
        } else {
          advance(std::chrono::minutes(20));
          act = "wait";
        }
        break;
      }
      settle();
      ++acts[act];
      expect_counters_agree(act + ", seed " + std::to_string(seed) + ", step " + std::to_string(step));
      if (HasFailure()) return;
    }
    EXPECT_EQ(acts.size(), 11U) << "everything was tried";
    for (int i = 0; i < 2'000 && !running_.empty(); ++i) finish(Kind::temporary, FailureCause::reply);
    EXPECT_TRUE(running_.empty());
    EXPECT_GE(scheduler_->count({}).destinations, full_count().destinations) << "also of what is just being removed";
    EXPECT_GT(scheduler_->count({}).messages, 0U);

    // What a restart finds counts the same.
    std::vector<QueuedMessage> recovered;
    for (const auto &[id, stored] : spool_.stored()) recovered.push_back(on_disk(id));
    running_.clear();
    asked_.clear();
    scheduler_.reset();
    start(std::move(recovered));
    expect_counters_agree("a restart");
    for (const auto &[id, stored] : spool_.stored()) spool_.remove({id});
  }
}

TEST_F(StepsTest, acts_on_a_long_queue_let_others_have_their_turn) {
  constexpr std::uint64_t count = 20'000;
  spool_.keep_no_acts();
  start({}, {.retry = {}, .connections = 1, .connections_per_destination = 1});
  scheduler_->hold({}, "nothing is there", "op", {});
  submit_many(1, count, {"p@a.example"});
  // 2 for a look at each, five times that for the act.
  constexpr std::size_t least_turns = count * 12 / Scheduler::step / 2;
  for (const std::string act : {"hold", "release", "retry", "bounce", "delete"}) {
    std::optional<std::size_t> touched;
    const auto done = [&](std::size_t number) { touched = number; };
    if (act == "hold") scheduler_->hold({}, "r", "op", done);
    EXPECT_TRUE(act != "hold" || scheduler_->count({}).held < count / 10) << "the first step only";
    if (act == "release") scheduler_->release({}, "r", "op", done);
    if (act == "retry") scheduler_->retry({}, done);
    if (act == "bounce") scheduler_->bounce({}, "r", "op", done);
    if (act == "delete") scheduler_->remove({}, "r", "op", done);
    EXPECT_FALSE(touched) << act;
    EXPECT_GE(turns_until([&] { return touched.has_value(); }), least_turns) << act;
    EXPECT_EQ(touched, count) << act;
    expect_counters_agree(act);
  }
  EXPECT_EQ(scheduler_->count({}).messages, 0U) << "but for what is being delivered";
}

TEST_F(StepsTest, an_act_gives_the_spool_no_more_than_it_writes) {
  constexpr std::uint64_t count = 5'000;
  start({}, {.retry = {}, .connections = 1, .connections_per_destination = 1});
  submit_many(1, count, {"p@a.example"});
  spool_.forget_acts();
  spool_.hold_commits();
  std::optional<std::size_t> touched;
  scheduler_->hold({}, "r", "op", [&](std::size_t number) { touched = number; });
  settle();
  EXPECT_EQ(spool_.acts().size(), 1'024U) << "the rest waits for these";
  submit(message(count + 1, {"p@a.example"}));
  while (!touched) {
    spool_.release();
    settle();
  }
  EXPECT_EQ(touched, count);
  EXPECT_EQ(scheduler_->count({}).held, count) << "what came after the act began is not meant";
}

TEST_F(StepsTest, a_step_counts_recipients) {
  start({}, {.retry = {}, .connections = 1, .connections_per_destination = 1});
  submit_many(1, 40, many(1'000, "a.example"));
  std::size_t seen = 0;
  const auto next = scheduler_->visit(0, 5'000, [&](const QueuedMessage &, std::chrono::seconds) { ++seen; });
  EXPECT_EQ(seen, 5U);
  EXPECT_EQ(next, 6U);
  QueueFilter filter;
  filter.recipient_domain = "b.example";
  EXPECT_EQ(scheduler_->visit(filter, 6, 10'000, [](const Scheduler::Match &) { return true; }), 16U);
  // Regrouping: forty messages of a thousand are not one step.
  std::size_t looked_at = 0;
  scheduler_->reconfigure({.retry = {}, .connections = 1, .connections_per_destination = 1},
                          [&looked_at](const smtp::Mailbox &) { return ++looked_at == 0; });
  EXPECT_LE(looked_at, 6'000U);
  EXPECT_GE(turns_until([&] { return looked_at >= 40'000; }), 5U);
}

TEST_F(StepsTest, a_queue_that_is_late_at_one_moment_is_told_of_in_steps) {
  constexpr std::uint64_t count = 3'000;
  start({},
        {.retry = {.delay_notice_after = std::chrono::hours(1)}, .connections = 1, .connections_per_destination = 1});
  submit_many(1, count, {"p@a.example"});
  finish(Kind::temporary, FailureCause::connect, true); // the destination is dead: every message is late
  now_ += std::chrono::hours(2);
  scheduler_->wake();
  EXPECT_LE(asked_.size(), count / 2) << "the first step only";
  for (int i = 0; i < 10; ++i) advance(0s);
  EXPECT_GE(asked_.size(), count - 1) << "all are, but for one that is being tried";
}

TEST_F(StepsTest, after_a_reload_each_running_attempt_is_made_once_more_and_no_more) {
  start();
  submit(message(1, {"p@a.example", "p@b.example"}));
  ASSERT_EQ(running_.size(), 2U);
  scheduler_->reconfigure({}, [](const smtp::Mailbox &) { return true; });
  settle();
  int attempts = 0;
  for (; attempts < 100 && !running_.empty(); ++attempts) finish(Kind::temporary, FailureCause::reply);
  EXPECT_EQ(attempts, 4) << "though one of the two runs whenever the other ends";
}

TEST_F(StepsTest, a_retry_at_one_destination_touches_nothing_else) {
  start();
  for (std::uint64_t id = 1; id <= 3; ++id) submit(message(id, {"p@a.example", "p@c.example"}));
  submit(message(4, {"p@b.example"}));
  while (!running_.empty()) finish(Kind::temporary, FailureCause::tls);
  QueueFilter filter;
  filter.recipient_domain = "a.example";
  filter.reason = "why";
  std::optional<std::size_t> touched;
  const auto done = [&](std::size_t number) { touched = number; };
  scheduler_->retry_at("nobody.example", filter, done);
  settle();
  EXPECT_EQ(touched, 0U);
  spool_.forget_acts();
  scheduler_->retry_at("a.example", filter, done);
  settle();
  EXPECT_EQ(touched, 3U);
  EXPECT_EQ(acts(), "durable 1, durable 2, durable 3");
  EXPECT_EQ(running().find("4>"), std::string::npos) << running();
}

TEST_F(StepsTest, each_of_many_recipients_behind_a_dead_destination_has_its_reason) {
  start({}, {.retry = {}, .connections = 1, .connections_per_destination = 1});
  std::vector<std::string> recipients;
  for (std::size_t i = 0; i < 2'000; ++i) recipients.push_back("p@d" + std::to_string(i % 50) + ".example");
  submit(message(1, recipients));
  for (int i = 0; i < 60 && !running_.empty(); ++i) finish(Kind::temporary, FailureCause::connect, true);
  std::size_t with_reason = 0;
  QueueFilter filter;
  filter.reason = "connect";
  (void)scheduler_->visit(filter, 0, 1, [&](const Scheduler::Match &match) {
    for (std::size_t i = 0; i < recipients.size(); ++i)
      if (match.state_of(i).cause == FailureCause::connect) ++with_reason;
    return true;
  });
  EXPECT_EQ(with_reason, recipients.size());
}

} // namespace scheduler_steps_test
} // namespace queue_test
