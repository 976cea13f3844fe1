// Workers: one thread per core, each with its own io_context, watchdog and read buffer; sessions never move between
// them.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

#include "mta/base/async.hpp"
#include "mta/net/watchdog.hpp"

namespace mta {

struct Worker {
  Worker();
  asio::io_context context{1};
  Watchdog watchdog;
  /// Scratch space for one read between two suspensions of a coroutine on this worker; never held across co_await.
  std::array<char, 65536> scratch{};
};

class Workers {
public:
  explicit Workers(std::size_t count);
  ~Workers();
  void start();
  /// Lets each context run out of work, then joins; stop() first when sessions are to be dropped.
  void join();
  void stop();
  [[nodiscard]] std::size_t size() const noexcept { return workers_.size(); }
  [[nodiscard]] Worker &operator[](std::size_t index) { return *workers_[index]; }

private:
  using WorkGuard = asio::executor_work_guard<asio::io_context::executor_type>;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<WorkGuard>> guards_;
  std::vector<std::thread> threads_;
};

} // namespace mta
