// Plain text for messages that we write: foreign text made harmless, paragraphs wrapped, header fields folded.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace smtp {

/// Which octets above 127 a text may keep.
enum class TextCharset : std::uint8_t { ascii, utf8 };

/// The longest line of a message without its CRLF (RFC 5322 section 2.1.1).
inline constexpr std::size_t longest_text_line = 998;

/// One line: ASCII's controls become spaces, other controls (control_characters.hpp) and octets that the charset lacks
/// '?'; cut to `limit` octets with "..." at its end.
[[nodiscard]] std::string one_line(std::string_view text, TextCharset charset, std::size_t limit = 1000);

/// Words joined into lines of about 72 octets, each after `indent` spaces and before CRLF. A longer word has a line of
/// its own, and is cut where it would pass the limit of a line. `text` must come from one_line().
[[nodiscard]] std::string wrap_text(std::string_view text, std::size_t indent);

/// "Name: value" folded in front of words (RFC 5322 section 2.2.3), with CRLF. `value` must come from one_line().
[[nodiscard]] std::string fold_field(std::string_view name, std::string_view value);

/// Lines of foreign text with CRLF ends, none over the limit; a longer one goes on in the next line after a space, as a
/// folded field does. At most `limit` octets, whole lines.
[[nodiscard]] std::string clean_lines(std::string_view text, TextCharset charset, std::size_t limit);

/// True when every line ends in CRLF and fits the limit, and neither NUL nor a bare CR or LF occurs.
[[nodiscard]] bool has_clean_lines(std::string_view text) noexcept;

} // namespace smtp
