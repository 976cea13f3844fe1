// sign_message: see the header.
#include "mta/auth/sign_message.hpp"

#include "auth/core/from_field.hpp"
#include "smtp/message/header_scan.hpp"

namespace mta {

std::vector<auth::SigningIdentity> find_identities(const Config &config, const auth::HeaderFields &fields,
                                                   std::chrono::system_clock::time_point now) {
  std::vector<auth::SigningIdentity> identities;
  const auto authors = auth::find_author_domains(fields);
  if (!authors.is_ok() || authors.domains.size() != 1) return identities;
  for (const SigningKeyConfig *key : config.find_dkim_keys(authors.domains.front())) {
    auth::SignOptions options;
    options.domain = key->domain.ascii();
    options.selector = key->selector;
    options.now = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
    identities.push_back({key->key, std::move(options)});
  }
  return identities;
}

smtp::Result<std::string> sign_message(const Config &config, std::string_view message,
                                       std::chrono::system_clock::time_point now) {
  if (config.dkim_keys.empty()) return std::string();
  const std::size_t split = smtp::find_body(message);
  const auth::HeaderFields fields(std::string(message.substr(0, split)));
  auto identities = find_identities(config, fields, now);
  if (identities.empty()) return std::string();
  auth::DkimSigner signer(fields, std::move(identities));
  signer.body(message.substr(split));
  return signer.end();
}

} // namespace mta
