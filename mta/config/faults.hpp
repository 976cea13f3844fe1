// find_faults: what a configuration that loads would do to mail all the same: domains that lead back to us,
// certificates that have ended.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "mta/config/load.hpp"

namespace mta {

/// Faults (Severity::fault): the daemon starts with them and mail waits; `check` fails. Sorted by file and line.
[[nodiscard]] std::vector<Finding> find_faults(const Config &config, std::chrono::system_clock::time_point now);

/// A finding at a place such as "portcullis.toml:12".
[[nodiscard]] Finding finding_at(Severity severity, const std::string &place, std::string key, std::string message);

} // namespace mta
