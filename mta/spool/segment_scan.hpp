// Scanning a segment: which records are in it, which octets no record could be made of, and where it ends.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "mta/spool/file_system.hpp"
#include "mta/spool/record.hpp"

namespace mta::spool {

/// The octets of a segment file, read as far as they are asked for. What cannot be read is taken as zeros.
class SegmentImage {
public:
  SegmentImage(const File &file, std::uint64_t size);
  /// `length` octets from `offset`, fewer at the end of the file.
  [[nodiscard]] std::string_view view(std::uint64_t offset, std::uint64_t length);
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] std::uint64_t unreadable() const noexcept { return unreadable_; }

private:
  void load(std::uint64_t until);
  const File &file_;
  std::uint64_t size_;
  std::uint64_t loaded_ = 0;
  std::uint64_t unreadable_ = 0;
  std::unique_ptr<char[]> octets_;
};

struct FoundRecord {
  RecordHeader header;
  std::uint64_t offset = 0;
};

/// A stretch that is not a valid record.
struct BadRegion {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t first_missing = 0;    ///< the sequence of the first record that was there; 0: unknown
  std::uint64_t last_missing = 0;     ///< the sequence of the last one, when a record follows it
  std::optional<RecordHeader> header; ///< of the only record in it, when only its payload is bad
};

struct SegmentScan {
  std::vector<FoundRecord> records; ///< whole ones, in order
  std::vector<BadRegion> bad;       ///< in order
  bool is_sealed = false;
  std::uint64_t end = 0;           ///< behind the last record or bad record
  std::uint64_t last_sequence = 0; ///< of the last record or bad record; 0: none
  std::uint64_t tail = 0;          ///< octets behind `end` that look like the rest of a torn record
};

/// The key of a segment whose header is lost: that of the record at its fixed first place, if it is whole.
[[nodiscard]] std::optional<std::uint64_t> find_key(SegmentImage &image);

[[nodiscard]] SegmentScan scan_segment(SegmentImage &image, std::uint64_t key);

} // namespace mta::spool
