#include "mta/spool/reader.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "mta/spool/crc32c.hpp"

namespace mta::spool {

using smtp::ErrorCode;
using smtp::Result;

namespace {

tl::unexpected<smtp::Error> damaged(const Segment &segment, const Extent &extent, std::string_view what) {
  return smtp::fail(ErrorCode::io,
                    fmt::format("segment {:08x}: {} at offset {}", segment.number(), what, extent.offset()));
}

/// Reads the header, and behind it as much of the payload as `into` takes, in one call. Returns the header.
Result<RecordHeader> read_front(const Segment &segment, const Extent &extent, RecordType type, std::uint64_t id,
                                std::span<char> into) {
  RecordOctets octets{};
  const std::array<iovec, 2> pieces{iovec{octets.data(), octets.size()}, iovec{into.data(), into.size()}};
  const auto got = segment.file().preadv(extent.offset(), std::span(pieces).first(into.empty() ? 1 : 2));
  if (!got) return tl::unexpected(got.error());
  if (*got != octets.size() + into.size()) return damaged(segment, extent, "file ends inside the record");
  const auto header = decode_record_header(octets, segment.key());
  if (!header || header->type != type || header->id != id || header->length != extent.length)
    return damaged(segment, extent, "record header is damaged");
  return *header;
}

struct Part {
  Extent extent;
  SegmentPin segment;
  std::uint64_t begin = 0; ///< its first octet's offset in the body
  bool verified = false;
};

class Reader final : public BodyReader {
public:
  Reader(QueueId id, BodyPlace place) : id_(id), size_(place.size) {
    parts_.reserve(place.parts.size());
    std::uint64_t begin = 0;
    for (PinnedPart &part : place.parts) {
      parts_.push_back({part.extent, std::move(part.segment), begin, false});
      begin += part.extent.length;
    }
  }

  std::uint64_t size() const noexcept override { return size_; }

  bool is_whole() const noexcept override {
    return std::all_of(parts_.begin(), parts_.end(), [](const Part &part) { return part.segment.operator bool(); });
  }

  Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
    if (offset >= size_) return std::size_t{0};
    into = into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), size_ - offset)));
    auto part = std::upper_bound(parts_.begin(), parts_.end(), offset,
                                 [](std::uint64_t wanted, const Part &each) { return wanted < each.begin; });
    std::size_t done = 0;
    for (--part; done < into.size(); ++part) {
      if (!part->segment)
        return smtp::fail(ErrorCode::io, fmt::format("message {}: the body's octets from {} on were lost",
                                                     id_.to_string(), part->begin));
      const std::uint64_t inside = offset + done - part->begin;
      const auto wanted =
          static_cast<std::size_t>(std::min<std::uint64_t>(into.size() - done, part->extent.length - inside));
      const auto got = read_part(*part, inside, into.subspan(done, wanted));
      if (!got) return tl::unexpected(got.error());
      done += wanted;
    }
    return done;
  }

private:
  Result<void> read_part(Part &part, std::uint64_t inside, std::span<char> into) const {
    const Segment &segment = *part.segment;
    if (!part.verified) {
      // The usual case, all of the part is wanted: its checksum costs no second read.
      const bool whole = inside == 0 && into.size() == part.extent.length;
      const auto header =
          read_front(segment, part.extent, RecordType::body, id_.value, whole ? into : std::span<char>());
      if (!header) return tl::unexpected(header.error());
      std::uint32_t crc = 0;
      if (whole) {
        crc = crc32c({into.data(), into.size()});
      } else {
        // No octet is given out before all of the part is checked; the room of the caller is large enough to do it in.
        for (std::uint64_t at = 0; at < part.extent.length;) {
          const auto slice =
              into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), part.extent.length - at)));
          if (const auto got = read_exactly(segment.file(), part.extent.offset() + record_header_size + at, slice);
              !got)
            return got;
          crc = crc32c({slice.data(), slice.size()}, crc);
          at += slice.size();
        }
      }
      if (crc != header->payload_crc) return damaged(segment, part.extent, "checksum of the body is wrong");
      part.verified = true;
      if (whole) return {};
    }
    return read_exactly(segment.file(), part.extent.offset() + record_header_size + inside, into);
  }

  const QueueId id_;
  const std::uint64_t size_;
  std::vector<Part> parts_;
};

} // namespace

Result<Payload> read_record(const SegmentPin &segment, const Extent &extent, RecordType type, std::uint64_t id) {
  if (!segment) return smtp::fail(ErrorCode::io, "the record was lost");
  Payload payload;
  payload.octets.resize(extent.length);
  const auto header = read_front(*segment, extent, type, id, payload.octets);
  if (!header) return tl::unexpected(header.error());
  payload.crc = crc32c(payload.octets);
  if (payload.crc != header->payload_crc) return damaged(*segment, extent, "checksum of the record is wrong");
  return payload;
}

std::unique_ptr<BodyReader> make_reader(QueueId id, BodyPlace place) {
  return std::make_unique<Reader>(id, std::move(place));
}

} // namespace mta::spool
