// Files that commands read and write: input with a limit, and new files that never overwrite one.
#pragma once

#include <cstddef>
#include <string>

#include <sys/types.h>

#include "smtp/base/result.hpp"

namespace mta::cli {

/// "-" is standard input. Errors name the path; too_long beyond `limit` octets.
[[nodiscard]] smtp::Result<std::string> read_input(const std::string &path, std::size_t limit);

/// Writes a new file; an existing one is never overwritten, because a lost key cannot be made again.
[[nodiscard]] smtp::Result<void> write_new(const std::string &path, const std::string &text, mode_t mode);

} // namespace mta::cli
