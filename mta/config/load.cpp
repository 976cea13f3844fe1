#include "mta/config/load.hpp"

#include <filesystem>

#include <fmt/format.h>

#include "mta/config/load_text.hpp"
#include "mta/config/loading.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

constexpr std::size_t main_file_limit = 4 * 1024 * 1024;

/// True when mail for <Postmaster> would end at our own door.
void check_postmaster(Section &root, const Config &config) {
  if (!config.queue.postmaster) return;
  auto queue = root.table("queue");
  if (queue && config.classify(smtp::ForwardPath(*config.queue.postmaster)) == policy::LocalRecipient::unknown)
    queue->error("postmaster",
                 fmt::format("{} is not among the recipients of its domain", config.queue.postmaster->to_string()));
}

LoadedConfig finish(Loading &loading) {
  LoadedConfig result;
  std::vector<std::string> own;
  for (const auto &[name, domain] : loading.config.domains) own.push_back(name);
  auto table = policy::PartnerTable::build(std::move(loading.partners), own);
  if (table)
    loading.config.partners = std::move(*table);
  else if (!loading.ledger.findings.has_errors()) // else it is told already, with its line
    loading.ledger.findings.add({Severity::error, loading.config.server.partners, 0, "", table.error().detail});
  result.findings = loading.ledger.findings.sorted(loading.main_file);
  if (!loading.ledger.findings.has_errors()) result.config = std::make_shared<const Config>(std::move(loading.config));
  return result;
}

} // namespace

void check_whole(Section &root, Loading &loading) {
  const Config &config = loading.config;
  if (config.listeners.empty() && !root.has("listener"))
    root.warning("listener", "there is no [[listener]]: no mail comes in");
  check_postmaster(root, config);
  const auto ours = [&config](const smtp::DomainPattern &pattern) -> const DomainConfig * {
    if (pattern.is_wildcard()) return nullptr; // "*.gov.uk" beside our own example.gov.uk is as it should be
    const auto found = config.domains.find(pattern.base());
    return found == config.domains.end() ? nullptr : &found->second;
  };
  for (const auto &partner : loading.partners) {
    if (!partner.outbound) continue;
    for (const auto &pattern : partner.domains) {
      const DomainConfig *own = ours(pattern);
      if (!own) continue;
      const std::string &place = partner.outbound->place;
      loading.ledger.findings.add(
          {Severity::warning, partner.file,
           static_cast<std::size_t>(smtp::parse_number(place.substr(place.rfind(':') + 1)).value_or(0)), "outbound",
           fmt::format("{} is a domain of ours ({}): is mail to it really to follow this rule?", pattern.to_string(),
                       own->place)});
    }
  }
}

std::string Finding::to_string() const {
  std::string text = file;
  if (line != 0) text += fmt::format(":{}", line);
  text += ": ";
  if (severity == Severity::warning) text += "warning: ";
  if (!key.empty()) text += key + ": ";
  return text + message;
}

LoadedConfig load_config_text(std::string_view text, const LoadTextOptions &options, const ConfigFiles &files) {
  Loading loading(files, options.now, options.folder, options.file);
  loading.config.file = options.folder.empty() ? options.file : loading.absolute(options.file);
  const auto tree = toml_tree::parse_toml(text);
  if (!tree) {
    // The partner files are read all the same: every mistake is to be seen at once.
    loading.ledger.findings.add({Severity::error, options.file, tree.error().line, "",
                                 fmt::format("column {}: {}", tree.error().column, tree.error().message)});
    return finish(loading);
  }
  Section root(*tree, options.file, "", loading.ledger);
  load_server(root, loading);
  load_limits(root, loading);
  load_dns(root, loading);
  load_outbound(root, loading);
  load_queue(root, loading);
  load_certificates(root, loading);
  load_listeners(root, loading);
  reserve_for_exempt(loading.config);
  load_domains(root, loading);
  load_routes(root, loading);
  load_authentication(root, loading);
  load_received_reports(root, loading);
  load_tls_reports(root, loading);
  load_tls_memory(root, loading);
  load_mta_sts(root, loading);
  root.finish();
  load_partner_folder(loading);
  check_whole(root, loading);
  if (options.asked) *options.asked = loading.ledger.asked;
  return finish(loading);
}

LoadedConfig load_config(const std::string &path, std::chrono::system_clock::time_point now) {
  return load_config(path, now, DiskFiles());
}

std::string absolute_config_path(const std::string &path) {
  std::error_code code;
  const auto absolute = std::filesystem::absolute(path, code);
  return code ? path : absolute.lexically_normal().string();
}

LoadedConfig load_config(const std::string &path, std::chrono::system_clock::time_point now, const ConfigFiles &files) {
  const std::filesystem::path absolute = absolute_config_path(path);
  LoadTextOptions options;
  options.folder = absolute.has_parent_path() ? absolute.parent_path().string() : ".";
  options.file = absolute.filename().string();
  options.now = now;
  const auto text = files.read(files.locate(absolute.string()), main_file_limit);
  if (!text) return {nullptr, {{Severity::error, path, 0, "", text.error().detail}}};
  return load_config_text(*text, options, files);
}

} // namespace mta
