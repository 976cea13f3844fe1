// Profiles: named sets of TLS versions, suites, groups and signatures (docs/architecture.md, "TLS profiles"), as they
// are written down; no OpenSSL here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tls/core/facts.hpp"

namespace tls {

/// A profile as it is written down; what OpenSSL makes of it, describe_profile() tells.
struct Profile {
  std::string name;  ///< "ncsc"
  std::string dated; ///< the date of this version of it: "2026-11"
  Version lowest = Version::tls1_2;
  Version highest = Version::tls1_3;
  std::string ciphers;             ///< OpenSSL cipher list for TLS up to 1.2, our order
  std::string ciphersuites;        ///< TLS 1.3 suites
  std::vector<std::string> groups; ///< wanted in order; those that the library lacks are left out
  std::string signatures;          ///< OpenSSL signature algorithm list
  std::string dh_group;            ///< finite-field group for DHE up to TLS 1.2, as OpenSSL calls it; empty: no DHE
  int min_rsa_bits = 2048;         ///< of our own keys; 0: no RSA key is used with this profile
  int min_ec_bits = 256;           ///< likewise; the curve must also be one of `groups`
  int security_level = 2;          ///< OpenSSL's
};

/// ncsc, suite-b-1, foundation, mozilla-intermediate, mozilla-modern, internet, internet-legacy.
[[nodiscard]] const std::vector<Profile> &all_profiles();
/// Nothing when there is no profile of that name.
[[nodiscard]] const Profile *find_profile(std::string_view name) noexcept;

/// Whether every session of profile `narrow` would do for `wide` too, as far as profiles are written down; false for
/// names that are not known, but every name lies within itself.
[[nodiscard]] bool lies_within(std::string_view narrow, std::string_view wide);

/// Why the profile would not have made a session of this version, suite, group and key, as one clause: "TLSv1.2
/// ECDHE-RSA-AES256-SHA384 is outside profile ncsc"; empty: it may have. Judged as a client's profile: what is not
/// recorded (an empty suite or group) is passed over, and so is the finite-field group of DHE, which the server
/// chooses. A peer that is outside may have offered more: the session took what its own profile liked best.
[[nodiscard]] std::string describe_outside(const Profile &profile, const Facts &facts);

} // namespace tls
