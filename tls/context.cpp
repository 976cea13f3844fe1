#include "tls/context.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

#include "smtp/base/text.hpp"
#include "tls/core/name_match.hpp"
#include "tls/key_pair.hpp"
#include "tls/openssl.hpp"

namespace tls {
namespace {

constexpr std::size_t max_certificates = 100;

/// Which pairs answer for a name: at most one for each type of key. Indexes into the loaded pairs, rising.
using Selection = std::vector<std::size_t>;

const Context::Impl &impl_of(const SSL *ssl) {
  return *static_cast<const Context::Impl *>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
}

/// The handshake always goes on; policy judges the chain afterwards, so that a refusal is an SMTP reply that says why.
int accept_any_certificate(X509_STORE_CTX *store, void *) {
  X509_STORE_CTX_set_error(store, X509_V_OK);
  return 1;
}

/// A client's too; but what any stranger may show is bounded before it is kept: a parsed certificate takes many times
/// its octets.
int accept_short_chain(X509_STORE_CTX *store, void *unused) {
  const STACK_OF(X509) *shown = X509_STORE_CTX_get0_untrusted(store); // the leaf is the first of them
  if (shown != nullptr && static_cast<std::size_t>(sk_X509_num(shown)) > max_chain_certificates) {
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_CHAIN_TOO_LONG);
    return 0;
  }
  return accept_any_certificate(store, unused);
}

int choose_by_name(SSL *ssl, int *, void *) {
  const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (asked == nullptr) return SSL_TLSEXT_ERR_NOACK;
  const Context::Impl &impl = impl_of(ssl);
  const std::string name = smtp::to_lower(asked);
  auto found = impl.by_name.find(name);
  if (found == impl.by_name.end()) {
    const std::size_t dot = name.find('.');
    if (dot == std::string::npos || dot == 0) return SSL_TLSEXT_ERR_NOACK;
    found = impl.by_name.find("*" + name.substr(dot));
  }
  // RFC 6066 section 3: an unknown name need not end the handshake; mail servers are often asked for odd names.
  if (found == impl.by_name.end()) return SSL_TLSEXT_ERR_NOACK;
  if (SSL_get_SSL_CTX(ssl) != found->second && SSL_set_SSL_CTX(ssl, found->second) == nullptr) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  return SSL_TLSEXT_ERR_OK;
}

int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
               int encrypt) {
  return impl_of(ssl).ticket_keys->impl().use(name, iv, cipher, mac, encrypt);
}

int fill_ticket(SSL *, void *) {
  return 1;
}

/// A session with a client certificate is never resumed: the chain is not in the ticket, and policy must see it.
SSL_TICKET_RETURN judge_ticket(SSL *, SSL_SESSION *session, const unsigned char *, std::size_t,
                               SSL_TICKET_STATUS status, void *) {
  switch (status) {
  case SSL_TICKET_EMPTY:
  case SSL_TICKET_NO_DECRYPT: return SSL_TICKET_RETURN_IGNORE_RENEW;
  case SSL_TICKET_SUCCESS:
  case SSL_TICKET_SUCCESS_RENEW: break;
  default: return SSL_TICKET_RETURN_ABORT;
  }
  if (SSL_SESSION_get0_peer(session) != nullptr) return SSL_TICKET_RETURN_IGNORE_RENEW;
  return status == SSL_TICKET_SUCCESS_RENEW ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_USE;
}

/// A session may be resumed only where the same rules hold: the profile and whether a certificate is asked for.
bool set_session_context(SSL_CTX &context, const ServerContextOptions &options, const Profile &profile) {
  const std::string rules = fmt::format("{} {} {}", profile.name, profile.dated, options.ask_client_certificate);
  std::array<unsigned char, 32> digest{};
  return EVP_Digest(rules.data(), rules.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1 &&
         SSL_CTX_set_session_id_context(&context, digest.data(), static_cast<unsigned>(digest.size())) == 1;
}

smtp::Result<const Profile *> profile_named(const std::string &name) {
  if (const Profile *profile = find_profile(name); profile != nullptr) return profile;
  std::string known;
  for (const Profile &profile : all_profiles()) known += (known.empty() ? "" : ", ") + profile.name;
  return smtp::fail(smtp::ErrorCode::not_found,
                    fmt::format("there is no TLS profile \"{}\"; there are {}", smtp::escape(name), known));
}

/// CA names for the certificate request, or null when none are to be named.
smtp::Result<NameStackPtr> load_hints(const std::string &path) {
  if (path.empty()) return NameStackPtr();
  auto certificates = load_pem_certificates(path);
  if (!certificates) return tl::unexpected(certificates.error());
  NameStackPtr names(sk_X509_NAME_new_null());
  for (const X509Ptr &certificate : *certificates) {
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(certificate.get()));
    if (name == nullptr || sk_X509_NAME_push(names.get(), name) <= 0) {
      X509_NAME_free(name);
      return smtp::fail(smtp::ErrorCode::tls, path + ": " + take_error_text("out of memory"));
    }
  }
  return names;
}

