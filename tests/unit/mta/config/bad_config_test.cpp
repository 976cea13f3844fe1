// Every folder of tests/system/bad-config: the configuration is refused with exactly the findings of its file `expect`.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "config_fakes.hpp"
#include "mta/config/load.hpp"
#include "source_dir.hpp"

namespace bad_config_test {

const std::filesystem::path root = std::filesystem::path(source_dir) / "tests/system/bad-config";

std::string read(const std::filesystem::path &path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::vector<std::filesystem::path> folders() {
  std::vector<std::filesystem::path> result;
  for (const auto &entry : std::filesystem::directory_iterator(root))
    if (std::filesystem::exists(entry.path() / "portcullis.toml")) result.push_back(entry.path());
  std::sort(result.begin(), result.end());
  return result;
}

TEST(BadConfig, EveryFolderGivesItsFindings) {
  using namespace std::chrono_literals;
  const auto now = std::chrono::sys_days(2027y / 1 / 15) + 12h;
  std::size_t count = 0;
  for (const auto &folder : folders()) {
    SCOPED_TRACE(folder.filename().string());
    const auto loaded = mta::load_config((folder / "portcullis.toml").string(), now);
    EXPECT_EQ(loaded.config, nullptr);
    EXPECT_EQ(mta::config_fakes::text_of(loaded.findings), read(folder / "expect"));
    ++count;
  }
  EXPECT_GE(count, 30U);
}

TEST(BadConfig, AFileThatIsNotThere) {
  const auto loaded = mta::load_config("/nonexistent/portcullis.toml", {});
  EXPECT_EQ(loaded.config, nullptr);
  EXPECT_EQ(mta::config_fakes::text_of(loaded.findings), "/nonexistent/portcullis.toml: no such file\n");
}

TEST(BadConfig, AFolderInPlaceOfTheFile) {
  const auto loaded = mta::load_config(root.string(), {});
  EXPECT_EQ(loaded.config, nullptr);
  EXPECT_EQ(mta::config_fakes::text_of(loaded.findings), root.string() + ": not a regular file\n");
}

} // namespace bad_config_test
