// ConnectionLimits: counts connections in total, per address, per network and per minute, recipients per minute and
// octets of unfinished messages, and says when one is too many.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>

#include "mta/config/config.hpp"
#include "smtp/base/result.hpp"
#include "smtp/names/ip_address.hpp"

namespace mta::inbound {

/// Shared by all workers; thread-safe. Pure but for its counters: time is passed in. Memory is bounded by the
/// connections that are open plus a fixed number of remembered addresses and networks; when more than that came within
/// two minutes, their rates are forgotten (the other limits hold).
///
/// Who owns a network can come from each of its addresses, so that networks are counted as well, for what is open and
/// for the minute: IPv4 by /24; IPv6 by /64 (one link), by /56 (one customer's usual share, twice the limit) and by
/// /48 (one site, four times the limit).
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
    /// The client has shown that it is trusted (by its certificate): from now on it counts in total only, and what it
    /// added to the rate is taken back.
    void exempt() noexcept {
      if (limits_ != nullptr && std::exchange(counted_, false)) limits_->uncount(address_);
    }
    [[nodiscard]] bool is_exempt() const noexcept { return !counted_; }

  private:
    friend class ConnectionLimits;
    Ticket(ConnectionLimits &limits, const smtp::IpAddress &address, bool counted)
        : limits_(&limits), address_(address), counted_(counted) {}
    ConnectionLimits *limits_;
    smtp::IpAddress address_;
    bool counted_; ///< per address and network; false: exempt
  };

  /// Error full: the detail names the limit that was reached. A refused connection counts for nothing. `trusted`: as if
  /// the address were in limits.exempt_networks.
  [[nodiscard]] smtp::Result<Ticket> admit(const smtp::IpAddress &address, const LimitConfig &limits,
                                           Clock::time_point now, bool trusted = false);

  /// One more recipient of a client that is counted. Error full: the detail names the limit; then it counts for
  /// nothing.
  [[nodiscard]] smtp::Result<void> take_recipient(const smtp::IpAddress &address, const LimitConfig &limits,
                                                  Clock::time_point now);

  /// What may be held of the disk in messages that are not finished.
  struct Room {
    std::uint64_t for_address = 0; ///< in all messages of one address; a network twice that
    std::uint64_t for_all = 0; ///< over that each network (/24, /48) has an equal share, and who has more goes first
  };
  /// Octets on the disk of a message that its client, who is counted, has not finished; they are given back when this
  /// is destroyed. The limits must outlive it.
  class Unfinished {
  public:
    Unfinished(ConnectionLimits &limits, const smtp::IpAddress &address) : limits_(limits), address_(address) {}
    Unfinished(const Unfinished &) = delete;
    Unfinished &operator=(const Unfinished &) = delete;
    ~Unfinished() { limits_.give_back(address_, octets_); }
    /// Holds at least `octets`, counted in steps of `step`; the first step is free, so that small messages cost
    /// nothing here. Error full: the detail names the limit; then no more is held than before.
    [[nodiscard]] smtp::Result<void> hold(std::uint64_t octets, const Room &room);
    /// Nothing while all together hold no more than they may; else the same error when the client's network has more
    /// than its share.
    [[nodiscard]] smtp::Result<void> keep(const Room &room) const;
    static constexpr std::uint64_t step = 65'536;

  private:
    ConnectionLimits &limits_;
    smtp::IpAddress address_;
    std::uint64_t octets_ = 0;
  };

  /// Octets that all Unfinished hold.
  [[nodiscard]] std::uint64_t unfinished() const noexcept { return unfinished_.load(std::memory_order_relaxed); }

  /// Open now.
  [[nodiscard]] std::size_t connections() const noexcept { return total_.load(std::memory_order_relaxed); }
  /// Addresses and networks remembered, open or not: for the bound on memory.
  [[nodiscard]] std::size_t remembered() const;

  static constexpr std::size_t shard_count = 16;
  /// Addresses and networks without an open connection that one shard remembers for the rate.
  static constexpr std::size_t idle_per_shard = 8192;

private:
  /// An address (all its bits) or a network.
  struct Key {
    smtp::IpAddress base;
    std::uint8_t bits = 0;
    friend bool operator==(const Key &, const Key &) = default;
  };
  struct Count {
    std::uint32_t open = 0;
    std::uint32_t this_minute = 0; ///< admitted since minute_start
    std::uint32_t last_minute = 0; ///< admitted in the minute before it
    std::uint32_t recipients_this_minute = 0;
    std::uint32_t recipients_last_minute = 0;
    std::uint64_t unfinished = 0; ///< octets on the disk
    Clock::time_point minute_start{};
    void move_on(Clock::time_point now) noexcept;
    [[nodiscard]] bool is_idle() const noexcept { return open == 0 && unfinished == 0; }
    [[nodiscard]] double in_a_minute(Clock::time_point now) const noexcept;
    [[nodiscard]] double recipients_in_a_minute(Clock::time_point now) const noexcept;
  };
  struct Hash {
    std::uint64_t seed = 0; ///< drawn per process, so that a peer cannot aim at one bucket
    std::size_t operator()(const Key &key) const noexcept;
  };
  struct Shard {
    explicit Shard(Hash hash) : counts(0, hash) {}
    mutable std::mutex mutex;
    std::unordered_map<Key, Count, Hash> counts;
    std::size_t idle = 0; ///< entries with nothing open
  };
  struct Tier {
    std::uint8_t bits = 0;
    std::uint64_t factor = 0; ///< of the limit per network; 0: the address itself
  };

  void leave(const smtp::IpAddress &address, bool counted) noexcept;
  void uncount(const smtp::IpAddress &address) noexcept;
  [[nodiscard]] smtp::Result<void> take_octets(const smtp::IpAddress &address, std::uint64_t octets, const Room &room);
  [[nodiscard]] smtp::Result<void> judge_share(const smtp::IpAddress &address, std::uint64_t held, bool is_new,
                                               const Room &room) const;
  void give_back(const smtp::IpAddress &address, std::uint64_t octets) noexcept;
  [[nodiscard]] static std::span<const Tier> tiers_of(const smtp::IpAddress &address) noexcept;
  [[nodiscard]] static std::uint64_t limit_of(const Tier &tier, std::uint64_t for_address,
                                              std::uint64_t for_network) noexcept;
  [[nodiscard]] static std::string name_of(const smtp::IpAddress &address, const Tier &tier);
  [[nodiscard]] static Key key_of(const smtp::IpAddress &address, const Tier &tier) noexcept;
  /// All counts of one address are in one shard: that of its widest network.
  [[nodiscard]] Shard &shard_of(const smtp::IpAddress &address) const noexcept;
  static void forget_some(Shard &shard, Clock::time_point now);

  Hash hash_;
  std::atomic<std::size_t> total_{0};
  std::atomic<std::uint64_t> unfinished_{0};
  std::atomic<std::uint64_t> holders_{0}; ///< widest networks with unfinished octets
  std::array<std::unique_ptr<Shard>, shard_count> shards_;
};

} // namespace mta::inbound
