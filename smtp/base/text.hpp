// ASCII text helpers that the protocol needs: comparison without case, trimming, escaping for logs and replies.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace smtp {

/// Lower-cases A-Z only; other octets stay.
[[nodiscard]] char to_lower(char c) noexcept;
[[nodiscard]] std::string to_lower(std::string_view text);
[[nodiscard]] std::string to_upper(std::string_view text);

/// Equality that ignores the case of A-Z (RFC 5321 section 2.4: verbs and keywords).
[[nodiscard]] bool equals_ignoring_case(std::string_view left, std::string_view right) noexcept;
[[nodiscard]] bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) noexcept;

/// Removes spaces and tabs at both ends.
[[nodiscard]] std::string_view trim(std::string_view text) noexcept;

/// Splits at each `separator`; an empty text gives one empty part.
[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);

/// A decimal number without sign or spaces that fits 64 bits, or nothing.
[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view text) noexcept;

/// Makes foreign octets safe for one line of log or reply: control characters, quotes' backslash and DEL become \xNN;
/// text longer than `limit` octets is cut and ends in "...". Valid UTF-8 is kept.
[[nodiscard]] std::string escape(std::string_view text, std::size_t limit = 200);

/// The same in printable ASCII alone: each other octet becomes "?".
[[nodiscard]] std::string escape_to_ascii(std::string_view text, std::size_t limit = 60);

[[nodiscard]] bool is_ascii(std::string_view text) noexcept;
/// Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF).
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

} // namespace smtp
