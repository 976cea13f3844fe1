// base64: see the header.
#include "smtp/base/base64.hpp"

#include <array>
#include <cstdint>

namespace smtp {

namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t bad = 255;
constexpr std::uint8_t white = 254;
constexpr std::uint8_t padding = 253;

constexpr std::array<std::uint8_t, 256> make_values() {
  std::array<std::uint8_t, 256> values{};
  values.fill(bad);
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    values[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
  for (const char c : {' ', '\t', '\r', '\n'}) values[static_cast<unsigned char>(c)] = white;
  values['='] = padding;
  return values;
}
constexpr std::array<std::uint8_t, 256> values = make_values();

} // namespace

std::string to_base64(std::string_view octets) {
  std::string text;
  text.reserve((octets.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < octets.size(); at += 3) {
    const auto octet = [&](std::size_t i) {
      return at + i < octets.size() ? std::uint32_t{static_cast<unsigned char>(octets[at + i])} : 0U;
    };
    const std::uint32_t group = octet(0) << 16 | octet(1) << 8 | octet(2);
    const std::size_t here = octets.size() - at;
    text += alphabet[group >> 18];
    text += alphabet[group >> 12 & 63];
    text += here > 1 ? alphabet[group >> 6 & 63] : '=';
    text += here > 2 ? alphabet[group & 63] : '=';
  }
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  std::string octets;
  octets.reserve(text.size() / 4 * 3 + 3);
  std::uint32_t bits = 0;
  unsigned characters = 0; // of the group begun
  unsigned pads = 0;
  for (const char c : text) {
    const std::uint8_t value = values[static_cast<unsigned char>(c)];
    if (value == white) continue;
    if (value == bad) return std::nullopt;
    if (value == padding) {
      if (++pads > 2) return std::nullopt;
      continue;
    }
    if (pads != 0) return std::nullopt; // more behind the padding
    bits = bits << 6 | value;
    if (++characters == 4) {
      octets += static_cast<char>(bits >> 16 & 255);
      octets += static_cast<char>(bits >> 8 & 255);
      octets += static_cast<char>(bits & 255);
      bits = 0;
      characters = 0;
    }
  }
  if (characters == 1) return std::nullopt;
  if (pads != 0 && (characters == 0 || pads != 4 - characters)) return std::nullopt;
  if (characters >= 2) octets += static_cast<char>(bits >> (characters == 2 ? 4 : 10) & 255);
  if (characters == 3) octets += static_cast<char>(bits >> 2 & 255);
  return octets;
}

} // namespace smtp
