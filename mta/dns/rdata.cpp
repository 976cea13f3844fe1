#include "mta/dns/rdata.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "smtp/base/text.hpp"

namespace mta {

using smtp::ErrorCode;
using smtp::fail;
using smtp::Result;

Result<std::string> parse_wire_name(Rdata data) {
  // RFC 1035 section 3.1: a sequence of labels, each a length octet and that many octets, ended by the root's zero.
  constexpr std::size_t name_limit = 255;
  std::string name;
  std::size_t at = 0;
  for (;;) {
    if (at >= data.size()) return fail(ErrorCode::bad_syntax, "a name ends before its root label");
    if (at >= name_limit) return fail(ErrorCode::too_long, "a name is longer than 255 octets");
    const std::size_t length = data[at++];
    if (length == 0) break;
    if (length > 63)
      return fail(ErrorCode::bad_syntax, fmt::format("a label has the length octet {}, limit is 63", length));
    if (length > data.size() - at) return fail(ErrorCode::bad_syntax, "a label is longer than the record");
    if (!name.empty()) name += '.';
    for (const unsigned char octet : data.subspan(at, length)) {
      if (octet <= 0x20 || octet >= 0x7f || octet == '.')
        return fail(ErrorCode::bad_syntax, fmt::format("a name holds the octet {:#04x}", octet));
      name += smtp::to_lower(static_cast<char>(octet));
    }
    at += length;
  }
  if (at > name_limit) return fail(ErrorCode::too_long, fmt::format("a name is {} octets, limit is 255", at));
  if (at != data.size()) return fail(ErrorCode::bad_syntax, fmt::format("{} octets follow a name", data.size() - at));
  return name;
}

Result<smtp::MxRecord> parse_mx(Rdata data) {
  if (data.size() < 3) return fail(ErrorCode::bad_syntax, fmt::format("an MX record has {} octets", data.size()));
  auto host = parse_wire_name(data.subspan(2));
  if (!host) return tl::unexpected(std::move(host.error()));
  const auto preference = static_cast<std::uint16_t>(data[0] << 8 | data[1]);
  return smtp::MxRecord{preference, std::move(*host)};
}

Result<smtp::TlsaRecord> parse_tlsa(Rdata data) {
  const auto number = [&](std::size_t at) { return at < data.size() ? data[at] : std::uint8_t{255}; };
  const Rdata rest = data.subspan(std::min<std::size_t>(3, data.size()));
  return smtp::TlsaRecord{number(0), number(1), number(2), std::string(rest.begin(), rest.end())};
}

Result<std::string> parse_txt(Rdata data) {
  if (data.empty()) return fail(ErrorCode::bad_syntax, "a TXT record is empty");
  std::string text;
  text.reserve(data.size());
  for (std::size_t at = 0; at < data.size();) {
    const std::size_t length = data[at++];
    if (length > data.size() - at) return fail(ErrorCode::bad_syntax, "a TXT string is longer than its record");
    text.append(reinterpret_cast<const char *>(data.data() + at), length);
    at += length;
  }
  return text;
}

namespace {

template <std::size_t N> Result<std::array<std::uint8_t, N>> octets_of(Rdata data) {
  if (data.size() != N)
    return fail(ErrorCode::bad_syntax, fmt::format("an address record has {} octets, not {}", data.size(), N));
  std::array<std::uint8_t, N> octets{};
  std::copy(data.begin(), data.end(), octets.begin());
  return octets;
}

} // namespace

Result<smtp::IpAddress> parse_a(Rdata data) {
  return octets_of<4>(data).map([](const auto &octets) { return smtp::IpAddress::v4(octets); });
}

Result<smtp::IpAddress> parse_aaaa(Rdata data) {
  return octets_of<16>(data).map([](const auto &octets) { return smtp::IpAddress::v6(octets); });
}

} // namespace mta
