#include "mta/outbound/body_source.hpp"

#include <algorithm>

namespace mta {

smtp::Result<BodySource::Part> BodySource::read_stored(std::span<char> into) {
  Part part;
  while (part.size < into.size() && offset_ < stored_size()) {
    const auto room = into.subspan(part.size);
    std::size_t got = 0;
    if (offset_ < trace_.size()) {
      const auto rest = trace_.substr(static_cast<std::size_t>(offset_));
      got = std::min(rest.size(), room.size());
      std::copy_n(rest.data(), got, room.data());
    } else {
      const auto read = reader_->read(offset_ - trace_.size(), room);
      if (!read) return tl::unexpected(read.error());
      if (*read == 0) return smtp::fail(smtp::ErrorCode::io, "the stored message is shorter than its record says");
      got = *read;
    }
    part.size += got;
    offset_ += got;
  }
  part.last = offset_ >= stored_size();
  return part;
}

smtp::Result<BodySource::Part> BodySource::read(std::span<char> into) {
  if (!converter_) return read_stored(into);
  Part part;
  while (part.size < into.size()) {
    if (converted_used_ == converted_.size()) {
      converted_.clear();
      converted_used_ = 0;
      if (all_converted_) break;
      // The rest of the buffer serves for what is stored: it is overwritten by what becomes of it.
      const auto stored = read_stored(into.subspan(part.size));
      if (!stored) return stored;
      converter_->feed(std::string_view(into.data() + part.size, stored->size), converted_);
      if (stored->last) {
        converter_->end(converted_);
        all_converted_ = true;
      }
      continue;
    }
    const std::size_t count = std::min(into.size() - part.size, converted_.size() - converted_used_);
    std::copy_n(converted_.data() + converted_used_, count, into.data() + part.size);
    converted_used_ += count;
    part.size += count;
  }
  part.last = all_converted_ && converted_used_ == converted_.size();
  return part;
}

smtp::Result<bool> BodySource::survey(std::span<char> scratch) {
  if (!survey_) survey_.emplace(smtp::SevenBitConverter::Mode::survey);
  const auto part = read_stored(scratch);
  if (!part) return tl::unexpected(part.error());
  std::string nothing;
  survey_->feed(std::string_view(scratch.data(), part->size), nothing);
  if (part->last) survey_->end(nothing);
  return !part->last;
}

void BodySource::convert() {
  size_converted_ = survey_->size();
  converter_.emplace(survey_->parts());
  survey_.reset();
  offset_ = 0;
}

} // namespace mta
