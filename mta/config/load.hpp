// load_config: reads portcullis.toml and partners.d, and reports every mistake at once with file, line and key.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "mta/config/config.hpp"

namespace mta {

class ConfigFiles;

enum class Severity : std::uint8_t {
  error, ///< the daemon does not start with it
  warning,
  fault, ///< the daemon starts, but what is named does not work: `check` fails
};

/// One finding: "portcullis.toml:12: listener.profile: unknown profile "nscs"; known: ncsc, …".
struct Finding {
  Severity severity = Severity::error;
  std::string file;
  std::size_t line = 0; ///< 0: the file as a whole
  std::string key;      ///< dotted: "outbound.tls"
  std::string message;  ///< what is wrong and what would be right
  [[nodiscard]] std::string to_string() const;
};

struct LoadedConfig {
  std::shared_ptr<const Config> config; ///< null when there is any error
  std::vector<Finding> findings;        ///< errors and warnings, by file and line
};

/// Reads the file and the partner folder that it names (default: partners.d beside it). Relative paths are relative to
/// the file. Also reads recipient lists, and checks that certificates and keys can be read and belong together. `now`
/// decides which exceptions are expired (a warning).
[[nodiscard]] LoadedConfig load_config(const std::string &path, std::chrono::system_clock::time_point now);
/// The path by which a configuration is known: absolute and without "." and "..".
[[nodiscard]] std::string absolute_config_path(const std::string &path);
/// The same through `files`.
[[nodiscard]] LoadedConfig load_config(const std::string &path, std::chrono::system_clock::time_point now,
                                       const ConfigFiles &files);

} // namespace mta