/// All pairs of the options that the profile uses; those of other key types are passed over, so that listeners with
/// different profiles can share one list of certificates.
smtp::Result<std::vector<KeyPair>> load_pairs(const std::vector<KeyPairFiles> &files, const Profile &profile) {
  if (files.empty()) return smtp::fail(smtp::ErrorCode::not_found, "a TLS server needs at least one certificate");
  if (files.size() > max_certificates) {
    return smtp::fail(smtp::ErrorCode::too_long,
                      fmt::format("{} certificates for one TLS server, limit is {}", files.size(), max_certificates));
  }
  std::vector<KeyPair> pairs;
  std::string passed_over;
  for (const KeyPairFiles &each : files) {
    auto pair = load_key_pair(each);
    if (!pair) return tl::unexpected(pair.error());
    if (!profile_uses(profile, *pair->key)) {
      passed_over +=
          fmt::format("{}{} ({})", passed_over.empty() ? "" : ", ", each.certificate, key_type_of(*pair->key));
      continue;
    }
    if (auto strong = check_strength(*pair, profile); !strong) return tl::unexpected(strong.error());
    pairs.push_back(std::move(*pair));
  }
  if (pairs.empty()) {
    return smtp::fail(smtp::ErrorCode::tls,
                      fmt::format("{}: profile {} does not use keys of this type", passed_over, profile.name));
  }
  return pairs;
}

bool has_name(const KeyPair &pair, const std::string &name, bool exactly) {
  const auto &names = pair.facts.dns_names;
  return std::any_of(names.begin(), names.end(), [&](const std::string &presented) {
    return presented == name || (!exactly && name_covers(presented, name));
  });
}

/// For each type of key the first pair that carries the name itself, else the first whose wildcard covers it.
Selection select(const std::vector<KeyPair> &pairs, const std::string &name, Selection selection) {
  for (const bool exactly : {true, false}) {
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      const auto same_type = [&](std::size_t j) { return key_type_of(*pairs[j].key) == key_type_of(*pairs[i].key); };
      if (std::any_of(selection.begin(), selection.end(), same_type)) continue;
      if (has_name(pairs[i], name, exactly)) selection.push_back(i);
    }
  }
  std::sort(selection.begin(), selection.end());
  return selection;
}

class ServerBuilder {
public:
  ServerBuilder(const ServerContextOptions &options, const Profile &profile, Context::Impl &impl)
      : options_(options), profile_(profile), impl_(impl) {}

  smtp::Result<void> build() {
    auto hints = load_hints(options_.client_ca_hints);
    if (!hints) return tl::unexpected(hints.error());
    hints_ = std::move(*hints);
    auto pairs = load_pairs(options_.certificates, profile_);
    if (!pairs) return tl::unexpected(pairs.error());
    pairs_ = std::move(*pairs);

    // The default: the first pair, with pairs of other key types that carry its first name.
    const auto &first_names = pairs_.front().facts.dns_names;
    Selection first = {0};
    if (!first_names.empty()) first = select(pairs_, first_names.front(), std::move(first));
    if (auto added = context_for(first); !added) return tl::unexpected(added.error());
    for (const KeyPair &pair : pairs_) {
      for (const std::string &name : pair.facts.dns_names) {
        if (impl_.by_name.contains(name)) continue;
        auto context = context_for(select(pairs_, name, {}));
        if (!context) return tl::unexpected(context.error());
        impl_.by_name.emplace(name, *context);
      }
    }
    return {};
  }

private:
  /// One SSL_CTX for each different selection.
  smtp::Result<SSL_CTX *> context_for(const Selection &selection) {
    const auto known = std::find(selections_.begin(), selections_.end(), selection);
    if (known != selections_.end()) {
      return impl_.contexts[static_cast<std::size_t>(known - selections_.begin())].get();
    }
    SslCtxPtr context(SSL_CTX_new(TLS_server_method()));
    if (!context) return smtp::fail(smtp::ErrorCode::tls, take_error_text("out of memory"));
    if (auto prepared = prepare(*context); !prepared) return tl::unexpected(prepared.error());
    for (const std::size_t i : selection) {
      if (auto used = use_key_pair(*context, pairs_[i]); !used) return tl::unexpected(used.error());
    }
    selections_.push_back(selection);
    impl_.contexts.push_back(std::move(context));
    return impl_.contexts.back().get();
  }

