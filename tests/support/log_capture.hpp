// LogCapture: a MailLog that keeps its events, for tests that look at them or wait for them.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mta/log/mail_log.hpp"

namespace support {

struct LoggedEvent {
  std::string name;
  std::map<std::string, std::string, std::less<>> fields;
  mta::LogLevel level = mta::LogLevel::info;
};

/// Thread-safe.
class LogCapture : public mta::MailLog {
public:
  void write(const mta::Event &event) override {
    LoggedEvent logged{event.name(), {}, event.level()};
    for (const auto &field : event.fields()) logged.fields[field.key] = field.value;
    const std::scoped_lock lock(mutex_);
    events_.push_back(std::move(logged));
    changed_.notify_all();
  }
  void reopen() override {}
  void flush() override {}

  [[nodiscard]] std::vector<LoggedEvent> all(std::string_view name) const {
    const std::scoped_lock lock(mutex_);
    std::vector<LoggedEvent> found;
    std::copy_if(events_.begin(), events_.end(), std::back_inserter(found),
                 [&](const LoggedEvent &event) { return event.name == name; });
    return found;
  }
  [[nodiscard]] std::size_t count(std::string_view name) const { return all(name).size(); }
  /// Blocks until there are `count` events of the name; returns the last of them.
  LoggedEvent wait_for(std::string_view name, std::size_t count = 1) {
    std::unique_lock lock(mutex_);
    std::size_t seen = 0;
    LoggedEvent last;
    std::size_t next = 0;
    changed_.wait(lock, [&] {
      for (; next < events_.size(); ++next) {
        if (events_[next].name != name) continue;
        ++seen;
        last = events_[next];
      }
      return seen >= count;
    });
    return last;
  }

private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<LoggedEvent> events_;
};

} // namespace support
