#include "smtp/names/address_scope.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace smtp {

namespace {

struct Range {
  std::array<std::uint8_t, 8> prefix; ///< the first octets; no prefix here is longer
  int bits;
  std::string_view scope;
};

constexpr std::array v4_ranges{
    Range{{0}, 8, "unspecified"},
    Range{{10}, 8, "private"},
    Range{{100, 64}, 10, "private (shared)"},
    Range{{127}, 8, "loopback"},
    Range{{169, 254}, 16, "link-local"},
    Range{{172, 16}, 12, "private"},
    Range{{192, 0, 0}, 24, "reserved"},
    Range{{192, 0, 2}, 24, "documentation"},
    Range{{192, 168}, 16, "private"},
    Range{{198, 18}, 15, "benchmarking"},
    Range{{198, 51, 100}, 24, "documentation"},
    Range{{203, 0, 113}, 24, "documentation"},
    Range{{224}, 4, "multicast"},
    Range{{240}, 4, "reserved"},
};

constexpr std::array v6_ranges{
    Range{{0x00, 0x64, 0xFF, 0x9B, 0x00, 0x01}, 48, "private (translation)"},
    Range{{0x01, 0x00}, 64, "discard-only"},
    Range{{0x20, 0x01, 0x00}, 23, "reserved"},
    Range{{0x20, 0x01, 0x0D, 0xB8}, 32, "documentation"},
    Range{{0x3F, 0xFF, 0x00}, 20, "documentation"},
    Range{{0x5F, 0x00}, 16, "reserved"},
    Range{{0xFC}, 7, "private (unique local)"},
    Range{{0xFE, 0x80}, 10, "link-local"},
    Range{{0xFE, 0xC0}, 10, "private (site-local)"},
    Range{{0xFF}, 8, "multicast"},
};

using Octets = std::array<std::uint8_t, 16>;

bool is_within(const Octets &octets, const Range &range) noexcept {
  const auto whole = static_cast<std::size_t>(range.bits / 8);
  if (!std::equal(range.prefix.begin(), range.prefix.begin() + whole, octets.begin())) return false;
  const int rest = range.bits % 8;
  return rest == 0 || ((octets[whole] ^ range.prefix[whole]) >> (8 - rest)) == 0;
}

template <std::size_t Size>
std::string_view find(const Octets &octets, const std::array<Range, Size> &ranges) noexcept {
  const auto found =
      std::find_if(ranges.begin(), ranges.end(), [&](const Range &range) { return is_within(octets, range); });
  return found == ranges.end() ? std::string_view() : found->scope;
}

/// The IPv4 address that is meant: RFC 4291 section 2.5.5.1 (::/96), RFC 6052 (64:ff9b::/96), RFC 3056 (2002::/16).
std::optional<IpAddress> embedded(const Octets &octets) noexcept {
  static constexpr Octets translated{0x00, 0x64, 0xFF, 0x9B};
  const auto four_from = [&](std::size_t at) {
    return IpAddress::v4({octets[at], octets[at + 1], octets[at + 2], octets[at + 3]});
  };
  if (octets[0] == 0x20 && octets[1] == 0x02) return four_from(2);
  if (std::equal(octets.begin(), octets.begin() + 12, translated.begin())) return four_from(12);
  if (std::all_of(octets.begin(), octets.begin() + 12, [](std::uint8_t octet) { return octet == 0; }))
    return four_from(12);
  return std::nullopt;
}

} // namespace

std::string_view special_scope(const IpAddress &address) noexcept {
  const Octets &octets = address.octets();
  if (!address.is_v6()) return find(octets, v4_ranges);
  if (address.is_loopback()) return "loopback";
  if (const auto inner = embedded(octets)) return find(inner->octets(), v4_ranges);
  return find(octets, v6_ranges);
}

} // namespace smtp
