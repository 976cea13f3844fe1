#include "mta/config/config_files.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>

#include <sys/stat.h>

#include "mta/config/units.hpp"
#include "tls/certificate.hpp"

namespace mta {

namespace {

constexpr std::size_t pem_limit = 4 * 1024 * 1024;

smtp::Error error_of(int number) {
  switch (number) {
  case ENOENT:
  case ENOTDIR: return {smtp::ErrorCode::not_found, "no such file"};
  case EACCES:
  case EPERM: return {smtp::ErrorCode::not_permitted, "permission denied"};
  default: return {smtp::ErrorCode::io, std::generic_category().message(number)};
  }
}

struct CloseFile {
  void operator()(std::FILE *file) const noexcept { (void)std::fclose(file); }
};

} // namespace

smtp::Result<std::string> DiskFiles::read(const std::string &path, std::size_t limit) const {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return tl::unexpected(error_of(errno));
  // A FIFO or a device would block or never end.
  if (!S_ISREG(status.st_mode)) return smtp::fail(smtp::ErrorCode::io, "not a regular file");
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rbe"));
  if (!file) return tl::unexpected(error_of(errno));
  std::string text;
  std::array<char, 65536> buffer; // NOLINT(cppcoreguidelines-pro-type-member-init): filled by fread
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), file.get())) {
    if (text.size() + count > limit)
      return smtp::fail(smtp::ErrorCode::too_long, "larger than the limit of " + format_size(limit));
    text.append(buffer.data(), count);
  }
  if (std::ferror(file.get())) return tl::unexpected(error_of(errno));
  return text;
}

smtp::Result<std::vector<std::string>> DiskFiles::list(const std::string &folder) const {
  std::error_code code;
  std::vector<std::string> names;
  std::filesystem::directory_iterator entries(folder, code);
  if (code) {
    smtp::Error error = error_of(code.value());
    if (error.code == smtp::ErrorCode::not_found) error.detail = "no such folder";
    return tl::unexpected(error);
  }
  for (; entries != std::filesystem::directory_iterator(); entries.increment(code)) {
    if (code) return tl::unexpected(error_of(code.value()));
    const std::string name = entries->path().filename().string();
    if (name.size() > 5 && name.ends_with(".toml") && !name.starts_with('.')) names.push_back(name);
  }
  if (code) return tl::unexpected(error_of(code.value()));
  std::sort(names.begin(), names.end());
  return names;
}

smtp::Result<std::vector<tls::CertificateFacts>> DiskFiles::certificates(const std::string &path) const {
  if (const auto text = read(path, pem_limit); !text) return tl::unexpected(text.error());
  auto found = tls::read_certificates(path);
  if (found) return found;
  smtp::Error error = std::move(found.error());
  if (error.detail.starts_with(path + ": ")) error.detail.erase(0, path.size() + 2);
  return tl::unexpected(std::move(error));
}

smtp::Result<void> DiskFiles::check_key_pair(const std::string &certificate, const std::string &key) const {
  if (const auto text = read(key, pem_limit); !text) return tl::unexpected(text.error());
  return tls::check_key_pair(certificate, key);
}

} // namespace mta
