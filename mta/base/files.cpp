#include "mta/base/files.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace mta {

using smtp::ErrorCode;
using smtp::Result;

namespace {

/// A file descriptor, closed in the end.
class Descriptor {
public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor &) = delete;
  Descriptor &operator=(const Descriptor &) = delete;
  [[nodiscard]] int get() const noexcept { return number_; }

private:
  int number_;
};

Result<void> write_durably(const std::string &path, std::string_view octets) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.get() < 0) return file_failure("create", path, errno);
  while (!octets.empty()) {
    const ssize_t written = ::write(file.get(), octets.data(), octets.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return file_failure("write", path, errno);
    octets.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fdatasync(file.get()) != 0) return file_failure("sync", path, errno);
  return {};
}

} // namespace

tl::unexpected<smtp::Error> file_failure(std::string_view act, const std::string &path, int number) {
  const ErrorCode code = number == ENOSPC || number == EDQUOT                     ? ErrorCode::full
                         : number == ENOENT                                       ? ErrorCode::not_found
                         : number == EACCES || number == EPERM || number == EROFS ? ErrorCode::not_permitted
                                                                                  : ErrorCode::io;
  return smtp::fail(code, fmt::format("cannot {} {}: {}", act, path, std::generic_category().message(number)));
}

Result<std::string> read_whole_file(const std::string &path, std::size_t limit) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (file.get() < 0) return file_failure("open", path, errno);
  std::string octets;
  std::array<char, 65'536> part{};
  for (;;) {
    const ssize_t got = ::read(file.get(), part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_failure("read", path, errno);
    if (got == 0) return octets;
    octets.append(part.data(), static_cast<std::size_t>(got));
    if (octets.size() > limit)
      return smtp::fail(ErrorCode::too_long, fmt::format("{} is over {} octets, the limit", path, limit));
  }
}

Result<void> make_folder(const std::string &path) {
  if (::mkdir(path.c_str(), 0700) == 0) return sync_folder(std::filesystem::path(path).parent_path().string());
  if (errno != EEXIST) return file_failure("make", path, errno);
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) return file_failure("make", path, ENOTDIR);
  return {};
}

Result<void> sync_folder(const std::string &folder) {
  const Descriptor file(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.get() < 0) return file_failure("open", folder, errno);
  if (::fsync(file.get()) != 0) return file_failure("sync", folder, errno);
  return {};
}

Result<void> rename_file(const std::string &fresh, const std::string &path) {
  if (::rename(fresh.c_str(), path.c_str()) != 0) return file_failure("rename to", path, errno);
  return sync_folder(std::filesystem::path(path).parent_path().string());
}

Result<void> replace_file(const std::string &fresh, const std::string &path, std::string_view octets) {
  auto done = write_durably(fresh, octets);
  if (done) done = rename_file(fresh, path);
  if (!done) ::unlink(fresh.c_str());
  return done;
}

Result<void> remove_file(const std::string &path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return file_failure("remove", path, errno);
  return {};
}

} // namespace mta
