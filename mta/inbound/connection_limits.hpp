// ConnectionLimits: counts connections in total, per address, per network and per minute, and says when one is too
// many.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "mta/config/config.hpp"
#include "smtp/base/result.hpp"
#include "smtp/names/ip_address.hpp"

namespace mta::inbound {

/// Shared by all workers; thread-safe. Pure but for its counters: time is passed in. Memory is bounded by the
/// connections that are open plus a fixed number of remembered addresses; when more addresses than that came within two
/// minutes, their rates are forgotten (the other limits hold).
class ConnectionLimits {
public:
  using Clock = std::chrono::steady_clock;

  ConnectionLimits();

  /// A connection that is counted until this is destroyed. The limits must outlive it.
  class Ticket {
  public:
    Ticket(Ticket &&other) noexcept
        : limits_(std::exchange(other.limits_, nullptr)), address_(other.address_), counted_(other.counted_) {}
    Ticket &operator=(Ticket &&other) = delete;
    ~Ticket() {
      if (limits_ != nullptr) limits_->leave(address_, counted_);
    }

  private:
    friend class ConnectionLimits;
    Ticket(ConnectionLimits &limits, const smtp::IpAddress &address, bool counted)
        : limits_(&limits), address_(address), counted_(counted) {}
    ConnectionLimits *limits_;
    smtp::IpAddress address_;
    bool counted_; ///< per address and network; false: exempt
  };

  /// Error full: the detail names the limit that was reached. A refused connection counts for nothing.
  [[nodiscard]] smtp::Result<Ticket> admit(const smtp::IpAddress &address, const LimitConfig &limits,
                                           Clock::time_point now);

  /// Open now.
  [[nodiscard]] std::size_t connections() const noexcept { return total_.load(std::memory_order_relaxed); }
  /// Addresses remembered, open or not: for the bound on memory.
  [[nodiscard]] std::size_t remembered() const;

  static constexpr std::size_t shard_count = 16;
  /// Addresses without an open connection that one shard remembers for the rate.
  static constexpr std::size_t idle_addresses_per_shard = 4096;

private:
  struct AddressCount {
    std::uint32_t open = 0;
    std::uint32_t this_minute = 0; ///< admitted since minute_start
    std::uint32_t last_minute = 0; ///< admitted in the minute before it
    Clock::time_point minute_start{};
  };
  struct Hash {
    std::uint64_t seed = 0; ///< drawn per process, so that a peer cannot aim at one bucket
    std::size_t operator()(const smtp::IpAddress &address) const noexcept;
  };
  struct Shard {
    explicit Shard(Hash hash) : addresses(0, hash), networks(0, hash) {}
    mutable std::mutex mutex;
    std::unordered_map<smtp::IpAddress, AddressCount, Hash> addresses;
    std::unordered_map<smtp::IpAddress, std::uint32_t, Hash> networks;
    std::size_t idle = 0; ///< entries of `addresses` with nothing open
  };

  void leave(const smtp::IpAddress &address, bool counted) noexcept;
  [[nodiscard]] Shard &shard_of(const smtp::IpAddress &network) const noexcept;

  Hash hash_;
  std::atomic<std::size_t> total_{0};
  std::array<std::unique_ptr<Shard>, shard_count> shards_;
};

/// The /24 of an IPv4 address, the /64 of an IPv6 address.
[[nodiscard]] smtp::IpAddress network_of(const smtp::IpAddress &address) noexcept;

} // namespace mta::inbound
