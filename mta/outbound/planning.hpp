// Planning: asks the DNS and every source of TLS policy for one recipient domain, and then for one of its hosts; the
// one way in which delivery, explain and probes come to a decision.
#pragma once

#include <functional>
#include <memory>

#include "mta/dns/resolver.hpp"
#include "mta/outbound/plan.hpp"
#include "mta/sts/sts_policies.hpp"
#include "mta/tally/tls_recall.hpp"

namespace mta {

/// Who is asked. Everything must outlive the calls.
struct PolicySources {
  Resolver &resolver;
  StsPolicies *sts = nullptr;            ///< null: MTA-STS is not asked
  TlsRecall *memory = nullptr;           ///< null: nothing is remembered
  std::function<bool()> dns_validates{}; ///< false: DANE is off; none: it does
};

struct GatheredPlan {
  std::shared_ptr<const Plan> plan;    ///< never null; without hosts when there is a failure
  std::optional<HostsFailure> failure; ///< why there are no hosts
};
/// `random` must outlive the call.
[[nodiscard]] Task<GatheredPlan> gather_plan(const PolicySources &sources, std::shared_ptr<const Snapshot> snapshot,
                                             smtp::Mailbox recipient, MessageWish wish, const RandomIndex &random);

/// Whether the TLS memory still says of the plan's domain what it said then. It learns with every session, and a plan
/// that was made before TLS was first seen must not let mail leave in clear afterwards.
[[nodiscard]] bool is_current(const PolicySources &sources, const Plan &plan);

/// Addresses, TLSA records and the decision, by what the memory says at the end of the look-ups. Errors: as
/// make_host_plan().
[[nodiscard]] Task<smtp::Result<std::shared_ptr<const HostPlan>>>
gather_host_plan(const PolicySources &sources, std::shared_ptr<const Plan> plan, NextHost host);

/// How long what was gathered is believed; with a failed look-up in it, for seconds.
[[nodiscard]] std::chrono::seconds lifetime_of(const Plan &plan) noexcept;
[[nodiscard]] std::chrono::seconds lifetime_of(const HostPlan &plan) noexcept;

} // namespace mta
