// ConfigFiles: every file that loading a configuration reads, behind one interface, so that a parser can be run without
// any.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "smtp/base/result.hpp"
#include "tls/core/facts.hpp"

namespace mta {

/// Errors have no path in their detail ("no such file", "permission denied"): the finding names the file. Those of
/// check_key_pair() name the files, as two are involved.
class ConfigFiles {
public:
  virtual ~ConfigFiles() = default;
  /// Errors: not_found, not_permitted, too_long (states the limit), io.
  [[nodiscard]] virtual smtp::Result<std::string> read(const std::string &path, std::size_t limit) const = 0;
  /// Names of the files in a folder that end in ".toml", sorted.
  [[nodiscard]] virtual smtp::Result<std::vector<std::string>> list(const std::string &folder) const = 0;
  /// All certificates of a PEM file that can be read; at least one.
  [[nodiscard]] virtual smtp::Result<std::vector<tls::CertificateFacts>>
  certificates(const std::string &path) const = 0;
  [[nodiscard]] virtual smtp::Result<void> check_key_pair(const std::string &certificate,
                                                          const std::string &key) const = 0;
  /// Where the file of this absolute path is to be read: elsewhere for a kept copy.
  [[nodiscard]] virtual std::string locate(const std::string &path) const { return path; }
};

/// The file system. Blocks. Certificates and keys are read as root at start; after the privileges are dropped (a
/// reload) a key that only root may read is an error finding, and the caller keeps the configuration in force.
class DiskFiles final : public ConfigFiles {
public:
  [[nodiscard]] smtp::Result<std::string> read(const std::string &path, std::size_t limit) const override;
  [[nodiscard]] smtp::Result<std::vector<std::string>> list(const std::string &folder) const override;
  [[nodiscard]] smtp::Result<std::vector<tls::CertificateFacts>> certificates(const std::string &path) const override;
  [[nodiscard]] smtp::Result<void> check_key_pair(const std::string &certificate,
                                                  const std::string &key) const override;
};

} // namespace mta
