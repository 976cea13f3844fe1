// Reads names and schema steps out of the embedded SQL.
#include "mta/store/embedded_sql.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace mta::store {

namespace {

constexpr std::string_view mark = "-- name: ";

void take_statements(std::string_view text, std::map<std::string, std::string, std::less<>> &out) {
  for (auto at = text.find(mark); at != std::string_view::npos;) {
    const auto line_end = text.find('\n', at);
    const auto next = text.find(mark, line_end);
    const auto name = text.substr(at + mark.size(), line_end - at - mark.size());
    out.emplace(name, text.substr(line_end + 1, next == std::string_view::npos ? next : next - line_end - 1));
    at = next;
  }
}

} // namespace

std::vector<std::string_view> schema_steps() {
  std::vector<std::string_view> steps;
  const auto &files = embedded_sql();
  for (;;) {
    const auto name = fmt::format("schema_{}", steps.size() + 1);
    const auto found = std::find_if(files.begin(), files.end(), [&](const SqlFile &file) { return file.name == name; });
    if (found == files.end()) return steps;
    steps.push_back(found->text);
  }
}

const std::map<std::string, std::string, std::less<>> &named_statements() {
  static const auto statements = [] {
    std::map<std::string, std::string, std::less<>> out;
    for (const SqlFile &file : embedded_sql())
      if (!file.name.starts_with("schema_")) take_statements(file.text, out);
    return out;
  }();
  return statements;
}

} // namespace mta::store
