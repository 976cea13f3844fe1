// check_config: what `portcullis check` says: every finding at once, and what each TLS profile becomes with this
// OpenSSL.
#pragma once

#include <chrono>
#include <string>

#include "mta/config/load.hpp"

namespace mta {

struct CheckOptions {
  bool profiles = false; ///< also in the text; the JSON has them always
};

struct CheckReport {
  bool ok = false; ///< the daemon would start with this configuration, and everything that it names works
  std::size_t warnings = 0;
  std::string text; ///< for people; no final line break
  std::string json; ///< one object: ok, file, errors, warnings, findings, profiles
};

/// Reads the configuration as the daemon would, keys and certificates included, and builds its TLS contexts. Blocks.
[[nodiscard]] CheckReport check_config(const std::string &path, std::chrono::system_clock::time_point now,
                                       CheckOptions options = {});
/// What it looks at; the configuration is kept beside errors that only building it showed.
[[nodiscard]] LoadedConfig load_for_check(const std::string &path, std::chrono::system_clock::time_point now);

/// The same report for what was found already; `path` as the operator wrote it. Warnings come first, errors last.
[[nodiscard]] CheckReport format_check(const std::string &path, const LoadedConfig &loaded, CheckOptions options = {});

} // namespace mta
