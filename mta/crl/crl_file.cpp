// The file of one fetched revocation list: see the header.
#include "mta/crl/crl_file.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string_view>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace mta {

using smtp::ErrorCode;

namespace {

tl::unexpected<smtp::Error> system_failure(const std::string &path, int error) {
  return smtp::fail(error == ENOSPC || error == EDQUOT ? ErrorCode::full : ErrorCode::io,
                    fmt::format("{}: cannot be written: {}", path, std::strerror(error)));
}

/// Nothing when it cannot be read, or is over the limit of a list.
std::optional<std::string> read_octets(const std::string &path) {
  std::unique_ptr<std::FILE, int (*)(std::FILE *)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  if (!file) return std::nullopt;
  std::string octets;
  std::string part(65'536, '\0');
  while (const std::size_t got = std::fread(part.data(), 1, part.size(), file.get())) {
    octets.append(part, 0, got);
    if (octets.size() > tls::max_crl_octets) return std::nullopt;
  }
  if (std::ferror(file.get()) != 0) return std::nullopt;
  return octets;
}

bool write_all(int descriptor, std::string_view octets) {
  while (!octets.empty()) {
    const ssize_t written = ::write(descriptor, octets.data(), octets.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    octets.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

smtp::Result<void> replace_file(const std::string &path, std::string_view octets) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return system_failure(folder, errno);
  const std::string temporary = path + ".new";
  const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return system_failure(temporary, errno);
  const bool written = write_all(descriptor, octets) && ::fdatasync(descriptor) == 0;
  const int error = errno;
  ::close(descriptor);
  if (!written || ::rename(temporary.c_str(), path.c_str()) != 0) {
    const int cause = written ? errno : error;
    ::unlink(temporary.c_str());
    return system_failure(path, cause);
  }
  return {};
}

} // namespace

std::optional<tls::CrlFacts> read_crl_file(const std::string &path) {
  const auto octets = read_octets(path);
  if (!octets) return std::nullopt;
  auto facts = tls::read_crl(*octets);
  if (!facts) return std::nullopt;
  return std::move(*facts);
}

smtp::Result<StoredCrl> store_crl(const std::string &path, const std::string &octets,
                                  std::chrono::system_clock::time_point now) {
  auto facts = tls::read_crl(octets);
  if (!facts) return tl::unexpected(facts.error());
  StoredCrl stored{std::move(*facts), false};
  const auto kept = read_octets(path);
  if (kept && *kept == octets) return stored;
  if (stored.facts.next_update && *stored.facts.next_update <= now)
    return smtp::fail(ErrorCode::bad_syntax, "the list that came has expired");
  // Whoever sits on the way must not bring back a list from before a revocation.
  if (kept) {
    const auto old = tls::read_crl(*kept);
    if (old && old->issuer == stored.facts.issuer && old->this_update > stored.facts.this_update)
      return smtp::fail(ErrorCode::bad_syntax, "the list that came is older than the one kept");
  }
  if (auto replaced = replace_file(path, octets); !replaced) return tl::unexpected(replaced.error());
  stored.changed = true;
  return stored;
}

} // namespace mta
