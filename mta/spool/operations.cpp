#include "mta/spool/operations.hpp"

#include <algorithm>
#include <cstring>

#include "mta/spool/crc32c.hpp"

namespace mta::spool {

std::size_t PartBuffer::append(std::string_view octets, std::size_t limit) {
  if (chunks_.empty() || chunks_.back().used == chunks_.back().capacity) {
    const std::size_t capacity = std::min(chunks_.empty() ? first_chunk : next_chunk, limit - size_);
    chunks_.push_back({std::make_unique_for_overwrite<char[]>(capacity), 0, capacity});
  }
  Chunk &chunk = chunks_.back();
  const std::size_t taken = std::min({octets.size(), chunk.capacity - chunk.used, limit - size_});
  char *at = chunk.octets.get() + chunk.used;
  std::memcpy(at, octets.data(), taken);
  crc_ = crc32c({at, taken}, crc_);
  chunk.used += taken;
  size_ += static_cast<std::uint32_t>(taken);
  return taken;
}

std::vector<std::string_view> PartBuffer::pieces() const {
  std::vector<std::string_view> result;
  result.reserve(chunks_.size());
  for (const Chunk &chunk : chunks_) result.emplace_back(chunk.octets.get(), chunk.used);
  return result;
}

} // namespace mta::spool
