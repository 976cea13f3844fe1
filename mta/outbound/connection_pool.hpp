// ConnectionPool: one worker's kept connections, by host and by the requirement that they satisfied.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "mta/outbound/connection.hpp"

namespace mta {

/// Not thread-safe: its worker's only.
class ConnectionPool {
public:
  using Clock = std::chrono::steady_clock;

  explicit ConnectionPool(std::size_t limit) : limit_(limit) {}

  /// The connection kept last under this key, or null. Whether it still lives, is_alive() tells.
  [[nodiscard]] std::unique_ptr<Connection> take(const std::string &key);
  /// Keeps it. Over the limit, the one that has waited longest comes back, to be closed.
  [[nodiscard]] std::unique_ptr<Connection> keep(std::unique_ptr<Connection> connection, Clock::time_point now);
  /// The one to this address that has waited longest, whatever it satisfied, or null.
  [[nodiscard]] std::unique_ptr<Connection> take_idle_at(const smtp::IpAddress &address);
  /// Those that wait since `since` or longer, oldest first.
  [[nodiscard]] std::vector<std::unique_ptr<Connection>> take_idle(Clock::time_point since);
  [[nodiscard]] std::vector<std::unique_ptr<Connection>> take_all() { return take_idle(Clock::time_point::max()); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  void set_limit(std::size_t limit) noexcept { limit_ = limit; }

private:
  std::size_t limit_;
  std::size_t size_ = 0;
  std::unordered_map<std::string, std::vector<std::unique_ptr<Connection>>> kept_; ///< each in order of keeping
};

} // namespace mta
