// Files in memory for the configuration's tests.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mta/config/config_files.hpp"
#include "mta/config/load_text.hpp"

namespace mta::test {

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
    if (every_file_exists) return std::string();
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

} // namespace mta::test
