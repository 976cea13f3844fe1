// The spool's records and segment headers as octets: layout, checksums, and what makes one valid.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/base/result.hpp"

namespace mta::spool {

/// A record begins at a multiple of this, so a header never crosses a disk sector and a lost position can be found
/// again.
inline constexpr std::size_t record_alignment = 64;
inline constexpr std::size_t record_header_size = 64;
/// After an fdatasync the log goes on in the next block: what was promised as durable is never written over.
inline constexpr std::size_t block_size = 4096;
/// The segment header has the first block for itself, in two copies (at 0 and at half the block).
inline constexpr std::size_t segment_header_size = block_size;
inline constexpr std::uint32_t format_version = 1;
/// The largest envelope or update.
inline constexpr std::size_t max_blob_size = 64U << 20U;

enum class RecordType : std::uint8_t {
  body = 1,       ///< a part of a body; extra: its offset in the body
  envelope = 2,   ///< commits a body; extra: the size of the body
  update = 3,     ///< replaces the message's update blob
  done = 4,       ///< the message is finished; no payload
  checkpoint = 5, ///< extra: queue ids below this may be in use; payload: the segments given up after a write error
  seal = 6,       ///< nothing follows in this segment; extra: the next queue id after a clean close, otherwise 0; after
                  ///< one the payload has the segments with live messages
  gap = 7,        ///< written by recovery over octets that no record could be made of: skip `length`
  graves = 8,     ///< the payload is a list of queue ids: a done record for each
};

/// The header in front of every payload. All numbers are little-endian on disk:
///   0 magic  4 header CRC (of octets 8-63)  8 length  12 payload CRC  16 sequence  24 durable  32 id  40 extra
///   48 segment key  56 copy  60 type  61-63 zero
struct RecordHeader {
  RecordType type = RecordType::body;
  std::uint32_t length = 0; ///< of the payload
  std::uint32_t payload_crc = 0;
  std::uint64_t sequence = 0; ///< of the record, one more than the record before it in the log
  std::uint64_t durable = 0;  ///< every record up to this one was on disk when this one was written
  std::uint64_t id = 0;       ///< the message; 0: none
  std::uint64_t extra = 0;
  std::uint64_t segment_key = 0; ///< drawn at random for each use of a segment: records of an earlier use, and octets
                                 ///< in a body that imitate a record, do not have it
  std::uint32_t copy = 0;        ///< counts how often compaction has moved the message

  friend bool operator==(const RecordHeader &, const RecordHeader &) = default;
};

using RecordOctets = std::array<char, record_header_size>;

[[nodiscard]] RecordOctets encode_record_header(const RecordHeader &header) noexcept;
/// Nothing when the octets are not a header, or one of another segment.
[[nodiscard]] std::optional<RecordHeader> decode_record_header(std::span<const char> octets,
                                                               std::optional<std::uint64_t> segment_key) noexcept;

/// What a record with this payload takes in the segment.
[[nodiscard]] constexpr std::uint64_t record_space(std::uint64_t length) noexcept {
  return (record_header_size + length + record_alignment - 1) / record_alignment * record_alignment;
}
[[nodiscard]] constexpr std::uint64_t next_block(std::uint64_t offset) noexcept {
  return (offset + block_size - 1) / block_size * block_size;
}

/// The first block of a segment.
struct SegmentHeader {
  std::uint32_t number = 0;
  std::uint64_t key = 0;
  std::uint64_t size = 0;     ///< of the file
  std::uint64_t id_limit = 0; ///< queue ids below this may be in use

  friend bool operator==(const SegmentHeader &, const SegmentHeader &) = default;
};

[[nodiscard]] std::string encode_segment_header(const SegmentHeader &header);
/// Errors: bad_syntax (damaged, not a segment), protocol (a whole header of a version that we do not know).
[[nodiscard]] smtp::Result<SegmentHeader> decode_segment_header(std::string_view block);

/// A segment in which records after `sequence` do not count: writing it failed, and their state is unknown.
struct Abandoned {
  std::uint32_t segment = 0;
  std::uint64_t sequence = 0;

  friend bool operator==(const Abandoned &, const Abandoned &) = default;
};

[[nodiscard]] std::string encode_abandoned(std::span<const Abandoned> segments);
[[nodiscard]] std::optional<std::vector<Abandoned>> decode_abandoned(std::string_view payload);

/// Numbers of segments, four octets each.
[[nodiscard]] std::string encode_segments(std::span<const std::uint32_t> numbers);
[[nodiscard]] std::vector<std::uint32_t> decode_segments(std::string_view payload);
[[nodiscard]] std::string encode_ids(std::span<const std::uint64_t> ids);
[[nodiscard]] std::vector<std::uint64_t> decode_ids(std::string_view payload);

} // namespace mta::spool
