// check_system: what of a configuration this machine would not let the daemon do: users, folders, addresses, keys.
#pragma once

#include <vector>

#include "mta/config/load.hpp"

namespace mta::cli {

/// As far as the rights of who asks go. Changes nothing: addresses are bound for a moment and not listened on. Errors
/// are what the daemon would not start with.
[[nodiscard]] std::vector<Finding> check_system(const Config &config);

} // namespace mta::cli
