// header_field_name: the one rule for which line begins a header field, for everything that reads headers.
#pragma once

#include <cstddef>
#include <string_view>

namespace smtp {

/// No field has a longer name: RFC 5322 section 2.1.1 allows 998 octets for the whole line.
inline constexpr std::size_t longest_field_name = 900;

/// The name in front of the colon when the line begins a field: printable ASCII without colon (RFC 5322 section 3.6.8),
/// not over longest_field_name. White space in front of the colon is obsolete syntax (section 4.5.8) and not part of
/// the name. Empty: the line begins no field.
[[nodiscard]] std::string_view header_field_name(std::string_view line) noexcept;

} // namespace smtp
