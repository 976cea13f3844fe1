// DmarcTally: what is counted comes on disk, also from many threads, across days and restarts; limits and a full disk
// cost rows, never the caller's time.
#include "mta/tally/dmarc_tally.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/dmarc_rows.hpp"
#include "tests/support/memory_log.hpp"

namespace dmarc_tally_test {

using namespace mta;
using namespace std::chrono_literals;
using support::a_row;
using support::day;

const auto noon = std::chrono::system_clock::time_point(day("2026-11-21")) + 12h;

/// The flushing thread writes, too.
class LockedLog : public support::MemoryLog {
public:
  void write(const Event &event) override {
    const std::scoped_lock lock(mutex_);
    MemoryLog::write(event);
    changed_.notify_all();
  }
  std::size_t count_locked(const std::vector<std::string> &parts) {
    const std::scoped_lock lock(mutex_);
    return count(parts);
  }
  /// Blocks until a line holds all parts.
  void wait_for(const std::vector<std::string> &parts) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return count(parts) > 0; });
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
};

class DmarcTallyTest : public testing::Test {
protected:
  /// The tally's own flushes are an hour apart unless a test says otherwise.
  std::unique_ptr<DmarcTally> open(std::chrono::milliseconds interval = 1h) {
    options_.folder = folder_.file("tally");
    options_.flush_interval = interval;
    auto tally = DmarcTally::open(options_, log_);
    EXPECT_TRUE(tally) << tally.error().detail;
    return std::move(tally.value());
  }
  static DmarcRow row_from(const std::string &domain) {
    DmarcRow row = a_row();
    row.header_from = domain;
    return row;
  }
  DmarcDay read(const char *date) { return DmarcDays(options_.folder).read(day(date)).value(); }

  test::TempFolder folder_;
  DmarcTallyOptions options_;
  LockedLog log_;
};

TEST_F(DmarcTallyTest, equal_rows_are_one_record_with_a_count) {
  auto tally = open();
  for (int i = 0; i < 1000; ++i) tally->add(a_row(), noon + std::chrono::seconds(i));
  tally->add(row_from("other.example"), noon);
  ASSERT_TRUE(tally->flush());
  const DmarcDay found = read("2026-11-21");
  ASSERT_EQ(found.rows.size(), 2U);
  EXPECT_EQ(found.total, 1001U);
  EXPECT_LT(std::filesystem::file_size(tally->days().rows_file(day("2026-11-21"))), 1000U);
  for (const CountedRow &counted : found.rows)
    EXPECT_EQ(counted.last, std::chrono::floor<std::chrono::seconds>(noon) + (counted.count == 1 ? 0s : 999s));
  EXPECT_EQ(tally->status().counted, 1001U);
  EXPECT_EQ(tally->status().pending, 0U);
}

TEST_F(DmarcTallyTest, rows_are_written_by_themselves_after_the_interval) {
  auto tally = open(1ms);
  tally->add(a_row(), noon);
  while (read("2026-11-21").total == 0) std::this_thread::yield();
  tally->add(a_row(), noon);
  while (read("2026-11-21").total == 1) std::this_thread::yield();
  EXPECT_EQ(read("2026-11-21").total, 2U);
}

TEST_F(DmarcTallyTest, the_end_writes_out_what_is_pending) {
  open()->add(a_row(), noon);
  EXPECT_EQ(read("2026-11-21").total, 1U);
}

TEST_F(DmarcTallyTest, a_restart_goes_on_counting) {
  open()->add(a_row(), noon);
  open()->add(a_row(), noon);
  const DmarcDay found = read("2026-11-21");
  EXPECT_EQ(found.rows.size(), 1U);
  EXPECT_EQ(found.total, 2U);
}

TEST_F(DmarcTallyTest, a_restart_after_a_torn_write_goes_on_counting) {
  open()->add(a_row(), noon);
  const std::string file = DmarcDays(options_.folder).rows_file(day("2026-11-21"));
  const std::string whole = support::read_all(file);
  support::write_all(file, whole + whole.substr(0, whole.size() / 2));
  open()->add(a_row(), noon);
  const DmarcDay found = read("2026-11-21");
  EXPECT_EQ(found.total, 2U);
  EXPECT_EQ(found.damaged, 1U);
}

TEST_F(DmarcTallyTest, midnight_in_utc_parts_the_days) {
  auto tally = open();
  const auto midnight = std::chrono::system_clock::time_point(day("2026-11-22"));
  tally->add(row_from("late.example"), midnight - 1ns);
  tally->add(row_from("early.example"), midnight);
  tally->add(row_from("late.example"), midnight - 1s);
  ASSERT_TRUE(tally->flush());
  ASSERT_EQ(read("2026-11-21").rows.size(), 1U);
  EXPECT_EQ(read("2026-11-21").rows[0].count, 2U);
  ASSERT_EQ(read("2026-11-22").rows.size(), 1U);
  EXPECT_EQ(read("2026-11-22").rows[0].row.header_from, "early.example");
}

TEST_F(DmarcTallyTest, nothing_counted_writes_nothing) {
  auto tally = open();
  ASSERT_TRUE(tally->flush());
  EXPECT_TRUE(tally->days().list().value().empty());
}

