// KeptPolicy: an MTA-STS policy as it is kept, in memory and as a row of the store.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "mta/store/sts_policies.hpp"
#include "policy/mta_sts.hpp"
#include "smtp/base/result.hpp"

namespace mta {

struct KeptPolicy {
  std::string domain;
  std::string id; ///< of the record when it was fetched
  std::chrono::system_clock::time_point fetched;
  std::chrono::system_clock::time_point expires;
  std::string text; ///< as fetched
  policy::StsPolicy policy;
  friend bool operator==(const KeptPolicy &, const KeptPolicy &) = default;
};

/// A row whose contents cannot be used; it still says whose it is.
struct DamagedPolicy {
  std::string domain;
  std::string detail;
};

[[nodiscard]] store::StsPolicyRow to_row(const KeptPolicy &kept);
/// Error bad_syntax: the row is damaged, or what it holds is no policy.
[[nodiscard]] smtp::Result<KeptPolicy> from_row(store::StsPolicyRow row);

struct KeptPolicies {
  std::vector<KeptPolicy> policies;
  std::vector<DamagedPolicy> damaged;
};
/// By domain. Errors: the store cannot be read. Blocks.
[[nodiscard]] smtp::Result<KeptPolicies> read_kept_policies(store::Reader &reader);

} // namespace mta
