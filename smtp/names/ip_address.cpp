// Written out, so that this layer needs no socket header.
#include "smtp/names/ip_address.hpp"

#include "smtp/base/text.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <optional>

namespace smtp {

namespace {

constexpr std::array<std::uint8_t, 12> mapped_prefix = {0, 0, 0, 0, 0,    0,
                                                        0, 0, 0, 0, 0xFF, 0xFF}; // RFC 4291 section 2.5.5.2

/// Snum 3("." Snum), each 0 to 255 without leading zeros (an octal reading must not be possible).
std::optional<std::array<std::uint8_t, 4>> parse_v4(std::string_view text) noexcept {
  std::array<std::uint8_t, 4> octets{};
  for (std::size_t i = 0; i < 4; ++i) {
    const auto dot = i < 3 ? text.find('.') : text.size();
    if (dot == std::string_view::npos || dot == 0 || dot > 3) return std::nullopt;
    const auto number = parse_number(text.substr(0, dot));
    if (!number || *number > 255 || (dot > 1 && text.front() == '0')) return std::nullopt;
    octets[i] = static_cast<std::uint8_t>(*number);
    text.remove_prefix(i < 3 ? dot + 1 : dot);
  }
  return octets;
}

std::optional<std::uint16_t> parse_group(std::string_view text) noexcept {
  if (text.empty() || text.size() > 4) return std::nullopt;
  unsigned value = 0;
  for (const char c : text) {
    const char lower = to_lower(c);
    if (lower >= '0' && lower <= '9') {
      value = value * 16 + static_cast<unsigned>(lower - '0');
    } else if (lower >= 'a' && lower <= 'f') {
      value = value * 16 + static_cast<unsigned>(lower - 'a' + 10);
    } else {
      return std::nullopt;
    }
  }
  return static_cast<std::uint16_t>(value);
}

/// Up to eight groups of one side of "::", the last of which may be an IPv4 address.
struct Groups {
  std::array<std::uint16_t, 8> value{};
  std::size_t count = 0;
};

bool parse_groups(std::string_view text, bool may_end_in_v4, Groups &groups) noexcept {
  if (text.empty()) return true;
  for (;;) {
    const auto colon = text.find(':');
    const auto part = text.substr(0, colon);
    const auto v4 = colon == std::string_view::npos && may_end_in_v4 ? parse_v4(part) : std::nullopt;
    if (v4) {
      if (groups.count > 6) return false;
      groups.value[groups.count++] = static_cast<std::uint16_t>((*v4)[0] << 8 | (*v4)[1]);
      groups.value[groups.count++] = static_cast<std::uint16_t>((*v4)[2] << 8 | (*v4)[3]);
    } else {
      const auto group = parse_group(part);
      if (!group || groups.count > 7) return false;
      groups.value[groups.count++] = *group;
    }
    if (colon == std::string_view::npos) return true;
    text.remove_prefix(colon + 1);
  }
}

/// RFC 4291 section 2.2: eight groups, or fewer with one "::".
std::optional<std::array<std::uint8_t, 16>> parse_v6(std::string_view text) noexcept {
  Groups before;
  Groups after;
  const auto gap = text.find("::");
  if (gap == std::string_view::npos) {
    if (!parse_groups(text, true, before) || before.count != 8) return std::nullopt;
  } else {
    const auto rest = text.substr(gap + 2);
    if (rest.find("::") != std::string_view::npos || rest.starts_with(':')) return std::nullopt;
    if (!parse_groups(text.substr(0, gap), false, before) || !parse_groups(rest, true, after)) return std::nullopt;
    if (before.count + after.count > 7) return std::nullopt;
  }
  std::array<std::uint8_t, 16> octets{};
  const auto store = [&](std::size_t at, std::uint16_t group) {
    octets[at * 2] = static_cast<std::uint8_t>(group >> 8);
    octets[at * 2 + 1] = static_cast<std::uint8_t>(group & 0xFF);
  };
  for (std::size_t i = 0; i < before.count; ++i) store(i, before.value[i]);
  for (std::size_t i = 0; i < after.count; ++i) store(8 - after.count + i, after.value[i]);
  return octets;
}

tl::unexpected<Error> bad_address(std::string_view text) {
  return fail(ErrorCode::bad_syntax, fmt::format("\"{}\" is not an IP address", escape(text, 80)));
}

std::string format_v6(const std::array<std::uint8_t, 16> &octets) {
  std::array<unsigned, 8> groups{};
  for (std::size_t i = 0; i < 8; ++i) groups[i] = static_cast<unsigned>(octets[i * 2] << 8 | octets[i * 2 + 1]);
  // RFC 5952 section 4.2: "::" for the longest run of at least two zero groups, the first one of equals.
  std::size_t best = 8;
  std::size_t best_length = 1;
  for (std::size_t i = 0; i < 8; ++i) {
    std::size_t end = i;
    while (end < 8 && groups[end] == 0) ++end;
    if (end - i > best_length) {
      best = i;
      best_length = end - i;
    }
  }
  std::string text;
  for (std::size_t i = 0; i < 8; ++i) {
    if (i == best) {
      text += "::";
      i += best_length - 1;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    text += fmt::format("{:x}", groups[i]);
  }
  return text;
}

} // namespace

Result<IpAddress> IpAddress::parse(std::string_view text) {
  if (text.size() > 45) return bad_address(text); // the longest IPv6 text with an IPv4 tail
  if (const auto octets = parse_v4(text)) return v4(*octets);
  if (const auto octets = parse_v6(text)) return v6(*octets);
  return bad_address(text);
}

IpAddress IpAddress::v4(const std::array<std::uint8_t, 4> &octets) noexcept {
  IpAddress address;
  std::copy(octets.begin(), octets.end(), address.octets_.begin());
  return address;
}

IpAddress IpAddress::v6(const std::array<std::uint8_t, 16> &octets) noexcept {
  if (std::equal(mapped_prefix.begin(), mapped_prefix.end(), octets.begin()))
    return v4({octets[12], octets[13], octets[14], octets[15]});
  IpAddress address;
  address.v6_ = true;
  address.octets_ = octets;
  return address;
}

std::string IpAddress::to_string() const {
  if (v6_) return format_v6(octets_);
  return fmt::format("{}.{}.{}.{}", octets_[0], octets_[1], octets_[2], octets_[3]);
}

std::string IpAddress::to_literal() const {
  return (v6_ ? "[IPv6:" : "[") + to_string() + "]";
}

std::string IpAddress::reverse_name() const {
  if (!v6_) return fmt::format("{}.{}.{}.{}.in-addr.arpa", octets_[3], octets_[2], octets_[1], octets_[0]);
  std::string name; // RFC 3596 section 2.5: nibbles, the lowest first
  for (auto octet = octets_.rbegin(); octet != octets_.rend(); ++octet)
    name += fmt::format("{:x}.{:x}.", *octet & 15, *octet >> 4);
  return name + "ip6.arpa";
}

bool IpAddress::is_loopback() const noexcept {
  if (!v6_) return octets_[0] == 127;
  return octets_.back() == 1 && std::all_of(octets_.begin(), octets_.end() - 1, [](std::uint8_t o) { return o == 0; });
}

IpAddress IpAddress::masked(int bits) const noexcept {
  IpAddress address = *this;
  const int width = v6_ ? 128 : 32;
  for (int bit = std::clamp(bits, 0, width); bit < width;) {
    auto &octet = address.octets_[static_cast<std::size_t>(bit / 8)];
    const int kept = bit % 8;
    octet = static_cast<std::uint8_t>(octet & ~(0xFF >> kept));
    bit += 8 - kept;
  }
  return address;
}

Result<Network> Network::parse(std::string_view text) {
  const auto slash = text.find('/');
  const auto address_text = text.substr(0, slash);
  const auto address = IpAddress::parse(address_text);
  if (!address) return tl::unexpected<Error>(address.error());
  const int width = address->is_v6() ? 128 : 32;
  int bits = width;
  if (slash != std::string_view::npos) {
    const auto number = parse_number(text.substr(slash + 1));
    // An IPv4-mapped network is written with IPv6 bits.
    const bool mapped = !address->is_v6() && address_text.find(':') != std::string_view::npos;
    const std::uint64_t offset = mapped ? 96 : 0;
    if (!number || *number < offset || *number > static_cast<std::uint64_t>(width) + offset)
      return fail(ErrorCode::bad_syntax,
                  fmt::format("network \"{}\" needs a prefix length from {} to {}", escape(text, 80), offset,
                              static_cast<std::uint64_t>(width) + offset));
    bits = static_cast<int>(*number - offset);
  }
  if (address->masked(bits) != *address)
    return fail(ErrorCode::bad_syntax, fmt::format("network \"{}\" has bits set after its prefix; {}/{} would be right",
                                                   escape(text, 80), address->masked(bits).to_string(), bits));
  return Network(*address, bits);
}

bool Network::contains(const IpAddress &address) const noexcept {
  return address.is_v6() == base_.is_v6() && address.masked(bits_) == base_;
}

std::string Network::to_string() const {
  return fmt::format("{}/{}", base_.to_string(), bits_);
}

Result<SocketAddress> SocketAddress::parse(std::string_view text, std::uint16_t default_port) {
  std::string_view host = text;
  std::optional<std::string_view> port;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    const auto rest = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    if (end == std::string_view::npos || (!rest.empty() && rest.front() != ':'))
      return fail(ErrorCode::bad_syntax,
                  fmt::format("\"{}\" is not an address with a port (\"[2001:db8::1]:25\")", escape(text, 80)));
    host = text.substr(1, end - 1);
    if (!rest.empty()) port = rest.substr(1);
  } else if (const auto colon = text.find(':'); colon != std::string_view::npos && colon == text.rfind(':')) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  const auto address = IpAddress::parse(host);
  if (!address) return tl::unexpected<Error>(address.error());
  SocketAddress result{*address, default_port};
  if (port) {
    const auto number = parse_number(*port);
    if (!number || *number > 65535)
      return fail(ErrorCode::bad_syntax, fmt::format("\"{}\" has no port from 0 to 65535", escape(text, 80)));
    result.port = static_cast<std::uint16_t>(*number);
  }
  return result;
}

std::string SocketAddress::to_string() const {
  return address.is_v6() ? fmt::format("[{}]:{}", address.to_string(), port)
                         : fmt::format("{}:{}", address.to_string(), port);
}

} // namespace smtp
