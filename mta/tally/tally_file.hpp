// TallyFile: an append-only file of the tally, its errors as results.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "smtp/base/result.hpp"

namespace mta {

/// Closed by its destructor. Every member blocks on the disk; errors: full, not_found, not_permitted, io, with the
/// path.
class TallyFile {
public:
  /// Makes the file (0600), and its name durable, when it is not there.
  [[nodiscard]] static smtp::Result<TallyFile> open_for_append(const std::string &path);
  /// Error not_found when it is not there.
  [[nodiscard]] static smtp::Result<TallyFile> open_for_reading(const std::string &path);

  TallyFile(TallyFile &&other) noexcept;
  TallyFile &operator=(TallyFile &&other) noexcept;
  TallyFile(const TallyFile &) = delete;
  TallyFile &operator=(const TallyFile &) = delete;
  ~TallyFile();

  /// Octets in the file.
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  /// All of it, at the end, durable (fdatasync) when it returns. After an error the file is as long as before, where
  /// the system allows that.
  [[nodiscard]] smtp::Result<void> append(std::string_view octets);
  /// Octets read from where the last read ended; 0 at the end.
  [[nodiscard]] smtp::Result<std::size_t> read(std::span<char> into);

private:
  TallyFile(int descriptor, std::string path, std::uint64_t size)
      : descriptor_(descriptor), path_(std::move(path)), size_(size) {}
  int descriptor_ = -1;
  std::string path_;
  std::uint64_t size_ = 0;
};

/// FNV-1a, 64 bits: finds torn and damaged records; it protects against no one who means harm. `sum`: of the octets
/// that came before.
[[nodiscard]] std::uint64_t tally_checksum(std::string_view octets, std::uint64_t sum = 0xcbf29ce484222325U) noexcept;

} // namespace mta
