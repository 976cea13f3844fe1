// Many threads at once on real files: writers, readers, removals, status, and a close in the middle of it.
#include <atomic>
#include <thread>

#include "tests/support/temp_folder.hpp"
#include "workload.hpp"

namespace mta::spool::test {
namespace concurrency_test {

/// A folder of its own on the real disk.
class RealFolder {
public:
  [[nodiscard]] SpoolOptions options() const {
    SpoolOptions options = small_options();
    options.path = folder_.file("spool");
    options.segment_size = 262'144;
    options.part_size = 16'384;
    return options;
  }

private:
  ::test::TempFolder folder_;
};

std::string body_of(std::uint64_t id, std::size_t size) {
  std::mt19937_64 random(id);
  return make_octets(random, size);
}

TEST(SpoolConcurrency, WritersReadersAndRemovalsDoNotDisturbEachOther) {
  const RealFolder files;
  std::mutex mutex;
  std::map<std::uint64_t, std::size_t> expected;
  {
    Recovery recovery;
    auto spool = Spool::open(files.options(), recovery);
    ASSERT_TRUE(spool) << spool.error().detail;
    std::vector<std::thread> threads;
    for (std::uint64_t thread = 0; thread < 6; ++thread) {
      threads.emplace_back([&, thread] {
        std::mt19937_64 random(thread);
        for (int i = 0; i < 60; ++i) {
          auto writer = (*spool)->begin();
          ASSERT_TRUE(writer);
          const std::uint64_t id = (*writer)->id().value;
          const std::size_t size = random() % 8 == 0 ? 60'000 : random() % 6'000;
          ASSERT_TRUE((*writer)->append(body_of(id, size)));
          ASSERT_TRUE(commit_and_wait(**writer, "envelope " + std::to_string(size)));
          writer->reset();
          auto reader = (*spool)->read_body({id});
          ASSERT_TRUE(reader);
          if (i % 3 != 0) {
            (*spool)->update({id}, "update");
            (*spool)->remove({id});
          } else {
            const std::scoped_lock lock(mutex);
            expected[id] = size;
          }
          std::string buffer(size + 1, '\0');
          ASSERT_EQ((*reader)->read(0, buffer), size);
          buffer.resize(size);
          EXPECT_TRUE(buffer == body_of(id, size));
        }
      });
    }
    std::atomic<bool> stop = false;
    std::thread watcher([&] {
      while (!stop) {
        const auto status = (*spool)->status();
        EXPECT_TRUE(status.healthy) << status.problem;
        std::this_thread::yield();
      }
    });
    for (auto &thread : threads) thread.join();
    stop = true;
    watcher.join();
    EXPECT_EQ((*spool)->status().committed, 360U);
  }
  Recovery recovery;
  auto spool = Spool::open(files.options(), recovery);
  ASSERT_TRUE(spool);
  EXPECT_EQ(recovery.damage, std::vector<std::string>{});
  EXPECT_EQ(recovery.notes, std::vector<std::string>{});
  ASSERT_EQ(recovery.messages.size(), expected.size());
  for (const RecoveredMessage &message : recovery.messages) {
    EXPECT_EQ(message.envelope, "envelope " + std::to_string(expected.at(message.id.value)));
    const auto body = read_all(**spool, message.id);
    ASSERT_TRUE(body);
    EXPECT_TRUE(*body == body_of(message.id.value, expected.at(message.id.value)));
  }
}

TEST(SpoolConcurrency, ACloseInTheMiddleAnswersEveryCommit) {
  const RealFolder files;
  std::mutex mutex;
  std::set<std::uint64_t> acknowledged;
  {
    Recovery recovery;
    auto spool = Spool::open(files.options(), recovery);
    ASSERT_TRUE(spool);
    std::atomic<int> stored = 0;
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&] {
        while (true) {
          auto writer = (*spool)->begin();
          if (!writer) {
            EXPECT_EQ(writer.error().code, smtp::ErrorCode::stopping);
            return;
          }
          if (!(*writer)->append(std::string(2'000, 'x'))) return;
          const auto result = commit_and_wait(**writer, "e");
          if (!result) {
            EXPECT_EQ(result.error().code, smtp::ErrorCode::stopping);
            return;
          }
          ++stored;
          const std::scoped_lock lock(mutex);
          acknowledged.insert((*writer)->id().value);
        }
      });
    }
    wait_until([&] { return stored >= 100; });
    (*spool)->close();
    for (auto &thread : threads) thread.join();
  }
  Recovery recovery;
  auto spool = Spool::open(files.options(), recovery);
  ASSERT_TRUE(spool);
  std::set<std::uint64_t> found;
  for (const RecoveredMessage &message : recovery.messages) found.insert(message.id.value);
  EXPECT_EQ(found, acknowledged);
}

TEST(SpoolOnRealFiles, KeepsItsFolderToItself) {
  const RealFolder files;
  Recovery recovery;
  auto spool = Spool::open(files.options(), recovery);
  ASSERT_TRUE(spool);
  const auto mode = std::filesystem::status(files.options().path).permissions();
  EXPECT_EQ(mode, std::filesystem::perms::owner_all);
  for (const auto &entry : std::filesystem::directory_iterator(files.options().path))
    EXPECT_EQ(entry.status().permissions(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  Recovery other;
  const auto second = Spool::open(files.options(), other);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, smtp::ErrorCode::not_permitted);
  EXPECT_TRUE(second.error().detail.ends_with("/lock is locked by another process")) << second.error().detail;
  spool->reset();
  EXPECT_TRUE(Spool::open(files.options(), other));
}

TEST(SpoolOnRealFiles, AFileInPlaceOfTheFolderIsRefused) {
  const RealFolder files;
  const std::string path = files.options().path;
  std::fclose(std::fopen(path.c_str(), "w"));
  Recovery recovery;
  const auto opened = Spool::open(files.options(), recovery);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().detail, "spool " + path + ": making folder " + path + ": Not a directory");
  SpoolOptions nowhere = files.options();
  nowhere.path = path + "-not/there";
  const auto missing = Spool::open(nowhere, recovery);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, smtp::ErrorCode::not_found);
}

} // namespace concurrency_test
} // namespace mta::spool::test
