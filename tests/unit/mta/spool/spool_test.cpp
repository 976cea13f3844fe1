// The spool as its users see it: stores, reads, updates, removes, refuses, and is the same after it was opened again.
#include "mta/spool/spool.hpp"

#include <atomic>
#include <latch>

#include "mta/spool/record.hpp"
#include "workload.hpp"

namespace mta::spool::test {
namespace spool_test {

using smtp::ErrorCode;

class SpoolTest : public testing::Test {
protected:
  std::unique_ptr<Spool> open(SpoolOptions options = small_options()) {
    recovery = {};
    auto opened = Spool::open(options, recovery, disk);
    EXPECT_TRUE(opened) << opened.error().detail;
    return opened ? std::move(*opened) : nullptr;
  }
  std::shared_ptr<SimulatedDisk> disk = std::make_shared<SimulatedDisk>();
  Recovery recovery;
  std::mt19937_64 random{1};
};

TEST_F(SpoolTest, KeepsMessagesOfEverySize) {
  std::map<std::uint64_t, std::string> bodies;
  auto spool = open();
  for (const std::size_t size : {0U, 1U, 63U, 64U, 65U, 4095U, 4096U, 4097U, 5000U, 8192U, 100'000U, 400'000U}) {
    const std::string body = make_octets(random, size);
    bodies[store(*spool, body, "envelope of " + std::to_string(size)).value] = body;
  }
  for (int round = 0; round < 2; ++round) {
    for (const auto &[id, body] : bodies)
      for (const std::size_t room : {100U, 4'096U, 1'000'000U}) {
        const auto got = read_all(*spool, {id}, room);
        ASSERT_TRUE(got) << got.error().detail;
        EXPECT_TRUE(*got == body) << body.size() << " octets read in pieces of " << room;
      }
    spool.reset();
    spool = open();
    ASSERT_EQ(recovery.messages.size(), bodies.size());
    for (const RecoveredMessage &message : recovery.messages) {
      EXPECT_EQ(message.body_size, bodies.at(message.id.value).size());
      EXPECT_EQ(message.envelope, "envelope of " + std::to_string(message.body_size));
      EXPECT_EQ(message.update, "");
    }
    EXPECT_EQ(recovery.notes, std::vector<std::string>{});
    EXPECT_EQ(recovery.damage, std::vector<std::string>{});
  }
}

TEST_F(SpoolTest, WhatIsNewIsToldApartFromWhatIsEmpty) {
  auto spool = open();
  EXPECT_TRUE(recovery.is_new);
  spool.reset();
  disk = disk->reboot();
  spool = open();
  EXPECT_FALSE(recovery.is_new) << "nothing is in it, but it was there";
}

TEST_F(SpoolTest, ReadsABodyFromAnyOffset) {
  auto spool = open();
  const std::string body = make_octets(random, 20'000);
  const QueueId id = store(*spool, body, "e");
  auto reader = spool->read_body(id);
  ASSERT_TRUE(reader);
  EXPECT_EQ((*reader)->size(), body.size());
  for (const std::size_t offset : {19'999U, 0U, 4'095U, 4'096U, 12'345U}) {
    std::string buffer(5'000, '\0');
    const auto got = (*reader)->read(offset, buffer);
    ASSERT_TRUE(got) << got.error().detail;
    EXPECT_EQ(*got, std::min<std::size_t>(5'000, body.size() - offset));
    EXPECT_EQ(buffer.substr(0, *got), body.substr(offset, *got));
  }
  std::string buffer(10, '\0');
  EXPECT_EQ((*reader)->read(20'000, buffer), std::size_t{0});
  EXPECT_EQ((*reader)->read(1ULL << 40U, buffer), std::size_t{0});
}

TEST_F(SpoolTest, ReadsATypicalBodyWithOneCall) {
  SpoolOptions options = small_options();
  options.segment_size = 1U << 20U;
  options.part_size = 65'536;
  auto spool = open(options);
  const std::string body = make_octets(random, 5'120);
  const QueueId id = store(*spool, body, "e");
  auto reader = spool->read_body(id);
  ASSERT_TRUE(reader);
  std::string buffer(65'536, '\0');
  const std::uint64_t before = disk->reads();
  ASSERT_EQ((*reader)->read(0, buffer), body.size());
  EXPECT_EQ(disk->reads() - before, 1U);
}

TEST_F(SpoolTest, TheLastUpdateCounts) {
  auto spool = open();
  const QueueId first = store(*spool, "a", "1");
  const QueueId second = store(*spool, "b", "2");
  spool->update(first, "x");
  spool->update(first, "y");
  ASSERT_TRUE(update_and_wait(*spool, second, "z"));
  spool->update(second, std::string(50'000, 'w')); // larger than a segment
  spool.reset();
  spool = open();
  ASSERT_EQ(recovery.messages.size(), 2U);
  EXPECT_EQ(recovery.messages[0].update, "y");
  EXPECT_EQ(recovery.messages[1].update, std::string(50'000, 'w'));
}

TEST_F(SpoolTest, ADurableUpdateSurvivesPowerLossAndTakesThoseBeforeItAlong) {
  auto spool = open();
  const QueueId first = store(*spool, "a", "1");
  const QueueId second = store(*spool, "b", "2");
  spool->update(first, "x");
  ASSERT_TRUE(update_and_wait(*spool, second, "z"));
  disk->cut_power();
  spool.reset();
  disk = disk->reboot();
  spool = open();
  ASSERT_EQ(recovery.messages.size(), 2U);
  EXPECT_EQ(recovery.messages[0].update, "x");
  EXPECT_EQ(recovery.messages[1].update, "z");
}

TEST_F(SpoolTest, UpdatingOrRemovingWhatIsNotThereDoesNothing) {
  auto spool = open();
  const auto result = update_and_wait(*spool, {12345}, "x");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::not_found);
  spool->update({12345}, "x");
  spool->remove({12345});
  EXPECT_EQ(spool->read_body({12345}).error().code, ErrorCode::not_found);
  spool.reset();
  spool = open();
  EXPECT_TRUE(recovery.messages.empty());
}

TEST_F(SpoolTest, ARemovedMessageStaysReadableForWhoHasItOpen) {
  auto spool = open();
  const std::string body = make_octets(random, 6'000);
  const QueueId id = store(*spool, body, "e");
  auto reader = spool->read_body(id);
  ASSERT_TRUE(reader);
  spool->remove(id);
  // Enough to use every segment again, if it were free.
  for (int i = 0; i < 60; ++i) spool->remove(store(*spool, make_octets(random, 6'000), "e"));
  std::string buffer(6'000, '\0');
  ASSERT_EQ((*reader)->read(0, buffer), body.size());
  EXPECT_TRUE(buffer == body);
  EXPECT_FALSE(spool->read_body(id));
}

TEST_F(SpoolTest, FreedSegmentsAreUsedAgain) {
  auto spool = open();
  for (int i = 0; i < 400; ++i) spool->remove(store(*spool, make_octets(random, 6'000), "e"));
  // 2.4 MB went through segments of 32 KiB.
  EXPECT_LE(disk->files(".segment").size() + disk->files(".spare").size(), 16U);
  wait_until([&] { return spool->status().messages == 0; });
  spool.reset();
  spool = open();
  EXPECT_TRUE(recovery.messages.empty());
  EXPECT_EQ(recovery.damage, std::vector<std::string>{});
}

TEST_F(SpoolTest, QueueIdsGoOnAfterACleanEndAndNeverComeBack) {
  auto spool = open();
  const QueueId first = store(*spool, "a", "e");
  EXPECT_EQ(first.value, 1U);
  spool->remove(first);
  const std::uint64_t unused = (*spool->begin())->id().value;
  EXPECT_EQ(unused, 2U);
  spool.reset();
  spool = open();
  EXPECT_EQ(store(*spool, "a", "e").value, 3U);
  disk->cut_power();
  spool.reset();
  disk = disk->reboot();
  spool = open();
  EXPECT_GT(store(*spool, "a", "e").value, 4U);
}

TEST_F(SpoolTest, QueueIdsAreReservedAheadOfTheirUse) {
  auto spool = open();
  // More than a reserved block; a writer that is dropped uses its id up.
  std::uint64_t last = 0;
  for (int i = 0; i < 1'200'000; ++i) {
    auto writer = spool->begin();
    while (!writer) { // the reservation is on its way to the disk
      ASSERT_EQ(writer.error().code, ErrorCode::full) << writer.error().detail;
      writer = spool->begin();
    }
    last = (*writer)->id().value;
  }
  disk->cut_power();
  spool.reset();
  disk = disk->reboot();
  spool = open();
  EXPECT_GT(store(*spool, "a", "e").value, last);
}

TEST_F(SpoolTest, AMessageThatIsNotCommittedIsForgotten) {
  auto spool = open();
  for (int i = 0; i < 20; ++i) {
    auto writer = spool->begin();
    ASSERT_TRUE(writer);
    ASSERT_TRUE((*writer)->append(make_octets(random, 30'000)));
  }
  const QueueId kept = store(*spool, "kept", "e");
  EXPECT_EQ(spool->status().messages, 1U);
  spool.reset();
  spool = open();
  ASSERT_EQ(recovery.messages.size(), 1U);
  EXPECT_EQ(recovery.messages[0].id, kept);
}

TEST_F(SpoolTest, RefusesBelowTheFreeSpaceFloor) {
  SpoolOptions options = small_options();
  options.min_free = 1'000'000;
  disk->set_free_space(999'999);
  auto spool = open(options);
  const auto refused = spool->begin();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::full);
  EXPECT_EQ(refused.error().detail, "disk has 999999 octets free, limit is 1000000");
}

TEST_F(SpoolTest, RefusesMoreMessagesThanItMayHold) {
  SpoolOptions options = small_options();
  options.max_messages = 2;
  auto spool = open(options);
  const QueueId first = store(*spool, "a", "e");
  auto open_writer = spool->begin();
  ASSERT_TRUE(open_writer);
  const auto refused = spool->begin();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::full);
  EXPECT_EQ(refused.error().detail, "spool holds 2 messages, limit is 2");
  spool->remove(first);
  wait_until([&] { return spool->status().messages == 0; });
  EXPECT_TRUE(spool->begin());
}

TEST_F(SpoolTest, RefusesAnEnvelopeOverTheLimit) {
  auto spool = open();
  auto writer = spool->begin();
  ASSERT_TRUE(writer);
  const auto result = commit_and_wait(**writer, std::string(max_blob_size + 1, 'x'));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::too_long);
  EXPECT_EQ(result.error().detail, "envelope is 67108865 octets, limit is 67108864");
}

TEST_F(SpoolTest, AsksForAPauseWhileTheLogIsBehind) {
  auto spool = open();
  auto writer = spool->begin();
  ASSERT_TRUE(writer);
  EXPECT_FALSE((*writer)->wants_pause());
  std::promise<void> written;
  {
    const auto held = disk->hold_writes();
    ASSERT_TRUE((*writer)->append(make_octets(random, 20'000)));
    EXPECT_TRUE((*writer)->wants_pause());
    (*writer)->when_ready([&written] { written.set_value(); });
  }
  written.get_future().wait();
  EXPECT_FALSE((*writer)->wants_pause());
  EXPECT_TRUE(commit_and_wait(**writer, "e"));
}

TEST_F(SpoolTest, NothingIsAcknowledgedBeforeItIsOnTheDisk) {
  auto spool = open();
  auto writer = spool->begin();
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->append("body"));
  std::atomic<bool> acknowledged = false;
  std::promise<void> promise;
  {
    const auto held = disk->hold_writes();
    (*writer)->commit("e", [&](smtp::Result<void>) {
      acknowledged = true;
      promise.set_value();
    });
    EXPECT_FALSE(acknowledged);
  }
  promise.get_future().wait();
}

TEST_F(SpoolTest, ManyCommitsShareASync) {
  auto spool = open();
  constexpr int count = 200;
  const std::uint64_t before = spool->status().commits;
  std::latch left(count);
  std::vector<std::unique_ptr<MessageWriter>> writers;
  {
    const auto held = disk->hold_writes();
    for (int i = 0; i < count; ++i) {
      writers.push_back(*spool->begin());
      ASSERT_TRUE(writers.back()->append("body"));
      writers.back()->commit("e", [&left](smtp::Result<void> result) {
        EXPECT_TRUE(result);
        left.count_down();
      });
    }
  }
  left.wait();
  EXPECT_EQ(spool->status().committed, static_cast<std::uint64_t>(count));
  // One for the commit that was taken before the disk was held, one for the rest, and one for each segment that filled.
  EXPECT_LE(spool->status().commits - before, 6U);
}

TEST_F(SpoolTest, ACallbackMayUseTheSpool) {
  auto spool = open();
  auto writer = spool->begin();
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->append("body"));
  const QueueId id = (*writer)->id();
  std::promise<std::string> body;
  (*writer)->commit("e", [&](smtp::Result<void>) {
    body.set_value(read_all(*spool, id).value_or("unreadable"));
    spool->update(id, "seen");
    spool->remove(id);
  });
  EXPECT_EQ(body.get_future().get(), "body");
}

TEST_F(SpoolTest, AfterCloseEverythingFailsWithStopping) {
  auto spool = open();
  const QueueId id = store(*spool, "a", "e");
  auto writer = spool->begin();
  auto reader = spool->read_body(id);
  ASSERT_TRUE(writer && reader);
  spool->close();
  EXPECT_EQ(spool->begin().error().code, ErrorCode::stopping);
  EXPECT_EQ(commit_and_wait(**writer, "e").error().code, ErrorCode::stopping);
  EXPECT_EQ(update_and_wait(*spool, id, "x").error().code, ErrorCode::stopping);
  bool ready = false;
  (*writer)->when_ready([&ready] { ready = true; });
  EXPECT_TRUE(ready);
  spool.reset();
  // Writer and reader may outlive the spool.
  EXPECT_EQ((*writer)->append(std::string(10'000, 'x')).error().code, ErrorCode::stopping);
  std::string buffer(10, '\0');
  EXPECT_EQ((*reader)->read(0, buffer), std::size_t{1});
}

TEST_F(SpoolTest, ASecondProcessIsRefused) {
  auto spool = open();
  Recovery other;
  const auto second = Spool::open(small_options(), other, disk);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::not_permitted);
  EXPECT_EQ(second.error().detail, "spool /spool: /spool/lock is locked by another process");
}

TEST_F(SpoolTest, AReadOnlyDiskIsRefused) {
  disk->set_read_only();
  Recovery report;
  const auto opened = Spool::open(small_options(), report, disk);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::not_permitted);
  EXPECT_EQ(opened.error().detail, "spool /spool: /spool/lock: read-only file system");
}

TEST_F(SpoolTest, AFolderWithOtherFilesOnlyIsNotTaken) {
  disk->put_file("/spool/passwd", "root");
  Recovery report;
  const auto opened = Spool::open(small_options(), report, disk);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().detail, "spool /spool: /spool holds other files and no spool");
  EXPECT_TRUE(disk->files("lock").empty());
}

TEST_F(SpoolTest, WritesWaitOutADiskThatFailsForAWhile) {
  auto spool = open();
  const std::string body = make_octets(random, 3'000);
  const QueueId before = store(*spool, body, "before");
  const QueueId removed = store(*spool, body, "removed");
  // What makes spare segments is done, or the second call would be one of its.
  for (auto calls = disk->calls() + 1; calls != disk->calls();) {
    calls = disk->calls();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  disk->fail_at(2, Fault::io_error); // the sync of the next commit
  auto writer = spool->begin();
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->append(body));
  const auto failed = commit_and_wait(**writer, "failed");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::io);
  EXPECT_EQ(failed.error().detail, "spool cannot write: input/output error");
  spool->update(before, "while it was unhealthy");
  spool->remove(removed);
  wait_until([&] { return spool->status().healthy; });
  const QueueId after = store(*spool, body, "after");
  spool.reset();
  spool = open();
  ASSERT_EQ(recovery.messages.size(), 2U);
  EXPECT_EQ(recovery.messages[0].id, before);
  EXPECT_EQ(recovery.messages[0].update, "while it was unhealthy");
  EXPECT_EQ(recovery.messages[1].id, after);
  EXPECT_EQ(recovery.damage, std::vector<std::string>{});
}

TEST_F(SpoolTest, AFullDiskStopsAcceptanceAndLosesNothing) {
  auto spool = open();
  disk->set_full(true);
  std::vector<QueueId> stored;
  bool refused = false;
  for (int i = 0; i < 50 && !refused; ++i) {
    auto writer = spool->begin();
    if (!writer) break;
    ASSERT_TRUE((*writer)->append(make_octets(random, 3'000)));
    const auto result = commit_and_wait(**writer, "e");
    if (result) {
      stored.push_back((*writer)->id());
    } else {
      EXPECT_EQ(result.error().code, ErrorCode::full) << result.error().detail;
      refused = true;
    }
  }
  EXPECT_TRUE(refused);
  EXPECT_FALSE(spool->begin());
  EXPECT_FALSE(spool->status().healthy);
  EXPECT_EQ(spool->status().problem, "spool cannot write: no space left on device");
  disk->set_full(false);
  wait_until([&] { return spool->status().healthy; });
  stored.push_back(store(*spool, "after", "e"));
  spool.reset();
  spool = open();
  ASSERT_EQ(recovery.messages.size(), stored.size());
  EXPECT_EQ(recovery.messages.back().id, stored.back());
}

TEST_F(SpoolTest, OurOwnNoticesPassOverTheLimitsForStrangers) {
  SpoolOptions options = small_options();
  options.max_messages = 3;
  options.min_free = 1'000'000;
  auto spool = open(options);
  const auto store_own = [&] {
    auto writer = spool->begin(Admission::own);
    return writer && (*writer)->append("notice") && commit_and_wait(**writer, "e");
  };
  for (int i = 0; i < 3; ++i) static_cast<void>(store(*spool, "body", "e"));
  EXPECT_EQ(spool->status().state, StorageState::queue_full);
  EXPECT_TRUE(spool->status().healthy);
  EXPECT_EQ(spool->begin().error().code, ErrorCode::full);
  for (int i = 0; i < 1'000; ++i) ASSERT_TRUE(store_own()) << i;
  EXPECT_EQ(spool->begin(Admission::own).error().detail, "spool holds 1003 messages, limit is 1003");
  options.max_messages = 1'000'000;
  spool.reset();
  spool = open(options);
  disk->set_free_space(999'999);
  std::this_thread::sleep_for(std::chrono::milliseconds(150)); // what is known of it is at most 100 ms old
  EXPECT_EQ(spool->begin().error().code, ErrorCode::full);
  EXPECT_EQ(spool->status().state, StorageState::disk_full);
  EXPECT_EQ(spool->status().problem, "disk has 999999 octets free, limit is 1000000");
  EXPECT_TRUE(store_own());
}

TEST_F(SpoolTest, AFullDiskAtTheStartIsMetWithTheReserve) {
  SpoolOptions options = small_options();
  options.reserve_size = 32'768; // each sync takes a block of it, and half must hold several
  options.min_free = 1;
  auto spool = open(options);
  wait_until([&] { return !disk->files("reserve").empty(); });
  std::vector<QueueId> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(store(*spool, "body", "e"));
  spool.reset();
  disk = disk->reboot();
  disk->set_out_of_blocks(true);
  disk->set_free_space(0);
  spool = open(options);
  ASSERT_TRUE(spool);
  ASSERT_EQ(recovery.messages.size(), 5U);
  EXPECT_TRUE(spool->status().healthy);
  EXPECT_TRUE(spool->status().on_reserve);
  EXPECT_EQ(spool->status().state, StorageState::disk_full);
  EXPECT_EQ(spool->begin().error().code, ErrorCode::full);
  EXPECT_EQ(read_all(*spool, ids[0]).value_or("unreadable"), "body");
  auto notice = spool->begin(Admission::own);
  ASSERT_TRUE(notice);
  ASSERT_TRUE((*notice)->append("notice"));
  EXPECT_TRUE(commit_and_wait(**notice, "n"));
  // One stays, or their segment could be free at any moment and be the head in place of the reserve.
  for (std::size_t i = 1; i < ids.size(); ++i) spool->remove(ids[i]);
  // The second half of the reserve is for removals alone.
  bool refused = false;
  for (int i = 0; i < 20 && !refused; ++i) {
    auto more = spool->begin(Admission::own);
    refused = !more;
    if (more) {
      ASSERT_TRUE((*more)->append(make_octets(random, 2'000)));
      refused = !commit_and_wait(**more, "n");
    }
  }
  EXPECT_TRUE(refused);
  EXPECT_TRUE(spool->status().healthy);
  const std::size_t notices = static_cast<std::size_t>(spool->status().messages);
  notice->reset();
  spool.reset();
  disk = disk->reboot();
  spool = open(options);
  EXPECT_EQ(recovery.messages.size(), notices) << "the removals were kept";
  wait_until([&] { return !disk->files("reserve").empty(); }); // and with room there is a reserve again
}

TEST_F(SpoolTest, AFullDiskWithoutAReserveOpensAndCatchesUp) {
  auto spool = open();
  std::vector<QueueId> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(store(*spool, "body", "e"));
  spool.reset();
  for (const std::string &name : disk->files("spare"))
    ASSERT_TRUE(disk->remove(name.starts_with("/") ? name : "/spool/" + name));
  disk = disk->reboot();
  disk->set_out_of_blocks(true);
  spool = open();
  ASSERT_TRUE(spool);
  ASSERT_EQ(recovery.messages.size(), 5U);
  EXPECT_FALSE(spool->status().healthy);
  EXPECT_EQ(spool->status().state, StorageState::disk_full);
  EXPECT_EQ(spool->begin().error().code, ErrorCode::full);
  EXPECT_EQ(spool->begin(Admission::own).error().code, ErrorCode::full);
  EXPECT_EQ(read_all(*spool, ids[4]).value_or("unreadable"), "body");
  for (const QueueId id : ids) spool->remove(id);
  disk->set_out_of_blocks(false);
  wait_until([&] { return spool->status().healthy; });
  spool.reset();
  spool = open();
  EXPECT_TRUE(recovery.messages.empty());
}

} // namespace spool_test
} // namespace mta::spool::test
