// FileSystem: every system call of the spool, so that a test can make each one fail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/uio.h>

#include "smtp/base/result.hpp"

namespace mta {

namespace spool {

/// An open file; closed by its destructor. Reads may come from several threads at once.
/// Every member's errors: full (no space), not_permitted, not_found, io; the text names the file and the system's
/// reason.
class File {
public:
  virtual ~File() = default;
  [[nodiscard]] virtual smtp::Result<std::uint64_t> size() const = 0;
  /// Octets read; fewer than asked only at the end of the file.
  [[nodiscard]] virtual smtp::Result<std::size_t> preadv(std::uint64_t offset, std::span<const iovec> into) const = 0;
  /// Octets written, at least one; may be fewer than asked. At most `max_pieces` pieces.
  [[nodiscard]] virtual smtp::Result<std::size_t> pwritev(std::uint64_t offset, std::span<const iovec> from) = 0;
  /// Reserves blocks so that later writes up to `size` find room.
  [[nodiscard]] virtual smtp::Result<void> allocate(std::uint64_t size) = 0;
  /// fdatasync: the contents, and the size, are on disk.
  [[nodiscard]] virtual smtp::Result<void> sync_data() = 0;

  static constexpr std::size_t max_pieces = 1024; ///< IOV_MAX
};

} // namespace spool

class FileSystem {
public:
  enum class Access { read_only, read_write, create_new };

  virtual ~FileSystem() = default;
  /// `create_new` makes the file (mode 0600) and fails when it is there already.
  [[nodiscard]] virtual smtp::Result<std::unique_ptr<spool::File>> open(const std::string &path, Access access) = 0;
  /// Takes the lock file for as long as the result lives. Error not_permitted: another holder has it.
  [[nodiscard]] virtual smtp::Result<std::unique_ptr<spool::File>> lock(const std::string &path) = 0;
  /// Names in the folder, without "." and "..".
  [[nodiscard]] virtual smtp::Result<std::vector<std::string>> list(const std::string &folder) = 0;
  /// Makes the folder (0700) unless it is there.
  [[nodiscard]] virtual smtp::Result<void> make_folder(const std::string &path) = 0;
  [[nodiscard]] virtual smtp::Result<void> rename(const std::string &from, const std::string &to) = 0;
  [[nodiscard]] virtual smtp::Result<void> remove(const std::string &path) = 0;
  /// Makes created, renamed and removed names of the folder durable.
  [[nodiscard]] virtual smtp::Result<void> sync_folder(const std::string &folder) = 0;
  /// Octets free for us on the disk of `path`.
  [[nodiscard]] virtual smtp::Result<std::uint64_t> free_space(const std::string &path) = 0;

  /// The one that calls the kernel.
  [[nodiscard]] static std::shared_ptr<FileSystem> create();
};

namespace spool {

/// Reads exactly `into.size()` octets. Error io: also when the file ends before.
[[nodiscard]] smtp::Result<void> read_exactly(const File &file, std::uint64_t offset, std::span<char> into);
/// Writes all of it, however often the kernel takes only a part.
[[nodiscard]] smtp::Result<void> write_all(File &file, std::uint64_t offset, std::string_view octets);

} // namespace spool

} // namespace mta
