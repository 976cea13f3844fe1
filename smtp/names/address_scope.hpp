// Which addresses the internet reaches, by the IANA registries of special-purpose addresses (RFC 6890).
#pragma once

#include <string_view>

#include "smtp/names/ip_address.hpp"

namespace smtp {

/// Why an address is not globally reachable: "loopback", "private", "link-local", "multicast", …; empty when it is. An
/// IPv4 address within an IPv6 one (IPv4-compatible, 6to4, NAT64) counts as that IPv4 address.
[[nodiscard]] std::string_view special_scope(const IpAddress &address) noexcept;

} // namespace smtp
