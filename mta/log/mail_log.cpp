// MailLog's one real form: lines gather in memory, a thread of its own writes them in batches to a file or standard
// error.
#include "mta/log/mail_log.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
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
/// Writers wait a little when so much is unwritten; then lines are dropped, counted, and told of.
constexpr std::size_t buffer_limit = 8 * 1024 * 1024;
/// Looked at so often while the file takes nothing: for a new file, and for the end.
constexpr int slice_ms = 100;
/// A pipe that is ready takes so much without waiting (PIPE_BUF).
constexpr std::size_t ready_octets = 4096;

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
    constexpr int flags = O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int descriptor = ::open(path.c_str(), O_WRONLY | flags, 0640);
    // A named pipe without a reader: open for both, it waits for one instead of failing.
    if (descriptor < 0 && errno == ENXIO) descriptor = ::open(path.c_str(), O_RDWR | flags, 0640);
    if (descriptor < 0)
      return smtp::fail(smtp::ErrorCode::io,
                        fmt::format("cannot open log file {}: {}", smtp::escape(path), std::strerror(errno)));
    return LogFile(descriptor);
  }
  enum class Step : std::uint8_t { wrote, busy, failed };
  /// Writes a part, and takes it from `text`; waits at most a slice of time for a reader. Standard error is others'
  /// too, so that it cannot be made non-blocking: it is asked first, and gets no more than it takes at once.
  [[nodiscard]] Step write(std::string_view &text) const {
    pollfd ready{descriptor_, POLLOUT, 0};
    const int count = ::poll(&ready, 1, slice_ms);
    if (count == 0 || (count < 0 && errno == EINTR)) return Step::busy;
    if (count < 0) return Step::failed;
    const std::size_t size = descriptor_ == STDERR_FILENO ? std::min(text.size(), ready_octets) : text.size();
    const ssize_t written = ::write(descriptor_, text.data(), size);
    if (written < 0 && (errno == EINTR || errno == EAGAIN)) return Step::busy;
    if (written <= 0) return Step::failed;
    text.remove_prefix(static_cast<std::size_t>(written));
    return Step::wrote;
  }

private:
  int descriptor_ = STDERR_FILENO;
};

/// What the log and its thread share: the thread may hang in a write for longer than the log lives.
struct Lines {
  Lines(LogConfig given, LogLevel lowest, LogFile opened)
      : config(std::move(given)), level(lowest), file(std::move(opened)) {}

  const LogConfig config;
  const LogLevel level;

  std::mutex mutex;
  std::condition_variable changed; ///< wakes the log's thread
  std::condition_variable written; ///< wakes writers and flush()
  std::string lines;
  EventCounts counts;
  std::uint64_t line_count = 0;
  std::uint64_t lines_written = 0; ///< or given up
  std::uint64_t lost = 0;          ///< in total
  std::uint64_t untold = 0;        ///< of them, since the last log_lost
  bool urgent = false;
  bool stalled = false; ///< a writer waited in vain: no other waits until something was written
  bool stopping = false;
  bool ended = false;
  std::chrono::steady_clock::time_point give_up{}; ///< once stopping: what is not out by then is lost
  std::optional<LogFile> next_file;                ///< to go on with

  LogFile file; ///< the thread's alone

  [[nodiscard]] std::string format(const Event &event) const {
    const std::string time = format_time_stamp(std::chrono::system_clock::now());
    return (config.format == LogFormat::json ? format_json(event, time) : format_logfmt(event, time)) + '\n';
  }

  static void run(const std::shared_ptr<Lines> &self);
  void lose(std::uint64_t count) {
    lost += count;
    untold += count;
  }
  enum class End : std::uint8_t { written, failed, given_up };
  [[nodiscard]] End write_out(std::string_view text);
};

/// On the log's thread, without the lock.
Lines::End Lines::write_out(std::string_view text) {
  while (!text.empty()) {
    switch (file.write(text)) {
    case LogFile::Step::wrote: continue;
    case LogFile::Step::failed: return End::failed;
    case LogFile::Step::busy: break;
    }
    const std::lock_guard lock(mutex);
    if (next_file) {
      file = std::move(*next_file);
      next_file.reset();
    }
    if (stopping && std::chrono::steady_clock::now() >= give_up) return End::given_up;
  }
  return End::written;
}

