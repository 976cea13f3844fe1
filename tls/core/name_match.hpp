// Reference identifiers against certificate names: RFC 6125 for mail (a wildcard stands for exactly one label).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tls {

/// True when the certificate name `presented` ("mx.example.org" or "*.example.org", whole left-most label only) covers
/// the reference `host`. Both are compared without case in A-label form; a wildcard never matches two labels, nor a
/// name of fewer than three labels in all.
[[nodiscard]] bool name_covers(std::string_view presented, std::string_view host) noexcept;

/// A reference identifier may itself be a pattern in the partner table: "*.mail.example.gov.uk" accepts any one label
/// in front. Matches when a presented name equals the reference, covers it, or (for a pattern) lies one label below it
/// or is the same wildcard.
[[nodiscard]] bool reference_matches(std::string_view reference, std::string_view presented) noexcept;

/// The first reference that one of the presented names satisfies, or an empty view.
[[nodiscard]] std::string_view first_match(const std::vector<std::string> &references,
                                           const std::vector<std::string> &presented) noexcept;

} // namespace tls
