// Files that are replaced as a whole: the old one or the new, limits, links, and errors with path and reason.
#include "mta/base/files.hpp"

#include <filesystem>

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/temp_folder.hpp"

namespace files_test {

using namespace mta;
namespace fs = std::filesystem;
using smtp::ErrorCode;

TEST(Files, AFileIsReplacedAndNothingElseIsLeft) {
  const test::TempFolder folder;
  const std::string path = folder.file("kept");
  for (const std::string text : {"first", "", "third, which is longer"}) {
    ASSERT_TRUE(replace_file(folder.file(".new"), path, text));
    EXPECT_EQ(read_whole_file(path, 100), text);
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 1);
  EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST(Files, AWriteThatFailsLeavesTheOldFile) {
  const test::TempFolder folder;
  const std::string path = folder.write("kept", "old");
  fs::create_directory(folder.path() / ".new"); // where the new one would be written
  const auto written = replace_file(folder.file(".new"), path, "new");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().detail, "cannot create " + folder.file(".new") + ": Is a directory");
  EXPECT_EQ(read_whole_file(path, 100), "old");

  fs::create_directory(folder.path() / "folder");
  const auto renamed = replace_file(folder.file("fresh"), folder.file("folder"), "new");
  ASSERT_FALSE(renamed);
  EXPECT_EQ(renamed.error().code, ErrorCode::io);
  EXPECT_FALSE(fs::exists(folder.file("fresh"))) << "what could not be used is gone";
}

TEST(Files, AFullDiskIsToldFromOtherFaults) {
  EXPECT_EQ(file_failure("write", "/a", ENOSPC).value().code, ErrorCode::full);
  EXPECT_EQ(file_failure("write", "/a", EDQUOT).value().code, ErrorCode::full);
  EXPECT_EQ(file_failure("write", "/a", EROFS).value().code, ErrorCode::not_permitted);
  EXPECT_EQ(file_failure("write", "/a", EIO).value().code, ErrorCode::io);
  EXPECT_EQ(file_failure("open", "/a", ENOENT).value().detail, "cannot open /a: No such file or directory");
}

TEST(Files, ReadingHasALimitAndFollowsNoLink) {
  const test::TempFolder folder;
  const std::string path = folder.write("kept", std::string(200'000, 'a'));
  EXPECT_EQ(read_whole_file(path, 200'000).value().size(), 200'000U);
  const auto over = read_whole_file(path, 199'999);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, ErrorCode::too_long);
  EXPECT_EQ(over.error().detail, path + " is over 199999 octets, the limit");
  fs::create_symlink(path, folder.file("link"));
  EXPECT_FALSE(read_whole_file(folder.file("link"), 200'000));
  EXPECT_EQ(read_whole_file(folder.file("absent"), 1).error().code, ErrorCode::not_found);
}

TEST(Files, FoldersAreMadeOnceAndRemovalIsNoErrorWhenThereIsNothing) {
  const test::TempFolder folder;
  const std::string path = folder.file("inner");
  EXPECT_TRUE(make_folder(path));
  EXPECT_TRUE(make_folder(path));
  EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_all);
  EXPECT_EQ(make_folder(folder.file("absent/inner")).error().code, ErrorCode::not_found);
  const auto taken = make_folder(folder.write("file", ""));
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().detail, "cannot make " + folder.file("file") + ": Not a directory");
  EXPECT_TRUE(remove_file(folder.file("file")));
  EXPECT_TRUE(remove_file(folder.file("file")));
  EXPECT_EQ(sync_folder(folder.file("absent")).error().code, ErrorCode::not_found);
}

} // namespace files_test
