// Header hashes computed by libopendkim, behind the guards that it needs.
#pragma once

#include <string>
#include <vector>

#include "auth/core/header_fields.hpp"
#include "auth/dkim/signature.hpp"

namespace auth {

/// A DKIM-Signature field that our own vetting accepts.
struct VettedField {
  const HeaderField *field = nullptr;
  const Signature *signature = nullptr;
};

/// For each field the digest that its signature is over, or an empty string where the library does not take the
/// signature (docs/dkim.md says when): the caller hashes those itself. Keeps nothing; each call has its own library
/// handle, so any number of threads may be here.
[[nodiscard]] std::vector<std::string> library_header_hashes(const HeaderFields &fields,
                                                             const std::vector<VettedField> &signatures);

} // namespace auth
