#include "mta/spool/segment_scan.hpp"

#include <algorithm>
#include <cstring>

#include "mta/spool/crc32c.hpp"

namespace mta::spool {

namespace {
constexpr std::uint64_t load_slice = 1U << 20U;
} // namespace

SegmentImage::SegmentImage(const File &file, std::uint64_t size)
    : file_(file), size_(size), octets_(std::make_unique_for_overwrite<char[]>(static_cast<std::size_t>(size))) {}

std::string_view SegmentImage::view(std::uint64_t offset, std::uint64_t length) {
  if (offset >= size_) return {};
  length = std::min(length, size_ - offset);
  load(offset + length);
  return {octets_.get() + offset, static_cast<std::size_t>(length)};
}

void SegmentImage::load(std::uint64_t until) {
  while (loaded_ < until) {
    const std::uint64_t slice = std::min(load_slice, size_ - loaded_);
    const std::span<char> into(octets_.get() + loaded_, static_cast<std::size_t>(slice));
    if (!read_exactly(file_, loaded_, into)) {
      for (std::uint64_t at = 0; at < slice; at += block_size) {
        const auto block = into.subspan(static_cast<std::size_t>(at),
                                        static_cast<std::size_t>(std::min<std::uint64_t>(block_size, slice - at)));
        if (read_exactly(file_, loaded_ + at, block)) continue;
        std::fill(block.begin(), block.end(), '\0');
        unreadable_ += block.size();
      }
    }
    loaded_ += slice;
  }
}

namespace {

class Scanner {
public:
  Scanner(SegmentImage &image, std::uint64_t key) : image_(image), key_(key) {}

  SegmentScan scan() {
    result_.end = segment_header_size;
    while (!result_.is_sealed) {
      std::uint64_t at = result_.end;
      auto header = header_at(at);
      if ((!header || !follows(*header)) && at % block_size != 0) {
        // After a sync the log goes on in the next block.
        at = next_block(at);
        header = header_at(at);
      }
      if (!header || !follows(*header)) {
        at = resynchronise(result_.end);
        if (at >= image_.size()) break;
        header = header_at(at);
        const bool is_next = result_.last_sequence != 0 && header->sequence == result_.last_sequence + 1;
        if (at > result_.end && !is_next) // nothing is missing when the next one only lies farther off
          result_.bad.push_back({.begin = result_.end,
                                 .end = at,
                                 .first_missing = result_.last_sequence == 0 ? 0 : result_.last_sequence + 1,
                                 .last_missing = header->sequence - 1,
                                 .header = std::nullopt});
      }
      accept(*header, at);
    }
    if (!result_.is_sealed) result_.tail = measure_tail();
    return std::move(result_);
  }

private:
  [[nodiscard]] std::optional<RecordHeader> header_at(std::uint64_t offset) {
    const std::string_view octets = image_.view(offset, record_header_size);
    return decode_record_header(octets, key_);
  }

  /// Within a segment the sequence has no holes, so a record that is missing is noticed even where its place looks
  /// empty.
  [[nodiscard]] bool follows(const RecordHeader &header) const {
    if (result_.last_sequence == 0 || header.sequence == result_.last_sequence + 1) return true;
    return header.type == RecordType::gap && header.sequence > result_.last_sequence;
  }

  void accept(const RecordHeader &header, std::uint64_t at) {
    const std::uint64_t payload_at = at + record_header_size;
    result_.last_sequence = header.sequence;
    if (header.type == RecordType::gap) {
      result_.records.push_back({header, at});
      result_.end = std::min(image_.size(), at + record_space(header.length));
      return;
    }
    const std::string_view payload = image_.view(payload_at, header.length);
    if (payload.size() == header.length && crc32c(payload) == header.payload_crc) {
      result_.records.push_back({header, at});
      result_.end = at + record_space(header.length);
      result_.is_sealed = header.type == RecordType::seal;
      return;
    }
    result_.end = std::min(image_.size(), at + record_space(header.length));
    result_.bad.push_back({.begin = at,
                           .end = result_.end,
                           .first_missing = header.sequence,
                           .last_missing = header.sequence,
                           .header = header});
  }

  /// The next valid header from `from` on, or the end of the file.
  [[nodiscard]] std::uint64_t resynchronise(std::uint64_t from) {
    for (std::uint64_t at = from; at + record_header_size <= image_.size(); at += record_alignment) {
      const auto header = header_at(at);
      if (header && header->sequence > result_.last_sequence) return at;
    }
    return image_.size();
  }

  /// In a segment that was zero-filled, what is not zero behind the end is the rest of a record. In a recycled one the
  /// records of its earlier use lie there, and nothing can be said.
  [[nodiscard]] std::uint64_t measure_tail() {
    std::uint64_t last = result_.end;
    for (std::uint64_t at = result_.end; at < image_.size(); at += record_alignment) {
      const std::string_view octets = image_.view(at, record_alignment);
      if (decode_record_header(octets, std::nullopt)) return 0;
      const auto found = octets.find_last_not_of('\0');
      if (found != std::string_view::npos) last = at + found + 1;
    }
    return last - result_.end;
  }

  SegmentImage &image_;
  const std::uint64_t key_;
  SegmentScan result_;
};

} // namespace

std::optional<std::uint64_t> find_key(SegmentImage &image) {
  const auto header = decode_record_header(image.view(segment_header_size, record_header_size), std::nullopt);
  if (!header) return std::nullopt;
  return header->segment_key;
}

SegmentScan scan_segment(SegmentImage &image, std::uint64_t key) {
  return Scanner(image, key).scan();
}

} // namespace mta::spool
