//
//   0  4 octets  "\xD7" "DMR"
//   4  u32       length of the body
//   8  u64       checksum of the length and the body
//  16  body      u64 count, u64 seconds since 1970, the row
//
// Numbers are little-endian.
#include "mta/tally/tally_record.hpp"

#include <limits>

#include "mta/tally/tally_file.hpp"

namespace mta {

namespace {

constexpr std::string_view magic = "\xD7"
                                   "DMR";
constexpr std::size_t header_size = 16;
constexpr std::size_t body_head = 16;
static_assert(header_size + body_head == tally_record_head);
/// What a damaged length makes the reader hold.
constexpr std::size_t longest_body = body_head + longest_tally_row;

template <typename Number> void put(std::string &out, Number value) {
  for (std::size_t i = 0; i < sizeof(Number); ++i)
    out += static_cast<char>(static_cast<std::uint8_t>(value >> (8 * i)));
}

std::uint64_t get(std::string_view octets, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;) value = value << 8U | static_cast<unsigned char>(octets[at + i]);
  return value;
}

std::uint64_t checksum_of(std::string_view length, std::string_view body) {
  return tally_checksum(body, tally_checksum(length));
}

} // namespace

void append_record(std::string &out, const TallyRecord &record) {
  const std::size_t start = out.size();
  out += magic;
  put(out, static_cast<std::uint32_t>(body_head + record.row.size()));
  put(out, std::uint64_t{0});
  put(out, record.count);
  put(out, static_cast<std::uint64_t>(record.last.time_since_epoch().count()));
  out += record.row;
  const std::string_view whole = std::string_view(out).substr(start);
  std::string sum;
  put(sum, checksum_of(whole.substr(4, 4), whole.substr(header_size)));
  out.replace(start + 8, sum.size(), sum);
}

void TallyRecordScanner::feed(std::string_view octets, const Visit &visit) {
  held_ += octets;
  scan(visit, false);
}

void TallyRecordScanner::finish(const Visit &visit) {
  scan(visit, true);
}

void TallyRecordScanner::scan(const Visit &visit, bool at_end) {
  const std::string_view all = held_;
  std::size_t at = 0;
  const auto damage = [&] {
    if (!in_damage_) ++damaged_;
    in_damage_ = true;
  };
  while (at < all.size()) {
    const std::string_view rest = all.substr(at);
    const auto size =
        rest.size() < 8 ? std::numeric_limits<std::size_t>::max() : static_cast<std::size_t>(get(rest, 4, 4));
    const bool begins = rest.substr(0, magic.size()) == magic.substr(0, rest.size());
    const bool has_size = rest.size() >= 8;
    const bool plausible = begins && (!has_size || (size >= body_head && size <= longest_body));
    const bool whole = plausible && has_size && rest.size() >= header_size + size;
    if (plausible && !whole && !at_end) break; // the next piece decides
    if (whole) {
      const std::string_view body = rest.substr(header_size, size);
      const std::uint64_t count = get(body, 0, 8);
      const auto seconds = static_cast<std::int64_t>(get(body, 8, 8));
      if (get(rest, 8, 8) == checksum_of(rest.substr(4, 4), body) && count > 0) {
        in_damage_ = false;
        visit({body.substr(body_head), count, std::chrono::sys_seconds(std::chrono::seconds(seconds))});
        at += header_size + size;
        continue;
      }
    }
    damage();
    const auto next = all.find(magic.front(), at + 1);
    at = next == std::string_view::npos ? all.size() : next;
  }
  held_.erase(0, at);
}

} // namespace mta
