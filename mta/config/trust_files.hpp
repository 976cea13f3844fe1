// Files of CA certificates that the configuration trusts, and those of their certificates that end soon.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "mta/config/config.hpp"
#include "mta/config/config_files.hpp"
#include "mta/config/load.hpp"

namespace mta {

/// A certificate of a trust file that ends within 30 days, or has ended, and that nothing in the file succeeds.
struct EndingAuthority {
  std::string file;
  std::string subject;
  std::chrono::system_clock::time_point not_after;
  bool nothing_left = false; ///< no certificate of the file is valid any more: whoever must be proven by it is refused
  std::string key;           ///< "listener.trusted_ca"
  std::string place;
};

/// Of every file that a listener, a partner's rule, a route, [mta_sts] or [tls_reports] names. A successor is one of
/// the same subject that ends later. A file of more than 20 certificates is somebody's collection, in which one may
/// end: it is told when the last one ends. Files that cannot be read are passed over. Blocks on the disk.
[[nodiscard]] std::vector<EndingAuthority> find_ending_authorities(const Config &config, const ConfigFiles &files,
                                                                   std::chrono::system_clock::time_point now);

/// The same as findings: faults where nothing is left, else warnings.
[[nodiscard]] std::vector<Finding> find_authority_faults(const Config &config, const ConfigFiles &files,
                                                         std::chrono::system_clock::time_point now);

} // namespace mta
