#include "mta/spool/record.hpp"

#include <concepts>

#include <fmt/format.h>

#include "mta/spool/crc32c.hpp"

namespace mta::spool {

namespace {

constexpr std::uint32_t record_magic = 0x52435450;          // "PTCR"
constexpr std::uint64_t segment_magic = 0x4C4F4F5053435450; // "PTCSPOOL"
constexpr std::size_t segment_copy_distance = segment_header_size / 2;
constexpr std::size_t segment_header_octets = 64;

template <std::unsigned_integral T> void put(char *at, T value) noexcept {
  for (std::size_t i = 0; i < sizeof(T); ++i) at[i] = static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
}

template <std::unsigned_integral T> T get(const char *at) noexcept {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value |= static_cast<T>(T{static_cast<unsigned char>(at[i])} << (8 * i));
  return value;
}

} // namespace

RecordOctets encode_record_header(const RecordHeader &header) noexcept {
  RecordOctets octets{};
  char *at = octets.data();
  put(at, record_magic);
  put(at + 8, header.length);
  put(at + 12, header.payload_crc);
  put(at + 16, header.sequence);
  put(at + 24, header.durable);
  put(at + 32, header.id);
  put(at + 40, header.extra);
  put(at + 48, header.segment_key);
  put(at + 56, header.copy);
  at[60] = static_cast<char>(header.type);
  put(at + 4, crc32c(std::string_view(at + 8, record_header_size - 8)));
  return octets;
}

std::optional<RecordHeader> decode_record_header(std::span<const char> octets,
                                                 std::optional<std::uint64_t> segment_key) noexcept {
  if (octets.size() < record_header_size) return std::nullopt;
  const char *at = octets.data();
  if (get<std::uint32_t>(at) != record_magic) return std::nullopt;
  RecordHeader header;
  header.segment_key = get<std::uint64_t>(at + 48);
  if (segment_key && header.segment_key != *segment_key) return std::nullopt;
  if (get<std::uint32_t>(at + 4) != crc32c(std::string_view(at + 8, record_header_size - 8))) return std::nullopt;
  const auto type = static_cast<unsigned char>(at[60]);
  if (type < static_cast<unsigned char>(RecordType::body) || type > static_cast<unsigned char>(RecordType::graves))
    return std::nullopt;
  header.type = static_cast<RecordType>(type);
  header.length = get<std::uint32_t>(at + 8);
  header.payload_crc = get<std::uint32_t>(at + 12);
  header.sequence = get<std::uint64_t>(at + 16);
  header.durable = get<std::uint64_t>(at + 24);
  header.id = get<std::uint64_t>(at + 32);
  header.extra = get<std::uint64_t>(at + 40);
  header.copy = get<std::uint32_t>(at + 56);
  return header;
}

// 0 magic  8 version  12 number  16 key  24 size  32 id limit  40-59 zero  60 CRC of octets 0-59. Magic, version and
// CRC stay where they are in every version, so that a newer version can be told from damage.
std::string encode_segment_header(const SegmentHeader &header) {
  std::string block(segment_header_size, '\0');
  for (const std::size_t copy : {std::size_t{0}, segment_copy_distance}) {
    char *at = block.data() + copy;
    put(at, segment_magic);
    put(at + 8, format_version);
    put(at + 12, header.number);
    put(at + 16, header.key);
    put(at + 24, header.size);
    put(at + 32, header.id_limit);
    put(at + 60, crc32c(std::string_view(at, 60)));
  }
  return block;
}

smtp::Result<SegmentHeader> decode_segment_header(std::string_view block) {
  for (const std::size_t copy : {std::size_t{0}, segment_copy_distance}) {
    if (block.size() < copy + segment_header_octets) break;
    const char *at = block.data() + copy;
    if (get<std::uint64_t>(at) != segment_magic) continue;
    if (get<std::uint32_t>(at + 60) != crc32c(std::string_view(at, 60))) continue;
    const auto version = get<std::uint32_t>(at + 8);
    if (version != format_version)
      return smtp::fail(
          smtp::ErrorCode::protocol,
          fmt::format("segment has format version {}, this program reads version {}", version, format_version));
    return SegmentHeader{.number = get<std::uint32_t>(at + 12),
                         .key = get<std::uint64_t>(at + 16),
                         .size = get<std::uint64_t>(at + 24),
                         .id_limit = get<std::uint64_t>(at + 32)};
  }
  return smtp::fail(smtp::ErrorCode::bad_syntax, "segment header is damaged in both copies");
}

std::string encode_abandoned(std::span<const Abandoned> segments) {
  std::string payload(segments.size() * 12, '\0');
  char *at = payload.data();
  for (const Abandoned &abandoned : segments) {
    put(at, abandoned.segment);
    put(at + 4, abandoned.sequence);
    at += 12;
  }
  return payload;
}

std::optional<std::vector<Abandoned>> decode_abandoned(std::string_view payload) {
  if (payload.size() % 12 != 0) return std::nullopt;
  std::vector<Abandoned> segments;
  segments.reserve(payload.size() / 12);
  for (const char *at = payload.data(), *end = at + payload.size(); at != end; at += 12)
    segments.push_back({get<std::uint32_t>(at), get<std::uint64_t>(at + 4)});
  return segments;
}

std::string encode_ids(std::span<const std::uint64_t> ids) {
  std::string payload(ids.size() * 8, '\0');
  for (std::size_t i = 0; i < ids.size(); ++i) put(payload.data() + i * 8, ids[i]);
  return payload;
}

std::vector<std::uint64_t> decode_ids(std::string_view payload) {
  std::vector<std::uint64_t> ids(payload.size() / 8);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = get<std::uint64_t>(payload.data() + i * 8);
  return ids;
}

} // namespace mta::spool
