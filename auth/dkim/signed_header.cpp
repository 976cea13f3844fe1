// The digest that a message signature is over: see the header.
#include "auth/dkim/signed_header.hpp"

namespace auth {

std::string hash_signed_header(FieldIndex &index, const HeaderField &own, const Signature &signature) {
  std::string text = index.canonical_fields(signature.names, signature.header, &own);
  if (signature.header == Canonical::simple) // not changed in any way, the name neither
    text.append(own.text.substr(0, own.text.find(':') + 1)).append(without_signature(own.value));
  else {
    append_canonical_field(signature.header, own.name, without_signature(own.value), text);
    text.resize(text.size() - 2);
  }
  return digest_of(signature.hash, text);
}

} // namespace auth
