// Values of a partner's rule as the partner files check them, for those who take them from elsewhere.
#pragma once

#include <string>
#include <string_view>

#include "mta/config/config_files.hpp"
#include "smtp/base/result.hpp"

namespace mta {

/// A certificate name, in A-label form: a domain, or "*." in front of one with two labels or more. Errors: bad_syntax.
[[nodiscard]] smtp::Result<std::string> parse_name_pattern(std::string_view text);

/// A PEM file with CA certificates that can be read now. Blocks. Errors: "PATH: why"; `shown` is the path as it was
/// written.
[[nodiscard]] smtp::Result<void> check_trust_file(const ConfigFiles &files, const std::string &path,
                                                  std::string_view shown);

} // namespace mta
