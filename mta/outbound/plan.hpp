// Plan: everything that is settled before a connection is opened: hosts, TLS decision, contexts; cached for each
// worker.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "mta/config/snapshot.hpp"
#include "mta/outbound/find_hosts.hpp"
#include "policy/requirement.hpp"
#include "smtp/session/client_session.hpp"

namespace mta {

/// Const once made; shared by the jobs and connections that began with it.
struct Plan {
  std::shared_ptr<const Snapshot> snapshot;
  std::string domain; ///< recipient domain, or the literal
  HostList hosts;
  policy::Decision decision;
  std::string requirement_key;
  std::shared_ptr<const tls::Context> context; ///< null only when no TLS is wished for
  std::shared_ptr<const tls::TrustStore> trust;
  std::shared_ptr<const tls::TrustStore> observed_trust; ///< of the observing rule, if there is one
  smtp::StartTlsUse starttls = smtp::StartTlsUse::if_offered;

  [[nodiscard]] const policy::Requirement &required() const noexcept { return decision.enforced; }
  [[nodiscard]] const Config &config() const noexcept { return snapshot->config(); }
  /// Connections that may be shared have equal keys.
  [[nodiscard]] std::string connection_key(const NextHost &host) const;
  /// Only an opportunistic requirement over STARTTLS may plan an attempt in clear.
  [[nodiscard]] bool may_fall_back() const noexcept;
};

/// The decision and what it needs. Errors: the snapshot lacks a context or a trust store that the decision names.
[[nodiscard]] smtp::Result<std::shared_ptr<const Plan>> make_plan(std::shared_ptr<const Snapshot> snapshot,
                                                                  const smtp::Mailbox &recipient, HostList hosts,
                                                                  std::chrono::system_clock::time_point now);

/// Values by name with an end of life; bounded. One worker's.
template <typename Value> class TimedCache {
public:
  using Clock = std::chrono::steady_clock;

  /// Null when there is none or its time is over.
  [[nodiscard]] const Value *find(const std::string &name, Clock::time_point now) {
    const auto found = entries_.find(name);
    if (found == entries_.end()) return nullptr;
    if (found->second.until > now) return &found->second.value;
    entries_.erase(found);
    return nullptr;
  }
  void put(const std::string &name, Value value, std::chrono::seconds lifetime, Clock::time_point now) {
    if (entries_.size() >= entry_limit) {
      std::erase_if(entries_, [now](const auto &entry) { return entry.second.until <= now; });
      if (entries_.size() >= entry_limit) entries_.clear();
    }
    entries_.insert_or_assign(name, Entry{std::move(value), now + lifetime});
  }
  void clear() { entries_.clear(); }

private:
  static constexpr std::size_t entry_limit = 10'000;
  struct Entry {
    Value value;
    Clock::time_point until;
  };
  std::unordered_map<std::string, Entry> entries_;
};

/// How long an answer with this TTL is believed without asking again: from 5 s, so that a burst asks once, to 5 min.
[[nodiscard]] std::chrono::seconds cache_lifetime(std::chrono::seconds ttl) noexcept;

} // namespace mta
