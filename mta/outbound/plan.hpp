// Plan and HostPlan: everything that is settled before a connection is opened: hosts, sources of TLS policy, the
// decision for each host, contexts; cached for each worker.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "mta/config/snapshot.hpp"
#include "mta/outbound/find_hosts.hpp"
#include "mta/queue/message.hpp"
#include "policy/decide.hpp"
#include "smtp/session/client_session.hpp"

namespace mta {

/// What a message asks of its transport, beside what its recipient's domain does.
struct MessageWish {
  policy::Wish wish = policy::Wish::none;
  std::optional<policy::OperatorOverride> override_;
  /// A notification, from <>. RFC 8689 section 5: REQUIRETLS "SHOULD NOT cause a bounce message to be discarded even if
  /// the next-hop relay does not advertise REQUIRETLS": of its demand the authenticated TLS stays.
  bool is_notice = false;
  friend bool operator==(const MessageWish &, const MessageWish &) = default;
};
[[nodiscard]] MessageWish wish_of(const QueuedMessage &message);

/// What is known of a recipient domain before any of its hosts is looked at. Const once made; shared by the jobs that
/// began with it.
struct Plan {
  std::shared_ptr<const Snapshot> snapshot;
  std::optional<smtp::Domain> recipient_domain; ///< nothing: an address literal
  std::string domain;                           ///< recipient domain, or the literal
  HostList hosts;
  MessageWish wish;
  policy::StsFacts sts;
  policy::MemoryFacts memory;
  /// What the configuration alone says, over the first host: what groups of domains may share, and what is logged when
  /// no host was found.
  policy::Decision decision;
  std::string requirement_key; ///< of `decision`

  [[nodiscard]] const policy::Requirement &required() const noexcept { return decision.enforced; }
  [[nodiscard]] const Config &config() const noexcept { return snapshot->config(); }
};

/// Trust stores by policy::trust_key().
using NamedStores = std::vector<std::pair<std::string, std::shared_ptr<const tls::TrustStore>>>;

/// Everything that is settled before a connection to one host is opened. Const once made; shared by the jobs and
/// connections that began with it.
struct HostPlan {
  std::shared_ptr<const Plan> plan;
  NextHost host;
  HostAddresses addresses;
  policy::DaneFacts dane;
  policy::Decision decision;
  std::shared_ptr<const std::string> decision_text; ///< JSON with every source, for `explain --message`
  std::string connection_key;                       ///< connections that may be shared have equal ones
  std::shared_ptr<const tls::Context> context;      ///< null only when no TLS is wished for
  std::shared_ptr<const tls::TrustStore> trust;
  std::shared_ptr<const tls::TrustStore> observed_trust; ///< of the observing rule, if there is one
  NamedStores stores; ///< of the demands that hold beside those, and of the partner's own
  std::shared_ptr<const tls::TrustStore> system_trust; ///< for the evidence
  smtp::StartTlsUse starttls = smtp::StartTlsUse::if_offered;

  [[nodiscard]] const policy::Requirement &required() const noexcept { return decision.enforced; }
  [[nodiscard]] const Config &config() const noexcept { return plan->config(); }
  /// Only a requirement that allows clear text, over STARTTLS, may plan an attempt in clear.
  [[nodiscard]] bool may_fall_back() const noexcept;
};

struct PlanSources {
  HostList hosts;
  MessageWish wish;
  policy::StsFacts sts;
  policy::MemoryFacts memory;
};

[[nodiscard]] std::shared_ptr<const Plan> make_plan(std::shared_ptr<const Snapshot> snapshot,
                                                    const smtp::Mailbox &recipient, PlanSources sources,
                                                    std::chrono::system_clock::time_point now);

/// The same plan with what the memory says now.
[[nodiscard]] std::shared_ptr<const Plan> with_memory(const Plan &plan, policy::MemoryFacts memory,
                                                      std::chrono::system_clock::time_point now);

/// The one way in which delivery and explain reach a decision: all sources, for this host. `host` empty: no host is
/// known.
[[nodiscard]] policy::Decision decide_for(const Plan &plan, const std::string &host, const policy::DaneFacts &dane,
                                          std::chrono::system_clock::time_point now);

/// The decision and what it needs. Errors: the snapshot lacks a context or a trust store that the decision names.
[[nodiscard]] smtp::Result<std::shared_ptr<const HostPlan>> make_host_plan(std::shared_ptr<const Plan> plan,
                                                                           NextHost host, HostAddresses addresses,
                                                                           policy::DaneFacts dane,
                                                                           std::chrono::system_clock::time_point now);

/// The host as the observing rule would have it reached, for a probe with that rule's own TLS profile: what is observed
/// becomes what is demanded. Null where nothing is observed, the rule would not use the host, or the profile is the
/// same.
[[nodiscard]] std::shared_ptr<const HostPlan> make_observed_plan(const HostPlan &plan);

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
  /// Of these names.
  template <typename IsMeant> void erase_if(IsMeant is_meant) {
    std::erase_if(entries_, [&](const auto &entry) { return is_meant(entry.first); });
  }

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
