#include "mta/config/own_addresses.hpp"

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
  // A listener at [::] takes IPv6 only (listen_sockets).
  return is_wildcard(listener.address) && listener.address.is_v6() == address.address.is_v6() &&
         is_of_this_machine(address.address);
}

bool is_outside_address(const Config &config, const smtp::IpAddress &address) {
  const auto &outside = config.server.outside_addresses;
  return std::find(outside.begin(), outside.end(), address) != outside.end();
}

} // namespace

const ListenerConfig *listener_at(const Config &config, const smtp::SocketAddress &address) {
  for (const ListenerConfig &listener : config.listeners)
    for (const smtp::SocketAddress &bound : listener.addresses)
      if (takes(bound, address)) return &listener;
  return nullptr;
}

bool is_port_of_ours(const Config &config, std::uint16_t port) {
  if (port == 25) return true;
  return std::any_of(config.listeners.begin(), config.listeners.end(), [port](const ListenerConfig &listener) {
    return std::any_of(listener.addresses.begin(), listener.addresses.end(),
                       [port](const smtp::SocketAddress &bound) { return bound.port == port; });
  });
}

bool leads_to_us(const Config &config, const smtp::SocketAddress &address) {
  if (is_outside_address(config, address.address) && is_port_of_ours(config, address.port)) return true;
  return listener_at(config, address) != nullptr;
}

bool is_own_address(const Config &config, const smtp::SocketAddress &address) {
  return is_outside_address(config, address.address) || listener_at(config, address) != nullptr;
}

} // namespace mta
