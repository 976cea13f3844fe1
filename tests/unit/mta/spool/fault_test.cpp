// Fault injection: call number 1, 2, 3, … of a scripted workload fails, the process dies there, or the power goes.
#include "workload.hpp"

namespace mta::spool::test {
namespace fault_test {

constexpr int steps = 45;

/// Runs the workload with a fault at call `at`. False when the workload made fewer calls.
bool run_with_fault(Fault fault, std::uint64_t at) {
  SCOPED_TRACE("fault at call " + std::to_string(at));
  auto disk = std::make_shared<SimulatedDisk>(at);
  Workload workload(5);
  disk->fail_at(at, fault);
  bool clean = false;
  {
    Recovery recovery;
    auto spool = Spool::open(small_options(), recovery, disk);
    if (spool) {
      workload.run(**spool, *disk, steps);
      clean = (*spool)->status().healthy;
      (*spool)->close();
      clean = clean && (*spool)->status().healthy && !disk->is_off();
    }
  }
  const bool reached = disk->calls() >= at;
  // Twice: what the first recovery did must not confuse the second.
  for (int round = 0; round < 2; ++round) {
    disk = disk->reboot();
    Recovery recovery;
    auto spool = Spool::open(small_options(), recovery, disk);
    EXPECT_TRUE(spool) << spool.error().detail;
    if (!spool) return false;
    workload.check(**spool, recovery, clean);
    workload.adopt(recovery);
    workload.run(**spool, *disk, 10);
    if (round == 0) disk->cut_power();
    clean = false;
  }
  return reached;
}

void sweep(Fault fault) {
  for (std::uint64_t at = 1; run_with_fault(fault, at); ++at)
    if (testing::Test::HasFailure()) return;
  EXPECT_FALSE(testing::Test::HasFailure());
}

TEST(SpoolFault, NothingAcknowledgedIsLostWhenACallFails) {
  sweep(Fault::io_error);
}
TEST(SpoolFault, NothingAcknowledgedIsLostWhenTheDiskIsFullForACall) {
  sweep(Fault::no_space);
}
TEST(SpoolFault, NothingAcknowledgedIsLostWhenAWriteIsShort) {
  sweep(Fault::short_write);
}
TEST(SpoolFault, NothingAcknowledgedIsLostWhenTheProcessIsKilled) {
  sweep(Fault::kill);
}
TEST(SpoolFault, NothingAcknowledgedIsLostWhenThePowerGoes) {
  sweep(Fault::power_loss);
}

TEST(SpoolFault, ARecoveryThatDiesIsDoneAgain) {
  for (std::uint64_t at = 1;; ++at) {
    SCOPED_TRACE("fault at call " + std::to_string(at) + " of the recovery");
    auto disk = std::make_shared<SimulatedDisk>(at);
    Workload workload(9);
    {
      Recovery recovery;
      auto spool = Spool::open(small_options(), recovery, disk);
      ASSERT_TRUE(spool);
      workload.run(**spool, *disk, steps);
      disk->cut_power();
    }
    disk = disk->reboot();
    disk->fail_at(at, Fault::power_loss);
    {
      Recovery recovery;
      const auto spool = Spool::open(small_options(), recovery, disk);
      if (spool && !disk->is_off()) break; // every call of it has failed once
    }
    disk = disk->reboot();
    Recovery recovery;
    auto spool = Spool::open(small_options(), recovery, disk);
    ASSERT_TRUE(spool) << spool.error().detail;
    workload.check(**spool, recovery, false);
    if (HasFailure()) return;
  }
}

TEST(SpoolFault, ManyFailuresInARowAndThenPowerLossLoseNothing) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    auto disk = std::make_shared<SimulatedDisk>(seed);
    Workload workload(seed);
    {
      Recovery recovery;
      auto spool = Spool::open(small_options(), recovery, disk);
      ASSERT_TRUE(spool);
      for (std::uint64_t round = 0; round < 12; ++round) {
        disk->fail_at(1 + (seed * 7 + round * 5) % 23, Fault::io_error);
        workload.run(**spool, *disk, 12);
      }
      disk->cut_power();
    }
    disk = disk->reboot();
    Recovery recovery;
    auto spool = Spool::open(small_options(), recovery, disk);
    ASSERT_TRUE(spool) << spool.error().detail;
    workload.check(**spool, recovery, false);
    if (HasFailure()) return;
  }
}

/// Removes most of what is stored while call `at` fails, in the log or in the move that follows. Then a message is
/// acknowledged, the power goes, and what was removed before it must not be back.
void remove_with_failure(std::uint64_t at) {
  SCOPED_TRACE("failure at call " + std::to_string(at));
  auto disk = std::make_shared<SimulatedDisk>(at);
  std::mt19937_64 random(at);
  std::set<std::uint64_t> kept;
  {
    Recovery recovery;
    auto spool = Spool::open(small_options(), recovery, disk);
    ASSERT_TRUE(spool);
    auto arriving = (*spool)->begin(); // its segment cannot be moved, so what was removed in it stays on disk
    ASSERT_TRUE(arriving && (*arriving)->append(make_octets(random, 5'000)));
    std::vector<QueueId> ids;
    for (int i = 0; i < 60; ++i) ids.push_back(store(**spool, make_octets(random, 3'000), "envelope"));
    disk->fail_at(at, Fault::io_error);
    // One in five stays: no segment is dead, and each is worth moving.
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (i % 5 == 0)
        kept.insert(ids[i].value);
      else
        (*spool)->remove(ids[i]);
    }
    for (std::uint64_t seen = 0; seen != disk->calls(); std::this_thread::sleep_for(std::chrono::milliseconds(15)))
      seen = disk->calls();
    wait_until([&] { return (*spool)->status().healthy; });
    disk->fail_at(1, Fault::none);
    kept.insert(store(**spool, "acknowledged after all of them", "envelope").value);
    disk->cut_power();
  }
  disk = disk->reboot();
  Recovery recovery;
  auto spool = Spool::open(small_options(), recovery, disk);
  ASSERT_TRUE(spool) << spool.error().detail;
  std::set<std::uint64_t> found;
  for (const RecoveredMessage &message : recovery.messages) found.insert(message.id.value);
  EXPECT_EQ(found, kept);
  EXPECT_EQ(recovery.damage, std::vector<std::string>{});
}

TEST(SpoolFault, WhatWasRemovedBeforeAFailureDoesNotComeBack) {
  for (std::uint64_t at = 1; at <= 60; ++at) {
    remove_with_failure(at);
    if (HasFailure()) return;
  }
}

} // namespace fault_test
} // namespace mta::spool::test
