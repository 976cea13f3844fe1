// Compaction: a few live messages do not keep many segments, and moving them loses none at any moment.
#include <deque>

#include "workload.hpp"

namespace mta::spool::test {
namespace compaction_test {

class Compaction : public testing::Test {
protected:
  std::unique_ptr<Spool> open() {
    recovery = {};
    auto opened = Spool::open(small_options(), recovery, disk);
    EXPECT_TRUE(opened) << opened.error().detail;
    return opened ? std::move(*opened) : nullptr;
  }

  /// At most as much is dead as is live, and four segments; the head, one made ready, and what the rounding adds.
  static bool is_compact(Spool &spool) {
    const SpoolStatus status = spool.status();
    return status.segments <= 2 * (status.octets / 32'768 + 1) + 4 + 2;
  }

  /// Waits for it; a log that comes to rest before it is compact is a failure with its figures.
  static void expect_compact(Spool &spool) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!is_compact(spool)) {
      const SpoolStatus status = spool.status();
      ASSERT_LT(std::chrono::steady_clock::now(), limit)
          << status.segments << " segments for " << status.octets << " octets of " << status.messages << " messages";
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  /// Removes each message a segment after it came, so that nearly every segment holds graves of the one before it.
  void fill_with_late_removals(Spool &spool) {
    std::deque<QueueId> waiting;
    for (int i = 0; i < 600; ++i) {
      waiting.push_back(store(spool, make_octets(random, 3'000), "late"));
      if (waiting.size() < 12) continue;
      spool.remove(waiting.front());
      waiting.pop_front();
    }
    for (const QueueId id : waiting) spool.remove(id);
  }

  /// Fills segments with messages of which one in twenty stays. Stops early when the disk goes off.
  void fill(Spool &spool) {
    for (int i = 0; i < 600; ++i) {
      const std::string body = make_octets(random, i % 120 == 0 ? 9'000 : 3'000);
      auto writer = spool.begin();
      if (!writer || !(*writer)->append(body) || !commit_and_wait(**writer, "envelope " + std::to_string(i))) return;
      const QueueId id = (*writer)->id();
      if (i % 20 == 0) {
        if (i % 60 == 0 && !update_and_wait(spool, id, "update " + std::to_string(i))) return;
        kept[id.value] = {body, "envelope " + std::to_string(i), i % 60 == 0 ? "update " + std::to_string(i) : ""};
      } else {
        spool.remove(id);
        removed.insert(id.value);
      }
    }
  }

  void check(Spool &spool) {
    std::size_t found = 0;
    for (const RecoveredMessage &message : recovery.messages) {
      const auto expected = kept.find(message.id.value);
      if (expected == kept.end()) continue; // removed, but not durably; or not acknowledged
      ++found;
      EXPECT_EQ(message.envelope, expected->second.envelope);
      EXPECT_EQ(message.update, expected->second.update);
      const auto body = read_all(spool, message.id);
      ASSERT_TRUE(body) << body.error().detail;
      EXPECT_TRUE(*body == expected->second.body);
    }
    EXPECT_EQ(found, kept.size());
    EXPECT_EQ(recovery.damage, std::vector<std::string>{});
  }

  struct Kept {
    std::string body;
    std::string envelope;
    std::string update;
  };
  std::shared_ptr<SimulatedDisk> disk = std::make_shared<SimulatedDisk>();
  Recovery recovery;
  std::mt19937_64 random{1};
  std::map<std::uint64_t, Kept> kept;
  std::set<std::uint64_t> removed;
};

TEST_F(Compaction, FreesTheSegmentsThatFewMessagesHold) {
  auto spool = open();
  fill(*spool);
  // 1.8 MB were written in segments of 32 KiB.
  expect_compact(*spool);
  for (const auto &[id, message] : kept) {
    const auto body = read_all(*spool, {id});
    ASSERT_TRUE(body) << body.error().detail;
    EXPECT_TRUE(*body == message.body);
  }
  spool.reset();
  spool = open();
  EXPECT_EQ(recovery.messages.size(), kept.size());
  check(*spool);
}

TEST_F(Compaction, AReaderIsNotDisturbedByAMove) {
  auto spool = open();
  const std::string body = make_octets(random, 9'000);
  const QueueId id = store(*spool, body, "e");
  auto reader = spool->read_body(id);
  ASSERT_TRUE(reader);
  fill(*spool);
  expect_compact(*spool);
  std::string buffer(9'000, '\0');
  ASSERT_EQ((*reader)->read(0, buffer), body.size());
  EXPECT_TRUE(buffer == body);
  const auto moved = read_all(*spool, id);
  ASSERT_TRUE(moved);
  EXPECT_TRUE(*moved == body);
  EXPECT_LE(disk->files(".spare").size(), 4U);
}

TEST_F(Compaction, ASlowWriterDoesNotKeepTheLogFromShrinking) {
  auto spool = open();
  auto slow = spool->begin();
  ASSERT_TRUE(slow);
  const std::string body = make_octets(random, 20'000);
  ASSERT_TRUE((*slow)->append(body));
  // In the segment of the slow body, so that later removals have their graves all over the log.
  std::vector<QueueId> early;
  for (int i = 0; i < 3; ++i) early.push_back(store(*spool, "early", "e"));
  for (int round = 0; round < 3; ++round) {
    spool->remove(early[static_cast<std::size_t>(round)]);
    fill(*spool);
  }
  expect_compact(*spool);
  ASSERT_TRUE(commit_and_wait(**slow, "slow"));
  kept[(*slow)->id().value] = {body, "slow", ""};
  slow->reset();
  // The removals still hold after a loss of power.
  disk->cut_power();
  spool.reset();
  disk = disk->reboot();
  spool = open();
  check(*spool);
  for (const RecoveredMessage &message : recovery.messages)
    EXPECT_TRUE(kept.contains(message.id.value)) << "is back: " << message.id.to_string();
}

TEST_F(Compaction, AChainOfGravesBehindASlowWriterDoesNotGrow) {
  auto spool = open();
  auto slow = spool->begin();
  ASSERT_TRUE(slow);
  const std::string body = make_octets(random, 20'000);
  ASSERT_TRUE((*slow)->append(body));
  // One grave for the segment of the slow body: the segment it is in waits, and every later one for the one before it.
  const QueueId early = store(*spool, "early", "e");
  fill_with_late_removals(*spool);
  spool->remove(early);
  fill_with_late_removals(*spool);
  expect_compact(*spool);
  ASSERT_TRUE(commit_and_wait(**slow, "slow"));
  kept[(*slow)->id().value] = {body, "slow", ""};
  slow->reset();
  spool.reset();
  spool = open();
  EXPECT_EQ(recovery.messages.size(), 1U);
  check(*spool);
}

TEST_F(Compaction, LosesNothingWhereverThePowerGoes) {
  std::uint64_t calls = 0;
  {
    auto spool = open();
    fill(*spool);
    expect_compact(*spool);
    calls = disk->calls();
  }
  std::mt19937_64 moments(11);
  for (int round = 0; round < 60; ++round) {
    disk = std::make_shared<SimulatedDisk>(moments());
    kept.clear();
    removed.clear();
    const std::uint64_t at = 1 + moments() % calls;
    SCOPED_TRACE("power lost at call " + std::to_string(at));
    {
      auto spool = open();
      disk->fail_at(at, Fault::power_loss);
      fill(*spool);
      wait_until([&] { return is_compact(*spool) || disk->is_off(); });
      disk->cut_power();
    }
    disk = disk->reboot();
    auto spool = open();
    ASSERT_TRUE(spool);
    check(*spool);
    if (HasFailure()) return;
  }
}

TEST_F(Compaction, ARemovedMessageDoesNotComeBackThroughAnOldCopy) {
  auto spool = open();
  fill(*spool);
  expect_compact(*spool);
  for (const auto &[id, message] : kept) spool->remove({id});
  // A durable act behind the removals.
  const QueueId last = store(*spool, "last", "e");
  disk->cut_power();
  spool.reset();
  disk = disk->reboot();
  spool = open();
  ASSERT_EQ(recovery.messages.size(), 1U);
  EXPECT_EQ(recovery.messages[0].id, last);
}

} // namespace compaction_test
} // namespace mta::spool::test
