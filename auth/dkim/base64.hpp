// base64 as the tags of signatures and key records hold it (RFC 4648 section 4, RFC 6376 section 3.2).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace auth {

[[nodiscard]] std::string to_base64(std::string_view octets);
/// White space and folds between the characters are passed over; the padding may be missing, not be wrong. Nothing when
/// the text is no base64.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

} // namespace auth
