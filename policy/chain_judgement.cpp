#include "policy/chain_judgement.hpp"

namespace policy {

std::string trust_key(std::string_view trust, const std::vector<std::string> &crls, bool accept_server_auth) {
  std::string key(trust);
  for (const std::string &crl : crls) (key += " crl ") += crl;
  if (accept_server_auth) key += " server-auth";
  return key;
}

} // namespace policy
