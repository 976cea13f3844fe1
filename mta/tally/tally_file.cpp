#include "mta/tally/tally_file.hpp"

#include <cerrno>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mta/base/files.hpp"

namespace mta {

smtp::Result<TallyFile> TallyFile::open_for_append(const std::string &path) {
  const bool is_new = ::access(path.c_str(), F_OK) != 0;
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return file_failure("open", path, errno);
  TallyFile file(descriptor, path, 0);
  struct stat facts {};
  if (::fstat(descriptor, &facts) != 0) return file_failure("stat", path, errno);
  file.size_ = static_cast<std::uint64_t>(facts.st_size);
  if (is_new)
    if (auto synced = sync_folder(std::filesystem::path(path).parent_path().string()); !synced)
      return tl::unexpected(synced.error());
  return file;
}

smtp::Result<TallyFile> TallyFile::open_for_reading(const std::string &path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return file_failure("open", path, errno);
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
    return file_failure(act, path_, number);
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
    if (errno != EINTR) return file_failure("read", path_, errno);
  }
}

std::uint64_t tally_checksum(std::string_view octets, std::uint64_t sum) noexcept {
  for (const char c : octets) {
    sum ^= static_cast<unsigned char>(c);
    sum *= 0x100000001b3U;
  }
  return sum;
}

} // namespace mta
