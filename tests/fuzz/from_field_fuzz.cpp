// Fuzzes header From: what is read is made of domains that DNS can ask for, and a bad field says why.
#include "auth/core/from_field.hpp"

#include <cstdlib>
#include <set>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  const auth::AuthorDomains authors = auth::parse_from_field(text);
  if (authors.is_ok() != authors.problem.empty()) std::abort();
  if (authors.is_ok() && authors.domains.empty()) std::abort();
  if (authors.domains.size() > auth::most_from_addresses) std::abort();
  std::set<std::string> distinct;
  for (const std::string &domain : authors.domains) {
    if (domain.empty() || domain.size() > 253 || !distinct.insert(domain).second) std::abort();
    for (const char c : domain)
      if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.')) std::abort();
    // A domain is read as itself again.
    const auth::AuthorDomains again = auth::parse_from_field("x@" + domain);
    if (!again.is_ok() || again.domains != std::vector<std::string>{domain}) std::abort();
  }
  const auth::HeaderFields fields{std::string(text)};
  (void)auth::find_author_domains(fields);
  return 0;
}
