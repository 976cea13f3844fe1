// ServiceThread: a thread with an io_context of its own, for services that talk to strangers: what they do there never
// keeps the queue, the control socket or a session waiting.
#pragma once

#include <thread>

#include "mta/base/async.hpp"

namespace mta {

class ServiceThread {
public:
  ServiceThread() = default;
  ~ServiceThread() { stop(); }
  ServiceThread(const ServiceThread &) = delete;
  ServiceThread &operator=(const ServiceThread &) = delete;

  [[nodiscard]] asio::any_io_executor executor() { return context_.get_executor(); }
  /// Once; what was posted before begins now.
  void start() {
    thread_ = std::thread([this] { context_.run(); });
  }
  /// Ends the thread after what it is at now; what waits is never done, and is destroyed with this. May be called
  /// again.
  void stop() {
    context_.stop();
    if (thread_.joinable()) thread_.join();
  }

private:
  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard_{context_.get_executor()};
  std::thread thread_;
};

} // namespace mta
