#include "mta/config/start_facts.hpp"

#include <filesystem>

#include <fmt/format.h>

#include "mta/config/config_files.hpp"
#include "mta/config/toml_tree.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

constexpr std::size_t file_limit = 4 * 1024 * 1024;

/// The keys of one section. Where the document has a syntax error somewhere, each line of the section is read by
/// itself, and those that are wrong are passed over.
class Part {
public:
  Part(std::string_view text, std::string_view section) {
    if (const auto whole = toml_tree::parse_toml(text)) {
      if (const auto *entry = whole->find(section))
        if (const auto *table = std::get_if<toml_tree::Table>(&entry->value.data)) table_ = *table;
      return;
    }
    bool inside = false;
    for (std::string_view line : smtp::split(text, '\n')) {
      line = smtp::trim(line.ends_with('\r') ? line.substr(0, line.size() - 1) : line);
      if (line.starts_with('[')) {
        inside = smtp::trim(line.substr(0, line.find('#'))) == fmt::format("[{}]", section);
        continue;
      }
      if (!inside) continue;
      if (auto one = toml_tree::parse_toml(line))
        for (auto &entry : one->entries) table_.entries.push_back(std::move(entry));
    }
  }

  void read(std::string_view key, std::string &out) const {
    const auto *entry = table_.find(key);
    const auto *text = entry ? std::get_if<std::string>(&entry->value.data) : nullptr;
    if (text) out = *text;
  }
  void read(std::string_view key, bool &out) const {
    const auto *entry = table_.find(key);
    const auto *truth = entry ? std::get_if<bool>(&entry->value.data) : nullptr;
    if (truth) out = *truth;
  }
  void read_path(std::string_view key, std::string &out, std::string_view folder) const {
    std::string path;
    read(key, path);
    if (path.empty()) return;
    out = path.front() == '/' ? path : fmt::format("{}{}{}", folder, folder.ends_with('/') ? "" : "/", path);
  }

private:
  toml_tree::Table table_;
};

} // namespace

StartFacts parse_start_facts(std::string_view text, std::string_view folder) {
  StartFacts facts;
  const Part control(text, "control");
  control.read_path("socket", facts.control.socket, folder);
  control.read("group", facts.control.group);
  const Part spool(text, "spool");
  spool.read_path("path", facts.spool_path, folder);
  const Part log(text, "log");
  log.read_path("file", facts.log_file, folder);
  const Part server(text, "server");
  server.read("user", facts.user);
  server.read("group", facts.group);
  server.read("start_with_last_good", facts.start_with_last_good);
  return facts;
}

StartFacts read_start_facts(const std::string &path) {
  std::error_code code;
  const auto absolute = std::filesystem::absolute(path, code);
  const auto text = DiskFiles().read(path, file_limit);
  return parse_start_facts(text ? *text : std::string(), code ? "." : absolute.parent_path().string());
}

} // namespace mta
