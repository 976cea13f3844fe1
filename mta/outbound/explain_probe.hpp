// probe_explained: connects to every address that an explanation names, by the function that delivery connects with,
// and says what came of it; no MAIL is sent.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "mta/net/workers.hpp"
#include "mta/outbound/explain.hpp"

namespace mta {

struct ProbeLimits {
  std::chrono::seconds each{20}; ///< for one address, from connecting to the second EHLO
  std::size_t addresses = 20;    ///< further ones are not tried
};

/// Fills ExplainedHost::probes. Runs on the worker's thread; a host that must not be used is not contacted.
[[nodiscard]] Task<Explanation> probe_explained(Worker &worker, Explanation explanation, ProbeLimits limits = {});

} // namespace mta
