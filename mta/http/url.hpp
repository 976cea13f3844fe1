// Url: an http or https address that passes the limits, taken apart for a fetch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "smtp/base/result.hpp"

namespace mta {

/// No user information and no fragment: the one is never wanted here, the other is never sent.
struct Url {
  enum class Scheme : std::uint8_t { http, https };
  Scheme scheme = Scheme::https;
  std::string host; ///< a lower-case domain name of A-labels, or an address without brackets (http only)
  std::uint16_t port = 443;
  std::string target = "/"; ///< path and query: what the request line holds

  /// "https://mta-sts.example.org/.well-known/mta-sts.txt"; the port only when it is not the scheme's.
  [[nodiscard]] std::string to_string() const;
  friend bool operator==(const Url &, const Url &) = default;
};

inline constexpr std::size_t url_limit = 2000; ///< octets

/// RFC 3986 section 3, absolute http and https addresses of visible ASCII. Errors: bad_syntax, too_long.
[[nodiscard]] smtp::Result<Url> parse_url(std::string_view text);

} // namespace mta
