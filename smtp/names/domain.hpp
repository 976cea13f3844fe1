// Domain: a valid mail domain name in its A-label form, and patterns of domains as the partner table uses them.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "smtp/base/result.hpp"

namespace smtp {

/// A domain name as RFC 5321 section 4.1.2 allows it, and with underscores: labels of letters, digits, underscores and
/// inner hyphens, each 1 to 63 octets, at most 253 in all, no trailing dot, lower case. U-labels (RFC 6531) are turned
/// into A-labels with libidn2 (IDNA2008, non-transitional), so two spellings of one name compare equal.
class Domain {
public:
  /// Errors: bad_syntax, too_long. Never blocks.
  [[nodiscard]] static Result<Domain> parse(std::string_view text);

  /// Lower-case A-label form, e.g. "xn--bcher-kva.example".
  [[nodiscard]] const std::string &ascii() const noexcept { return ascii_; }
  /// U-label form for people; equals ascii() when there is no IDN label.
  [[nodiscard]] std::string unicode() const;
  /// True for the domain itself and every name below it.
  [[nodiscard]] bool is_within(const Domain &parent) const noexcept;
  [[nodiscard]] std::size_t label_count() const noexcept;

  friend auto operator<=>(const Domain &, const Domain &) = default;

private:
  explicit Domain(std::string ascii) : ascii_(std::move(ascii)) {}
  std::string ascii_;
};

/// "example.gov.uk" (that name only), "*.example.gov.uk" (every name below it, at any depth, not the name itself), or
/// "*" (every domain). Certificate names follow other rules (one label): see tls/core/name_match.hpp.
class DomainPattern {
public:
  [[nodiscard]] static Result<DomainPattern> parse(std::string_view text);
  [[nodiscard]] bool matches(const Domain &domain) const noexcept;
  /// Longest match wins: an exact name is more specific than any wildcard; a longer wildcard beats a shorter one.
  [[nodiscard]] int specificity() const noexcept;
  [[nodiscard]] bool is_wildcard() const noexcept { return wildcard_; }
  /// The text with "*." in front when it is a wildcard.
  [[nodiscard]] std::string to_string() const;
  /// The name without "*."; empty for "*".
  [[nodiscard]] const std::string &base() const noexcept { return base_; }

  friend auto operator<=>(const DomainPattern &, const DomainPattern &) = default;

private:
  DomainPattern(std::string base, bool wildcard) : base_(std::move(base)), wildcard_(wildcard) {}
  std::string base_;
  bool wildcard_ = false;
};

} // namespace smtp
