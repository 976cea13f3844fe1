// Files in memory for the configuration's tests.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "mta/config/config_files.hpp"
#include "mta/config/load_text.hpp"

namespace mta::config_fakes {

/// Knows the files that it was given; any PEM file that it knows holds `certificate`.
class MemoryFiles final : public ConfigFiles {
public:
  std::map<std::string, std::string> files;                ///< by absolute path
  std::map<std::string, std::vector<std::string>> folders; ///< names by absolute path
  std::map<std::string, smtp::Error> failures;             ///< by path
  tls::CertificateFacts certificate;
  bool every_file_exists = false;

  [[nodiscard]] smtp::Result<std::string> read(const std::string &path, std::size_t limit) const override {
    if (const auto failure = failures.find(path); failure != failures.end()) return tl::unexpected(failure->second);
    if (const auto found = files.find(path); found != files.end()) {
      if (found->second.size() > limit) return smtp::fail(smtp::ErrorCode::too_long, "larger than the limit");
      return found->second;
    }
    if (every_file_exists) return std::string(path.ends_with("root.key") ? ". IN DS 20326 8 2 00\n" : "");
    return smtp::fail(smtp::ErrorCode::not_found, "no such file");
  }
  [[nodiscard]] smtp::Result<std::vector<std::string>> list(const std::string &folder) const override {
    if (const auto found = folders.find(folder); found != folders.end()) return found->second;
    return smtp::fail(smtp::ErrorCode::not_found, "no such folder");
  }
  [[nodiscard]] smtp::Result<std::vector<tls::CertificateFacts>> certificates(const std::string &path) const override {
    if (const auto text = read(path, 1024); !text) return tl::unexpected(text.error());
    return std::vector<tls::CertificateFacts>{certificate};
  }
  [[nodiscard]] smtp::Result<void> check_key_pair(const std::string &, const std::string &) const override {
    return {};
  }
};

inline std::string text_of(const std::vector<Finding> &findings) {
  std::string text;
  for (const auto &finding : findings) text += finding.to_string() + '\n';
  return text;
}

/// The least that a configuration can be, and `more` from line 9 on, as read in January 2027; any file is there.
inline LoadedConfig load_minimal(const std::string &more = {}) {
  static const std::string minimal = R"(
[server]
hostname = "mx.example.org"
[queue]
postmaster = "alice@example.org"
[[domain]]
domain = "example.org"
recipients = ["alice"]
)";
  MemoryFiles files;
  files.every_file_exists = true;
  LoadTextOptions options;
  options.folder = "/etc/p";
  options.now = std::chrono::sys_days(std::chrono::year(2027) / 1 / 15);
  return load_config_text(minimal + more, options, files);
}

/// What load_minimal() gives; a failure of the test when it is refused.
inline std::shared_ptr<const Config> load_good(const std::string &more = {}) {
  auto loaded = load_minimal(more);
  EXPECT_TRUE(loaded.config) << text_of(loaded.findings);
  return loaded.config;
}

} // namespace mta::config_fakes
