// HeaderFields: see the header.
#include "auth/core/header_fields.hpp"

#include <algorithm>

#include "smtp/base/text.hpp"
#include "smtp/message/field_name.hpp"

namespace auth {

HeaderFields::HeaderFields(std::string section) : section_(std::move(section)) {
  const std::string_view all = section_;
  std::size_t at = 0;
  while (at < all.size()) {
    const auto line_end = [&](std::size_t from) {
      const auto end = all.find("\r\n", from);
      return end == std::string_view::npos ? all.size() : end + 2;
    };
    const std::size_t begin = at;
    const std::string_view name = smtp::header_field_name(all.substr(begin, line_end(begin) - begin));
    if (name.empty()) break;
    at = line_end(begin);
    while (at < all.size() && (all[at] == ' ' || all[at] == '\t')) at = line_end(at);
    const std::string_view text = all.substr(begin, at - begin);
    std::string_view value = text.substr(text.find(':') + 1);
    if (value.ends_with("\r\n")) value.remove_suffix(2);
    fields_.push_back({name, value, text});
  }
}

std::vector<const HeaderField *> HeaderFields::named(std::string_view name) const {
  std::vector<const HeaderField *> found;
  for (const HeaderField &field : fields_)
    if (smtp::equals_ignoring_case(field.name, name)) found.push_back(&field);
  return found;
}

std::string unfold(std::string_view value) {
  std::string text;
  text.reserve(value.size());
  for (std::size_t at = 0; at < value.size(); ++at) {
    if (value.substr(at, 2) == "\r\n") {
      ++at;
      continue;
    }
    text += value[at];
  }
  return std::string(smtp::trim(text));
}

} // namespace auth
