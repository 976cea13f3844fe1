// StsPolicies: the MTA-STS policy that holds for a recipient domain now (RFC 8461); what delivery and explain ask.
#pragma once

#include <string>

#include "mta/base/async.hpp"
#include "policy/tls_sources.hpp"

namespace mta {

/// Thread-safe. Each coroutine resumes on its own executor.
class StsPolicies {
public:
  virtual ~StsPolicies() = default;
  /// Never fails: what went wrong is in the facts. `domain` is the recipient's, never a CNAME target or an MX;
  /// lower-case A-labels. Takes at most the configured time of a fetch; a known policy answers at once and is refreshed
  /// behind.
  virtual Task<policy::StsFacts> find(std::string domain) = 0;
};

} // namespace mta
