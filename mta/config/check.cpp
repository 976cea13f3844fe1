#include "mta/config/check.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "mta/config/faults.hpp"
#include "mta/config/last_good.hpp"
#include "mta/config/losses.hpp"
#include "mta/config/snapshot.hpp"
#include "mta/config/trust_files.hpp"
#include "tls/profile.hpp"

namespace mta {

namespace {

namespace json = boost::json;

using UsedBy = std::map<std::string, std::vector<std::string>>; // profile to its users

UsedBy find_users(const Config &config) {
  UsedBy users;
  for (const auto &listener : config.listeners)
    if (listener.tls != ListenerTls::none)
      users[listener.profile].push_back(fmt::format("listener \"{}\"", listener.name));
  users[config.outbound.profile].emplace_back("[outbound]");
  for (const auto &route : config.routes)
    users[route.profile].push_back(fmt::format("[[route]] at {}", route.route.place));
  std::map<std::string, std::size_t> partners;
  for (const auto &partner : config.partners.partners())
    if (partner.outbound) ++partners[partner.outbound->profile];
  for (const auto &[profile, count] : partners)
    users[profile].push_back(fmt::format("{} partner{}", count, count == 1 ? "" : "s"));
  return users;
}

std::size_t count(const std::vector<Finding> &findings, Severity severity) {
  return static_cast<std::size_t>(std::count_if(findings.begin(), findings.end(),
                                                [&](const Finding &finding) { return finding.severity == severity; }));
}

std::string plural(std::size_t number, std::string_view word) {
  return fmt::format("{} {}{}", number, word, number == 1 ? "" : "s");
}

json::array to_array(const std::vector<std::string> &texts) {
  json::array array;
  for (const auto &text : texts) array.emplace_back(text);
  return array;
}

/// Errors last: they are what must be seen on a screen that has scrolled.
std::string findings_text(std::vector<Finding> findings) {
  const auto rank = [](const Finding &finding) {
    return finding.severity == Severity::warning ? 0 : finding.severity == Severity::fault ? 1 : 2;
  };
  std::stable_sort(findings.begin(), findings.end(),
                   [&](const Finding &left, const Finding &right) { return rank(left) < rank(right); });
  std::string text;
  for (const auto &finding : findings) text += finding.to_string() + '\n';
  return text;
}

json::array describe_findings(const std::vector<Finding> &findings) {
  json::array array;
  for (const auto &finding : findings) {
    array.emplace_back(json::object{{"severity", finding.severity == Severity::error   ? "error"
                                                 : finding.severity == Severity::fault ? "fault"
                                                                                       : "warning"},
                                    {"file", finding.file},
                                    {"line", finding.line},
                                    {"key", finding.key},
                                    {"message", finding.message}});
  }
  return array;
}

json::array describe_profiles(const UsedBy &users, std::string &text) {
  json::array array;
  text += "TLS profiles as this OpenSSL has them:\n";
  for (const auto &profile : tls::all_profiles()) {
    const auto used = users.find(profile.name);
    const std::vector<std::string> used_by = used == users.end() ? std::vector<std::string>() : used->second;
    json::object object{{"name", profile.name}, {"dated", profile.dated}, {"used_by", to_array(used_by)}};
    text += fmt::format("  {} ({}): ", profile.name, profile.dated);
    const auto described = tls::describe_profile(profile);
    if (!described) {
      text += fmt::format("cannot be used: {}\n", described.error().detail);
      object["problem"] = described.error().detail;
      array.emplace_back(std::move(object));
      continue;
    }
    text += fmt::format("{}\n    suites: {}\n    groups: {}\n", described->versions, fmt::join(described->suites, " "),
                        fmt::join(described->groups, " "));
    if (!described->left_out.empty())
      text += fmt::format("    not in this library: {}\n", fmt::join(described->left_out, " "));
    if (!used_by.empty()) text += fmt::format("    used by: {}\n", fmt::join(used_by, ", "));
    if (profile.security_level == 0 && !used_by.empty())
      text += "    this profile allows weak TLS; who uses it should say until when\n";
    object["versions"] = described->versions;
    object["suites"] = to_array(described->suites);
    object["groups"] = to_array(described->groups);
    object["left_out"] = to_array(described->left_out);
    array.emplace_back(std::move(object));
  }
  return array;
}

std::string summarise(const Config &config) {
  return fmt::format("{}, {}, {}, {}, {}", plural(config.listeners.size(), "listener"),
                     plural(config.domains.size(), "domain"), plural(config.partners.partners().size(), "partner"),
                     plural(config.routes.size(), "route"), plural(config.certificates.size(), "certificate"));
}

} // namespace

CheckReport format_check(const std::string &path, const LoadedConfig &loaded, CheckOptions options) {
  CheckReport report;
  const std::size_t errors = count(loaded.findings, Severity::error);
  const std::size_t faults = count(loaded.findings, Severity::fault);
  const bool starts = loaded.config && errors == 0;
  report.warnings = count(loaded.findings, Severity::warning);
  report.ok = starts && faults == 0;

  json::object object{{"ok", report.ok},           {"file", path},
                      {"errors", errors + faults}, {"warnings", report.warnings},
                      {"starts", starts},          {"findings", describe_findings(loaded.findings)}};
  std::string profiles;
  object["profiles"] = describe_profiles(loaded.config ? find_users(*loaded.config) : UsedBy(), profiles);
  if (options.profiles) report.text += profiles;
  report.text += findings_text(loaded.findings);
  if (loaded.config) report.text += fmt::format("{}: {}\n", path, summarise(*loaded.config));
  report.text +=
      fmt::format("{}: {}, {}: {}", path, plural(errors + faults, "error"), plural(report.warnings, "warning"),
                  !starts       ? "the daemon would not start"
                  : faults == 0 ? "the daemon would start"
                                : "the daemon would start, and not do what is meant");
  report.json = json::serialize(object);
  return report;
}

LoadedConfig load_for_check(const std::string &path, std::chrono::system_clock::time_point now) {
  LoadedConfig loaded = load_config(path, now);
  if (!loaded.config) return loaded;
  const auto snapshot = Snapshot::build(loaded.config, std::make_shared<tls::TicketKeys>());
  if (!snapshot) loaded.findings.push_back({Severity::error, path, 0, "", snapshot.error().detail});
  const auto faults = find_faults(*loaded.config, now);
  loaded.findings.insert(loaded.findings.end(), faults.begin(), faults.end());
  if (const auto kept = KeptFiles::open(last_good_folder(loaded.config->spool.path), absolute_config_path(path))) {
    if (const LoadedConfig before = load_config(path, now, **kept); before.config) {
      const Losses losses = find_losses(*before.config, *loaded.config, now);
      const std::string since = "since " + (*kept)->saved();
      for (auto &finding : with_remedy(losses.recipients, Severity::fault,
                                       "A start would run on the last good configuration, " + since +
                                           ", and a reload refuse it; `portcullis reload --force` takes it"))
        loaded.findings.push_back(std::move(finding));
      for (auto &finding : with_remedy(losses.protection, Severity::warning,
                                       "It was in force " + since + "; `portcullis reload` takes it only with --force"))
        loaded.findings.push_back(std::move(finding));
    }
  }
  const auto authorities = find_authority_faults(*loaded.config, DiskFiles(), now);
  loaded.findings.insert(loaded.findings.end(), authorities.begin(), authorities.end());
  return loaded;
}

CheckReport check_config(const std::string &path, std::chrono::system_clock::time_point now, CheckOptions options) {
  return format_check(path, load_for_check(path, now), options);
}

} // namespace mta
