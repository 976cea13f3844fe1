// The last good configuration: every file that a load read, kept in the spool's folder, so that a restart with a wrong
// file does not leave the host without its mail server.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "mta/config/config.hpp"
#include "mta/config/config_files.hpp"
#include "mta/config/start_facts.hpp"

namespace mta {

/// The disk, and what was read from it: texts with their content, and the files that others read by their path
/// (certificates, keys, CAs).
class RecordingFiles final : public ConfigFiles {
public:
  struct Seen {
    std::map<std::string, std::string> texts; ///< by absolute path
    std::map<std::string, std::vector<std::string>> folders;
    std::set<std::string> by_path;
  };
  [[nodiscard]] smtp::Result<std::string> read(const std::string &path, std::size_t limit) const override;
  [[nodiscard]] smtp::Result<std::vector<std::string>> list(const std::string &folder) const override;
  [[nodiscard]] smtp::Result<std::vector<tls::CertificateFacts>> certificates(const std::string &path) const override;
  [[nodiscard]] smtp::Result<void> check_key_pair(const std::string &certificate,
                                                  const std::string &key) const override;
  [[nodiscard]] Seen take() { return std::move(seen_); }

private:
  DiskFiles disk_;
  mutable Seen seen_; ///< of one load, on one thread
};

/// "<spool.path>/last-good".
[[nodiscard]] std::string last_good_folder(const std::string &spool_path);

/// Keeps what was seen of `config` in its spool's folder, in place of what was kept before. A file that the process
/// may not read (a key for root alone) is not copied: a later start reads it where it is. Blocks on the disk. Errors:
/// the folder cannot be written, or everything together passes the limit.
[[nodiscard]] smtp::Result<void> keep_last_good(const Config &config, RecordingFiles::Seen seen,
                                                std::chrono::system_clock::time_point now);

/// What was kept.
class KeptFiles final : public ConfigFiles {
public:
  /// `main_file`: the absolute path of the configuration that it must belong to. Errors: nothing is kept, it belongs to
  /// another configuration, or it is damaged.
  [[nodiscard]] static smtp::Result<std::unique_ptr<KeptFiles>> open(const std::string &folder,
                                                                     const std::string &main_file);

  [[nodiscard]] smtp::Result<std::string> read(const std::string &path, std::size_t limit) const override;
  [[nodiscard]] smtp::Result<std::vector<std::string>> list(const std::string &folder) const override;
  [[nodiscard]] smtp::Result<std::vector<tls::CertificateFacts>> certificates(const std::string &path) const override;
  [[nodiscard]] smtp::Result<void> check_key_pair(const std::string &certificate,
                                                  const std::string &key) const override;
  [[nodiscard]] std::string locate(const std::string &path) const override;

  [[nodiscard]] const std::string &saved() const noexcept { return saved_; } ///< "2026-11-29T02:31:45Z"

private:
  [[nodiscard]] smtp::Result<void> parse(std::string_view text, const std::string &main_file);
  DiskFiles disk_;
  std::string folder_;
  std::string saved_;
  std::map<std::string, std::string> texts_;
  std::map<std::string, std::vector<std::string>> folders_;
  std::map<std::string, std::string> copies_; ///< absolute path to the name of its copy in the folder
};

} // namespace mta
