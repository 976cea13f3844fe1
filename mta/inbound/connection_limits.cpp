#include "mta/inbound/connection_limits.hpp"

#include <algorithm>
#include <cstring>
#include <random>
#include <string>

#include <fmt/format.h>

namespace mta::inbound {

namespace {

constexpr std::chrono::seconds minute{60};

} // namespace

std::span<const ConnectionLimits::Tier> ConnectionLimits::tiers_of(const smtp::IpAddress &address) noexcept {
  // From the address to the widest network.
  static constexpr std::array<Tier, 2> v4 = {Tier{32, 0}, Tier{24, 1}};
  static constexpr std::array<Tier, 4> v6 = {Tier{128, 0}, Tier{64, 1}, Tier{56, 2}, Tier{48, 4}};
  if (address.is_v6()) return v6;
  return v4;
}

ConnectionLimits::Key ConnectionLimits::key_of(const smtp::IpAddress &address, const Tier &tier) noexcept {
  return {address.masked(tier.bits), tier.bits};
}

void ConnectionLimits::Count::move_on(Clock::time_point now) noexcept {
  if (now - minute_start >= 2 * minute) {
    last_minute = 0;
    this_minute = 0;
    recipients_last_minute = 0;
    recipients_this_minute = 0;
    minute_start = now;
  } else if (now - minute_start >= minute) {
    last_minute = std::exchange(this_minute, 0);
    recipients_last_minute = std::exchange(recipients_this_minute, 0);
    minute_start += minute;
  }
}

namespace {

/// Of a minute that slides: what came in the minute before counts for the part of it that is less than a minute ago.
double part_left(std::chrono::steady_clock::duration since_start) noexcept {
  return 1.0 - std::chrono::duration<double>(since_start) / std::chrono::duration<double>(minute);
}

} // namespace

double ConnectionLimits::Count::in_a_minute(Clock::time_point now) const noexcept {
  return last_minute * part_left(now - minute_start) + this_minute;
}

double ConnectionLimits::Count::recipients_in_a_minute(Clock::time_point now) const noexcept {
  return recipients_last_minute * part_left(now - minute_start) + recipients_this_minute;
}

std::size_t ConnectionLimits::Hash::operator()(const Key &key) const noexcept {
  std::array<std::uint64_t, 2> words{};
  std::memcpy(words.data(), key.base.octets().data(), sizeof words);
  std::uint64_t value = seed + key.bits;
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

ConnectionLimits::Shard &ConnectionLimits::shard_of(const smtp::IpAddress &address) const noexcept {
  return *shards_[(hash_(key_of(address, tiers_of(address).back())) >> 48U) % shard_count];
}

std::uint64_t ConnectionLimits::limit_of(const Tier &tier, std::uint64_t for_address,
                                         std::uint64_t for_network) noexcept {
  return tier.factor == 0 ? for_address : tier.factor * for_network;
}

std::string ConnectionLimits::name_of(const smtp::IpAddress &address, const Tier &tier) {
  return tier.factor == 0 ? std::string("your address")
                          : fmt::format("your network {}/{}", address.masked(tier.bits).to_string(), tier.bits);
}

smtp::Result<void> ConnectionLimits::take_recipient(const smtp::IpAddress &address, const LimitConfig &limits,
                                                    Clock::time_point now) {
  const auto tiers = tiers_of(address);
  Shard &shard = shard_of(address);
  const std::scoped_lock lock(shard.mutex);
  // Its counts are there as long as its connection is.
  for (const Tier &tier : tiers) {
    const auto found = shard.counts.find(key_of(address, tier));
    if (found == shard.counts.end()) continue;
    found->second.move_on(now);
    const auto limit = limit_of(tier, limits.recipient_rate, 5 * limits.recipient_rate);
    if (found->second.recipients_in_a_minute(now) >= static_cast<double>(limit))
      return smtp::fail(smtp::ErrorCode::full, fmt::format("too many recipients from {} within a minute, limit is {}",
                                                           name_of(address, tier), limit));
  }
  for (const Tier &tier : tiers)
    if (const auto found = shard.counts.find(key_of(address, tier)); found != shard.counts.end())
      ++found->second.recipients_this_minute;
  return {};
}

smtp::Result<void> ConnectionLimits::Unfinished::hold(std::uint64_t octets, std::uint64_t for_address) {
  const std::uint64_t wanted = octets / step * step;
  if (wanted <= octets_) return {};
  if (auto taken = limits_.take_octets(address_, wanted - octets_, for_address); !taken) return taken;
  octets_ = wanted;
  return {};
}

smtp::Result<void> ConnectionLimits::take_octets(const smtp::IpAddress &address, std::uint64_t octets,
                                                 std::uint64_t for_address) {
  const auto tiers = tiers_of(address);
  Shard &shard = shard_of(address);
  const std::scoped_lock lock(shard.mutex);
  for (const Tier &tier : tiers) {
    const auto found = shard.counts.find(key_of(address, tier));
    const auto limit = limit_of(tier, for_address, 2 * for_address);
    if (found != shard.counts.end() && found->second.unfinished + octets > limit)
      return smtp::fail(smtp::ErrorCode::full,
                        fmt::format("unfinished messages from {} hold too much of the disk, limit is {} octets",
                                    name_of(address, tier), limit));
  }
  for (const Tier &tier : tiers)
    if (const auto found = shard.counts.find(key_of(address, tier)); found != shard.counts.end())
      found->second.unfinished += octets;
  return {};
}

void ConnectionLimits::give_back(const smtp::IpAddress &address, std::uint64_t octets) noexcept {
  if (octets == 0) return;
  Shard &shard = shard_of(address);
  const std::scoped_lock lock(shard.mutex);
  // A count may have begun anew meanwhile, when the client was found to be trusted.
  for (const Tier &tier : tiers_of(address))
    if (const auto found = shard.counts.find(key_of(address, tier)); found != shard.counts.end())
      found->second.unfinished -= std::min(octets, found->second.unfinished);
}

smtp::Result<ConnectionLimits::Ticket> ConnectionLimits::admit(const smtp::IpAddress &address,
                                                               const LimitConfig &limits, Clock::time_point now,
                                                               bool trusted) {
  const auto refuse = [this](std::string detail) {
    total_.fetch_sub(1, std::memory_order_relaxed);
    return smtp::fail(smtp::ErrorCode::full, std::move(detail));
  };
  const bool exempt = trusted || std::any_of(limits.exempt_networks.begin(), limits.exempt_networks.end(),
                                             [&](const smtp::Network &network) { return network.contains(address); });
  // Taken first and given back on refusal, so that two workers cannot both take the last place.
  const std::size_t most = exempt ? limits.connections : limits.connections - limits.reserved_for_exempt;
  if (total_.fetch_add(1, std::memory_order_relaxed) >= most)
    return refuse(fmt::format("too many connections, limit is {}", most));
  if (exempt) return Ticket(*this, address, false);

  const auto tiers = tiers_of(address);
  Shard &shard = shard_of(address);
  const std::scoped_lock lock(shard.mutex);
  for (auto at = tiers.rbegin(); at != tiers.rend(); ++at) {
    const Tier &tier = *at;
    const auto found = shard.counts.find(key_of(address, tier));
    const std::uint64_t open = found == shard.counts.end() ? 0 : found->second.open;
    const auto limit = limit_of(tier, limits.connections_per_address, limits.connections_per_network);
    if (open >= limit)
      return refuse(fmt::format("too many connections from {}, limit is {}", name_of(address, tier), limit));
  }
  for (const Tier &tier : tiers) {
    const auto found = shard.counts.find(key_of(address, tier));
    if (found == shard.counts.end()) continue;
    found->second.move_on(now);
    const auto limit = limit_of(tier, limits.connection_rate, limits.rate_per_network());
    if (found->second.in_a_minute(now) >= static_cast<double>(limit))
      return refuse(
          fmt::format("too many connections from {} within a minute, limit is {}", name_of(address, tier), limit));
  }
  for (const Tier &tier : tiers) {
    const auto [entry, is_new] = shard.counts.try_emplace(key_of(address, tier));
    Count &count = entry->second;
    if (is_new) count.minute_start = now;
    if (!is_new && count.open == 0) --shard.idle;
    ++count.open;
    ++count.this_minute;
  }
  if (shard.idle + tiers.size() > idle_per_shard) forget_some(shard, now);
  return Ticket(*this, address, true);
}

void ConnectionLimits::forget_some(Shard &shard, Clock::time_point now) {
  std::erase_if(shard.counts, [&](const auto &item) {
    return item.second.open == 0 && now - item.second.minute_start >= 2 * minute;
  });
  shard.idle = static_cast<std::size_t>(
      std::count_if(shard.counts.begin(), shard.counts.end(), [](const auto &item) { return item.second.open == 0; }));
  if (shard.idle <= idle_per_shard / 2) return;
  // Still more than half: a flood from many addresses. Forget their rates, or every further connection pays for a look;
  // a network that many of them came from is still known for a while.
  std::erase_if(shard.counts, [](const auto &item) {
    return item.second.open == 0 && item.second.this_minute + item.second.last_minute < 8;
  });
  shard.idle = static_cast<std::size_t>(
      std::count_if(shard.counts.begin(), shard.counts.end(), [](const auto &item) { return item.second.open == 0; }));
  if (shard.idle <= idle_per_shard / 2) return;
  std::erase_if(shard.counts, [](const auto &item) { return item.second.open == 0; });
  shard.idle = 0;
}

void ConnectionLimits::leave(const smtp::IpAddress &address, bool counted) noexcept {
  total_.fetch_sub(1, std::memory_order_relaxed);
  if (!counted) return;
  Shard &shard = shard_of(address);
  const std::scoped_lock lock(shard.mutex);
  for (const Tier &tier : tiers_of(address)) {
    const auto found = shard.counts.find(key_of(address, tier));
    if (found != shard.counts.end() && --found->second.open == 0) ++shard.idle;
  }
}

void ConnectionLimits::uncount(const smtp::IpAddress &address) noexcept {
  Shard &shard = shard_of(address);
  const std::scoped_lock lock(shard.mutex);
  for (const Tier &tier : tiers_of(address)) {
    const auto found = shard.counts.find(key_of(address, tier));
    if (found == shard.counts.end()) continue;
    Count &count = found->second;
    if (count.this_minute > 0)
      --count.this_minute;
    else if (count.last_minute > 0)
      --count.last_minute;
    if (--count.open == 0) ++shard.idle;
  }
}

std::size_t ConnectionLimits::remembered() const {
  std::size_t sum = 0;
  for (const auto &shard : shards_) {
    const std::scoped_lock lock(shard->mutex);
    sum += shard->counts.size();
  }
  return sum;
}

} // namespace mta::inbound
