#include "tls/profile.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <openssl/dh.h>
#include <openssl/objects.h>

#include "smtp/base/text.hpp"
#include "tls/openssl.hpp"

namespace tls {
namespace {

int wire_version(Version version) noexcept {
  switch (version) {
  case Version::tls1_0: return TLS1_VERSION;
  case Version::tls1_1: return TLS1_1_VERSION;
  case Version::tls1_2: return TLS1_2_VERSION;
  case Version::tls1_3: return TLS1_3_VERSION;
  }
  return TLS1_2_VERSION;
}

/// Which of the wanted groups this OpenSSL has; each is asked for alone, because one unknown name refuses a whole list.
std::vector<std::string> known_groups(SSL_CTX &context, const Profile &profile) {
  std::vector<std::string> known;
  for (const std::string &group : profile.groups) {
    if (SSL_CTX_set1_groups_list(&context, group.c_str()) == 1) known.push_back(group);
  }
  ERR_clear_error();
  return known;
}

KeyPtr dh_parameters(const std::string &group) {
  EVP_PKEY *parameters = nullptr;
  const std::unique_ptr<EVP_PKEY_CTX, Free<EVP_PKEY_CTX_free>> maker(
      EVP_PKEY_CTX_new_from_name(nullptr, "DH", nullptr));
  if (!maker || EVP_PKEY_paramgen_init(maker.get()) != 1 ||
      EVP_PKEY_CTX_set_group_name(maker.get(), group.c_str()) != 1 ||
      EVP_PKEY_paramgen(maker.get(), &parameters) != 1) {
    return nullptr;
  }
  return KeyPtr(parameters);
}

void apply_options(SSL_CTX &context, const Profile &profile) {
  SSL_CTX_clear_options(&context, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_LEGACY_SERVER_CONNECT |
                                      SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION | SSL_OP_NO_EXTENDED_MASTER_SECRET);
  SSL_CTX_set_options(&context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  if (profile.security_level == 0) SSL_CTX_set_options(&context, SSL_OP_LEGACY_SERVER_CONNECT);
  SSL_CTX_set_mode(&context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
  // A record without data comes back to the stream, which counts them; see SocketState in openssl.hpp.
  SSL_CTX_clear_mode(&context, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_session_cache_mode(&context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_early_data(&context, 0); // RFC 8446 section 8: 0-RTT can be replayed
  SSL_CTX_set_read_ahead(&context, 1);     // one system call for header and body of a record
  limit_renegotiations(context);
}

std::string join(const std::vector<std::string> &words, char separator) {
  return fmt::format("{}", fmt::join(words, std::string_view(&separator, 1)));
}

} // namespace

smtp::Result<void> apply_profile(SSL_CTX &context, const Profile &profile) {
  ERR_clear_error();
  const auto failed = [&](std::string_view what) {
    return smtp::fail(smtp::ErrorCode::tls, fmt::format("profile {}: {} cannot be set: {}", profile.name, what,
                                                        take_error_text("refused by the TLS library")));
  };
  apply_options(context, profile);
  SSL_CTX_set_security_level(&context, profile.security_level);
  if (SSL_CTX_set_min_proto_version(&context, wire_version(profile.lowest)) != 1 ||
      SSL_CTX_set_max_proto_version(&context, wire_version(profile.highest)) != 1) {
    return failed("the TLS versions");
  }
  if (SSL_CTX_set_ciphersuites(&context, profile.ciphersuites.c_str()) != 1) return failed("the TLS 1.3 suites");
  // An empty list is an error to OpenSSL, and without TLS 1.2 no suite of it can be used.
  if (!profile.ciphers.empty() && SSL_CTX_set_cipher_list(&context, profile.ciphers.c_str()) != 1) {
    return failed("the suites");
  }
  const std::vector<std::string> groups = known_groups(context, profile);
  if (groups.empty() || SSL_CTX_set1_groups_list(&context, join(groups, ':').c_str()) != 1) {
    return failed("the groups");
  }
  if (SSL_CTX_set1_sigalgs_list(&context, profile.signatures.c_str()) != 1) return failed("the signatures");
  if (!profile.dh_group.empty()) {
    KeyPtr parameters = dh_parameters(profile.dh_group);
    if (!parameters || SSL_CTX_set0_tmp_dh_pkey(&context, parameters.get()) != 1) return failed("the DH group");
    (void)parameters.release(); // now the context's
  }
  return {};
}

smtp::Result<ProfileDescription> describe_profile(const Profile &profile) {
  const SslCtxPtr context(SSL_CTX_new(TLS_client_method()));
  if (!context) return smtp::fail(smtp::ErrorCode::tls, take_error_text("out of memory"));
  if (auto applied = apply_profile(*context, profile); !applied) return tl::unexpected(applied.error());

  ProfileDescription description;
  description.name = profile.name;
  for (const Version version : {Version::tls1_0, Version::tls1_1, Version::tls1_2, Version::tls1_3}) {
    if (version < profile.lowest || version > profile.highest) continue;
    if (!description.versions.empty()) description.versions += ' ';
    description.versions += to_string(version);
  }

  const SslPtr ssl(SSL_new(context.get()));
  if (!ssl) return smtp::fail(smtp::ErrorCode::tls, take_error_text("out of memory"));
  const CipherStackPtr suites(SSL_get1_supported_ciphers(ssl.get()));
  for (int i = 0; suites && i < sk_SSL_CIPHER_num(suites.get()); ++i) {
    description.suites.emplace_back(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(suites.get(), i)));
  }
  const auto has_suite = [&](std::string_view name) {
    return std::find(description.suites.begin(), description.suites.end(), name) != description.suites.end();
  };
  for (const std::string *list : {&profile.ciphersuites, &profile.ciphers}) {
    for (const std::string_view wanted : smtp::split(*list, ':')) {
      if (!wanted.empty() && !has_suite(wanted)) description.left_out.emplace_back(wanted);
    }
  }

  description.groups = known_groups(*context, profile);
  for (const std::string &wanted : profile.groups) {
    if (std::find(description.groups.begin(), description.groups.end(), wanted) == description.groups.end()) {
      description.left_out.push_back(wanted);
    }
  }
  if (!profile.dh_group.empty()) description.groups.push_back(profile.dh_group);
  return description;
}

} // namespace tls
