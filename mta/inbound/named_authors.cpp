#include "mta/inbound/named_authors.hpp"

#include <algorithm>
#include <set>
#include <string_view>

#include "auth/core/from_field.hpp"
#include "smtp/base/text.hpp"

namespace mta::inbound {

namespace {

bool is_domain_octet(char c) noexcept {
  return static_cast<unsigned char>(c) > 127 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

/// RFC 5322 section 4.4 lets white space and comments stand behind the "@".
std::size_t skip_blanks(std::string_view text, std::size_t at) noexcept {
  for (;;) {
    at = std::min(text.find_first_not_of(" \t\r\n", at), text.size());
    if (at == text.size() || text[at] != '(') return at;
    const auto end = text.find(')', at);
    if (end == std::string_view::npos) return text.size();
    at = end + 1;
  }
}

void add_domains(std::string_view text, std::set<std::string> &found) {
  for (auto at = text.find('@'); at != std::string_view::npos; at = text.find('@', at + 1)) {
    const std::size_t begin = skip_blanks(text, at + 1);
    std::size_t end = begin;
    while (end < text.size() && is_domain_octet(text[end])) ++end;
    while (end > begin && text[end - 1] == '.') --end;
    if (end > begin) found.insert(smtp::to_lower(text.substr(begin, end - begin)));
  }
}

} // namespace

std::vector<std::string> named_authors(const auth::HeaderFields &fields) {
  auth::AuthorDomains authors = auth::find_author_domains(fields);
  if (authors.is_ok()) return std::move(authors.domains);
  std::set<std::string> found(authors.domains.begin(), authors.domains.end());
  for (const auth::HeaderField *field : fields.named("From")) add_domains(field->value, found);
  return {found.begin(), found.end()};
}

} // namespace mta::inbound
