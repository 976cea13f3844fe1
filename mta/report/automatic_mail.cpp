#include "mta/report/automatic_mail.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "auth/core/header_fields.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

/// The first word of a value: what stands in front of a comment, a parameter or a space.
std::string first_word_of(std::string_view value) {
  const std::string text = smtp::to_lower(auth::unfold(value));
  return text.substr(0, text.find_first_of(" \t;("));
}

} // namespace

bool is_automatic_mail(std::string header) {
  const auth::HeaderFields fields(std::move(header));
  if (!fields.named("List-Id").empty()) return true;
  for (const auto *field : fields.named("Auto-Submitted"))
    if (first_word_of(field->value) != "no") return true;
  static constexpr std::array<std::string_view, 3> lists = {"bulk", "list", "junk"};
  for (const auto *field : fields.named("Precedence"))
    if (std::find(lists.begin(), lists.end(), first_word_of(field->value)) != lists.end()) return true;
  return false;
}

} // namespace mta
