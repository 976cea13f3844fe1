// Value and parse_toml: a TOML document as plain values that know their lines; the one wrapper around toml++.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <tl/expected.hpp>

namespace mta::toml_tree {

struct Value;
using Array = std::vector<Value>;

struct Entry;
/// In the order of the file.
struct Table {
  std::size_t line = 0; ///< of the header or the opening brace; 0: the document
  std::vector<Entry> entries;
  [[nodiscard]] const Entry *find(std::string_view key) const noexcept;
};

/// A value that no key of ours takes (times, date-times): only its kind, for the message.
struct Other {
  std::string kind;
};

struct Value {
  std::size_t line = 0;
  std::variant<std::string, std::int64_t, double, bool, std::chrono::sys_days, Other, Array, Table> data;
  /// "a string", "a number", "a list", … for messages about a wrong type.
  [[nodiscard]] const char *kind() const noexcept;
};

struct Entry {
  std::string key;
  std::size_t line = 0; ///< of the key
  Value value;
};

struct SyntaxError {
  std::size_t line = 0;
  std::size_t column = 0;
  std::string message; ///< safe for one line of output
};

/// Pure; never throws for bad input. Depth is limited by toml++ (256).
[[nodiscard]] tl::expected<Table, SyntaxError> parse_toml(std::string_view text);

} // namespace mta::toml_tree
