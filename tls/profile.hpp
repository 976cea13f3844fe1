// Profiles: named sets of TLS versions, suites, groups and signatures (docs/architecture.md, "TLS profiles").
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/base/result.hpp"
#include "tls/core/facts.hpp"

namespace tls {

enum class Role { server, client };

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

/// What the profile becomes with the OpenSSL in use: for `portcullis check`.
struct ProfileDescription {
  std::string name;
  std::string versions;              ///< "TLSv1.2 TLSv1.3"
  std::vector<std::string> suites;   ///< enabled, in order
  std::vector<std::string> groups;   ///< enabled, in order; a finite-field group for DHE comes last
  std::vector<std::string> left_out; ///< wanted, but the library has not
};
[[nodiscard]] smtp::Result<ProfileDescription> describe_profile(const Profile &profile);

} // namespace tls
