// KeptPolicy: an MTA-STS policy as it is kept, in memory and as one file of the spool's sts folder.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

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

/// The text of a file: lines "domain", "id", "fetched", "expires" (seconds since 1970), "text LENGTH" with the policy,
/// and "check" with a checksum over all before it.
[[nodiscard]] std::string encode_kept_policy(const KeptPolicy &kept);
/// Errors: bad_syntax ("damaged: …"), too_long.
[[nodiscard]] smtp::Result<KeptPolicy> decode_kept_policy(std::string_view text);

/// A file whose contents cannot be used; its name still says whose it is.
struct DamagedPolicy {
  std::string domain;
  std::string path;
  std::string detail;
};

/// All that the folder holds. Blocks on the disk.
struct KeptPolicies {
  std::vector<KeptPolicy> policies;
  std::vector<DamagedPolicy> damaged;
};
/// A folder that is not there holds nothing. Errors: the folder cannot be read.
[[nodiscard]] smtp::Result<KeptPolicies> read_kept_policies(const std::string &folder);
/// Error not_found when nothing is kept of the domain.
[[nodiscard]] smtp::Result<KeptPolicy> read_kept_policy(const std::string &folder, const std::string &domain);
/// Whole or not at all, and on the disk when it returns. Makes the folder (0700) when it is not there.
[[nodiscard]] smtp::Result<void> write_kept_policy(const std::string &folder, const KeptPolicy &kept);
/// No error when it is not there.
[[nodiscard]] smtp::Result<void> remove_kept_policy(const std::string &folder, const std::string &domain);

} // namespace mta
