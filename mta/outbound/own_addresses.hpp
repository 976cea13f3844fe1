// is_own_address: whether an address of another host's record is ourselves (RFC 5321 section 5.1).
#pragma once

#include "mta/config/config.hpp"

namespace mta {

/// True for server.outside_addresses, whatever the port, and for what a listener takes connections at: its address and
/// port, or with an address that stands for all (0.0.0.0, ::) every address of this machine at its port. A listener
/// with port 0 is at none that others could know.
[[nodiscard]] bool is_own_address(const Config &config, const smtp::SocketAddress &address);

} // namespace mta
