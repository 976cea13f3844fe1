// MailLog: one line for each event, logfmt or JSON, peer text escaped; the only door to the log.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mta/config/config.hpp"

namespace mta {

enum class LogLevel : std::uint8_t { debug, info, warning, error };

/// One event with its fields in order. Values are escaped by the writer, never by the caller.
class Event {
public:
  explicit Event(std::string_view name, LogLevel level = LogLevel::info) : name_(name), level_(level) {}
  Event(const Event &) = default;
  Event(Event &&) noexcept = default;
  Event &operator=(const Event &) = default;
  /// Safe for `event = std::move(event).with(…)`, which moves an event into itself.
  Event &operator=(Event &&other) noexcept {
    if (this != &other) {
      name_ = std::move(other.name_);
      level_ = other.level_;
      fields_ = std::move(other.fields_);
    }
    return *this;
  }
  ~Event() = default;
  Event &&with(std::string_view key, std::string_view value) &&;
  Event &&with(std::string_view key, const char *value) && {
    return std::move(*this).with(key, std::string_view(value));
  }
  Event &&with(std::string_view key, std::int64_t value) &&;
  Event &&with(std::string_view key, std::uint64_t value) &&;
  Event &&with(std::string_view key, int value) && {
    return std::move(*this).with(key, static_cast<std::int64_t>(value));
  }
  Event &&with(std::string_view key, bool value) &&;
  /// Adds the field only when the value is not empty.
  Event &&with_if(std::string_view key, std::string_view value) &&;

  [[nodiscard]] const std::string &name() const noexcept { return name_; }
  [[nodiscard]] LogLevel level() const noexcept { return level_; }
  struct Field {
    std::string key;
    std::string value;
    bool quoted = true; ///< false: a number or a truth value
  };
  [[nodiscard]] const std::vector<Field> &fields() const noexcept { return fields_; }

private:
  std::string name_;
  LogLevel level_;
  std::vector<Field> fields_;
};

/// "time=… level=info event=… key=value": values with spaces, quotes, '=' or nothing in them are quoted.
[[nodiscard]] std::string format_logfmt(const Event &event, std::string_view time);
[[nodiscard]] std::string format_json(const Event &event, std::string_view time);

using EventCounts = std::map<std::string, std::uint64_t, std::less<>>;

/// How long a log that nobody reads, or a disk that hangs, may hold the daemon up. Tests make them shorter.
struct LogPatience {
  std::chrono::milliseconds full_buffer{
      2'000};                             ///< a writer waits so long for room; then lines are dropped until there is
  std::chrono::milliseconds flush{2'000}; ///< flush(), and the end of the daemon
  std::chrono::milliseconds brief{200};   ///< instead of both, on the thread that is kept brief
};

/// Thread-safe.
class MailLog {
public:
  /// Errors: the file cannot be opened.
  [[nodiscard]] static smtp::Result<std::unique_ptr<MailLog>> open(const LogConfig &config, LogPatience patience = {});
  virtual ~MailLog() = default;
  virtual void write(const Event &event) = 0;
  /// Reopens the file (log rotation, SIGUSR1, SIGHUP).
  virtual void reopen() = 0;
  /// The calling thread serves everybody: from now on its write() and reopen() wait less (LogPatience::brief).
  virtual void keep_brief() {}
  /// Waits until what was written so far is out, for a bounded time.
  virtual void flush() = 0;
  /// Lines that were dropped because nobody took them for too long, or because they could not be written.
  [[nodiscard]] virtual std::uint64_t lost_lines() const { return 0; }
  /// How many events of each name came since the start, also those that the level keeps out of the file. The names are
  /// those that the source text holds.
  [[nodiscard]] virtual EventCounts counts() const { return {}; }
};

} // namespace mta
