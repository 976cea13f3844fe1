#include "tls/core/profile.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "smtp/base/text.hpp"

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

bool lists(const std::string &list, std::string_view name) {
  const auto parts = smtp::split(list, ':');
  return std::find(parts.begin(), parts.end(), name) != parts.end();
}

/// Handshakes report the curves by OpenSSL's names.
bool has_group(const Profile &profile, const std::string &group) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 3> curves{
      {{"prime256v1", "P-256"}, {"secp384r1", "P-384"}, {"secp521r1", "P-521"}}};
  std::string_view name = group;
  for (const auto &[library, ours] : curves)
    if (group == library) name = ours;
  return std::find(profile.groups.begin(), profile.groups.end(), name) != profile.groups.end();
}

bool signs_with_rsa(const Profile &profile) {
  return profile.signatures.find("RSA+") != std::string::npos || profile.signatures.find("rsa_") != std::string::npos;
}

bool has_rsa_key(const Facts &facts) {
  return !facts.chain.empty() && facts.chain.front().key_type.starts_with("RSA");
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

bool lies_within(std::string_view narrow, std::string_view wide) {
  if (narrow == wide) return true;
  const Profile *inner = find_profile(narrow);
  const Profile *outer = find_profile(wide);
  if (inner == nullptr || outer == nullptr) return false;
  const auto all_in = [](const std::string &few, const std::string &many) {
    if (few.empty()) return true;
    const auto parts = smtp::split(few, ':');
    return std::all_of(parts.begin(), parts.end(), [&](std::string_view part) { return lists(many, part); });
  };
  const auto has_group = [&](const std::string &group) {
    return std::find(outer->groups.begin(), outer->groups.end(), group) != outer->groups.end();
  };
  return inner->lowest >= outer->lowest && inner->highest <= outer->highest &&
         inner->security_level >= outer->security_level && all_in(inner->ciphers, outer->ciphers) &&
         all_in(inner->ciphersuites, outer->ciphersuites) && all_in(inner->signatures, outer->signatures) &&
         std::all_of(inner->groups.begin(), inner->groups.end(), has_group);
}

std::string describe_outside(const Profile &profile, const Facts &facts) {
  if (!facts.encrypted) return {};
  std::string what = to_string(facts.version);
  bool outside = facts.version < profile.lowest || facts.version > profile.highest;
  if (!facts.suite.empty()) {
    (what += ' ') += facts.suite;
    outside = outside || !lists(facts.version == Version::tls1_3 ? profile.ciphersuites : profile.ciphers, facts.suite);
  }
  if (!outside && !facts.group.empty() && !facts.suite.starts_with("DHE-") && !has_group(profile, facts.group)) {
    what += " with the group " + facts.group;
    outside = true;
  }
  if (!outside && has_rsa_key(facts) && !signs_with_rsa(profile)) {
    what += " with an RSA key";
    outside = true;
  }
  return outside ? what + " is outside profile " + profile.name : std::string();
}

} // namespace tls
