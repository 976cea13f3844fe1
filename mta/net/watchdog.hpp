// Watchdog: one timer per worker thread that expires streams past their deadline, instead of a timer per operation.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>

#include "mta/base/async.hpp"
#include "tls/stream.hpp"

namespace mta {

/// Belongs to one worker's io_context; every member is called on it. Looks every `tick` (100 ms), so deadlines hold to
/// that. Its timer runs only while something is watched: a worker without streams does not wake, and can run out of
/// work.
class Watchdog {
  struct State;

public:
  explicit Watchdog(asio::io_context &context, std::chrono::milliseconds tick = std::chrono::milliseconds(100));
  ~Watchdog();
  void stop();

  /// Watches a stream while it lives. May outlive the watchdog (a context destroys its coroutines last); then it does
  /// nothing.
  class Watch {
  public:
    Watch(Watchdog &dog, tls::Stream &stream);
    ~Watch();
    Watch(const Watch &) = delete;
    Watch &operator=(const Watch &) = delete;

  private:
    friend class Watchdog;
    friend struct State;
    State *state_; ///< null once the watchdog is gone
    tls::Stream &stream_;
    Watch *next_ = nullptr;
    Watch *previous_ = nullptr;
  };

private:
  std::shared_ptr<State> state_;
};

} // namespace mta
