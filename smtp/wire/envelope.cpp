#include "smtp/wire/envelope.hpp"

#include "smtp/base/text.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

namespace smtp {

namespace {

constexpr std::size_t longest_orcpt = 500; // RFC 3461 section 4.2
constexpr std::size_t longest_type = 32;   // registered names are shorter

/// xchar = any ASCII CHAR between "!" (33) and "~" (126) inclusive, except for "+" and "="
bool is_xchar(char c) noexcept {
  return c >= 33 && c <= 126 && c != '+' && c != '=';
}

/// In either case, although RFC 3461 section 4 has upper case only; -1 for anything else.
int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

tl::unexpected<Error> bad_text(std::string_view what, std::string_view text) {
  return fail(ErrorCode::bad_syntax, fmt::format("\"{}\" is not {}", escape(text, 120), what));
}

void append_utf8(std::string &out, std::uint32_t point) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((point >> shift) & 0x3F)); };
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xC0 | (point >> 6));
    tail(0);
  } else if (point < 0x10000) {
    out += static_cast<char>(0xE0 | (point >> 12));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | (point >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

/// RFC 6533 section 3: QUCHAR / EmbeddedUnicodeChar, the latter "\x{" HEXPOINT "}".
Result<std::string> decode_unitext(std::string_view text) {
  const auto whole = text;
  std::string decoded;
  while (!text.empty()) {
    const char c = text.front();
    if (c != '\\') {
      if (!is_xchar(c) && static_cast<unsigned char>(c) < 128) return bad_text("an encoded UTF-8 address", whole);
      decoded += c;
      text.remove_prefix(1);
      continue;
    }
    const auto end = text.find('}');
    if (!text.starts_with("\\x{") || end == std::string_view::npos || end == 3 || end > 9)
      return bad_text("an encoded UTF-8 address", whole);
    std::uint32_t point = 0;
    const auto digits = text.substr(3, end - 3);
    const auto [last, error] = std::from_chars(digits.data(), digits.data() + digits.size(), point, 16);
    if (error != std::errc{} || last != digits.data() + digits.size() || point > 0x10FFFF)
      return bad_text("an encoded UTF-8 address", whole);
    append_utf8(decoded, point);
    text.remove_prefix(end + 1);
  }
  return decoded;
}

bool is_printable(std::string_view text) noexcept {
  return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; });
}

} // namespace

Result<std::string> decode_xtext(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c != '+' && c != '=' && !is_xchar(c)) return bad_text("xtext", text);
    // hexchar = "+" and two hexadecimal digits
    const bool digits = c == '+' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0;
    if (!digits) {
      decoded += c;
      continue;
    }
    decoded += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
    i += 2;
  }
  return decoded;
}

std::string encode_xtext(std::string_view text) {
  std::string encoded;
  encoded.reserve(text.size());
  for (const char c : text) {
    if (is_xchar(c)) {
      encoded += c;
    } else {
      encoded += fmt::format("+{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

Result<OriginalRecipient> parse_original_recipient(std::string_view text) {
  // original-recipient-address = addr-type ";" xtext
  if (text.size() > longest_orcpt)
    return fail(ErrorCode::too_long, fmt::format("ORCPT is {} octets, limit is {}", text.size(), longest_orcpt));
  const auto semicolon = text.find(';');
  const auto type = text.substr(0, semicolon);
  const bool good_type =
      !type.empty() && type.size() <= longest_type && std::all_of(type.begin(), type.end(), [](char c) {
        return (to_lower(c) >= 'a' && to_lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '-';
      });
  if (semicolon == std::string_view::npos || !good_type) return bad_text("type;address", text);
  OriginalRecipient recipient{to_lower(type), {}};
  const auto encoded = text.substr(semicolon + 1);
  auto address = recipient.type == "utf-8" ? decode_unitext(encoded) : decode_xtext(encoded);
  if (!address) return tl::unexpected<Error>(std::move(address).error());
  if (recipient.type == "rfc822" && !is_ascii(*address)) address = std::string(encoded); // its "+" was no escape
  if (address->empty() || !is_printable(*address) || !is_utf8(*address)) return bad_text("a printable address", text);
  recipient.address = std::move(*address);
  return recipient;
}

} // namespace smtp
