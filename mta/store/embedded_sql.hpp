// The SQL files of mta/store/sql as they stand in the program, and their parts.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace mta::store {

/// One file: its name without ".sql".
struct SqlFile {
  std::string_view name;
  std::string_view text;
};
/// All of them, by name; written by cmake/embed_sql.cmake.
[[nodiscard]] const std::vector<SqlFile> &embedded_sql();

/// What changes a file of version N-1 into one of version N: schema_1, schema_2, …
[[nodiscard]] std::vector<std::string_view> schema_steps();

/// The statements of all other files by name: each begins with a line "-- name: NAME" and goes on to the next one.
[[nodiscard]] const std::map<std::string, std::string, std::less<>> &named_statements();

} // namespace mta::store
