// MailLog's one real form: lines gather in memory, a thread of its own writes them in batches to a file or standard
// error.
#include "mta/log/mail_log.hpp"

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "mta/log/time_stamp.hpp"
#include "smtp/base/text.hpp"

namespace mta {

Event &&Event::with(std::string_view key, std::string_view value) && {
  if (fields_.empty()) fields_.reserve(16);
  fields_.push_back({std::string(key), std::string(value), true});
  return std::move(*this);
}

Event &&Event::with(std::string_view key, std::int64_t value) && {
  if (fields_.empty()) fields_.reserve(16);
  fields_.push_back({std::string(key), fmt::to_string(value), false});
  return std::move(*this);
}

Event &&Event::with(std::string_view key, std::uint64_t value) && {
  if (fields_.empty()) fields_.reserve(16);
  fields_.push_back({std::string(key), fmt::to_string(value), false});
  return std::move(*this);
}

Event &&Event::with(std::string_view key, bool value) && {
  if (fields_.empty()) fields_.reserve(16);
  fields_.push_back({std::string(key), value ? "true" : "false", false});
  return std::move(*this);
}

Event &&Event::with_if(std::string_view key, std::string_view value) && {
  if (value.empty()) return std::move(*this);
  return std::move(*this).with(key, value);
}

std::string format_time_stamp(std::chrono::system_clock::time_point time) {
  const auto milliseconds = std::chrono::floor<std::chrono::milliseconds>(time);
  const auto day = std::chrono::floor<std::chrono::days>(milliseconds);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(milliseconds - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), clock.subseconds().count());
}

namespace {

/// Lines wait this long for company; an error line, a full buffer, flush() and the end do not.
constexpr auto gathering_time = std::chrono::milliseconds(20);
constexpr std::size_t write_at = 256 * 1024;
/// Writers wait when so much is unwritten: a slow disk slows the daemon down, and no line is lost.
constexpr std::size_t buffer_limit = 8 * 1024 * 1024;

std::optional<LogLevel> level_of(std::string_view word) {
  if (word == "debug") return LogLevel::debug;
  if (word == "info") return LogLevel::info;
  if (word == "warning") return LogLevel::warning;
  if (word == "error") return LogLevel::error;
  return std::nullopt;
}

/// A descriptor that is closed, unless it is standard error.
class LogFile {
public:
  LogFile() = default;
  explicit LogFile(int descriptor) : descriptor_(descriptor) {}
  LogFile(LogFile &&other) noexcept : descriptor_(std::exchange(other.descriptor_, STDERR_FILENO)) {}
  LogFile &operator=(LogFile &&other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~LogFile() {
    if (descriptor_ != STDERR_FILENO) ::close(descriptor_);
  }
  [[nodiscard]] static smtp::Result<LogFile> open(const std::string &path) {
    if (path.empty()) return LogFile();
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (descriptor < 0)
      return smtp::fail(smtp::ErrorCode::io,
                        fmt::format("cannot open log file {}: {}", smtp::escape(path), std::strerror(errno)));
    return LogFile(descriptor);
  }
  /// False when octets could not be written.
  [[nodiscard]] bool write(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t written = ::write(descriptor_, text.data(), text.size());
      if (written < 0 && (errno == EINTR)) continue;
      if (written <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
  }

private:
  int descriptor_ = STDERR_FILENO;
};

class BufferedLog final : public MailLog {
public:
  BufferedLog(LogConfig config, LogLevel level, LogFile file)
      : config_(std::move(config)), level_(level), file_(std::move(file)), thread_(&BufferedLog::run, this) {}

  BufferedLog(const BufferedLog &) = delete;
  BufferedLog &operator=(const BufferedLog &) = delete;

  ~BufferedLog() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  void write(const Event &event) override {
    std::string line;
    if (event.level() >= level_) line = format(event) + '\n';
    bool wake = false;
    {
      std::unique_lock lock(mutex_);
      ++counts_[event.name()];
      if (line.empty()) return;
      if (lines_.size() >= buffer_limit) written_.wait(lock, [&] { return lines_.size() < buffer_limit; });
      const bool was_empty = lines_.empty();
      const bool was_urgent = urgent_;
      lines_ += line;
      ++line_count_;
      urgent_ = urgent_ || event.level() == LogLevel::error || lines_.size() >= write_at;
      wake = was_empty || (urgent_ && !was_urgent);
    }
    if (wake) changed_.notify_all();
  }

  void reopen() override {
    if (config_.file.empty()) return;
    flush();
    auto file = LogFile::open(config_.file);
    if (!file) {
      write(Event("log_reopen_failed", LogLevel::error).with("detail", file.error().detail));
      return;
    }
    const std::lock_guard lock(file_mutex_);
    file_ = std::move(*file);
  }

  EventCounts counts() const override {
    const std::lock_guard lock(mutex_);
    return counts_;
  }

  void flush() override {
    std::unique_lock lock(mutex_);
    const std::uint64_t target = line_count_;
    urgent_ = urgent_ || !lines_.empty();
    changed_.notify_all();
    written_.wait(lock, [&] { return lines_written_ >= target; });
  }

private:
  [[nodiscard]] std::string format(const Event &event) const {
    const std::string time = format_time_stamp(std::chrono::system_clock::now());
    return config_.format == LogFormat::json ? format_json(event, time) : format_logfmt(event, time);
  }

  void run() {
    std::string batch;
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return stopping_ || !lines_.empty(); });
      if (lines_.empty()) return; // stopping, and nothing is left
      changed_.wait_for(lock, gathering_time, [&] { return stopping_ || urgent_; });
      batch.clear();
      batch.swap(lines_);
      urgent_ = false;
      const std::uint64_t upto = line_count_;
      lock.unlock();
      write_out(batch, upto);
      if (batch.capacity() > 4 * write_at) std::string().swap(batch);
      lock.lock();
      lines_written_ = upto;
      written_.notify_all();
    }
  }

  /// On the log's thread. A full disk loses lines; how many is said as soon as writing works again.
  void write_out(const std::string &batch, std::uint64_t upto) {
    const std::lock_guard lock(file_mutex_);
    if (lost_lines_ > 0) {
      const std::string notice = format(Event("log_lost", LogLevel::error).with("lines", lost_lines_)) + '\n';
      if (file_.write(notice)) lost_lines_ = 0;
    }
    if (!file_.write(batch)) lost_lines_ += upto - lines_before_;
    lines_before_ = upto;
  }

  const LogConfig config_;
  const LogLevel level_;

  mutable std::mutex mutex_;
  std::condition_variable changed_; ///< wakes the log's thread
  std::condition_variable written_; ///< wakes writers and flush()
  std::string lines_;
  EventCounts counts_;
  std::uint64_t line_count_ = 0;
  std::uint64_t lines_written_ = 0;
  bool urgent_ = false;
  bool stopping_ = false;

  std::mutex file_mutex_;
  LogFile file_;
  std::uint64_t lost_lines_ = 0;   ///< the log's thread only
  std::uint64_t lines_before_ = 0; ///< the log's thread only
  std::thread thread_;             ///< last: it uses everything above
};

} // namespace

smtp::Result<std::unique_ptr<MailLog>> MailLog::open(const LogConfig &config) {
  const auto level = level_of(config.level);
  if (!level)
    return smtp::fail(smtp::ErrorCode::bad_syntax,
                      fmt::format("log level {} is none of debug, info, warning, error", smtp::escape(config.level)));
  auto file = LogFile::open(config.file);
  if (!file) return tl::unexpected(file.error());
  return std::make_unique<BufferedLog>(config, *level, std::move(*file));
}

} // namespace mta
