// Segment: one file of the log, its name, how it is made ready ahead of use, and how readers keep it from reuse.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "mta/spool/file_system.hpp"
#include "mta/spool/record.hpp"

namespace mta::spool {

/// Where the payload of a record is: 12 octets for each, since every stored message has two or more.
struct Extent {
  std::uint32_t segment = 0; ///< 0: nowhere (no update yet, or a part that was lost)
  std::uint32_t unit = 0;    ///< of the record's header, in units of record_alignment
  std::uint32_t length = 0;  ///< of the payload

  [[nodiscard]] std::uint64_t offset() const noexcept { return std::uint64_t{unit} * record_alignment; }
  friend bool operator==(const Extent &, const Extent &) = default;
};

/// A segment file in use: the head that is written, or one that holds records.
class Segment {
public:
  Segment(const SegmentHeader &header, std::unique_ptr<File> file) : header_(header), file_(std::move(file)) {}

  [[nodiscard]] std::uint32_t number() const noexcept { return header_.number; }
  [[nodiscard]] std::uint64_t key() const noexcept { return header_.key; }
  [[nodiscard]] std::uint64_t size() const noexcept { return header_.size; }
  [[nodiscard]] std::uint64_t id_limit() const noexcept { return header_.id_limit; }
  [[nodiscard]] File &file() noexcept { return *file_; }
  [[nodiscard]] const File &file() const noexcept { return *file_; }
  /// The file that was kept for a full disk. Before it comes into use.
  void mark_reserve() noexcept { is_reserve_ = true; }
  [[nodiscard]] bool is_reserve() const noexcept { return is_reserve_; }
  [[nodiscard]] bool is_pinned() const noexcept { return pins_.load(std::memory_order_acquire) != 0; }

private:
  friend class SegmentPin;
  SegmentHeader header_;
  std::unique_ptr<File> file_;
  bool is_reserve_ = false;
  std::atomic<std::uint32_t> pins_{0};
};

/// Keeps a segment from reuse. Made only under the index's lock, which also decides on reuse; dropped anywhere.
class SegmentPin {
public:
  SegmentPin() = default;
  explicit SegmentPin(std::shared_ptr<Segment> segment) : segment_(std::move(segment)) {
    if (segment_) segment_->pins_.fetch_add(1, std::memory_order_relaxed);
  }
  SegmentPin(SegmentPin &&other) noexcept : segment_(std::exchange(other.segment_, nullptr)) {}
  SegmentPin &operator=(SegmentPin &&other) noexcept {
    std::swap(segment_, other.segment_);
    return *this;
  }
  ~SegmentPin() {
    if (segment_) segment_->pins_.fetch_sub(1, std::memory_order_release);
  }
  [[nodiscard]] explicit operator bool() const noexcept { return segment_ != nullptr; }
  [[nodiscard]] const Segment &operator*() const noexcept { return *segment_; }
  [[nodiscard]] const Segment *operator->() const noexcept { return segment_.get(); }

private:
  std::shared_ptr<Segment> segment_;
};

/// What a name in the spool's folder stands for.
enum class FileKind : std::uint8_t {
  segment,    ///< "00000003.segment": in use
  spare,      ///< "00000003.spare": free, its blocks are written, for reuse
  unfinished, ///< "00000003.new": being filled; of no worth after a crash
  lock,       ///< "lock"
  reserve,    ///< "reserve": zeros, kept for a full disk; "reserve.new": being filled
  damaged,    ///< "damaged": the folder for what recovery set aside
  foreign,    ///< not ours
};
struct FileName {
  FileKind kind = FileKind::foreign;
  std::uint32_t number = 0;
};
[[nodiscard]] FileName parse_file_name(std::string_view name) noexcept;
/// The path in `folder` of segment `number` as `kind` (segment, spare, unfinished).
[[nodiscard]] std::string file_path(const std::string &folder, FileKind kind, std::uint32_t number);

/// Makes a zero-filled segment, all its blocks written and synced, under its final name, durably: a later fdatasync of
/// what is written into it needs no commit of the file system's journal. Blocks; fills in slices and gives up with
/// `stopping` when `stop` becomes true.
[[nodiscard]] smtp::Result<std::shared_ptr<Segment>> create_segment(FileSystem &files, const std::string &folder,
                                                                    const SegmentHeader &header,
                                                                    const std::atomic<bool> &stop);
/// Makes the file that is kept for a full disk, all its blocks written, durably.
[[nodiscard]] smtp::Result<void> create_reserve(FileSystem &files, const std::string &folder, std::uint64_t size,
                                                const std::atomic<bool> &stop);
/// Makes a segment of that file, which must have exactly `header.size` octets.
[[nodiscard]] smtp::Result<std::shared_ptr<Segment>> use_reserve(FileSystem &files, const std::string &folder,
                                                                 const SegmentHeader &header);
/// Makes a segment of a spare file of exactly `header.size` octets.
[[nodiscard]] smtp::Result<std::shared_ptr<Segment>>
recycle_segment(FileSystem &files, const std::string &folder, const SegmentHeader &header, std::uint32_t spare_number);

/// A number that nobody outside can guess, for SegmentHeader::key.
[[nodiscard]] std::uint64_t draw_key();

} // namespace mta::spool
