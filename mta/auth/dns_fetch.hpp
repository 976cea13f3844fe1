// fetch_missing: asks the resolver for the DNS facts that checks found missing, all at once.
#pragma once

#include <chrono>
#include <memory>

#include "auth/core/dns_facts.hpp"
#include "mta/auth/fact_cache.hpp"
#include "mta/base/async.hpp"
#include "mta/dns/resolver.hpp"

namespace mta {

/// Puts an answer to every missing question into `facts` and clears the list; what has no answer by `deadline` becomes
/// temporary. `facts` belongs to the coroutine's executor, which must run on one thread; `resolver` must outlive
/// questions that are still under way at the deadline, or `kept` owns it. `cache` (null: none) belongs to the same
/// thread and keeps what comes.
[[nodiscard]] Task<> fetch_missing(Resolver &resolver, auth::DnsFacts &facts,
                                   std::chrono::steady_clock::time_point deadline, FactCache *cache = nullptr,
                                   std::shared_ptr<const void> kept = nullptr);

} // namespace mta
