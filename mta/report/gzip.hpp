// gzip: a text as one gzip member (RFC 1952), the same octets for the same text.
#pragma once

#include <string>
#include <string_view>

#include "smtp/base/result.hpp"

namespace mta {

/// Errors: full (no memory). The header holds neither a time nor a name, so that a report made again is the same.
[[nodiscard]] smtp::Result<std::string> gzip(std::string_view text);

/// For tests and `--dry-run`. Errors: bad_syntax; too_long when the text passes `limit` octets.
[[nodiscard]] smtp::Result<std::string> gunzip(std::string_view octets, std::size_t limit);

} // namespace mta
