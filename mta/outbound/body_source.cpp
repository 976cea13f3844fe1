// BodySource: see body_source.hpp.
#include "mta/outbound/body_source.hpp"

#include <algorithm>

namespace mta {

smtp::Result<BodySource::Part> BodySource::read(std::span<char> into) {
  Part part;
  while (part.size < into.size() && offset_ < size()) {
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
  part.last = offset_ >= size();
  return part;
}

} // namespace mta
