// Fuzzes MTA-STS: records, policies and patterns; what is accepted keeps its limits and reads back the same.
#include "policy/mta_sts.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string text(reinterpret_cast<const char *>(data), size);
  if (const auto id = policy::find_sts_record({text}); id && *id) {
    if ((*id)->empty() || (*id)->size() > policy::sts_id_limit) std::abort();
    const auto twice = policy::find_sts_record({text, text});
    if (twice) std::abort();
  }
  if (const auto policy = policy::parse_sts_policy(text)) {
    if (policy->mx.empty() && policy->mode != policy::StsMode::none) std::abort();
    if (policy->max_age > policy::sts_longest_age || policy->mx.size() > policy::sts_mx_limit) std::abort();
    const auto again = policy::parse_sts_policy(policy::format_sts_policy(*policy));
    if (again && *again != *policy) std::abort();
    if (!again && policy->mx.size() < 100) std::abort(); // names in A-labels may be longer than they were
    for (const auto &pattern : policy->mx) {
      const bool is_ascii = std::all_of(pattern.begin(), pattern.end(), [](char c) { return c >= '\0'; });
      if (is_ascii && policy::parse_sts_pattern(pattern) != pattern) std::abort();
      if (!is_ascii && policy::sts_pattern_matches(pattern, pattern)) std::abort(); // a U-label matches nothing
    }
  }
  return 0;
}
