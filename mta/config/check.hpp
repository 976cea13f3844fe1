// check_config: what `portcullis check` says: every finding at once, and what each TLS profile becomes with this
// OpenSSL.
#pragma once

#include <chrono>
#include <string>

#include "mta/config/load.hpp"

namespace mta {

struct CheckReport {
  bool ok = false;  ///< the daemon would start with this configuration
  std::string text; ///< for people; no final line break
  std::string json; ///< one object: ok, file, errors, warnings, findings, profiles
};

/// Reads the configuration as the daemon would, keys and certificates included, and builds its TLS contexts. Blocks.
[[nodiscard]] CheckReport check_config(const std::string &path, std::chrono::system_clock::time_point now);

/// The same report for a configuration that is loaded already; `path` as the operator wrote it.
[[nodiscard]] CheckReport format_check(const std::string &path, const LoadedConfig &loaded);

} // namespace mta
