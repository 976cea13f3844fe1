// TallyFile: see tally_file.hpp.
#include "mta/tally/tally_file.hpp"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace mta {

namespace {

tl::unexpected<smtp::Error> system_failure(std::string_view act, const std::string &path, int number) {
  const auto code = number == ENOSPC || number == EDQUOT  ? smtp::ErrorCode::full
                    : number == ENOENT                    ? smtp::ErrorCode::not_found
                    : number == EACCES || number == EPERM ? smtp::ErrorCode::not_permitted
                                                          : smtp::ErrorCode::io;
  return smtp::fail(code, fmt::format("cannot {} {}: {}", act, path, std::generic_category().message(number)));
}

/// So that a new file's name is there after a crash.
smtp::Result<void> sync_folder_of(const std::string &path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return system_failure("open", folder, errno);
  const int result = ::fsync(descriptor);
  const int number = errno;
  ::close(descriptor);
  if (result != 0) return system_failure("sync", folder, number);
  return {};
}

} // namespace

smtp::Result<TallyFile> TallyFile::open_for_append(const std::string &path) {
  const bool is_new = ::access(path.c_str(), F_OK) != 0;
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return system_failure("open", path, errno);
  TallyFile file(descriptor, path, 0);
  struct stat facts {};
  if (::fstat(descriptor, &facts) != 0) return system_failure("stat", path, errno);
  file.size_ = static_cast<std::uint64_t>(facts.st_size);
  if (is_new)
    if (auto synced = sync_folder_of(path); !synced) return tl::unexpected(synced.error());
  return file;
}

smtp::Result<TallyFile> TallyFile::open_for_reading(const std::string &path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return system_failure("open", path, errno);
  return TallyFile(descriptor, path, 0);
}

TallyFile::TallyFile(TallyFile &&other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)), size_(other.size_) {}

TallyFile &TallyFile::operator=(TallyFile &&other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(path_, other.path_);
  std::swap(size_, other.size_);
  return *this;
}

TallyFile::~TallyFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

smtp::Result<void> TallyFile::append(std::string_view octets) {
  const auto give_up = [&](std::string_view act, int number) {
    // What is left of a record is passed over by the reader, so that a failure here costs only room.
    static_cast<void>(::ftruncate(descriptor_, static_cast<off_t>(size_)) == 0);
    return system_failure(act, path_, number);
  };
  std::string_view left = octets;
  while (!left.empty()) {
    const auto written = ::write(descriptor_, left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return give_up("write", errno);
    left.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fdatasync(descriptor_) != 0) return give_up("sync", errno);
  size_ += octets.size();
  return {};
}

smtp::Result<std::size_t> TallyFile::read(std::span<char> into) {
  for (;;) {
    const auto count = ::read(descriptor_, into.data(), into.size());
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno != EINTR) return system_failure("read", path_, errno);
  }
}

smtp::Result<void> make_tally_folder(const std::string &path) {
  if (::mkdir(path.c_str(), 0700) == 0) return sync_folder_of(path);
  if (errno != EEXIST) return system_failure("make", path, errno);
  std::error_code error;
  if (!std::filesystem::is_directory(path, error))
    return smtp::fail(smtp::ErrorCode::io, fmt::format("{} is not a folder", path));
  return {};
}

smtp::Result<void> remove_tally_file(const std::string &path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return system_failure("remove", path, errno);
  return {};
}

smtp::Result<void> replace_tally_file(const std::string &fresh, const std::string &path) {
  if (::rename(fresh.c_str(), path.c_str()) != 0) return system_failure("rename to", path, errno);
  return sync_folder_of(path);
}

std::uint64_t tally_checksum(std::string_view octets) noexcept {
  std::uint64_t sum = 0xcbf29ce484222325U;
  for (const char c : octets) {
    sum ^= static_cast<unsigned char>(c);
    sum *= 0x100000001b3U;
  }
  return sum;
}

} // namespace mta