TEST_F(DmarcTallyTest, a_full_day_drops_rows_counts_them_and_says_so_once) {
  options_.day_limit = 1000;
  auto tally = open();
  for (int i = 0; i < 50; ++i) {
    tally->add(row_from("d" + std::to_string(i) + ".example"), noon);
    ASSERT_TRUE(tally->flush());
  }
  EXPECT_LE(std::filesystem::file_size(tally->days().rows_file(day("2026-11-21"))), 1000U);
  const auto written = read("2026-11-21").total;
  EXPECT_GT(written, 0U);
  EXPECT_EQ(tally->status().dropped, 50 - written);
  EXPECT_EQ(log_.count_locked({"event=dmarc_tally", "limit=day_limit", "octets=1000", "day=2026-11-21"}), 1U);
  tally->add(a_row(), noon + 24h);
  ASSERT_TRUE(tally->flush());
  EXPECT_EQ(read("2026-11-22").total, 1U) << "the next day has its own room";
}

TEST_F(DmarcTallyTest, a_full_buffer_drops_rows_but_still_counts_known_ones) {
  // Room for some rows only, and a disk that takes none.
  options_.memory_limit = 1500;
  options_.folder = folder_.file("tally");
  std::filesystem::create_directory(options_.folder);
  std::filesystem::create_symlink("/dev/full", DmarcDays(options_.folder).rows_file(day("2026-11-21")));
  auto tally = open();
  for (int i = 0; i < 50; ++i) tally->add(row_from("d" + std::to_string(i) + ".example"), noon);
  // A buffer half full is written out at once. That fails, and the rows are known again.
  log_.wait_for({"No space left"});
  const auto status = tally->status();
  EXPECT_GT(status.counted, 0U);
  EXPECT_LE(status.pending, 1500U);
  EXPECT_EQ(status.dropped, 50 - status.counted);
  tally->add(row_from("d0.example"), noon);
  EXPECT_EQ(tally->status().counted, status.counted + 1);
  EXPECT_EQ(log_.count_locked({"limit=memory_limit"}), 1U);
}

TEST_F(DmarcTallyTest, a_full_disk_keeps_the_rows_until_it_has_room) {
  options_.folder = folder_.file("tally");
  std::filesystem::create_directory(options_.folder);
  const std::string file = DmarcDays(options_.folder).rows_file(day("2026-11-21"));
  std::filesystem::create_symlink("/dev/full", file);
  auto tally = open();
  tally->add(a_row(), noon);
  tally->add(row_from("other.example"), noon);
  const auto before = tally->status();
  for (int i = 0; i < 3; ++i) {
    const auto flushed = tally->flush();
    ASSERT_FALSE(flushed);
    EXPECT_EQ(flushed.error().code, smtp::ErrorCode::full);
  }
  EXPECT_EQ(tally->status().pending, before.pending);
  EXPECT_EQ(log_.count_locked({"event=dmarc_tally", "No space left"}), 1U) << "said once";
  tally->add(a_row(), noon);
  std::filesystem::remove(file);
  ASSERT_TRUE(tally->flush());
  EXPECT_EQ(read("2026-11-21").total, 3U);
  EXPECT_EQ(tally->status().pending, 0U);
  EXPECT_EQ(tally->status().dropped, 0U);
  EXPECT_EQ(log_.count_locked({"can be written again"}), 1U);
}

TEST_F(DmarcTallyTest, the_background_thread_tries_a_full_disk_again) {
  options_.folder = folder_.file("tally");
  std::filesystem::create_directory(options_.folder);
  const std::string file = DmarcDays(options_.folder).rows_file(day("2026-11-21"));
  std::filesystem::create_symlink("/dev/full", file);
  auto tally = open(1ms);
  tally->add(a_row(), noon);
  log_.wait_for({"No space left"});
  std::filesystem::remove(file);
  log_.wait_for({"can be written again"});
  EXPECT_EQ(read("2026-11-21").total, 1U);
}

TEST_F(DmarcTallyTest, many_threads_lose_no_message) {
  auto tally = open(1ms);
  constexpr int threads = 4;
  constexpr int messages = 2000;
  {
    std::vector<std::jthread> running;
    for (int t = 0; t < threads; ++t)
      running.emplace_back([&tally] {
        for (int i = 0; i < messages; ++i) tally->add(row_from("d" + std::to_string(i % 37) + ".example"), noon);
      });
  }
  tally.reset();
  const DmarcDay found = read("2026-11-21");
  EXPECT_EQ(found.rows.size(), 37U);
  EXPECT_EQ(found.total, static_cast<std::uint64_t>(threads * messages));
  EXPECT_EQ(found.damaged, 0U);
}

TEST_F(DmarcTallyTest, a_folder_that_cannot_be_is_an_error) {
  options_.folder = folder_.file("file");
  support::write_all(options_.folder, "");
  EXPECT_FALSE(DmarcTally::open(options_, log_));
  options_.folder = folder_.file("absent/tally");
  EXPECT_FALSE(DmarcTally::open(options_, log_));
}

} // namespace dmarc_tally_test
