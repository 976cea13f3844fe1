// A damaged file of the store: renamed, and what can still be read of it brought over into a new one.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "smtp/base/result.hpp"

namespace mta::store {

class Connection;

/// Renames the file and its -wal ("state.sqlite.damaged-20261129T161200Z"), durably, and removes its -shm, which holds
/// nothing. Gives the new name.
[[nodiscard]] smtp::Result<std::string> set_aside(const std::string &path, std::chrono::system_clock::time_point now);

/// A -wal that does not begin as one is renamed alone: SQLite would pass over it without a word. Gives its new name;
/// empty: there was none such.
[[nodiscard]] std::string set_aside_foreign_wal(const std::string &path, std::chrono::system_clock::time_point now);

struct Salvage {
  std::uint64_t rows = 0;    ///< brought over
  std::uint64_t refused = 0; ///< read, but not fit for the new file
  std::string incomplete;    ///< tables of which a part may be missing, "a, b"; "everything" when nothing can be read
};
/// Reads each table of the old file from both ends up to the damage, for about `time`, and notes in the table `damages`
/// which of them may have lost something.
[[nodiscard]] Salvage salvage(const std::string &old_path, Connection &fresh, std::chrono::milliseconds time,
                              std::chrono::system_clock::time_point now);

} // namespace mta::store
