// read_as_ascii: which octets of an encoded word readers take for characters of ASCII, in the charsets that mail is
// written in.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace auth {

/// What an encoded word says, as far as addresses can stand in it.
struct AsciiReading {
  std::string text;    ///< in UTF-8: what is not ASCII is U+FFFD, but U+FF20 stays, which readers take for "@"
  bool is_sure = true; ///< false: readers may see an "@" in other places than `text` has it
};

/// `octets` in `charset` (RFC 2047 section 2; a language behind "*" is passed over, RFC 2231 section 5). Of two octets
/// that make one character in GBK, GB 18030, Big5, Shift_JIS or ISO-2022-JP the second one may look like "@" and is not
/// one. Nothing: the charset is not known, or the octets break its rules, so that an "@" may hide.
[[nodiscard]] std::optional<AsciiReading> read_as_ascii(std::string_view charset, std::string_view octets);

} // namespace auth
