// QueueId as text (spool.hpp).
#include <cstddef>

#include "mta/spool/spool.hpp"

namespace mta {

namespace {
constexpr std::string_view alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; // Crockford's base 32
constexpr std::size_t id_length = 13;
} // namespace

std::string QueueId::to_string() const {
  std::string text(id_length, '0');
  std::uint64_t rest = value;
  for (std::size_t i = id_length; i-- > 0; rest >>= 5U) text[i] = alphabet[rest & 31U];
  return text;
}

// QueueId = 13 characters of the alphabet; 65 bits, of which the first must be 0.
std::optional<QueueId> QueueId::parse(std::string_view text) noexcept {
  if (text.size() != id_length) return std::nullopt;
  QueueId id;
  for (std::size_t i = 0; i < id_length; ++i) {
    const std::size_t digit = alphabet.find(text[i]);
    if (digit == std::string_view::npos || (i == 0 && digit > 15)) return std::nullopt;
    id.value = id.value << 5U | digit;
  }
  return id;
}

} // namespace mta
