// OutboundLoad: how many connections there are to other hosts, of all workers together, and how many to each address.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "smtp/names/ip_address.hpp"

namespace mta {

/// Thread-safe. Every socket to another mail host is counted from before it connects until it is closed: in use, kept
/// for the next message, or saying QUIT.
class OutboundLoad {
public:
  using Clock = std::chrono::steady_clock;

  /// Counts one connection to `address` while it lives.
  class Hold {
  public:
    Hold() = default;
    Hold(std::shared_ptr<OutboundLoad> load, const smtp::IpAddress &address);
    Hold(Hold &&other) noexcept = default;
    Hold &operator=(Hold &&other) noexcept;
    ~Hold() { release(); }
    void release() noexcept;
    [[nodiscard]] const smtp::IpAddress &address() const noexcept { return address_; } ///< as it was given

  private:
    std::shared_ptr<OutboundLoad> load_;
    smtp::IpAddress address_{smtp::IpAddress::v4({})};
  };

  /// Whether one more connection to this address may be made. At most `per_address`, and a quarter of a small pool;
  /// one that has not answered for a message yet holds no more than a tenth of it, since a wildcard makes any number of
  /// domains of one slow host. IPv6 addresses count by their /64, which is what one owner has. And
  /// never more than the host has said it takes.
  [[nodiscard]] bool has_room(const smtp::IpAddress &address, std::size_t per_address, std::size_t limit) const;
  /// The host at this address put a new connection off at its greeting (RFC 5321 section 4.3.2: 421; another 4xx is
  /// read alike). True: other connections of ours are open there, or one said QUIT just now, so the host is well and
  /// only has no room: as many as there are is what it takes, for room_is_known. False: nothing but the refusal is
  /// known of it.
  [[nodiscard]] bool note_no_room(const smtp::IpAddress &address, Clock::time_point now = Clock::now());
  /// Whether the host at this address, as far as it has said, takes one more connection.
  [[nodiscard]] bool takes_more(const smtp::IpAddress &address, Clock::time_point now = Clock::now()) const;
  /// A session of ours with the host at this address said QUIT; the host may still count it.
  void note_ended(const smtp::IpAddress &address, Clock::time_point now = Clock::now()) noexcept;
  /// The host at this address has said how many it takes.
  [[nodiscard]] bool knows_room(const smtp::IpAddress &address, Clock::time_point now = Clock::now()) const;
  static constexpr std::chrono::seconds room_is_known{60};
  /// A host may still count a connection that we have ended.
  static constexpr std::chrono::seconds just_now{5};
  /// A host at this address has answered for a message.
  void note_answered(const smtp::IpAddress &address);
  /// Every socket: those that hold a place at an address, and those that say QUIT.
  [[nodiscard]] std::size_t connections() const noexcept { return connections_ + closing; }

  /// A connection to this address is idle at that worker, or no longer is.
  void note_kept(const smtp::IpAddress &address, std::size_t worker);
  void note_not_kept(const smtp::IpAddress &address, std::size_t worker) noexcept;
  /// A worker that keeps an idle connection to this address.
  [[nodiscard]] std::optional<std::size_t> keeper_of(const smtp::IpAddress &address) const;

  /// What is counted as one: an IPv4 address, or the /64 of an IPv6 address.
  [[nodiscard]] static smtp::IpAddress counted(const smtp::IpAddress &address) noexcept;

  std::atomic<std::size_t> jobs{0};    ///< handed to delivery and not done
  std::atomic<std::size_t> kept{0};    ///< idle connections
  std::atomic<std::size_t> closing{0}; ///< connections that say QUIT; they hold no place at their address

  /// Three quarters of what the pool may hold are in use: waits become shorter.
  [[nodiscard]] bool is_nearly_full(std::size_t limit) const noexcept { return jobs * 4 >= limit * 3 && limit > 1; }

private:
  /// What a host takes, as it has shown.
  struct Room {
    std::size_t connections = 0;
    Clock::time_point until{};
  };
  [[nodiscard]] bool takes_more_locked(const smtp::IpAddress &key, Clock::time_point now) const;

  mutable std::mutex mutex_;
  std::map<smtp::IpAddress, std::size_t> by_address_;             ///< under mutex_
  std::map<smtp::IpAddress, std::vector<std::uint32_t>> kept_by_; ///< idle ones by worker; under mutex_
  std::set<smtp::IpAddress> answered_;                            ///< under mutex_
  std::map<smtp::IpAddress, Room> rooms_;                         ///< under mutex_; of hosts that said so
  std::vector<std::pair<smtp::IpAddress, Clock::time_point>>
      ended_; ///< under mutex_; where a session said QUIT of late
  std::atomic<std::size_t> connections_{0};
};

} // namespace mta
