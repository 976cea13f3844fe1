// FactCache: DNS answers kept for as long as they live, so that a message whose names are known asks nobody.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "auth/core/dns_facts.hpp"

namespace mta {

/// For one thread. In front of the resolver's own cache, whose answers cross two threads: one look-up there costs more
/// than a signature check. Failures are never kept. Bounded in octets; when it is full, what has expired goes, and if
/// that is not enough, everything.
class FactCache {
public:
  using Clock = std::chrono::steady_clock;

  explicit FactCache(std::size_t octet_limit = 8'388'608) : octet_limit_(octet_limit) {}

  /// Null when it is not there or has expired.
  [[nodiscard]] std::shared_ptr<const auth::DnsFact> find(const auth::DnsQuestion &question,
                                                          Clock::time_point now) const;
  /// `ttl` is bounded: to 5 minutes, and for names and types that do not exist to 1 minute. Temporary failures, answers
  /// without a TTL and answers over a 64th of the limit are not kept.
  void put(const auth::DnsQuestion &question, std::shared_ptr<const auth::DnsFact> fact, std::chrono::seconds ttl,
           Clock::time_point now);
  [[nodiscard]] std::size_t octets() const noexcept { return octets_; }
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

private:
  struct Hash {
    std::size_t operator()(const auth::DnsQuestion &question) const noexcept;
  };
  struct Entry {
    std::shared_ptr<const auth::DnsFact> fact;
    Clock::time_point expires;
    std::size_t octets = 0;
  };
  void make_room(Clock::time_point now);

  std::size_t octet_limit_;
  std::size_t octets_ = 0;
  std::unordered_map<auth::DnsQuestion, Entry, Hash> entries_;
};

} // namespace mta
