// connect_to: one TCP connection to the first of several addresses that answers (RFC 8305, "happy eyeballs").
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "mta/base/async.hpp"
#include "smtp/names/ip_address.hpp"

namespace mta {

struct ConnectOptions {
  std::chrono::milliseconds timeout{30'000}; ///< for all addresses together
  /// How long an attempt runs alone before the next address is tried beside it; a failed one starts the next at once.
  std::chrono::milliseconds head_start{250};
  /// Ours; the one used is of the peer's family and always the same for one peer. None of its family: the system
  /// chooses.
  std::vector<smtp::IpAddress> source_addresses;
};

struct ConnectFailure {
  smtp::SocketAddress address;
  std::string reason; ///< "connection refused", "no answer in 30 s"
};

struct ConnectResult {
  std::optional<asio::ip::tcp::socket> socket; ///< nothing: every address failed
  smtp::SocketAddress address;                 ///< whose socket it is
  std::vector<ConnectFailure> failures;        ///< in the order of failing; addresses that were not tried are not here
};

/// IPv6 and IPv4 alternate, beginning with the family of the first address; each family keeps its order. The socket
/// belongs to the coroutine's executor, which must run on one thread. Never throws.
[[nodiscard]] Task<ConnectResult> connect_to(std::vector<smtp::SocketAddress> addresses, ConnectOptions options);

/// "192.0.2.1: connection refused; 192.0.2.2: no answer in 30 s".
[[nodiscard]] std::string format_failures(const std::vector<ConnectFailure> &failures);

/// The order in which connect_to() tries.
[[nodiscard]] std::vector<smtp::SocketAddress> alternate_families(std::vector<smtp::SocketAddress> addresses);

[[nodiscard]] asio::ip::tcp::endpoint to_endpoint(const smtp::SocketAddress &address);

} // namespace mta
