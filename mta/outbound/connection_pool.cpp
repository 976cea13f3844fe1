#include "mta/outbound/connection_pool.hpp"

#include <algorithm>

namespace mta {

std::unique_ptr<Connection> ConnectionPool::take(const std::string &key) {
  const auto found = kept_.find(key);
  if (found == kept_.end()) return nullptr;
  auto connection = std::move(found->second.back());
  found->second.pop_back();
  if (found->second.empty()) kept_.erase(found);
  --size_;
  return connection;
}

std::unique_ptr<Connection> ConnectionPool::keep(std::unique_ptr<Connection> connection, Clock::time_point now) {
  connection->idle_since = now;
  connection->stream.set_deadline(std::nullopt); // nothing waits on it; the pool's timer ends it
  auto &same_key = kept_[connection->key];
  same_key.push_back(std::move(connection));
  ++size_;
  if (size_ <= limit_) return nullptr;
  const auto oldest = std::min_element(kept_.begin(), kept_.end(), [](const auto &left, const auto &right) {
    return left.second.front()->idle_since < right.second.front()->idle_since;
  });
  auto evicted = std::move(oldest->second.front());
  oldest->second.erase(oldest->second.begin());
  if (oldest->second.empty()) kept_.erase(oldest);
  --size_;
  return evicted;
}

std::unique_ptr<Connection> ConnectionPool::take_idle_at(const smtp::IpAddress &address) {
  const smtp::IpAddress place = OutboundLoad::counted(address);
  auto oldest = kept_.end();
  std::size_t oldest_at = 0;
  for (auto entry = kept_.begin(); entry != kept_.end(); ++entry) {
    const auto &connections = entry->second;
    const auto found = std::find_if(connections.begin(), connections.end(), [&](const auto &connection) {
      return OutboundLoad::counted(connection->address.address) == place;
    });
    if (found == connections.end()) continue;
    if (oldest != kept_.end() && oldest->second[oldest_at]->idle_since <= (*found)->idle_since) continue;
    oldest = entry;
    oldest_at = static_cast<std::size_t>(found - connections.begin());
  }
  if (oldest == kept_.end()) return nullptr;
  auto &connections = oldest->second;
  auto taken = std::move(connections[oldest_at]);
  connections.erase(connections.begin() + static_cast<std::ptrdiff_t>(oldest_at));
  if (connections.empty()) kept_.erase(oldest);
  --size_;
  return taken;
}

std::vector<std::unique_ptr<Connection>> ConnectionPool::take_idle(Clock::time_point since) {
  std::vector<std::unique_ptr<Connection>> idle;
  for (auto entry = kept_.begin(); entry != kept_.end();) {
    auto &connections = entry->second;
    const auto fresh = std::find_if(connections.begin(), connections.end(),
                                    [since](const auto &connection) { return connection->idle_since > since; });
    std::move(connections.begin(), fresh, std::back_inserter(idle));
    connections.erase(connections.begin(), fresh);
    entry = connections.empty() ? kept_.erase(entry) : std::next(entry);
  }
  size_ -= idle.size();
  std::stable_sort(idle.begin(), idle.end(),
                   [](const auto &left, const auto &right) { return left->idle_since < right->idle_since; });
  return idle;
}

} // namespace mta
