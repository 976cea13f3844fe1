// TagList: see the header.
#include "auth/core/tag_list.hpp"

#include <algorithm>

#include "smtp/base/ascii.hpp"
#include "smtp/base/text.hpp"

namespace auth {

namespace {

std::string_view trim_folds(std::string_view text) {
  while (!text.empty() && smtp::is_white(text.front())) text.remove_prefix(1);
  while (!text.empty() && smtp::is_white(text.back())) text.remove_suffix(1);
  return text;
}

/// ALPHA *( ALPHA / DIGIT / "_" ).
bool is_tag_name(std::string_view name) {
  const auto is_alpha = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (name.empty() || !is_alpha(name.front())) return false;
  return std::all_of(name.begin(), name.end(),
                     [&](char c) { return is_alpha(c) || (c >= '0' && c <= '9') || c == '_'; });
}

/// VALCHAR, white space and, for EAI (RFC 8616), octets above 127.
bool is_value(std::string_view value) {
  return std::all_of(value.begin(), value.end(), [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return smtp::is_white(c) || (octet > 32 && octet != 127);
  });
}

/// Each tag is compared with those in front of it; no record or signature has a tenth of these.
constexpr std::size_t most_tags = 100;

} // namespace

smtp::Result<TagList> TagList::parse(std::string_view text) {
  TagList list;
  auto parts = smtp::split(text, ';');
  if (trim_folds(parts.back()).empty()) parts.pop_back();
  if (parts.size() > most_tags)
    return smtp::fail(smtp::ErrorCode::too_long, "more than " + std::to_string(most_tags) + " tags");
  for (const std::string_view part : parts) {
    const auto equals = part.find('=');
    if (equals == std::string_view::npos)
      return smtp::fail(smtp::ErrorCode::bad_syntax, "no '=' in \"" + smtp::escape(trim_folds(part), 40) + '"');
    const std::string_view name = trim_folds(part.substr(0, equals));
    const std::string_view value = trim_folds(part.substr(equals + 1));
    if (!is_tag_name(name))
      return smtp::fail(smtp::ErrorCode::bad_syntax, "bad tag name \"" + smtp::escape(name, 40) + '"');
    if (!is_value(value))
      return smtp::fail(smtp::ErrorCode::bad_syntax, "control character in tag " + smtp::escape(name, 40));
    if (list.get(name)) return smtp::fail(smtp::ErrorCode::bad_syntax, "tag " + smtp::escape(name, 40) + " twice");
    list.tags_.push_back({std::string(name), std::string(value)});
  }
  return list;
}

TagList TagList::parse_tolerant(std::string_view text) {
  TagList list;
  for (const std::string_view part : smtp::split(text, ';')) {
    if (list.tags_.size() == most_tags) break;
    const auto equals = part.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string name = smtp::to_lower(trim_folds(part.substr(0, equals)));
    if (!is_tag_name(name)) continue;
    if (list.get(name)) {
      if (!list.is_repeated(name)) list.repeated_.push_back(name);
      continue;
    }
    list.tags_.push_back({name, std::string(trim_folds(part.substr(equals + 1)))});
  }
  return list;
}

std::optional<std::string_view> TagList::get(std::string_view name) const noexcept {
  for (const Tag &tag : tags_)
    if (tag.name == name) return tag.value;
  return std::nullopt;
}

bool TagList::is_repeated(std::string_view name) const noexcept {
  return std::find(repeated_.begin(), repeated_.end(), name) != repeated_.end();
}

std::string remove_folds(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  std::copy_if(text.begin(), text.end(), std::back_inserter(plain), [](char c) { return !smtp::is_white(c); });
  return plain;
}

} // namespace auth
