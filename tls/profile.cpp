// Profiles: see profile.hpp.
#include "tls/profile.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <openssl/dh.h>
#include <openssl/objects.h>

#include "smtp/base/text.hpp"
#include "tls/openssl.hpp"

namespace tls {
namespace {

const char *const ncsc_suites = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";
const char *const more_suites = ":ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
                                ":ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384"
                                ":ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256"
                                ":DHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-GCM-SHA256";
const char *const legacy_suites = ":ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:ECDHE-ECDSA-AES128-SHA"
                                  ":ECDHE-RSA-AES128-SHA:DHE-RSA-AES256-SHA:DHE-RSA-AES128-SHA"
                                  ":AES256-GCM-SHA384:AES128-GCM-SHA256:AES256-SHA256:AES128-SHA256"
                                  ":AES256-SHA:AES128-SHA";

const char *const sha2_signatures = "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:"
                                    "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"
                                    "rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:"
                                    "RSA+SHA256:RSA+SHA384:RSA+SHA512";
const char *const edwards_signatures = ":ed25519:ed448";
const char *const sha1_signatures = ":ECDSA+SHA1:RSA+SHA1";

std::vector<Profile> build_profiles() {
  const std::vector<std::string> groups = {"X25519MLKEM768", "X25519", "P-256", "P-384"};
  const std::string ncsc = ncsc_suites;
  const std::string internet = ncsc + more_suites;
  const std::string sha2 = sha2_signatures;
  return {
      {.name = "ncsc",
       .dated = "2026-11",
       .ciphers = ncsc,
       .ciphersuites = "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256",
       .groups = groups,
       .signatures = sha2,
       .dh_group = ""},
      {.name = "suite-b-1",
       .dated = "2026-11",
       .lowest = Version::tls1_2,
       .highest = Version::tls1_2,
       .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256",
       .ciphersuites = "",
       .groups = {"P-256"},
       .signatures = "ECDSA+SHA256",
       .dh_group = "",
       .min_rsa_bits = 0},
      {.name = "foundation",
       .dated = "2026-11",
       .lowest = Version::tls1_2,
       .highest = Version::tls1_2,
       .ciphers = "DHE-RSA-AES128-SHA256:DHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-SHA256:"
                  "ECDHE-RSA-AES128-GCM-SHA256",
       .ciphersuites = "",
       .groups = {"P-256"},
       .signatures = "RSA+SHA256",
       .dh_group = "modp_2048", // RFC 3526 group 14
       .min_ec_bits = 0},
      // The Mozilla guidelines 6.0 leave the order to the client; here the server's order counts everywhere.
      {.name = "mozilla-intermediate",
       .dated = "6.0",
       .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
                  "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305",
       .ciphersuites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256",
       .groups = groups,
       .signatures = sha2,
       .dh_group = ""},
      {.name = "mozilla-modern",
       .dated = "6.0",
       .lowest = Version::tls1_3,
       .ciphers = "",
       .ciphersuites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256",
       .groups = groups,
       .signatures = "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512",
       .dh_group = "",
       .min_rsa_bits = 0},
      {.name = "internet",
       .dated = "2026-11",
       .ciphers = internet,
       .ciphersuites = "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256",
       .groups = groups,
       .signatures = sha2 + edwards_signatures,
       // 3072 bits: what internet.nl still accepts of DHE (RFC 7919); a client takes 2048 and up (security level 2).
       .dh_group = "ffdhe3072"},
      {.name = "internet-legacy",
       .dated = "2026-11",
       .lowest = Version::tls1_0,
       .ciphers = internet + legacy_suites,
       .ciphersuites = "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256",
       .groups = groups,
       .signatures = sha2 + edwards_signatures + sha1_signatures,
       .dh_group = "ffdhe3072",
       .security_level = 0},
  };
}

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
  SSL_CTX_set_session_cache_mode(&context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_early_data(&context, 0); // RFC 8446 section 8: 0-RTT can be replayed
  SSL_CTX_set_read_ahead(&context, 1);     // one system call for header and body of a record
}

std::string join(const std::vector<std::string> &words, char separator) {
  return fmt::format("{}", fmt::join(words, std::string_view(&separator, 1)));
}

} // namespace

const std::vector<Profile> &all_profiles() {
  static const std::vector<Profile> profiles = build_profiles();
  return profiles;
}

const Profile *find_profile(std::string_view name) noexcept {
  const auto &profiles = all_profiles();
  const auto found = std::find_if(profiles.begin(), profiles.end(), [&](const Profile &p) { return p.name == name; });
  return found == profiles.end() ? nullptr : &*found;
}

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
