// Url: see the header.
#include "mta/http/url.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "smtp/base/text.hpp"
#include "smtp/names/domain.hpp"
#include "smtp/names/ip_address.hpp"

namespace mta {

using smtp::ErrorCode;

namespace {

constexpr std::uint16_t port_of(Url::Scheme scheme) {
  return scheme == Url::Scheme::https ? 443 : 80;
}

tl::unexpected<smtp::Error> refuse(std::string_view text, std::string_view why) {
  return smtp::fail(ErrorCode::bad_syntax,
                    fmt::format("\"{}\" is not an address to fetch: {}", smtp::escape(text, 100), why));
}

/// What a request line may hold: RFC 3986 section 2, with the quotes and brackets that are commonly sent bare left out.
bool is_target_octet(char c) {
  constexpr std::string_view never = "\"<>\\^`{|}#";
  return c > ' ' && c < '\x7f' && never.find(c) == std::string_view::npos;
}

} // namespace

// URL = scheme "://" host [ ":" port ] [ "/" path ] [ "?" query ]
smtp::Result<Url> parse_url(std::string_view text) {
  if (text.size() > url_limit)
    return smtp::fail(ErrorCode::too_long,
                      fmt::format("an address is {} octets long, the limit is {}", text.size(), url_limit));
  Url url;
  std::string_view rest = text;
  if (smtp::starts_with_ignoring_case(rest, "https://")) {
    rest.remove_prefix(8);
  } else if (smtp::starts_with_ignoring_case(rest, "http://")) {
    url.scheme = Url::Scheme::http;
    rest.remove_prefix(7);
  } else {
    return refuse(text, "it begins with neither https:// nor http://");
  }
  url.port = port_of(url.scheme);

  const auto end = std::min(rest.find_first_of("/?#"), rest.size());
  std::string_view authority = rest.substr(0, end);
  const std::string_view target = rest.substr(end);
  if (authority.find('@') != std::string_view::npos) return refuse(text, "it holds user information");

  const auto bracket = authority.starts_with('[') ? authority.find(']') : std::string_view::npos;
  const auto colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon != std::string_view::npos) {
    const std::string_view digits = authority.substr(colon + 1);
    const auto port = smtp::parse_number(digits);
    if (digits.size() > 5 || !port || *port == 0 || *port > 65535)
      return refuse(text, "its port is not between 1 and 65535");
    url.port = static_cast<std::uint16_t>(*port);
    authority = authority.substr(0, colon);
  }
  const bool bracketed = authority.starts_with('[') && authority.ends_with(']');
  const std::string_view name = bracketed ? authority.substr(1, authority.size() - 2) : authority;
  if (const auto address = smtp::IpAddress::parse(name); address && address->is_v6() == bracketed) {
    if (url.scheme == Url::Scheme::https)
      return refuse(text, "https needs the name of a host, which its certificate carries");
    url.host = address->to_string();
  } else {
    if (!smtp::is_ascii(authority)) return refuse(text, "its host is not in A-labels");
    const auto domain = smtp::Domain::parse(authority);
    if (!domain) return refuse(text, fmt::format("its host is wrong: {}", domain.error().detail));
    url.host = domain->ascii();
  }

  if (!std::all_of(target.begin(), target.end(), is_target_octet))
    return refuse(text, target.find('#') != std::string_view::npos ? "it holds a fragment"
                                                                   : "it holds an octet that must be written as %XX");
  url.target = target.starts_with('/') ? std::string(target) : fmt::format("/{}", target);
  return url;
}

std::string Url::to_string() const {
  const bool v6 = host.find(':') != std::string::npos;
  std::string text =
      fmt::format("{}://{}{}{}", scheme == Scheme::https ? "https" : "http", v6 ? "[" : "", host, v6 ? "]" : "");
  if (port != port_of(scheme)) text += fmt::format(":{}", port);
  return text + target;
}

} // namespace mta
