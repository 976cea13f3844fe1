// Classes of ASCII characters that the grammars of the RFCs are written with.
#pragma once

namespace smtp {

/// RFC 5234 appendix B.1: DIGIT.
[[nodiscard]] constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

/// RFC 5234 appendix B.1: ALPHA.
[[nodiscard]] constexpr bool is_alpha(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// WSP, CR and LF: what folding white space is made of (RFC 5322 section 3.2.2).
[[nodiscard]] constexpr bool is_white(char c) noexcept {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/// The value of a HEXDIG in either case, or -1.
[[nodiscard]] constexpr int hex_digit(char c) noexcept {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

} // namespace smtp
