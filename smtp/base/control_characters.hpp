// Characters of UTF-8 text that steer how it is shown, beside the controls of ASCII: never to be printed as they came.
#pragma once

#include <string_view>

namespace smtp {

/// `sequence` is one well-formed UTF-8 sequence. True for U+0080 to U+009F, which terminals obey, and for the controls
/// of the writing direction (Unicode's Bidi_Control: U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069), which
/// make a line read as something else than it says.
[[nodiscard]] constexpr bool is_control_sequence(std::string_view sequence) noexcept {
  const auto octet = [&](std::size_t i) { return static_cast<unsigned char>(sequence[i]); };
  if (sequence.size() == 2) return (octet(0) == 0xC2 && octet(1) < 0xA0) || sequence == "\xD8\x9C";
  if (sequence.size() != 3 || octet(0) != 0xE2) return false;
  const unsigned last = octet(2);
  if (octet(1) == 0x80) return last == 0x8E || last == 0x8F || (last >= 0xAA && last <= 0xAE);
  return octet(1) == 0x81 && last >= 0xA6 && last <= 0xA9;
}

} // namespace smtp
