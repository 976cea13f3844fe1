// MemoryAccount: what the process holds in memory, against one budget for sessions, headers, the queue and all else.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <utility>

namespace mta {

/// What memory is wanted for. As the budget fills, the first is refused first.
enum class MemoryNeed : std::uint8_t {
  large_header, ///< of a message that is being received: up to three quarters of the budget
  stranger,     ///< a session of a client that is not one of ours: up to seven eighths
  message,      ///< a message of usual form, a session of a client of ours: up to all of it
};

/// Thread-safe. What is used is the resident memory, looked at once a second, and what was charged since the last look:
/// a peer that fills memory fast is seen at once, and what nobody charges (the queue, the resolver) a second later.
class MemoryAccount {
public:
  using Clock = std::chrono::steady_clock;

  /// Octets that somebody holds, until they are set anew or this is destroyed. The account must outlive it.
  class Charge {
  public:
    explicit Charge(MemoryAccount &account, std::uint64_t octets = 0) noexcept : account_(account) { set(octets); }
    Charge(const Charge &) = delete;
    Charge &operator=(const Charge &) = delete;
    ~Charge() { set(0); }
    void set(std::uint64_t octets) noexcept {
      account_.charged_.fetch_add(octets - octets_, std::memory_order_relaxed);
      octets_ = octets;
    }
    [[nodiscard]] std::uint64_t octets() const noexcept { return octets_; }

  private:
    MemoryAccount &account_;
    std::uint64_t octets_ = 0;
  };

  /// Octets in use. Blocks for one small read of /proc once a second; where that cannot be read only charges count.
  [[nodiscard]] std::uint64_t used(Clock::time_point now);
  /// Octets charged now.
  [[nodiscard]] std::uint64_t charged() const noexcept { return charged_.load(std::memory_order_relaxed); }
  /// False: there is no room for `more` octets for this need. A budget of 0 has room for everything.
  [[nodiscard]] bool has_room(MemoryNeed need, std::uint64_t budget, std::uint64_t more, Clock::time_point now);
  /// The part of the budget that a need may fill.
  [[nodiscard]] static std::uint64_t share(MemoryNeed need, std::uint64_t budget) noexcept;

private:
  std::atomic<std::uint64_t> charged_{0};
  std::atomic<std::int64_t> next_look_{INT64_MIN}; ///< ticks of Clock
  std::atomic<std::uint64_t> resident_{0};
  std::atomic<std::uint64_t> charged_at_look_{0};
};

} // namespace mta
