// DayTally: rows that occur once go beside those that are counted, under the same limits, and a full disk loses
// neither.
#include "mta/tally/day_tally.hpp"

#include <filesystem>
#include <map>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/dmarc_rows.hpp"
#include "tests/support/memory_log.hpp"
#include "tests/support/temp_folder.hpp"

namespace day_tally_test {

using namespace mta;
using namespace std::chrono_literals;
using support::day;

const auto noon = std::chrono::system_clock::time_point(day("2026-11-21")) + 12h;

class DayTallyTest : public testing::Test {
protected:
  std::unique_ptr<DayTally> open() {
    options_.folder = folder_.file("tally");
    options_.prefix = "rows-";
    options_.event = "rows";
    options_.flush_interval = 1h;
    auto tally = DayTally::open(options_, log_);
    EXPECT_TRUE(tally) << tally.error().detail;
    return std::move(tally.value());
  }
  /// How often each row is in the file of the day; a record is one occurrence of what it counts.
  std::map<std::string, std::vector<std::uint64_t>> read(const DayTally &tally, const char *date = "2026-11-21") {
    std::map<std::string, std::vector<std::uint64_t>> rows;
    const auto damaged = tally.files().scan(
        day(date), [&](const TallyRecord &record) { rows[std::string(record.row)].push_back(record.count); });
    EXPECT_TRUE(damaged);
    EXPECT_EQ(damaged.value_or(0), 0U);
    return rows;
  }

  ::test::TempFolder folder_;
  DayTallyOptions options_;
  support::MemoryLog log_;
};

using Rows = std::map<std::string, std::vector<std::uint64_t>>;

TEST_F(DayTallyTest, a_unique_row_is_a_record_of_its_own) {
  auto tally = open();
  tally->add_unique("once", noon);
  tally->add("counted", noon);
  tally->add_unique("once", noon);
  tally->add("counted", noon);
  tally->add_unique("tomorrow", noon + 24h);
  EXPECT_EQ(tally->status().counted, 5U);
  ASSERT_TRUE(tally->flush());
  EXPECT_EQ(read(*tally), (Rows{{"once", {1, 1}}, {"counted", {2}}}));
  EXPECT_EQ(read(*tally, "2026-11-22"), (Rows{{"tomorrow", {1}}}));
  EXPECT_EQ(tally->status().pending, 0U);
}

TEST_F(DayTallyTest, a_full_day_drops_whole_unique_rows) {
  options_.day_limit = 1000;
  auto tally = open();
  const std::string row(100, 'x');
  for (int i = 0; i < 5; ++i) tally->add_unique(row, noon);
  ASSERT_TRUE(tally->flush());
  for (int i = 0; i < 5; ++i) tally->add_unique(row, noon);
  ASSERT_TRUE(tally->flush());
  // A record has 32 octets besides its row: seven of them have room.
  EXPECT_EQ(read(*tally)[row].size(), 7U);
  EXPECT_EQ(std::filesystem::file_size(tally->files().rows_file(day("2026-11-21"))), 7U * 132U);
  EXPECT_EQ(tally->status().dropped, 3U);
  EXPECT_EQ(log_.count({"event=rows", "limit=day_limit", "octets=1000"}), 1U);
}

TEST_F(DayTallyTest, a_row_over_the_limit_is_dropped) {
  auto tally = open();
  tally->add_unique(std::string(longest_tally_row, 'x'), noon);
  tally->add_unique(std::string(longest_tally_row + 1, 'x'), noon);
  EXPECT_EQ(tally->status().counted, 1U);
  EXPECT_EQ(tally->status().dropped, 1U);
  EXPECT_EQ(log_.count({"limit=row_limit", fmt::format("octets={}", longest_tally_row)}), 1U);
}

TEST_F(DayTallyTest, a_full_disk_keeps_unique_rows_within_the_limit_of_memory) {
  options_.memory_limit = 10'000;
  options_.folder = folder_.file("tally");
  std::filesystem::create_directory(options_.folder);
  auto tally = open();
  const std::string file = tally->files().rows_file(day("2026-11-21"));
  std::filesystem::create_symlink("/dev/full", file);
  tally->add_unique("first", noon);
  tally->add("counted", noon);
  const auto before = tally->status();
  for (int i = 0; i < 3; ++i) ASSERT_FALSE(tally->flush());
  EXPECT_EQ(tally->status().pending, before.pending);
  // What came while the disk was full stands behind what was given back, up to the limit.
  tally->add_unique("second", noon);
  ASSERT_FALSE(tally->flush());
  tally->add_unique(std::string(9900, 'x'), noon);
  EXPECT_EQ(tally->status().dropped, 1U);
  std::filesystem::remove(file);
  ASSERT_TRUE(tally->flush());
  EXPECT_EQ(read(*tally), (Rows{{"first", {1}}, {"second", {1}}, {"counted", {1}}}));
  EXPECT_EQ(tally->status().pending, 0U);
}

} // namespace day_tally_test