  smtp::Result<void> prepare(SSL_CTX &context) {
    if (auto applied = apply_profile(context, profile_); !applied) return applied;
    SSL_CTX_set_app_data(&context, &impl_);
    SSL_CTX_set_tlsext_servername_callback(&context, choose_by_name);
    SSL_CTX_set_cert_verify_callback(&context, accept_short_chain, nullptr);
    SSL_CTX_set_num_tickets(&context, 0); // the stream sends one with its first write
    bool done = set_session_context(context, options_, profile_);
    if (impl_.tickets) {
      done = done && SSL_CTX_set_tlsext_ticket_key_evp_cb(&context, ticket_key) == 1 &&
             SSL_CTX_set_session_ticket_cb(&context, fill_ticket, judge_ticket, nullptr) == 1;
    } else {
      SSL_CTX_set_options(&context, SSL_OP_NO_TICKET);
    }
    SSL_CTX_set_max_cert_list(&context, max_client_chain_octets);
    if (options_.ask_client_certificate) {
      SSL_CTX_set_verify(&context, SSL_VERIFY_PEER, nullptr);
      if (hints_) SSL_CTX_set_client_CA_list(&context, SSL_dup_CA_list(hints_.get()));
    }
    if (!done) return smtp::fail(smtp::ErrorCode::tls, "session tickets: " + take_error_text("cannot be set up"));
    return {};
  }

  const ServerContextOptions &options_;
  const Profile &profile_;
  Context::Impl &impl_;
  NameStackPtr hints_;
  std::vector<KeyPair> pairs_;
  std::vector<Selection> selections_; ///< as impl_.contexts
};

smtp::Result<std::unique_ptr<Context::Impl>> start(Role role, const std::string &profile_name) {
  ERR_clear_error();
  auto profile = profile_named(profile_name);
  if (!profile) return tl::unexpected(profile.error());
  auto impl = std::make_unique<Context::Impl>();
  impl->role = role;
  impl->profile = *profile;
  impl->socket_method = make_socket_method();
  if (!impl->socket_method) return smtp::fail(smtp::ErrorCode::tls, take_error_text("out of memory"));
  return impl;
}

} // namespace

Context::Context(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Context::~Context() = default;

smtp::Result<std::shared_ptr<const Context>> Context::server(const ServerContextOptions &options,
                                                             std::shared_ptr<TicketKeys> tickets) {
  auto impl = start(Role::server, options.profile);
  if (!impl) return tl::unexpected(impl.error());
  (*impl)->tickets = options.tickets && tickets != nullptr;
  (*impl)->ticket_keys = std::move(tickets);
  if (auto built = ServerBuilder(options, *(*impl)->profile, **impl).build(); !built) {
    return tl::unexpected(built.error());
  }
  return std::make_shared<const Context>(std::move(*impl));
}

smtp::Result<std::shared_ptr<const Context>> Context::client(const ClientContextOptions &options) {
  auto impl = start(Role::client, options.profile);
  if (!impl) return tl::unexpected(impl.error());
  const Profile &profile = *(*impl)->profile;
  SslCtxPtr context(SSL_CTX_new(TLS_client_method()));
  if (!context) return smtp::fail(smtp::ErrorCode::tls, take_error_text("out of memory"));
  if (auto applied = apply_profile(*context, profile); !applied) return tl::unexpected(applied.error());
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET); // connections are reused, sessions are not
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_cert_verify_callback(context.get(), accept_any_certificate, nullptr);
  if (options.certificate) {
    auto pairs = load_pairs({*options.certificate}, profile);
    if (!pairs) return tl::unexpected(pairs.error());
    if (auto used = use_key_pair(*context, pairs->front()); !used) return tl::unexpected(used.error());
  }
  (*impl)->contexts.push_back(std::move(context));
  return std::make_shared<const Context>(std::move(*impl));
}

} // namespace tls
