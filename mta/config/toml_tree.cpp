#include "mta/config/toml_tree.hpp"

#include <algorithm>

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ENABLE_UNRELEASED_FEATURES 0
#include <toml++/toml.h>

#include "smtp/base/text.hpp"

namespace mta::toml_tree {

namespace {

/// toml++ escapes what it quotes, with a backslash of its own; anything else that is not printable is escaped here.
std::string printable(std::string_view text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
  return plain && text.size() <= 300 ? std::string(text) : smtp::escape(text, 300);
}

std::size_t line_of(const toml::source_region &region) {
  return region.begin.line;
}

Value convert(const toml::node &node, std::size_t fallback_line);

Table convert_table(const toml::table &table, std::size_t line) {
  Table result;
  result.line = line;
  for (const auto &[key, node] : table) {
    const std::size_t key_line = line_of(key.source());
    result.entries.push_back({std::string(key.str()), key_line, convert(node, key_line)});
  }
  // toml++ sorts by name; people read in the order of the file.
  std::stable_sort(result.entries.begin(), result.entries.end(),
                   [](const Entry &left, const Entry &right) { return left.line < right.line; });
  return result;
}

Value convert(const toml::node &node, std::size_t fallback_line) {
  Value value;
  value.line = line_of(node.source()) != 0 ? line_of(node.source()) : fallback_line;
  switch (node.type()) {
  case toml::node_type::string: value.data = node.as_string()->get(); break;
  case toml::node_type::integer: value.data = node.as_integer()->get(); break;
  case toml::node_type::floating_point: value.data = node.as_floating_point()->get(); break;
  case toml::node_type::boolean: value.data = node.as_boolean()->get(); break;
  case toml::node_type::date: {
    const toml::date &date = node.as_date()->get();
    value.data = std::chrono::sys_days(std::chrono::year_month_day(
        std::chrono::year(date.year), std::chrono::month(date.month), std::chrono::day(date.day)));
    break;
  }
  case toml::node_type::time: value.data = Other{"a time"}; break;
  case toml::node_type::date_time: value.data = Other{"a date with a time"}; break;
  case toml::node_type::array: {
    Array array;
    for (const auto &element : *node.as_array()) array.push_back(convert(element, value.line));
    value.data = std::move(array);
    break;
  }
  case toml::node_type::table: value.data = convert_table(*node.as_table(), value.line); break;
  case toml::node_type::none: value.data = Other{"nothing"}; break;
  }
  return value;
}

} // namespace

const Entry *Table::find(std::string_view key) const noexcept {
  for (const auto &entry : entries)
    if (entry.key == key) return &entry;
  return nullptr;
}

const char *Value::kind() const noexcept {
  struct Visitor {
    const char *operator()(const std::string &) const { return "a string"; }
    const char *operator()(std::int64_t) const { return "a number"; }
    const char *operator()(double) const { return "a fraction"; }
    const char *operator()(bool) const { return "true or false"; }
    const char *operator()(std::chrono::sys_days) const { return "a date"; }
    const char *operator()(const Other &other) const { return other.kind.c_str(); }
    const char *operator()(const Array &) const { return "a list"; }
    const char *operator()(const Table &) const { return "a table"; }
  };
  return std::visit(Visitor(), data);
}

tl::expected<Table, SyntaxError> parse_toml(std::string_view text) {
  const toml::parse_result result = toml::parse(text);
  if (!result) {
    const toml::parse_error &error = result.error();
    return tl::unexpected(
        SyntaxError{error.source().begin.line, error.source().begin.column, printable(error.description())});
  }
  return convert_table(result.table(), 0);
}

} // namespace mta::toml_tree
