// base64 (RFC 4648 section 4), as mail, signatures and key records hold it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace smtp {

[[nodiscard]] std::string to_base64(std::string_view octets);
/// White space and folds between the characters are passed over; the padding may be missing, not be wrong. Nothing when
/// the text is not base64.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

} // namespace smtp
