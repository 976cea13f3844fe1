// SPF macros (RFC 7208 section 7): their syntax, checked before anything is expanded, and their expansion.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "smtp/base/result.hpp"
#include "smtp/names/ip_address.hpp"

namespace auth {

/// Octets of a domain-spec as published. RFC 7208 has no limit; names that can be asked have 253 octets.
inline constexpr std::size_t spf_domain_spec_limit = 512;
/// Octets that one expansion may reach.
inline constexpr std::size_t spf_expansion_limit = 8192;

/// Where a macro string stands: c, r and t are allowed in explanation text and unknown modifiers only (section 7.2).
enum class MacroPlace : std::uint8_t { domain_spec, free_text };

/// Errors: bad_syntax with the offending part.
[[nodiscard]] smtp::Result<void> check_macro_string(std::string_view text, MacroPlace place);
/// domain-spec = macro-string domain-end (section 7.1). Errors: bad_syntax, too_long.
[[nodiscard]] smtp::Result<void> check_domain_spec(std::string_view text);
/// True when %{p} or %{P} is in the (checked) text.
[[nodiscard]] bool uses_validated_name(std::string_view text);

/// What the letters stand for (section 7.2). All ASCII but, with SMTPUTF8, local_part.
struct MacroValues {
  std::string local_part;     ///< l; with sender_domain it makes s
  std::string sender_domain;  ///< o
  std::string current_domain; ///< d
  smtp::IpAddress client;     ///< i, c, v
  std::string validated_name; ///< p
  std::string helo;           ///< h
  std::string receiver;       ///< r
  std::int64_t now = 0;       ///< t
};

/// `text` must have been checked. Nothing when the expansion passes spf_expansion_limit.
[[nodiscard]] std::optional<std::string> expand_macros(std::string_view text, const MacroValues &values);

/// The name to ask for, from an expanded domain-spec: without a final dot, and when it is longer than 253 octets
/// without as many labels on its left side as it takes (section 7.3).
[[nodiscard]] std::string fit_domain_name(std::string name);

} // namespace auth
