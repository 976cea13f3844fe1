// The spool against a map, over many random lives: clean ends, kills and power loss, one after the other.
#include "workload.hpp"

namespace mta::spool::test {
namespace model_test {

TEST(SpoolModel, HoldsWhatTheMapHoldsOverManyLives) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    auto disk = std::make_shared<SimulatedDisk>(seed);
    Workload workload(seed);
    std::mt19937_64 random(seed);
    bool clean = true;
    for (int life = 0; life < 8; ++life) {
      SCOPED_TRACE("life " + std::to_string(life));
      Recovery recovery;
      auto spool = Spool::open(small_options(), recovery, disk);
      ASSERT_TRUE(spool) << spool.error().detail;
      workload.check(**spool, recovery, clean);
      if (HasFailure()) return;
      workload.adopt(recovery);
      const auto end = random() % 3;
      if (end != 0) disk->fail_at(200 + random() % 400, end == 1 ? Fault::kill : Fault::power_loss);
      workload.run(**spool, *disk, 100);
      (*spool)->close();
      clean = !disk->is_off();
      disk = disk->reboot();
    }
  }
}

TEST(SpoolModel, AnEmptiedSpoolStaysEmptyAndSmall) {
  auto disk = std::make_shared<SimulatedDisk>(3);
  Workload workload(3);
  Recovery recovery;
  auto spool = Spool::open(small_options(), recovery, disk);
  ASSERT_TRUE(spool);
  workload.run(**spool, *disk, 400);
  workload.remove_all(**spool);
  spool->reset();
  recovery = {};
  spool = Spool::open(small_options(), recovery, disk);
  ASSERT_TRUE(spool);
  EXPECT_TRUE(recovery.messages.empty());
  // Head, perhaps one made ready, and spares.
  wait_until([&] { return (*spool)->status().segments <= 2; });
  EXPECT_EQ((*spool)->status().octets, 0U);
}

} // namespace model_test
} // namespace mta::spool::test
