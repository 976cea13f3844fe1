// ConnectionLimits: see connection_limits.hpp.
#include "mta/inbound/connection_limits.hpp"

#include <algorithm>
#include <cstring>
#include <random>

#include <fmt/format.h>

namespace mta::inbound {

namespace {

constexpr std::chrono::seconds minute{60};

} // namespace

smtp::IpAddress network_of(const smtp::IpAddress &address) noexcept {
  return address.masked(address.is_v6() ? 64 : 24);
}

std::size_t ConnectionLimits::Hash::operator()(const smtp::IpAddress &address) const noexcept {
  std::array<std::uint64_t, 2> words{};
  std::memcpy(words.data(), address.octets().data(), sizeof words);
  std::uint64_t value = seed;
  for (const std::uint64_t word : words) {
    // The mixing steps of splitmix64.
    value = (value ^ word) * 0xbf58476d1ce4e5b9ULL;
    value ^= value >> 29;
    value *= 0x94d049bb133111ebULL;
    value ^= value >> 32;
  }
  return static_cast<std::size_t>(value);
}

ConnectionLimits::ConnectionLimits() {
  std::random_device random;
  hash_.seed = (static_cast<std::uint64_t>(random()) << 32U) | random();
  for (auto &shard : shards_) shard = std::make_unique<Shard>(hash_);
}

ConnectionLimits::Shard &ConnectionLimits::shard_of(const smtp::IpAddress &network) const noexcept {
  return *shards_[(hash_(network) >> 48U) % shard_count];
}

smtp::Result<ConnectionLimits::Ticket> ConnectionLimits::admit(const smtp::IpAddress &address,
                                                               const LimitConfig &limits, Clock::time_point now) {
  const auto refuse = [](std::string detail) { return smtp::fail(smtp::ErrorCode::full, std::move(detail)); };
  // Taken first and given back on refusal, so that two workers cannot both take the last place.
  if (total_.fetch_add(1, std::memory_order_relaxed) >= limits.connections) {
    total_.fetch_sub(1, std::memory_order_relaxed);
    return refuse(fmt::format("too many connections, limit is {}", limits.connections));
  }
  const bool exempt = std::any_of(limits.exempt_networks.begin(), limits.exempt_networks.end(),
                                  [&](const smtp::Network &network) { return network.contains(address); });
  if (exempt) return Ticket(*this, address, false);

  const smtp::IpAddress network = network_of(address);
  Shard &shard = shard_of(network);
  const std::scoped_lock lock(shard.mutex);
  const auto network_open = shard.networks.find(network);
  if (network_open != shard.networks.end() && network_open->second >= limits.connections_per_network) {
    total_.fetch_sub(1, std::memory_order_relaxed);
    return refuse(fmt::format("too many connections from your network {}/{}, limit is {}", network.to_string(),
                              network.is_v6() ? 64 : 24, limits.connections_per_network));
  }
  const auto [entry, is_new] = shard.addresses.try_emplace(address);
  AddressCount &count = entry->second;
  if (is_new) {
    count.minute_start = now;
    ++shard.idle;
  }
  const auto refuse_address = [&](std::string detail) {
    total_.fetch_sub(1, std::memory_order_relaxed);
    if (is_new) {
      shard.addresses.erase(entry);
      --shard.idle;
    }
    return refuse(std::move(detail));
  };
  if (count.open >= limits.connections_per_address) {
    return refuse_address(
        fmt::format("too many connections from your address, limit is {}", limits.connections_per_address));
  }
  // A minute that slides: what came in the minute before counts for the part of it that is less than a minute ago.
  if (now - count.minute_start >= 2 * minute) {
    count.last_minute = 0;
    count.this_minute = 0;
    count.minute_start = now;
  } else if (now - count.minute_start >= minute) {
    count.last_minute = std::exchange(count.this_minute, 0);
    count.minute_start += minute;
  }
  const double part_left =
      1.0 - std::chrono::duration<double>(now - count.minute_start) / std::chrono::duration<double>(minute);
  if (count.last_minute * part_left + count.this_minute >= static_cast<double>(limits.connection_rate)) {
    return refuse_address(
        fmt::format("too many connections from your address within a minute, limit is {}", limits.connection_rate));
  }
  ++count.this_minute;
  if (count.open++ == 0) --shard.idle;
  ++shard.networks[network];
  if (shard.idle > idle_addresses_per_shard) {
    std::erase_if(shard.addresses, [&](const auto &item) {
      return item.second.open == 0 && now - item.second.minute_start >= 2 * minute;
    });
    shard.idle = static_cast<std::size_t>(std::count_if(shard.addresses.begin(), shard.addresses.end(),
                                                        [](const auto &item) { return item.second.open == 0; }));
    // Still more than half: a flood from many addresses. Forget the rates, or every further connection pays for a look.
    if (shard.idle > idle_addresses_per_shard / 2) {
      std::erase_if(shard.addresses, [](const auto &item) { return item.second.open == 0; });
      shard.idle = 0;
    }
  }
  return Ticket(*this, address, true);
}

void ConnectionLimits::leave(const smtp::IpAddress &address, bool counted) noexcept {
  total_.fetch_sub(1, std::memory_order_relaxed);
  if (!counted) return;
  const smtp::IpAddress network = network_of(address);
  Shard &shard = shard_of(network);
  const std::scoped_lock lock(shard.mutex);
  if (const auto found = shard.addresses.find(address); found != shard.addresses.end()) {
    if (--found->second.open == 0) ++shard.idle;
  }
  if (const auto found = shard.networks.find(network); found != shard.networks.end()) {
    if (--found->second == 0) shard.networks.erase(found);
  }
}

std::size_t ConnectionLimits::remembered() const {
  std::size_t sum = 0;
  for (const auto &shard : shards_) {
    const std::scoped_lock lock(shard->mutex);
    sum += shard->addresses.size();
  }
  return sum;
}

} // namespace mta::inbound
