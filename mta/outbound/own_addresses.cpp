// is_own_address: see own_addresses.hpp.
#include "mta/outbound/own_addresses.hpp"

#include <algorithm>
#include <memory>

#include <ifaddrs.h>
#include <netinet/in.h>

namespace mta {

namespace {

/// The address that stands for all of the machine's.
bool is_wildcard(const smtp::IpAddress &address) noexcept {
  const auto &octets = address.octets();
  return std::all_of(octets.begin(), octets.end(), [](std::uint8_t octet) { return octet == 0; });
}

bool equals(const sockaddr &interface, const smtp::IpAddress &address) noexcept {
  if (interface.sa_family == AF_INET && !address.is_v6()) {
    const auto &v4 = reinterpret_cast<const sockaddr_in &>(interface);
    const auto *octets = reinterpret_cast<const std::uint8_t *>(&v4.sin_addr);
    return std::equal(octets, octets + 4, address.octets().begin());
  }
  if (interface.sa_family == AF_INET6 && address.is_v6()) {
    const auto &v6 = reinterpret_cast<const sockaddr_in6 &>(interface);
    const auto *octets = reinterpret_cast<const std::uint8_t *>(&v6.sin6_addr);
    return std::equal(octets, octets + 16, address.octets().begin());
  }
  return false;
}

/// Interfaces come and go, so they are asked each time; plans are made seldom.
bool is_of_this_machine(const smtp::IpAddress &address) noexcept {
  if (address.is_loopback() || is_wildcard(address)) return true; // all of 127.0.0.0/8, and 0.0.0.0, lead here
  ifaddrs *all = nullptr;
  if (::getifaddrs(&all) != 0) return false;
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs *)> owner(all, ::freeifaddrs);
  for (const ifaddrs *one = all; one != nullptr; one = one->ifa_next)
    if (one->ifa_addr != nullptr && equals(*one->ifa_addr, address)) return true;
  return false;
}

bool takes(const smtp::SocketAddress &listener, const smtp::SocketAddress &address) {
  if (listener.port == 0 || listener.port != address.port) return false;
  if (listener.address == address.address) return true;
  return is_wildcard(listener.address) && is_of_this_machine(address.address);
}

} // namespace

bool is_own_address(const Config &config, const smtp::SocketAddress &address) {
  const auto &outside = config.server.outside_addresses;
  if (std::find(outside.begin(), outside.end(), address.address) != outside.end()) return true;
  return std::any_of(config.listeners.begin(), config.listeners.end(), [&](const ListenerConfig &listener) {
    return std::any_of(listener.addresses.begin(), listener.addresses.end(),
                       [&](const auto &bound) { return takes(bound, address); });
  });
}

} // namespace mta
