// named_authors: whose message readers may take this for, for rules that hold for authors.
#pragma once

#include <string>
#include <vector>

#include "auth/core/header_fields.hpp"

namespace mta::inbound {

/// The domains of header From, distinct. Where it cannot be told who the author is (several fields, broken syntax),
/// every domain that stands behind an "@" in any of them is among these too: some reader or other shows it.
[[nodiscard]] std::vector<std::string> named_authors(const auth::HeaderFields &fields);

} // namespace mta::inbound
