// MailLog: no line is lost at the end, under load, or at rotation.
#include "mta/log/mail_log.hpp"

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/support/temp_folder.hpp"

namespace mail_log_test {

class MailLogTest : public testing::Test {
protected:
  MailLogTest() { config_.file = folder_.file("mail.log"); }
  static std::vector<std::string> lines_of(const std::string &path) {
    std::ifstream file(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }
  test::TempFolder folder_;
  mta::LogConfig config_;
};

TEST_F(MailLogTest, everything_written_is_in_the_file_after_the_end) {
  constexpr int threads = 4;
  constexpr int each = 5000;
  {
    auto log = mta::MailLog::open(config_);
    ASSERT_TRUE(log) << log.error().detail;
    std::vector<std::thread> writers;
    for (int writer = 0; writer < threads; ++writer)
      writers.emplace_back([&log, writer] {
        for (int i = 0; i < each; ++i) (*log)->write(mta::Event("line").with("writer", writer).with("number", i));
      });
    for (auto &writer : writers) writer.join();
  }
  std::vector<int> next(threads, 0);
  const auto lines = lines_of(config_.file);
  ASSERT_EQ(lines.size(), std::size_t{threads} * each);
  for (const auto &line : lines) {
    int writer = -1;
    int number = -1;
    const auto at = line.find(" event=line ");
    ASSERT_NE(at, std::string::npos) << line;
    ASSERT_EQ(std::sscanf(line.c_str() + at, " event=line writer=%d number=%d", &writer, &number), 2) << line;
    EXPECT_EQ(number, next.at(static_cast<std::size_t>(writer))++) << "order of one thread's lines";
  }
}

TEST_F(MailLogTest, more_than_the_buffer_holds_is_kept) {
  const std::string value(1900, 'v');
  constexpr std::size_t count = 12'000; // 23 MB, the buffer takes 8
  {
    auto log = mta::MailLog::open(config_);
    ASSERT_TRUE(log);
    for (std::size_t i = 0; i < count; ++i) (*log)->write(mta::Event("big").with("v", value));
  }
  EXPECT_EQ(lines_of(config_.file).size(), count);
}

TEST_F(MailLogTest, events_are_counted_by_name_whatever_the_level) {
  config_.level = "warning";
  auto log = mta::MailLog::open(config_);
  ASSERT_TRUE(log);
  for (int i = 0; i < 3; ++i) (*log)->write(mta::Event("often"));
  (*log)->write(mta::Event("seldom", mta::LogLevel::error));
  EXPECT_EQ((*log)->counts(), (mta::EventCounts{{"often", 3}, {"seldom", 1}}));
  (*log)->flush();
  EXPECT_EQ(lines_of(config_.file).size(), 1U);
}

TEST_F(MailLogTest, levels_below_the_configured_one_are_left_out) {
  config_.level = "warning";
  config_.format = mta::LogFormat::json;
  {
    auto log = mta::MailLog::open(config_);
    ASSERT_TRUE(log);
    for (const auto level : {mta::LogLevel::debug, mta::LogLevel::info, mta::LogLevel::warning, mta::LogLevel::error})
      (*log)->write(mta::Event("e", level));
  }
  const auto lines = lines_of(config_.file);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_NE(lines[0].find(R"("level":"warning")"), std::string::npos);
  EXPECT_NE(lines[1].find(R"("level":"error")"), std::string::npos);
}

TEST_F(MailLogTest, reopen_continues_in_a_new_file_after_rotation) {
  auto log = mta::MailLog::open(config_);
  ASSERT_TRUE(log);
  (*log)->write(mta::Event("before"));
  std::filesystem::rename(config_.file, config_.file + ".1");
  (*log)->reopen();
  (*log)->write(mta::Event("after"));
  (*log)->flush();
  ASSERT_EQ(lines_of(config_.file + ".1").size(), 1U);
  EXPECT_NE(lines_of(config_.file + ".1")[0].find("event=before"), std::string::npos);
  ASSERT_EQ(lines_of(config_.file).size(), 1U);
  EXPECT_NE(lines_of(config_.file)[0].find("event=after"), std::string::npos);
}

TEST_F(MailLogTest, a_reopen_that_fails_keeps_the_old_file_and_says_so) {
  const std::string inner = folder_.file("inner");
  std::filesystem::create_directory(inner);
  config_.file = inner + "/mail.log";
  auto log = mta::MailLog::open(config_);
  ASSERT_TRUE(log);
  std::filesystem::rename(inner, folder_.file("moved"));
  (*log)->reopen();
  (*log)->write(mta::Event("after"));
  (*log)->flush();
  const auto lines = lines_of(folder_.file("moved/mail.log"));
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_NE(lines[0].find("event=log_reopen_failed"), std::string::npos);
  EXPECT_NE(lines[1].find("event=after"), std::string::npos);
}

TEST_F(MailLogTest, a_file_that_cannot_be_opened_is_an_error_with_its_name) {
  config_.file = folder_.file("absent/mail.log");
  const auto log = mta::MailLog::open(config_);
  ASSERT_FALSE(log);
  EXPECT_NE(log.error().detail.find("absent/mail.log"), std::string::npos);
}

TEST_F(MailLogTest, an_unknown_level_is_an_error) {
  config_.level = "loud";
  const auto log = mta::MailLog::open(config_);
  ASSERT_FALSE(log);
  EXPECT_NE(log.error().detail.find("loud"), std::string::npos);
}

TEST_F(MailLogTest, a_full_disk_loses_lines_without_stopping_the_writers) {
  config_.file = "/dev/full";
  if (!std::filesystem::exists(config_.file)) GTEST_SKIP() << "no /dev/full";
  auto log = mta::MailLog::open(config_);
  ASSERT_TRUE(log);
  for (int i = 0; i < 100; ++i) (*log)->write(mta::Event("line"));
  (*log)->flush();
  SUCCEED();
}

/// A log behind a pipe that nobody reads.
class StalledLogTest : public MailLogTest {
protected:
  void SetUp() override {
    MailLogTest::SetUp();
    config_.file = folder_.file("pipe");
    ASSERT_EQ(::mkfifo(config_.file.c_str(), 0600), 0);
    reader_ = ::open(config_.file.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ASSERT_GE(reader_, 0);
    auto log = mta::MailLog::open(
        config_, {.full_buffer = std::chrono::milliseconds(200), .flush = std::chrono::milliseconds(200)});
    ASSERT_TRUE(log) << log.error().detail;
    log_ = std::move(*log);
  }
  void TearDown() override {
    log_.reset();
    if (reader_ >= 0) ::close(reader_);
  }
  void overflow() {
    const std::string value(1900, 'v');
    for (int i = 0; i < 12'000; ++i) log_->write(mta::Event("big").with("v", value)); // 23 MB
  }
  std::string read_some() {
    std::string text(1U << 20U, '\0');
    const ssize_t got = ::read(reader_, text.data(), text.size());
    text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return text;
  }
  int reader_ = -1;
  std::unique_ptr<mta::MailLog> log_;
};

TEST_F(StalledLogTest, writers_wait_once_and_then_lines_are_dropped_and_counted) {
  const auto started = std::chrono::steady_clock::now();
  overflow();
  log_->flush();
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(20)) << "12,000 waits would be 40 minutes";
  EXPECT_GT(log_->lost_lines(), 1'000U);
  log_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(25))
      << "and the end does not wait for ever";
}

TEST_F(StalledLogTest, a_thread_that_serves_everybody_waits_less) {
  log_.reset();
  auto log = mta::MailLog::open(config_, {.full_buffer = std::chrono::seconds(60),
                                          .flush = std::chrono::milliseconds(200),
                                          .brief = std::chrono::milliseconds(50)});
  ASSERT_TRUE(log) << log.error().detail;
  log_ = std::move(*log);
  log_->keep_brief();
  const auto started = std::chrono::steady_clock::now();
  overflow();
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(30));
  EXPECT_GT(log_->lost_lines(), 0U);
}

TEST_F(StalledLogTest, what_was_lost_is_told_when_somebody_reads_again) {
  overflow();
  const std::uint64_t lost = log_->lost_lines();
  ASSERT_GT(lost, 0U);
  std::string text;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (text.find("event=log_lost") == std::string::npos && std::chrono::steady_clock::now() < until) {
    text += read_some();
    log_->write(mta::Event("after"));
  }
  const auto at = text.find("event=log_lost lines=");
  ASSERT_NE(at, std::string::npos);
  EXPECT_GE(std::stoull(text.substr(at + 21, 20)), lost);
  while (!log_->counts().contains("log_lost") && std::chrono::steady_clock::now() < until) text += read_some();
  EXPECT_EQ(log_->counts().at("log_lost"), 1U);
}

TEST_F(StalledLogTest, a_reopen_goes_on_in_another_file) {
  overflow();
  ASSERT_EQ(::rename(config_.file.c_str(), folder_.file("old").c_str()), 0);
  log_->reopen();
  log_->write(mta::Event("after"));
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  bool found = false;
  while (!found && std::chrono::steady_clock::now() < until) {
    log_->flush();
    log_->write(mta::Event("after"));
    for (const auto &line : lines_of(config_.file)) found = found || line.find("event=after") != std::string::npos;
  }
  EXPECT_TRUE(found);
}

} // namespace mail_log_test
