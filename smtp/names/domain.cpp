// Plain names are checked here; only U-labels go to libidn2.
#include "smtp/names/domain.hpp"

#include "smtp/base/text.hpp"

#include <fmt/core.h>
#include <idn2.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

namespace smtp {

namespace {

constexpr std::size_t longest_label = 63;
constexpr std::size_t longest_domain = 253;
/// U-labels are longer in UTF-8 than as A-labels, but never by this much.
constexpr std::size_t longest_unicode_input = 1024;

struct FreeIdn {
  void operator()(char *text) const noexcept { idn2_free(text); }
};
using IdnText = std::unique_ptr<char, FreeIdn>;

tl::unexpected<Error> bad_domain(std::string_view text, std::string_view why) {
  return fail(ErrorCode::bad_syntax, fmt::format("domain \"{}\" {}", escape(text, 80), why));
}

/// Domain = sub-domain *("." sub-domain); sub-domain = Let-dig [Ldh-str] (RFC 5321 section 4.1.2), and underscores,
/// which the DNS allows (RFC 2181 section 11) and many mail hosts have in their names. Returns lower case.
Result<std::string> parse_ascii(std::string_view text) {
  if (text.empty()) return fail(ErrorCode::bad_syntax, "domain is empty");
  if (text.size() > longest_domain)
    return fail(ErrorCode::too_long, fmt::format("domain is {} octets, limit is {}", text.size(), longest_domain));
  std::string lower(text);
  std::size_t label = 0; // octets of the current label so far
  char previous = '.';
  for (char &c : lower) {
    if (c == '.') {
      if (label == 0) return bad_domain(text, "has an empty label");
      if (previous == '-') return bad_domain(text, "has a label that ends in a hyphen");
      label = 0;
    } else {
      c = to_lower(c);
      const bool letter_or_digit = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
      if (!letter_or_digit && c != '-' && c != '_') return bad_domain(text, "has an octet that no domain may have");
      if (c == '-' && label == 0) return bad_domain(text, "has a label that begins with a hyphen");
      if (++label > longest_label)
        return fail(ErrorCode::too_long,
                    fmt::format("domain \"{}\" has a label over {} octets", escape(text, 80), longest_label));
    }
    previous = c;
  }
  if (label == 0) return bad_domain(text, "ends in a dot");
  if (previous == '-') return bad_domain(text, "has a label that ends in a hyphen");
  return lower;
}

/// Default_Ignorable_Code_Point of Unicode, but for the joiners, which IDNA allows by their context (RFC 5892 appendix
/// A). The mapping of UTS 46 drops them, and others take them for a space, or for a letter: one name would be two.
bool has_ignorable(std::string_view text) noexcept {
  static constexpr std::array<std::pair<char32_t, char32_t>, 14> ranges{{{0xAD, 0xAD},
                                                                         {0x34F, 0x34F},
                                                                         {0x61C, 0x61C},
                                                                         {0x115F, 0x1160},
                                                                         {0x17B4, 0x17B5},
                                                                         {0x180B, 0x180F},
                                                                         {0x200B, 0x200B},
                                                                         {0x200E, 0x200F},
                                                                         {0x2028, 0x202E},
                                                                         {0x2060, 0x206F},
                                                                         {0x3164, 0x3164},
                                                                         {0xFE00, 0xFE0F},
                                                                         {0xFEFF, 0xFEFF},
                                                                         {0xFFA0, 0xFFA0}}};
  for (std::size_t at = 0; at < text.size();) { // it is UTF-8
    const auto first = static_cast<unsigned char>(text[at]);
    const std::size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    char32_t point = length == 1 ? first : first & (0x7FU >> length);
    for (std::size_t i = 1; i < length; ++i) point = (point << 6U) | (static_cast<unsigned char>(text[at + i]) & 0x3FU);
    at += length;
    if (point >= 0xE0000 && point <= 0xE0FFF) return true;
    if (point >= 0xFFF0 && point <= 0xFFF8) return true;
    if (std::any_of(ranges.begin(), ranges.end(),
                    [point](const auto &range) { return point >= range.first && point <= range.second; }))
      return true;
  }
  return false;
}

/// RFC 5891 section 5 (lookup protocol), with the mapping of UTS 46, non-transitional.
Result<std::string> to_a_labels(std::string_view text) {
  if (text.size() > longest_unicode_input)
    return fail(ErrorCode::too_long,
                fmt::format("domain is {} octets, limit is {}", text.size(), longest_unicode_input));
  if (!is_utf8(text)) return bad_domain(text, "is not UTF-8");
  if (text.find('\0') != std::string_view::npos) return bad_domain(text, "has an octet that no domain may have");
  if (has_ignorable(text)) return bad_domain(text, "has a character that is not seen, which some programs leave out");
  const std::string terminated(text);
  char *raw = nullptr;
  const int status = idn2_to_ascii_8z(terminated.c_str(), &raw, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  const IdnText owned(raw);
  if (status != IDN2_OK) return bad_domain(text, fmt::format("is not valid IDNA ({})", idn2_strerror(status)));
  return std::string(owned.get());
}

bool is_below(std::string_view name, std::string_view parent) noexcept {
  return name.size() > parent.size() && name.ends_with(parent) && name[name.size() - parent.size() - 1] == '.';
}

} // namespace

Result<Domain> Domain::parse(std::string_view text) {
  if (is_ascii(text)) {
    auto ascii = parse_ascii(text);
    if (!ascii) return tl::unexpected<Error>(std::move(ascii).error());
    return Domain(std::move(*ascii));
  }
  const auto a_labels = to_a_labels(text);
  if (!a_labels) return tl::unexpected<Error>(a_labels.error());
  // IDNA leaves ASCII labels alone: the rules for them still have to be met.
  auto ascii = parse_ascii(*a_labels);
  if (!ascii) return tl::unexpected<Error>(std::move(ascii).error());
  return Domain(std::move(*ascii));
}

std::string Domain::unicode() const {
  if (ascii_.find("xn--") == std::string::npos) return ascii_;
  char *raw = nullptr;
  const int status = idn2_to_unicode_8z8z(ascii_.c_str(), &raw, 0);
  const IdnText owned(raw);
  if (status != IDN2_OK) return ascii_;
  // A label that decodes to something no U-label may hold (a control character, say) is shown as it is.
  std::string text(owned.get());
  const auto back = to_a_labels(text);
  return back && *back == ascii_ ? text : ascii_;
}

bool Domain::is_within(const Domain &parent) const noexcept {
  return ascii_ == parent.ascii_ || is_below(ascii_, parent.ascii_);
}

std::size_t Domain::label_count() const noexcept {
  return static_cast<std::size_t>(std::count(ascii_.begin(), ascii_.end(), '.')) + 1;
}

Result<DomainPattern> DomainPattern::parse(std::string_view text) {
  if (text == "*") return DomainPattern("", true);
  const bool wildcard = text.starts_with("*.");
  const auto domain = Domain::parse(wildcard ? text.substr(2) : text);
  if (!domain) return tl::unexpected<Error>(domain.error());
  return DomainPattern(domain->ascii(), wildcard);
}

bool DomainPattern::matches(const Domain &domain) const noexcept {
  if (!wildcard_) return domain.ascii() == base_;
  return base_.empty() || is_below(domain.ascii(), base_);
}

int DomainPattern::specificity() const noexcept {
  const int length = static_cast<int>(base_.size());
  return wildcard_ ? length : static_cast<int>(longest_domain) + 1 + length;
}

std::string DomainPattern::to_string() const {
  if (!wildcard_) return base_;
  return base_.empty() ? "*" : "*." + base_;
}

} // namespace smtp
