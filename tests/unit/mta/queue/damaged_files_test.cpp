// DamagedFiles: what a recovery lost is kept once, listed, given out, and removed by name; no name leads elsewhere.
#include "mta/queue/damaged_files.hpp"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "mta/base/files.hpp"

namespace damaged_files_test {

using namespace mta;

const WallTime noted_at{std::chrono::hours(500'000)};

class DamagedFilesTest : public testing::Test {
protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "damaged-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void put(const std::string &name, const std::string &octets) {
    std::filesystem::create_directories(folder_ / "damaged");
    std::ofstream(folder_ / "damaged" / name, std::ios::binary) << octets;
  }
  std::filesystem::path folder_;
};

TEST_F(DamagedFilesTest, a_spool_without_damage_has_none) {
  const DamagedFiles files(folder_.string());
  EXPECT_EQ(files.count(), 0U);
  EXPECT_TRUE(files.list().empty());
}

TEST_F(DamagedFilesTest, what_a_recovery_said_is_kept_once_and_outlives_the_process) {
  for (int start = 0; start < 3; ++start) {
    DamagedFiles files(folder_.string());
    ASSERT_TRUE(
        files.note({"message 1: its envelope is lost", "segment 2: damaged"}, noted_at + std::chrono::hours(start)));
    ASSERT_TRUE(files.note({}, noted_at));
    const auto all = files.list();
    ASSERT_EQ(all.size(), 1U) << start;
    EXPECT_EQ(all[0].problem, "a recovery said: message 1: its envelope is lost (and 1 lines more)");
    EXPECT_EQ(files.read(all[0].name, 0, 1'000).value(),
              "2027-01-15T08:00:00Z\nmessage 1: its envelope is lost\nsegment 2: damaged\n");
  }
  DamagedFiles files(folder_.string());
  ASSERT_TRUE(files.note({"another"}, noted_at));
  EXPECT_EQ(files.count(), 2U);
  for (const auto &file : files.list()) EXPECT_TRUE(files.remove(file.name));
  EXPECT_EQ(files.count(), 0U);
}

TEST_F(DamagedFilesTest, what_recovery_set_aside_is_listed_and_given_out_in_parts) {
  put("0000000000A7Q.eml", "Subject: x\r\n\r\nbody");
  put("00000003-64.octets", std::string(3'000, 'o'));
  put("00000004.segment", "");
  put(".hidden", "x");
  put("odd name", "x");
  const DamagedFiles files(folder_.string());
  const auto all = files.list();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].name, "0000000000A7Q.eml");
  EXPECT_NE(all[0].problem.find("envelope is lost"), std::string::npos);
  EXPECT_EQ(all[1].size, 3'000U);
  EXPECT_EQ(files.read("00000003-64.octets", 2'900, 1'000).value(), std::string(100, 'o'));
  EXPECT_EQ(files.read("00000003-64.octets", 3'000, 1'000).value(), "");
}

TEST_F(DamagedFilesTest, no_name_leads_elsewhere) {
  put("00000004.segment", "x");
  std::ofstream(folder_ / "lock") << "secret";
  std::filesystem::create_symlink(folder_ / "lock", folder_ / "damaged" / "link.octets");
  DamagedFiles files(folder_.string());
  for (const char *name : {"", ".", "..", "../lock", "/etc/passwd", "damaged/../lock", "link.octets", "a\nb", "gone"}) {
    SCOPED_TRACE(name);
    EXPECT_FALSE(files.read(name, 0, 10));
    if (std::string_view(name) != "link.octets") {
      EXPECT_FALSE(files.remove(name));
    }
  }
  EXPECT_TRUE(std::filesystem::exists(folder_ / "lock"));
  EXPECT_EQ(files.list().size(), 1U) << "only files";
}

TEST_F(DamagedFilesTest, what_cannot_be_written_is_kept_in_memory) {
  std::ofstream(folder_ / "damaged") << "no folder";
  DamagedFiles files(folder_.string());
  EXPECT_FALSE(files.note({"message 1: lost"}, noted_at));
  const auto all = files.list();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].problem, "a recovery said: message 1: lost");
  EXPECT_TRUE(files.read(all[0].name, 0, 100).value().ends_with("message 1: lost\n"));
  EXPECT_TRUE(files.remove(all[0].name));
  EXPECT_EQ(files.count(), 0U);
}

} // namespace damaged_files_test
