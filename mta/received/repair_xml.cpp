#include "mta/received/repair_xml.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "smtp/base/text.hpp"

namespace mta {

namespace {

/// RFC 7489 appendix C and RFC 9990.
constexpr std::string_view elements[] = {"adkim",
                                         "aspf",
                                         "auth_results",
                                         "begin",
                                         "comment",
                                         "count",
                                         "date_range",
                                         "discovery_method",
                                         "disposition",
                                         "dkim",
                                         "domain",
                                         "email",
                                         "end",
                                         "envelope_from",
                                         "envelope_to",
                                         "error",
                                         "extension",
                                         "extra_contact_info",
                                         "feedback",
                                         "fo",
                                         "generator",
                                         "header_from",
                                         "human_result",
                                         "identifiers",
                                         "np",
                                         "org_name",
                                         "p",
                                         "pct",
                                         "policy_evaluated",
                                         "policy_published",
                                         "reason",
                                         "record",
                                         "report_id",
                                         "report_metadata",
                                         "result",
                                         "row",
                                         "scope",
                                         "selector",
                                         "source_ip",
                                         "sp",
                                         "spf",
                                         "testing",
                                         "type",
                                         "version",
                                         "version_published",
                                         "arc",
                                         "fail_reason",
                                         "psd"};

/// The longest thing between "<" and ">" that is looked at as a tag.
constexpr std::size_t tag_limit = 1'000;

struct Tag {
  std::string_view name; ///< without a prefix; empty: no element of a report
  std::size_t size = 0;  ///< octets of the tag; 0: there is none here
  bool closes = false;
  bool is_empty = false; ///< "<a/>"
};

bool is_name_octet(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         c == ':' || c == '.';
}

/// The tag at the front of `text`, which begins with "<".
Tag tag_at(std::string_view text) {
  Tag tag;
  std::size_t at = 1;
  tag.closes = text.size() > 1 && text[1] == '/';
  if (tag.closes) ++at;
  const std::size_t begin = at;
  while (at < text.size() && is_name_octet(text[at])) ++at;
  if (at == begin) return {};
  const std::string_view name = text.substr(begin, at - begin);
  // A second "<" in front of ">" means that this one begins nothing.
  const auto end = text.substr(0, tag_limit).find_first_of("<>", 1);
  if (end == std::string_view::npos || text[end] == '<') return {};
  tag.size = end + 1;
  tag.is_empty = text[end - 1] == '/';
  const auto colon = name.rfind(':');
  const std::string_view local = colon == std::string_view::npos ? name : name.substr(colon + 1);
  for (const std::string_view element : elements)
    if (smtp::equals_ignoring_case(element, local)) tag.name = element;
  return tag;
}

struct SkippedMarkup {
  std::string_view begin;
  std::string_view end;
  bool is_over =
      false; ///< no end follows any more: it is not looked for again, or a flood of beginnings would cost much
};
using SkippedKinds = std::array<SkippedMarkup, 3>;

/// Octets of a comment, CDATA section or processing instruction at the front; 0: there is none.
std::size_t skipped_markup(std::string_view text, SkippedKinds &kinds) {
  for (SkippedMarkup &kind : kinds) {
    if (kind.is_over || !text.starts_with(kind.begin)) continue;
    const auto at = text.find(kind.end, kind.begin.size());
    if (at != std::string_view::npos) return at + kind.end.size();
    kind.is_over = true;
  }
  return 0;
}

/// "&lt;", "&#38;", …: what may stand behind "&".
bool is_reference(std::string_view text) {
  const auto end = text.substr(0, 12).find(';');
  if (end == std::string_view::npos || end < 2) return false;
  const std::string_view name = text.substr(1, end - 1);
  if (name == "lt" || name == "gt" || name == "amp" || name == "quot" || name == "apos") return true;
  return name.size() > 1 && name[0] == '#' && std::all_of(name.begin() + 1, name.end(), is_name_octet);
}

} // namespace

std::optional<std::string> repair_xml(std::string_view text, std::size_t depth) {
  const std::string lower = smtp::to_lower(text);
  if (lower.find("<!doctype") != std::string::npos) return std::nullopt;
  std::string out;
  out.reserve(text.size());
  std::vector<std::string_view> open;
  const auto close_last = [&] {
    out.append("</").append(open.back()).append(">");
    open.pop_back();
  };
  SkippedKinds kinds{{{"<!--", "-->"}, {"<![CDATA[", "]]>"}, {"<?", "?>"}}};
  const std::size_t size_limit = 2 * text.size() + 4'096;
  bool is_whole = false;
  while (!text.empty() && !is_whole) {
    const char c = text.front();
    if (out.size() > size_limit) return std::nullopt;
    if (c == '<') {
      if (const std::size_t size = skipped_markup(text, kinds); size != 0) {
        text.remove_prefix(size);
        continue;
      }
      const Tag tag = tag_at(text);
      if (tag.size == 0) {
        if (!open.empty()) out += "&lt;";
        text.remove_prefix(1);
        continue;
      }
      text.remove_prefix(tag.size);
      if (tag.name.empty()) continue;
      if (tag.closes) {
        if (std::find(open.begin(), open.end(), tag.name) == open.end()) continue;
        while (open.back() != tag.name) close_last();
        close_last();
        is_whole = open.empty() && tag.name == "feedback";
        continue;
      }
      if (open.empty() && tag.name != "feedback") continue;
      if (tag.is_empty) continue;
      // A record in a record is one that was not closed.
      if (tag.name == "record" && std::find(open.begin(), open.end(), tag.name) != open.end()) {
        while (open.back() != tag.name) close_last();
        close_last();
      }
      if (open.size() >= depth) return std::nullopt;
      open.push_back(tag.name);
      out.append("<").append(tag.name).append(">");
      continue;
    }
    if (open.empty()) { // in front of the report
      text.remove_prefix(1);
      continue;
    }
    if (c == '&' && !is_reference(text))
      out += "&amp;";
    else
      out += c;
    text.remove_prefix(1);
  }
  return is_whole ? std::optional(std::move(out)) : std::nullopt;
}

} // namespace mta
