// run_checks: fetches what a message's checks ask for until they are settled, within a time limit.
#pragma once

#include <chrono>
#include <memory>

#include "mta/auth/fact_cache.hpp"
#include "mta/auth/message_check.hpp"
#include "mta/base/async.hpp"
#include "mta/dns/resolver.hpp"

namespace mta {

/// `resolver` null: every question fails for now. What has no answer by `deadline` is a temporary failure, so this ends
/// soon after it. `cache` (null: none) belongs to the coroutine's thread and outlives `facts`: what it has is no
/// question at all. False when the checks ask more rounds of questions than any message needs: its results do not
/// count. `kept` as in fetch_missing().
[[nodiscard]] Task<bool> run_checks(MessageCheck &check, auth::DnsFacts &facts, Resolver *resolver,
                                    std::chrono::steady_clock::time_point deadline, FactCache *cache = nullptr,
                                    std::shared_ptr<const void> kept = nullptr);

} // namespace mta