void Lines::run(const std::shared_ptr<Lines> &self) {
  Lines &my = *self;
  std::string batch;
  std::uint64_t before = 0;
  std::unique_lock lock(my.mutex);
  for (;;) {
    my.changed.wait(lock, [&] { return my.stopping || my.next_file || !my.lines.empty(); });
    if (my.next_file) {
      my.file = std::move(*my.next_file);
      my.next_file.reset();
    }
    if (my.lines.empty()) {
      if (!my.stopping) continue;
      break; // nothing is left
    }
    my.changed.wait_for(lock, gathering_time, [&] { return my.stopping || my.urgent; });
    batch.clear();
    batch.swap(my.lines);
    my.urgent = false;
    const std::uint64_t upto = my.line_count;
    const std::uint64_t untold = my.untold;
    lock.unlock();
    End end = End::written;
    // How many lines are missing is said as soon as writing works again, where they are missing.
    if (untold > 0) {
      Event lost = Event("log_lost", LogLevel::error).with("lines", untold);
      end = my.write_out(my.format(lost));
    }
    const bool told = untold > 0 && end == End::written;
    if (end == End::written) end = my.write_out(batch);
    if (batch.capacity() > 4 * write_at) std::string().swap(batch);
    lock.lock();
    if (told) {
      my.untold -= untold;
      ++my.counts["log_lost"];
    }
    if (end == End::written)
      my.stalled = false;
    else
      my.lose(upto - before);
    before = upto;
    my.lines_written = upto;
    my.written.notify_all();
    if (end == End::given_up) break;
  }
  my.ended = true;
  my.written.notify_all();
}

class BufferedLog final : public MailLog {
public:
  BufferedLog(LogConfig config, LogLevel level, LogFile file, LogPatience patience)
      : patience_(patience), lines_(std::make_shared<Lines>(std::move(config), level, std::move(file))),
        thread_(&Lines::run, lines_) {}

  BufferedLog(const BufferedLog &) = delete;
  BufferedLog &operator=(const BufferedLog &) = delete;

  ~BufferedLog() override {
    bool ended = false;
    {
      std::unique_lock lock(lines_->mutex);
      lines_->stopping = true;
      lines_->give_up = std::chrono::steady_clock::now() + patience_.flush;
      lines_->changed.notify_all();
      // It gives up by itself; only a disk that hangs keeps it longer, and that must not keep the daemon.
      const auto longest = patience_.flush + std::chrono::milliseconds(10 * slice_ms);
      ended = lines_->written.wait_for(lock, longest, [&] { return lines_->ended; });
    }
    ended ? thread_.join() : thread_.detach();
  }

  void write(const Event &event) override {
    Lines &my = *lines_;
    std::string line;
    if (event.level() >= my.level) line = my.format(event);
    bool wake = false;
    {
      std::unique_lock lock(my.mutex);
      ++my.counts[event.name()];
      if (line.empty()) return;
      const auto has_room = [&] { return my.lines.size() < buffer_limit; };
      if (!has_room() && !my.stalled)
        my.stalled = !my.written.wait_for(lock, patience_here(patience_.full_buffer), [&] {
          return has_room() || my.stalled;
        }) || my.stalled;
      if (!has_room()) {
        my.lose(1);
        return;
      }
      const bool was_empty = my.lines.empty();
      const bool was_urgent = my.urgent;
      my.lines += line;
      ++my.line_count;
      my.urgent = my.urgent || event.level() == LogLevel::error || my.lines.size() >= write_at;
      wake = was_empty || (my.urgent && !was_urgent);
    }
    if (wake) my.changed.notify_all();
  }

  void reopen() override {
    if (lines_->config.file.empty()) return;
    flush_for(patience_here(patience_.flush));
    auto file = LogFile::open(lines_->config.file);
    if (!file) {
      write(Event("log_reopen_failed", LogLevel::error).with("detail", file.error().detail));
      return;
    }
    {
      const std::lock_guard lock(lines_->mutex);
      lines_->next_file = std::move(*file);
    }
    lines_->changed.notify_all();
  }

  EventCounts counts() const override {
    const std::lock_guard lock(lines_->mutex);
    return lines_->counts;
  }

  std::uint64_t lost_lines() const override {
    const std::lock_guard lock(lines_->mutex);
    return lines_->lost;
  }

  void keep_brief() override { brief_.store(std::this_thread::get_id()); }

  void flush() override { flush_for(patience_.flush); }

private:
  [[nodiscard]] std::chrono::milliseconds patience_here(std::chrono::milliseconds usual) const {
    return brief_.load() == std::this_thread::get_id() ? std::min(usual, patience_.brief) : usual;
  }
  void flush_for(std::chrono::milliseconds patience) {
    std::unique_lock lock(lines_->mutex);
    const std::uint64_t target = lines_->line_count;
    lines_->urgent = lines_->urgent || !lines_->lines.empty();
    lines_->changed.notify_all();
    lines_->written.wait_for(lock, lines_->stalled ? std::chrono::milliseconds(0) : patience,
                             [&] { return lines_->lines_written >= target || lines_->ended; });
  }

  const LogPatience patience_;
  std::atomic<std::thread::id> brief_{std::thread::id()};
  const std::shared_ptr<Lines> lines_;
  std::thread thread_; ///< last: it uses everything above
};

} // namespace

smtp::Result<std::unique_ptr<MailLog>> MailLog::open(const LogConfig &config, LogPatience patience) {
  const auto level = level_of(config.level);
  if (!level)
    return smtp::fail(smtp::ErrorCode::bad_syntax,
                      fmt::format("log level {} is none of debug, info, warning, error", smtp::escape(config.level)));
  auto file = LogFile::open(config.file);
  if (!file) return tl::unexpected(file.error());
  return std::make_unique<BufferedLog>(config, *level, std::move(*file), patience);
}

} // namespace mta
