#include "mta/spool/file_system.hpp"

#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <fmt/format.h>

namespace mta {

namespace {

using smtp::ErrorCode;
using smtp::Result;
using spool::File;

ErrorCode code_of(int number) noexcept {
  switch (number) {
  case ENOSPC:
  case EDQUOT: return ErrorCode::full;
  case EACCES:
  case EPERM:
  case EROFS: return ErrorCode::not_permitted;
  case ENOENT: return ErrorCode::not_found;
  default: return ErrorCode::io;
  }
}

std::string name_of(uid_t user) {
  if (const passwd *entry = ::getpwuid(user)) return entry->pw_name;
  return fmt::format("user {}", user);
}

/// Whose it is, where that is why it cannot be used: a file of root's from an earlier start, or from a copy made as
/// root.
std::string owner_of(const std::string &path) {
  struct stat facts {};
  if (::lstat(path.c_str(), &facts) != 0 || facts.st_uid == ::geteuid()) return {};
  return fmt::format(" (it belongs to {}, mode {:04o}, and this process runs as {}; chown gives it back)",
                     name_of(facts.st_uid), facts.st_mode & 07777U, name_of(::geteuid()));
}

tl::unexpected<smtp::Error> failure(int number, std::string_view act, const std::string &path) {
  const bool rights = number == EACCES || number == EPERM;
  return smtp::fail(code_of(number), fmt::format("{} {}: {}{}", act, path, std::generic_category().message(number),
                                                 rights ? owner_of(path) : std::string()));
}

/// Calls again when a signal came in between.
template <typename Call> auto uninterrupted(Call call) {
  while (true) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

class KernelFile final : public File {
public:
  KernelFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  KernelFile(const KernelFile &) = delete;
  KernelFile &operator=(const KernelFile &) = delete;
  ~KernelFile() override { ::close(descriptor_); }

  Result<std::uint64_t> size() const override {
    struct stat facts {};
    if (::fstat(descriptor_, &facts) != 0) return failure(errno, "reading the size of", path_);
    return static_cast<std::uint64_t>(facts.st_size);
  }

  Result<std::size_t> preadv(std::uint64_t offset, std::span<const iovec> into) const override {
    std::size_t wanted = 0;
    for (const iovec &piece : into) wanted += piece.iov_len;
    const ssize_t first = uninterrupted(
        [&] { return ::preadv(descriptor_, into.data(), static_cast<int>(into.size()), static_cast<off_t>(offset)); });
    if (first < 0) return failure(errno, "reading", path_);
    auto done = static_cast<std::size_t>(first);
    // The kernel seldom stops early; then the rest is read piece by piece.
    while (done < wanted) {
      std::size_t skip = done;
      std::size_t index = 0;
      while (skip >= into[index].iov_len) skip -= into[index++].iov_len;
      const ssize_t more = uninterrupted([&] {
        return ::pread(descriptor_, static_cast<char *>(into[index].iov_base) + skip, into[index].iov_len - skip,
                       static_cast<off_t>(offset + done));
      });
      if (more < 0) return failure(errno, "reading", path_);
      if (more == 0) break;
      done += static_cast<std::size_t>(more);
    }
    return done;
  }

  Result<std::size_t> pwritev(std::uint64_t offset, std::span<const iovec> from) override {
    const ssize_t written = uninterrupted(
        [&] { return ::pwritev(descriptor_, from.data(), static_cast<int>(from.size()), static_cast<off_t>(offset)); });
    if (written < 0) return failure(errno, "writing", path_);
    if (written == 0) return failure(ENOSPC, "writing", path_);
    return static_cast<std::size_t>(written);
  }

  Result<void> allocate(std::uint64_t size) override {
    const int number = ::posix_fallocate(descriptor_, 0, static_cast<off_t>(size));
    if (number != 0) return failure(number, "allocating", path_);
    return {};
  }

  Result<void> sync_data() override {
    // Not called again after EINTR either: a failed sync has dropped the pages it could not write.
    if (::fdatasync(descriptor_) != 0) return failure(errno, "syncing", path_);
    return {};
  }

private:
  int descriptor_;
  std::string path_;
};

class Kernel final : public FileSystem {
public:
  Result<std::unique_ptr<File>> open(const std::string &path, Access access) override {
    int flags = O_CLOEXEC | O_NOFOLLOW;
    switch (access) {
    case Access::read_only: flags |= O_RDONLY; break;
    case Access::read_write: flags |= O_RDWR; break;
    case Access::create_new: flags |= O_RDWR | O_CREAT | O_EXCL; break;
    }
    const int descriptor = uninterrupted([&] { return ::open(path.c_str(), flags, 0600); });
    if (descriptor < 0) return failure(errno, access == Access::create_new ? "creating" : "opening", path);
    return std::make_unique<KernelFile>(descriptor, path);
  }

  Result<std::unique_ptr<File>> lock(const std::string &path) override {
    const int descriptor =
        uninterrupted([&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600); });
    if (descriptor < 0) return failure(errno, "opening", path);
    auto file = std::make_unique<KernelFile>(descriptor, path);
    if (uninterrupted([&] { return ::flock(descriptor, LOCK_EX | LOCK_NB); }) != 0) {
      if (errno == EWOULDBLOCK)
        return smtp::fail(ErrorCode::not_permitted, fmt::format("{} is locked by another process", path));
      return failure(errno, "locking", path);
    }
    return file;
  }

  Result<std::vector<std::string>> list(const std::string &folder) override {
    const std::unique_ptr<DIR, int (*)(DIR *)> handle(::opendir(folder.c_str()), &::closedir);
    if (!handle) return failure(errno, "listing", folder);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent *entry = ::readdir(handle.get())) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) return failure(errno, "listing", folder);
    return names;
  }

