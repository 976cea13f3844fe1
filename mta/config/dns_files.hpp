// The files that libunbound reads, looked at before it does: it names neither line nor mistake, and only when it
// starts.
#pragma once

#include <cstddef>
#include <string_view>

#include "smtp/base/result.hpp"

namespace mta {

/// DS and DNSKEY records in the form of a zone file (RFC 1035 section 5.1; RFC 4034 sections 2.2 and 5.3), one in a
/// line,
/// ";" begins a comment. Returns how many. A file with parentheses is left to libunbound: 1. Error bad_syntax: "line 3:
/// …".
[[nodiscard]] smtp::Result<std::size_t> count_trust_anchors(std::string_view text);

/// hosts(5): in each line an address and names; "#" begins a comment. Error bad_syntax: "line 3: …".
[[nodiscard]] smtp::Result<void> check_hosts_file(std::string_view text);

} // namespace mta
