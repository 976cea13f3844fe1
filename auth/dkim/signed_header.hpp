// The digest that a message signature is over (RFC 6376 section 3.7), by our own canonicaliser.
#pragma once

#include <string>

#include "auth/dkim/field_index.hpp"
#include "auth/dkim/signature.hpp"

namespace auth {

/// Of a field that stands in the message: the fields of h=, then this one with an empty b= and without its final CRLF.
[[nodiscard]] std::string hash_signed_header(FieldIndex &index, const HeaderField &own, const Signature &signature);

} // namespace auth