  Result<void> make_folder(const std::string &path) override {
    if (::mkdir(path.c_str(), 0700) == 0) return {};
    const int number = errno;
    struct stat facts {};
    if (number == EEXIST && ::stat(path.c_str(), &facts) == 0 && !S_ISDIR(facts.st_mode))
      return failure(ENOTDIR, "making folder", path);
    if (number == EEXIST) return {};
    return failure(number, "making folder", path);
  }

  Result<void> rename(const std::string &from, const std::string &to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return failure(errno, "renaming", from);
    return {};
  }

  Result<void> remove(const std::string &path) override {
    if (::unlink(path.c_str()) != 0) return failure(errno, "removing", path);
    return {};
  }

  Result<void> sync_folder(const std::string &folder) override {
    const int descriptor = uninterrupted([&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
    if (descriptor < 0) return failure(errno, "opening", folder);
    const KernelFile file(descriptor, folder);
    if (::fsync(descriptor) != 0) return failure(errno, "syncing", folder);
    return {};
  }

  Result<std::uint64_t> free_space(const std::string &path) override {
    struct statvfs facts {};
    if (::statvfs(path.c_str(), &facts) != 0) return failure(errno, "reading the free space of", path);
    return std::uint64_t{facts.f_bavail} * facts.f_frsize;
  }
};

} // namespace

std::shared_ptr<FileSystem> FileSystem::create() {
  return std::make_shared<Kernel>();
}

namespace spool {

Result<void> read_exactly(const File &file, std::uint64_t offset, std::span<char> into) {
  const iovec piece{into.data(), into.size()};
  const auto got = file.preadv(offset, {&piece, 1});
  if (!got) return tl::unexpected(got.error());
  if (*got != into.size())
    return smtp::fail(ErrorCode::io,
                      fmt::format("file ends after {} of {} octets at offset {}", *got, into.size(), offset));
  return {};
}

Result<void> write_all(File &file, std::uint64_t offset, std::string_view octets) {
  while (!octets.empty()) {
    const iovec piece{const_cast<char *>(octets.data()), octets.size()}; // pwritev does not write through it
    const auto written = file.pwritev(offset, {&piece, 1});
    if (!written) return tl::unexpected(written.error());
    offset += *written;
    octets.remove_prefix(*written);
  }
  return {};
}

} // namespace spool

} // namespace mta
