// Periodic: a thread that does one thing again and again until it is stopped.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace mta {

/// Calls `act` each `interval`, the first time after one, and a last time when it is stopped. `act` must not throw.
class Periodic {
public:
  Periodic() = default;
  ~Periodic() { stop(); }
  Periodic(const Periodic &) = delete;
  Periodic &operator=(const Periodic &) = delete;

  void start(std::chrono::milliseconds interval, std::function<void()> act) {
    thread_ = std::thread([this, interval, act = std::move(act)] {
      std::unique_lock lock(mutex_);
      for (;;) {
        const bool last = wake_.wait_for(lock, interval, [this] { return stopping_; });
        lock.unlock();
        act();
        lock.lock();
        if (last) return;
      }
    });
  }
  /// Returns after the last call of `act`. Again: nothing.
  void stop() {
    if (!thread_.joinable()) return;
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

} // namespace mta
