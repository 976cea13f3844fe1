// Scheduler: 100,000 messages to 1,000 domains drain in order of fairness; what a queued message costs in memory is
// printed.
#include <chrono>
#include <cstdio>
#include <fstream>
#include <malloc.h>
#include <unistd.h>

#include "tests/unit/mta/queue/scheduler_fixture.hpp"

namespace queue_test {
namespace scheduler_flood_test {

/// Octets in use: of the heap where the allocator tells, else resident (a sanitizer's allocator tells nothing).
std::size_t memory_in_use() {
  if (const auto info = ::mallinfo2(); info.uordblks > 0) return info.uordblks + info.hblkhd;
  std::size_t size = 0;
  std::size_t resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

class FloodTest : public SchedulerTest {
protected:
  static QueuedMessage realistic(std::uint64_t id, const std::string &recipient) {
    QueuedMessage one = message(id, {recipient});
    one.envelope.trace.assign(320, 'r');
    one.envelope.message_id = "<20261122033900.0000000000A7Q@mail.example.org>";
    one.envelope.client = "192.0.2.7 (mail.example.org)";
    one.envelope.tls_in = "TLSv1.3 TLS_AES_256_GCM_SHA384";
    return one;
  }
  /// Delivers everything, `parallel` jobs at once in order of start; the destinations in that order.
  std::vector<std::string> drain_all() {
    std::vector<std::string> order;
    while (!running_.empty()) {
      std::deque<Running> batch;
      batch.swap(running_);
      for (Running &one : batch) {
        order.push_back(one.job.destination);
        one.done({.number = one.job.number,
                  .destination = one.job.destination,
                  .results = {{.index = 0, .kind = Kind::delivered, .reply = {}, .host = {}, .detail = {}}}});
      }
      settle();
    }
    return order;
  }
};

TEST_F(FloodTest, a_hundred_thousand_messages_to_a_thousand_domains_drain_in_turns) {
  constexpr std::uint64_t messages = 100'000;
  constexpr std::uint64_t domains = 1000;
  constexpr std::size_t connections = 1000;
  spool_.keep_no_acts();
  make({.retry = {}, .connections = connections, .connections_per_destination = 20});
  std::vector<std::shared_ptr<QueuedMessage>> prepared;
  prepared.reserve(messages);
  const std::size_t before = memory_in_use();
  // Domain after domain, not mixed: the worst order of arrival.
  for (std::uint64_t id = 1; id <= messages; ++id)
    prepared.push_back(std::make_shared<QueuedMessage>(
        realistic(id, "someone@domain" + std::to_string((id - 1) / (messages / domains)) + ".example")));
  for (auto &one : prepared) scheduler_->submit(std::move(one));
  settle();
  ASSERT_EQ(scheduler_->count({}).messages, messages);
  const std::size_t after = memory_in_use();
  std::printf("memory: %zu octets for each queued message of one recipient\n",
              after > before ? (after - before) / messages : 0);

  const auto begin = std::chrono::steady_clock::now();
  scheduler_->start({});
  const auto order = drain_all();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("scheduling: %.1f microseconds for each message\n", took.count() * 1e6 / static_cast<double>(messages));

  ASSERT_EQ(order.size(), messages);
  EXPECT_TRUE(spool_.stored().empty());
  // In any stretch of 1,000 starts no domain is far ahead of the others.
  std::map<std::string, std::size_t> seen;
  std::size_t most = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    most = std::max(most, ++seen[order[i]]);
    const std::size_t fair_share = i / domains + 1;
    ASSERT_LE(most, fair_share + 1) << "at start " << i << " " << order[i];
  }
  EXPECT_EQ(seen.size(), domains);
}

TEST_F(FloodTest, a_flood_for_one_domain_does_not_starve_the_rest) {
  spool_.keep_no_acts();
  make({.retry = {}, .connections = 10, .connections_per_destination = 20});
  for (std::uint64_t id = 1; id <= 10'000; ++id)
    scheduler_->submit(std::make_shared<QueuedMessage>(message(id, {"p@flood.example"})));
  for (std::uint64_t id = 10'001; id <= 10'020; ++id)
    scheduler_->submit(std::make_shared<QueuedMessage>(message(id, {"p@small" + std::to_string(id) + ".example"})));
  settle();
  scheduler_->start({});
  settle();
  const auto order = drain_all();
  ASSERT_EQ(order.size(), 10'020U);
  const auto last_small =
      std::find_if(order.rbegin(), order.rend(), [](const auto &key) { return key != "flood.example"; });
  EXPECT_LT(order.rend() - last_small, 60) << "all small ones are among the first";
}

TEST_F(FloodTest, a_thousand_dead_domains_do_not_delay_the_living) {
  spool_.keep_no_acts();
  start({}, {.retry = {}, .connections = 40, .connections_per_destination = 20});
  for (std::uint64_t id = 1; id <= 5000; ++id)
    scheduler_->submit(
        std::make_shared<QueuedMessage>(message(id, {"p@dead" + std::to_string(id % 1000) + ".example"})));
  settle();
  while (!running_.empty()) finish(Kind::temporary, FailureCause::connect, true);
  advance(3600s); // all backoffs are over: the probes hang from now on
  EXPECT_EQ(running_.size(), 10U) << "a quarter of the connections";
  for (std::uint64_t id = 6001; id <= 6030; ++id)
    scheduler_->submit(std::make_shared<QueuedMessage>(message(id, {"p@alive" + std::to_string(id) + ".example"})));
  settle();
  EXPECT_EQ(running_.size(), 40U) << "thirty messages for the living start at once";
}

} // namespace scheduler_flood_test
} // namespace queue_test
