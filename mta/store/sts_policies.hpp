// The MTA-STS policies that are kept, as rows of the store.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "mta/store/store.hpp"
#include "smtp/base/result.hpp"

namespace mta::store {

struct StsPolicyRow {
  std::string domain;
  std::string id; ///< of the record when it was fetched
  std::chrono::sys_seconds fetched{};
  std::chrono::sys_seconds expires{};
  std::string text;     ///< as fetched
  bool is_whole = true; ///< false: the row is damaged, only its domain counts
  friend bool operator==(const StsPolicyRow &, const StsPolicyRow &) = default;
};

/// Soon; replaces what was kept of the domain. False: no room in memory, it is not kept.
bool keep_sts_policy(Store &store, StsPolicyRow row);
bool remove_sts_policy(Store &store, std::string domain);

/// By domain; none when there is no store yet. Errors: those of the reader.
[[nodiscard]] smtp::Result<std::vector<StsPolicyRow>> read_sts_policies(Reader &reader);
/// Error not_found when nothing is kept of the domain.
[[nodiscard]] smtp::Result<StsPolicyRow> read_sts_policy(Reader &reader, const std::string &domain);
/// By an operator, in a process of its own. Error not_found when nothing was kept.
[[nodiscard]] smtp::Result<void> forget_sts_policy(const std::string &folder, const std::string &domain);

} // namespace mta::store
