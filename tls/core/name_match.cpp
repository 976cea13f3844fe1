#include "tls/core/name_match.hpp"

#include <algorithm>
#include <cstddef>

#include "smtp/base/text.hpp"

namespace tls {
namespace {

constexpr std::string_view wildcard = "*.";

/// One to 253 octets, no empty label, no "*", and a last label that is not a number: an address literal is not a
/// DNS-ID (RFC 6125 section 1.7.2), so no name, and above all no wildcard, may stand for one.
bool is_host(std::string_view name) noexcept {
  if (name.empty() || name.size() > 253 || name.front() == '.' || name.back() == '.') return false;
  if (name.find("..") != std::string_view::npos) return false;
  if (std::any_of(name.begin(), name.end(), [](char c) { return c <= ' ' || c >= 0x7f || c == '*'; })) return false;
  const std::size_t last_dot = name.rfind('.');
  const std::string_view last = last_dot == std::string_view::npos ? name : name.substr(last_dot + 1);
  return !std::all_of(last.begin(), last.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_wildcard(std::string_view name) noexcept {
  return name.starts_with(wildcard);
}

/// "*.BASE" against a host: exactly one label in front of BASE, which has at least two (RFC 6125 section 6.4.3, and
/// nothing as wide as "*.org").
bool wildcard_covers(std::string_view pattern, std::string_view host) noexcept {
  const std::string_view base = pattern.substr(wildcard.size());
  if (!is_host(base) || base.find('.') == std::string_view::npos) return false;
  const std::size_t dot = host.find('.');
  return dot != std::string_view::npos && smtp::equals_ignoring_case(host.substr(dot + 1), base);
}

} // namespace

bool name_covers(std::string_view presented, std::string_view host) noexcept {
  if (!is_host(host)) return false;
  if (is_wildcard(presented)) return wildcard_covers(presented, host);
  return smtp::equals_ignoring_case(presented, host);
}

bool reference_matches(std::string_view reference, std::string_view presented) noexcept {
  if (!is_wildcard(reference)) return name_covers(presented, reference);
  if (is_wildcard(presented)) {
    const std::string_view base = reference.substr(wildcard.size());
    return is_host(base) && base.find('.') != std::string_view::npos &&
           smtp::equals_ignoring_case(reference, presented);
  }
  return is_host(presented) && wildcard_covers(reference, presented);
}

std::string_view first_match(const std::vector<std::string> &references,
                             const std::vector<std::string> &presented) noexcept {
  for (const std::string &reference : references) {
    for (const std::string &name : presented) {
      if (reference_matches(reference, name)) return reference;
    }
  }
  return {};
}

} // namespace tls
