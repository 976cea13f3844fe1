// load_config_text: load_config() for a text in memory and files of the caller's choice; what the tests and the fuzzer
// drive.
#pragma once

#include <chrono>
#include <set>
#include <string>
#include <string_view>

#include "mta/config/config_files.hpp"
#include "mta/config/load.hpp"

namespace mta {

struct LoadTextOptions {
  std::string file = "portcullis.toml"; ///< the name that findings show
  std::string folder;                   ///< where relative paths start, absolute
  std::chrono::system_clock::time_point now;
  std::set<std::string> *asked =
      nullptr; ///< filled with every key that was looked for ("listener.profile"); partners' keys have no file in front
};

/// Touches no file but through `files`.
[[nodiscard]] LoadedConfig load_config_text(std::string_view text, const LoadTextOptions &options,
                                            const ConfigFiles &files);

} // namespace mta
