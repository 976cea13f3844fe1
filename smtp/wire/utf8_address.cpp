#include "smtp/wire/utf8_address.hpp"

#include <fmt/core.h>

#include "smtp/base/text.hpp"

namespace smtp {

namespace {

/// Takes one code point off the front; U+FFFD for an octet that begins none.
std::uint32_t take_code_point(std::string_view &text) {
  for (std::size_t length = 1; length <= 4 && length <= text.size(); ++length) {
    const auto sequence = text.substr(0, length);
    if (!is_utf8(sequence)) continue;
    const auto lead = static_cast<unsigned char>(sequence[0]);
    std::uint32_t point = length == 1 ? lead : lead & (0x7FU >> length);
    for (const char c : sequence.substr(1)) point = point << 6 | (static_cast<unsigned char>(c) & 0x3FU);
    text.remove_prefix(length);
    return point;
  }
  text.remove_prefix(1);
  return 0xFFFD;
}

} // namespace

std::string encode_utf8_address(std::string_view address, Utf8AddressForm form) {
  std::string encoded;
  encoded.reserve(address.size() + 16);
  while (!address.empty()) {
    const auto before = address;
    const std::uint32_t point = take_code_point(address);
    const auto octets = before.substr(0, before.size() - address.size());
    // QCHAR of RFC 6533 section 3: %x21-2a / %x2c-3c / %x3e-5b / %x5d-7e
    const bool plain = point > 0x20 && point < 0x7F && point != '+' && point != '=' && point != '\\';
    const bool kept = plain || (form == Utf8AddressForm::unitext && point > 0x9F && is_utf8(octets));
    if (kept)
      encoded += octets;
    else
      encoded += fmt::format("\\x{{{:02X}}}", point);
  }
  return encoded;
}

} // namespace smtp
