// needs_restart: which changes between two configurations a reload cannot bring into force.
#pragma once

#include <string>
#include <vector>

#include "mta/config/config.hpp"

namespace mta {

/// The keys that differ and are read only at start, in the words of the configuration file: "spool.path", "listener",
/// ….
[[nodiscard]] std::vector<std::string> needs_restart(const Config &running, const Config &loaded);

} // namespace mta
