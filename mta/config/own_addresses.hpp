// is_own_address, leads_to_us: whether an address of a record or a route is ourselves (RFC 5321 section 5.1).
#pragma once

#include "mta/config/config.hpp"

namespace mta {

/// True for server.outside_addresses, whatever the port, and for what a listener takes connections at: its address and
/// port, or with an address that stands for all (0.0.0.0, ::) every address of this machine at its port. A listener
/// with port 0 is at none that others could know.
[[nodiscard]] bool is_own_address(const Config &config, const smtp::SocketAddress &address);

/// For what the operator names, the hosts of a route: as above, but server.outside_addresses count at port 25 and at
/// the ports of our listeners only. Whatever stands in front of us may hand other ports to other machines.
[[nodiscard]] bool leads_to_us(const Config &config, const smtp::SocketAddress &address);

/// The listener that takes connections at this address and port; null: none.
[[nodiscard]] const ListenerConfig *listener_at(const Config &config, const smtp::SocketAddress &address);
/// Whether mail for ourselves may come in at this port: 25, or that of a listener.
[[nodiscard]] bool is_port_of_ours(const Config &config, std::uint16_t port);

} // namespace mta
