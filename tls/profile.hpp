// Profiles with OpenSSL: what it makes of them; the profiles themselves are in core/profile.hpp.
#pragma once

#include <string>
#include <vector>

#include "smtp/base/result.hpp"
#include "tls/core/profile.hpp"

namespace tls {

enum class Role { server, client };

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
