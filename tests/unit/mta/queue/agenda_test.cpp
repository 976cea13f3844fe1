// Agenda: order of fairness, windows, slots, and dead destinations.
#include "mta/queue/agenda.hpp"

#include <map>

#include <gtest/gtest.h>

namespace agenda_test {

using namespace mta;
using namespace std::chrono_literals;

const WallTime start{std::chrono::hours(500'000)};

/// Units without messages: the agenda looks at neither.
class AgendaTest : public testing::Test {
protected:
  ~AgendaTest() override {
    for (auto &unit : units_) {
      if (unit->state == Unit::State::active) agenda_.finish(*unit, Feedback::unknown, schedule_, now_, 0.5);
      agenda_.remove(*unit);
    }
  }
  Unit &add(const std::string &key, WallTime due = start, bool is_notice = false) {
    units_.push_back(std::make_unique<Unit>(entry(), agenda_.destination(key)));
    units_.back()->is_notice = is_notice;
    agenda_.attach(*units_.back());
    agenda_.add(*units_.back(), due, now_);
    return *units_.back();
  }
  /// Starts all that may start; their destinations in order.
  std::string start_all(std::vector<Unit *> *started = nullptr) {
    std::string order;
    while (Unit *unit = agenda_.next()) {
      order += unit->destination->key;
      if (started != nullptr) started->push_back(unit);
    }
    return order;
  }
  Agenda::Change finish(Unit &unit, Feedback feedback) { return agenda_.finish(unit, feedback, schedule_, now_, 0.5); }
  void advance(std::chrono::seconds time) {
    now_ += time;
    agenda_.wake(now_);
  }
  static Entry &entry() { return *reinterpret_cast<Entry *>(&place_); }

  static inline char place_ = 0; // only its address is taken
  WallTime now_ = start;
  policy::RetrySchedule schedule_;
  Agenda agenda_{{.connections = 8, .connections_per_destination = 20}};
  std::vector<std::unique_ptr<Unit>> units_;
};

TEST_F(AgendaTest, destinations_take_turns_and_each_keeps_its_own_order) {
  std::vector<Unit *> of_a;
  for (int i = 0; i < 10; ++i) of_a.push_back(&add("a"));
  add("b");
  add("c");
  add("b");
  std::vector<Unit *> started;
  EXPECT_EQ(start_all(&started), "abcabaaa") << "eight connections; a's window is five";
  std::vector<Unit *> a_started;
  for (Unit *unit : started)
    if (unit->destination->key == "a") a_started.push_back(unit);
  EXPECT_TRUE(std::equal(a_started.begin(), a_started.end(), of_a.begin()));
}

TEST_F(AgendaTest, the_window_begins_at_five_and_grows_by_success) {
  agenda_.set_limits({.connections = 100, .connections_per_destination = 7});
  for (int i = 0; i < 200; ++i) add("a");
  std::vector<Unit *> started;
  EXPECT_EQ(start_all(&started), "aaaaa");
  std::size_t ended = 0;
  while (ended < 5) finish(*started[ended++], Feedback::reached);
  EXPECT_EQ(start_all(&started).size(), 5U) << "a window's worth of successes adds nearly one";
  while (ended < 10) finish(*started[ended++], Feedback::reached);
  EXPECT_EQ(start_all(&started).size(), 6U);
  while (ended < started.size()) {
    finish(*started[ended++], Feedback::reached);
    start_all(&started);
  }
  EXPECT_EQ(agenda_.destination("a").window, 7.0) << "never more than connections_per_destination";
}

TEST_F(AgendaTest, jobs_take_the_lowest_free_slot) {
  for (int i = 0; i < 8; ++i) add("a");
  std::vector<Unit *> started;
  start_all(&started);
  ASSERT_EQ(started.size(), 5U);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(started[i]->slot, i);
  finish(*started[3], Feedback::reached);
  finish(*started[1], Feedback::reached);
  start_all(&started);
  ASSERT_EQ(started.size(), 7U);
  EXPECT_EQ(started[5]->slot, 1U);
  EXPECT_EQ(started[6]->slot, 3U);
}

TEST_F(AgendaTest, slots_go_beyond_one_word) {
  Destination destination("a");
  for (std::uint32_t i = 0; i < 130; ++i) EXPECT_EQ(destination.take_slot(), i);
  destination.give_slot(64);
  EXPECT_EQ(destination.take_slot(), 64U);
  EXPECT_EQ(destination.take_slot(), 130U);
}

TEST_F(AgendaTest, a_dead_destination_is_left_alone_then_tried_with_one_unit) {
  for (int i = 0; i < 10; ++i) add("d");
  std::vector<Unit *> started;
  EXPECT_EQ(start_all(&started), "ddddd");
  EXPECT_EQ(finish(*started[0], Feedback::failed), Agenda::Change::died);
  for (std::size_t i = 1; i < 5; ++i)
    EXPECT_EQ(finish(*started[i], Feedback::failed), Agenda::Change::none) << "side by side: one failure";
  EXPECT_EQ(agenda_.destination("d").failures, 1U);
  add("e");
  EXPECT_EQ(start_all(), "e");
  EXPECT_EQ(agenda_.next_event(), start + 60s);
  advance(59s);
  EXPECT_EQ(start_all(), "");
  advance(1s);
  started.clear();
  EXPECT_EQ(start_all(&started), "d") << "one probe";
  EXPECT_EQ(finish(*started[0], Feedback::failed), Agenda::Change::stays_dead);
  advance(299s);
  EXPECT_EQ(start_all(), "");
  advance(1s);
  started.clear();
  EXPECT_EQ(start_all(&started), "d");
  EXPECT_EQ(finish(*started[0], Feedback::reached), Agenda::Change::recovered);
  EXPECT_EQ(start_all(), "dd") << "alive again, slowly";
}

TEST_F(AgendaTest, the_wait_for_a_dead_destination_stays_at_the_third_step) {
  std::vector<std::int64_t> waits;
  for (int i = 0; i < 6; ++i) add("d");
  for (int i = 0; i < 6; ++i) {
    std::vector<Unit *> started;
    Unit *unit = agenda_.next();
    ASSERT_NE(unit, nullptr);
    finish(*unit, Feedback::failed);
    const auto wait = std::chrono::duration_cast<std::chrono::seconds>(agenda_.destination("d").backoff_until - now_);
    waits.push_back(wait.count());
    advance(wait);
  }
  EXPECT_EQ(waits, (std::vector<std::int64_t>{60, 300, 900, 900, 900, 900}));
}

TEST_F(AgendaTest, a_success_beside_a_failure_keeps_the_destination_alive) {
  for (int i = 0; i < 10; ++i) add("a");
  std::vector<Unit *> started;
  start_all(&started);
  EXPECT_EQ(finish(*started[0], Feedback::failed), Agenda::Change::died);
  EXPECT_EQ(finish(*started[1], Feedback::reached), Agenda::Change::recovered);
  EXPECT_EQ(start_all(), "") << "its window shrank: three run, two may";
  EXPECT_EQ(finish(*started[2], Feedback::reached), Agenda::Change::none);
  EXPECT_EQ(start_all(), "a") << "two run, three may";
}

TEST_F(AgendaTest, trials_of_the_dead_hold_at_most_a_quarter_of_the_connections) {
  std::vector<Unit *> started;
  for (char key = 'p'; key < 'w'; ++key) {
    add(std::string(1, key));
    start_all(&started);
    finish(*started.back(), Feedback::failed);
    add(std::string(1, key));
  }
  advance(60s);
  for (int i = 0; i < 10; ++i) add("a");
  EXPECT_EQ(start_all(), "paqaaaa") << "two of eight connections; a has its five, one connection stays free";
}

TEST_F(AgendaTest, with_one_connection_the_dead_and_the_living_take_turns) {
  agenda_.set_limits({.connections = 1, .connections_per_destination = 20});
  for (const char *key : {"d", "e"}) {
    add(key);
    finish(*agenda_.next(), Feedback::failed);
    add(key);
  }
  advance(60s);
  for (int i = 0; i < 3; ++i) add("a");
  std::string order;
  for (int i = 0; i < 4; ++i) {
    Unit *unit = agenda_.next();
    ASSERT_NE(unit, nullptr);
    order += unit->destination->key;
    finish(*unit, Feedback::reached);
  }
  EXPECT_EQ(order, "daea");
}

TEST_F(AgendaTest, units_wait_for_their_time) {
  add("a", start + 10s);
  add("b", start + 5s);
  EXPECT_EQ(start_all(), "");
  EXPECT_EQ(agenda_.next_event(), start + 5s);
  advance(5s);
  EXPECT_EQ(start_all(), "b");
  advance(5s);
  EXPECT_EQ(start_all(), "a");
  EXPECT_FALSE(agenda_.next_event());
}

TEST_F(AgendaTest, a_unit_taken_out_is_not_started) {
  Unit &ready = add("a");
  Unit &waiting = add("a", start + 5s);
  agenda_.remove(ready);
  agenda_.remove(waiting);
  advance(10s);
  EXPECT_EQ(start_all(), "");
}

TEST_F(AgendaTest, an_operator_ends_a_backoff) {
  add("d");
  add("d");
  finish(*agenda_.next(), Feedback::failed);
  EXPECT_EQ(start_all(), "");
  agenda_.end_backoff(agenda_.destination("d"));
  EXPECT_EQ(start_all(), "d");
}

TEST_F(AgendaTest, a_change_ends_the_backoff_of_what_nothing_waits_for) {
  Unit &unit = add("a");
  ASSERT_EQ(agenda_.next(), &unit);
  finish(unit, Feedback::failed);
  Unit &other = add("b");
  ASSERT_EQ(agenda_.next(), &other);
  finish(other, Feedback::failed);
  agenda_.detach(unit); // its message was bounced
  agenda_.end_idle_backoffs();
  EXPECT_FALSE(agenda_.destination("a").is_backing_off());
  EXPECT_TRUE(agenda_.destination("b").is_backing_off()) << "whose messages say whether the change concerns it";
  agenda_.attach(unit);
}

TEST_F(AgendaTest, trouble_of_our_own_says_nothing_of_the_destination) {
  add("a");
  add("a");
  EXPECT_EQ(finish(*agenda_.next(), Feedback::unknown), Agenda::Change::none);
  EXPECT_EQ(agenda_.destination("a").window, Destination::initial_window);
  EXPECT_EQ(agenda_.destination("a").failures, 0U);
}

TEST_F(AgendaTest, idle_destinations_are_forgotten_in_the_end) {
  for (int i = 0; i < 1030; ++i) {
    Unit &unit = add("d" + std::to_string(i));
    ASSERT_EQ(agenda_.next(), &unit);
    finish(unit, i == 0 ? Feedback::failed : Feedback::reached);
    agenda_.detach(unit);
    units_.pop_back();
  }
  EXPECT_FALSE(agenda_.destination("d0").is_dead()) << "made anew: the oldest was forgotten, its backoff too";
  EXPECT_FALSE(agenda_.next_event());
}

/// What strangers can make many of holds its share and no more.
class AgendaShares : public AgendaTest {
protected:
  Unit &add_notice(const std::string &key) {
    units_.push_back(std::make_unique<Unit>(entry(), agenda_.destination(key)));
    units_.back()->is_notice = true;
    agenda_.attach(*units_.back());
    agenda_.add(*units_.back(), start, now_);
    return *units_.back();
  }
  std::string many(const std::string &prefix, int count, bool notices = false) {
    for (int i = 0; i < count; ++i) notices ? add_notice(prefix + std::to_string(i)) : add(prefix + std::to_string(i));
    return {};
  }
};

TEST_F(AgendaShares, our_own_destinations_have_a_share_that_strangers_cannot_hold) {
  agenda_.set_limits({.connections = 10, .connections_per_destination = 20, .reserved = 2});
  many("s", 30);
  std::vector<Unit *> started;
  start_all(&started);
  EXPECT_EQ(started.size(), 8U);
  agenda_.set_ours(agenda_.destination("route:inside"), true);
  for (int i = 0; i < 5; ++i) add("route:inside");
  EXPECT_EQ(start_all(&started), "route:insideroute:inside");
  finish(*started[0], Feedback::reached);
  EXPECT_EQ(start_all(&started), "s8") << "a place that is free goes round";
}

TEST_F(AgendaShares, our_own_may_hold_everything) {
  agenda_.set_limits(
      {.connections = 10, .connections_per_destination = 20, .reserved = 2, .notices = 1, .unreached = 1});
  for (const char *key : {"route:a", "route:b"}) {
    agenda_.set_ours(agenda_.destination(key), true);
    for (int i = 0; i < 10; ++i) add(key);
  }
  std::vector<Unit *> started;
  start_all(&started);
  EXPECT_EQ(started.size(), 10U);
}

TEST_F(AgendaShares, destinations_that_were_never_reached_hold_their_share) {
  agenda_.set_limits({.connections = 10, .connections_per_destination = 20, .unreached = 4});
  add("known");
  finish(*agenda_.next(), Feedback::reached);
  many("s", 30);
  for (int i = 0; i < 3; ++i) add("known");
  std::vector<Unit *> started;
  start_all(&started);
  std::size_t known = 0;
  for (const Unit *unit : started) known += unit->destination->key == "known" ? 1 : 0;
  EXPECT_EQ(known, 3U);
  EXPECT_EQ(started.size(), 7U);
  // One that is reached makes room for the next.
  for (Unit *unit : started)
    if (unit->destination->key != "known") {
      finish(*unit, Feedback::reached);
      break;
    }
  EXPECT_EQ(start_all().size(), 2U);
}

TEST_F(AgendaShares, notices_hold_their_share_and_others_go_on) {
  agenda_.set_limits({.connections = 20, .connections_per_destination = 20, .notices = 5});
  many("n", 30, true);
  std::vector<Unit *> started;
  start_all(&started);
  EXPECT_EQ(started.size(), 5U);
  many("s", 10);
  start_all(&started);
  EXPECT_EQ(started.size(), 15U) << "what is not a notice is not kept back by them";
  finish(*started[0], Feedback::reached);
  EXPECT_EQ(start_all(&started), "n5");
}

TEST_F(AgendaShares, notices_and_others_of_one_destination_take_turns) {
  agenda_.set_limits({.connections = 4, .connections_per_destination = 20, .notices = 3});
  for (int i = 0; i < 9; ++i) add_notice("a");
  for (int i = 0; i < 2; ++i) add("a");
  std::size_t notices = 0;
  for (int i = 0; i < 4; ++i) notices += agenda_.next()->is_notice ? 1 : 0;
  EXPECT_EQ(notices, 2U);
}

TEST_F(AgendaShares, what_only_our_limits_kept_back_is_tried_again_soon) {
  add("a");
  add("a");
  Unit *unit = agenda_.next();
  EXPECT_EQ(finish(*unit, Feedback::put_off), Agenda::Change::none);
  EXPECT_EQ(agenda_.next(), nullptr);
  EXPECT_EQ(agenda_.destination("a").failures, 0U);
  advance(put_off_wait);
  EXPECT_NE(agenda_.next(), nullptr);
}

class AgendaCrowd : public AgendaTest {
protected:
  Agenda::Change finish_at(Unit &unit, Feedback feedback, const smtp::IpAddress &address,
                           std::optional<std::size_t> worker = std::nullopt) {
    return agenda_.finish(unit, feedback, schedule_, now_, 0.5, address, worker);
  }
  const smtp::IpAddress host_ = smtp::IpAddress::v4({192, 0, 2, 1});
  const smtp::IpAddress other_ = smtp::IpAddress::v4({192, 0, 2, 2});
};

TEST_F(AgendaCrowd, destinations_of_one_full_host_take_turns_at_what_it_gives) {
  for (const char *key : {"a", "b", "c"}) {
    add(key);
    add(key);
  }
  Unit *a = agenda_.next();
  Unit *b = agenda_.next();
  Unit *c = agenda_.next();
  ASSERT_EQ(a->destination->key + b->destination->key + c->destination->key, "abc");
  finish_at(*b, Feedback::put_off, host_);
  finish_at(*c, Feedback::put_off, host_);
  Unit *second = agenda_.next(); // of a, which has room in its window
  ASSERT_EQ(second->destination->key, "a");
  EXPECT_EQ(agenda_.next(), nullptr) << "b and c wait for room";
  finish_at(*a, Feedback::reached, other_);
  EXPECT_EQ(agenda_.next(), nullptr) << "what ends elsewhere makes no room";
  add("a");
  finish_at(*second, Feedback::reached, host_, 3);
  std::vector<Unit *> started;
  EXPECT_EQ(start_all(&started), "b") << "one place, to the one that has waited longest; a waits behind c now";
  EXPECT_EQ(agenda_.destination("b").worker, std::optional<std::size_t>(3));
  finish_at(*started[0], Feedback::reached, host_, 3);
  EXPECT_EQ(start_all(&started), "c") << "one place again, and c has waited longest";
}

TEST_F(AgendaCrowd, an_idle_connection_elsewhere_lets_it_go_on_there_at_once) {
  add("a");
  Unit *unit = agenda_.next();
  finish_at(*unit, Feedback::put_off, host_, 1);
  agenda_.add(*unit, now_, now_);
  EXPECT_EQ(agenda_.next(), unit);
  EXPECT_EQ(agenda_.destination("a").worker, std::optional<std::size_t>(1));
  finish_at(*unit, Feedback::put_off, host_);
  agenda_.add(*unit, now_, now_);
  EXPECT_EQ(agenda_.next(), nullptr) << "and then waits";
  advance(put_off_wait);
  EXPECT_EQ(agenda_.next(), unit) << "at most so long";
}

TEST_F(AgendaCrowd, who_waits_keeps_its_place_in_the_line_however_long_a_turn_takes) {
  agenda_.set_limits({.connections = 8, .connections_per_destination = 1});
  std::vector<Unit *> all;
  for (const char *key : {"a", "b", "c", "d", "e"})
    for (int i = 0; i < 8; ++i) all.push_back(&add(key));
  Unit *running = agenda_.next(); // of a: the host takes one connection
  std::map<std::string, int> served;
  const auto start_others = [&] {
    while (Unit *unit = agenda_.next()) {
      finish_at(*unit, Feedback::put_off, host_);
      agenda_.add(*unit, now_, now_);
    }
  };
  start_others();
  for (int turn = 0; turn < 20; ++turn) {
    advance(3s); // a whole round takes 15 s, three times the wait
    if (running == nullptr) break;
    ++served[running->destination->key];
    finish_at(*running, Feedback::reached, host_);
    running = agenda_.next();
    start_others();
  }
  for (const char *key : {"a", "b", "c", "d", "e"}) EXPECT_NEAR(served[key], 4, 1) << key;
}

TEST_F(AgendaShares, a_share_that_is_nearly_full_is_in_a_hurry) {
  agenda_.set_limits({.connections = 16, .connections_per_destination = 20, .unreached = 4});
  std::vector<bool> pressed;
  for (const char *key : {"a", "b", "c", "d"}) {
    add(key);
    Unit *unit = agenda_.next();
    ASSERT_NE(unit, nullptr);
    pressed.push_back(agenda_.is_pressed(*unit));
  }
  EXPECT_EQ(pressed, (std::vector<bool>{false, false, true, true}));
  add("e");
  EXPECT_EQ(agenda_.next(), nullptr);
}

TEST_F(AgendaCrowd, notices_to_many_domains_of_a_full_host_keep_mail_waiting_for_one_of_them) {
  agenda_.set_limits({.connections = 100, .connections_per_destination = 1, .notices = 50});
  for (int i = 0; i < 20; ++i) add("n" + std::to_string(i), start, true);
  Unit *running = agenda_.next();
  ASSERT_NE(running, nullptr);
  const auto put_off_all = [&] {
    while (Unit *unit = agenda_.next()) {
      finish_at(*unit, Feedback::put_off, host_);
      agenda_.add(*unit, now_, now_);
    }
  };
  put_off_all();
  for (int i = 0; i < 4; ++i) add("honest");
  put_off_all();
  std::vector<std::string> order;
  for (int turn = 0; turn < 8 && running != nullptr; ++turn) {
    finish_at(*running, Feedback::reached, host_);
    running = agenda_.next();
    if (running != nullptr) order.push_back(running->destination->key);
    put_off_all();
  }
  EXPECT_GE(std::count(order.begin(), order.end(), "honest"), 3) << ::testing::PrintToString(order);
}

TEST_F(AgendaCrowd, what_went_on_at_an_idle_connection_goes_on) {
  for (int i = 0; i < 6; ++i) add("a");
  Unit *unit = agenda_.next();
  std::vector<Unit *> started;
  start_all(&started);
  for (Unit *one : started) finish_at(*one, Feedback::put_off, host_, 1);
  ASSERT_EQ(started.size(), 4U);
  Unit *passed = agenda_.next();
  ASSERT_NE(passed, nullptr);
  ASSERT_EQ(agenda_.next(), nullptr);
  for (Unit *one : started) agenda_.add(*one, now_, now_);
  for (int i = 0; i < 4; ++i) {
    finish_at(*passed, Feedback::reached, host_, 1);
    passed = agenda_.next();
    ASSERT_NE(passed, nullptr) << i;
    EXPECT_EQ(agenda_.next(), nullptr) << "each place is one job's";
  }
  EXPECT_NE(unit, passed);
}

TEST_F(AgendaCrowd, a_host_that_fails_for_what_had_a_place_is_dead_as_any) {
  Unit *first = &add("a");
  add("a");
  ASSERT_EQ(agenda_.next(), first);
  Unit *second = agenda_.next();
  finish_at(*first, Feedback::put_off, host_);
  EXPECT_EQ(finish_at(*second, Feedback::failed, host_), Agenda::Change::died);
  agenda_.add(*first, now_, now_);
  add("b");
  Unit *b = agenda_.next();
  ASSERT_EQ(b->destination->key, "b");
  finish_at(*b, Feedback::reached, host_);
  EXPECT_EQ(agenda_.next(), nullptr) << "no place for the dead before their time";
}

TEST_F(AgendaCrowd, one_that_fills_its_host_alone_keeps_what_it_has) {
  for (int i = 0; i < 20; ++i) add("a");
  std::vector<Unit *> started;
  start_all(&started);
  ASSERT_EQ(started.size(), 5U);
  finish_at(*started.back(), Feedback::put_off, host_);
  started.pop_back();
  for (std::size_t ended = 0; ended < 10; ++ended) {
    finish_at(*started[ended], Feedback::reached, host_);
    start_all(&started);
    EXPECT_EQ(agenda_.active(), 4U) << ended;
  }
}

} // namespace agenda_test
