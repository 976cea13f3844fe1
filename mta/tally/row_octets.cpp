#include "mta/tally/row_octets.hpp"

#include <fmt/format.h>

namespace mta {

void RowWriter::number(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7U) octets_ += static_cast<char>(0x80U | (value & 0x7FU));
  octets_ += static_cast<char>(value);
}

void RowWriter::text(std::string_view value, std::size_t limit) {
  value = value.substr(0, limit);
  number(value.size());
  octets_ += value;
}

std::uint64_t RowReader::number(std::string_view field, std::uint64_t limit) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 63; shift += 7) {
    if (rest_.empty()) return fail(fmt::format("{} is cut off", field));
    const auto octet = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    value |= std::uint64_t{octet & 0x7FU} << shift;
    if ((octet & 0x80U) != 0) continue;
    // The shortest form only, so that equal rows are equal octets.
    if (octet == 0 && shift > 0) return fail(fmt::format("{} is padded", field));
    if (value > limit) return fail(fmt::format("{} is {}, limit is {}", field, value, limit));
    return value;
  }
  return fail(fmt::format("{} is over 63 bits", field));
}

std::string_view RowReader::octets(std::string_view field, std::size_t limit) {
  const auto size = static_cast<std::size_t>(number(field, limit));
  if (size > rest_.size()) {
    fail(fmt::format("{} ends after {} of {} octets", field, rest_.size(), size));
    return {};
  }
  const auto value = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return value;
}

std::uint64_t RowReader::fail(std::string why) {
  if (error_.empty()) error_ = std::move(why);
  rest_ = {};
  return 0;
}

} // namespace mta
