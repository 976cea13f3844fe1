#include "mta/inbound/listen_sockets.hpp"

#include <cerrno>
#include <cstring>
#include <system_error>

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace mta {

namespace {

constexpr int listen_backlog = 4096;

/// An address as the kernel takes it.
struct KernelAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr *get() const noexcept { return reinterpret_cast<const sockaddr *>(&storage); }
};

KernelAddress kernel_address(const smtp::SocketAddress &address) {
  KernelAddress result;
  const auto &octets = address.address.octets();
  if (address.address.is_v6()) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address.port);
    std::memcpy(&v6.sin6_addr, octets.data(), sizeof v6.sin6_addr);
    std::memcpy(&result.storage, &v6, sizeof v6);
    result.size = sizeof v6;
  } else {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.port);
    std::memcpy(&v4.sin_addr, octets.data(), sizeof v4.sin_addr);
    std::memcpy(&result.storage, &v4, sizeof v4);
    result.size = sizeof v4;
  }
  return result;
}

std::uint16_t port_of(int socket) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (::getsockname(socket, reinterpret_cast<sockaddr *>(&bound), &size) != 0) return 0;
  // sin_port and sin6_port lie at the same place.
  sockaddr_in as_v4{};
  std::memcpy(&as_v4, &bound, sizeof as_v4);
  return ntohs(as_v4.sin_port);
}

void switch_on(int socket, int level, int name) {
  const int on = 1;
  ::setsockopt(socket, level, name, &on, sizeof on);
}

tl::unexpected<smtp::Error> socket_failure(int number) {
  return smtp::fail(number == EACCES ? smtp::ErrorCode::not_permitted : smtp::ErrorCode::io,
                    std::generic_category().message(number));
}

smtp::Result<ListenSockets::Socket> bind_one(const smtp::SocketAddress &address, bool share_port) {
  const KernelAddress wanted = kernel_address(address);
  ListenSockets::Socket made(::socket(wanted.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (made.get() < 0) return socket_failure(errno);
  switch_on(made.get(), SOL_SOCKET, SO_REUSEADDR);
  if (share_port) switch_on(made.get(), SOL_SOCKET, SO_REUSEPORT);
  if (address.address.is_v6()) switch_on(made.get(), IPPROTO_IPV6, IPV6_V6ONLY);
  if (::bind(made.get(), wanted.get(), wanted.size) != 0) return socket_failure(errno);
  return made;
}

} // namespace

ListenSockets::Socket::~Socket() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

smtp::Result<ListenSockets> ListenSockets::bind(const Config &config, std::size_t workers) {
  ListenSockets all;
  for (const ListenerConfig &listener : config.listeners) {
    for (const smtp::SocketAddress &asked : listener.addresses) {
      const auto failed = [&](const smtp::Error &error) {
        return smtp::fail(error.code, fmt::format("{}: listener \"{}\" cannot listen on {}: {}", listener.place,
                                                  listener.name, asked.to_string(), error.detail));
      };
      // With SO_REUSEPORT a second daemon of the same user could listen on our port unnoticed and take half of the
      // mail: so the address is tried without it first.
      if (const auto unused = bind_one(asked, false); !unused) return failed(unused.error());
      Bound bound{.listener = listener.name, .address = asked, .sockets = {}};
      for (std::size_t i = 0; i < workers; ++i) {
        auto socket = bind_one(bound.address, true);
        if (!socket) return failed(socket.error());
        if (::listen(socket->get(), listen_backlog) != 0) return failed(socket_failure(errno).value());
        bound.address.port = port_of(socket->get()); // port 0: the first socket's port is everybody's
        bound.sockets.push_back(std::move(*socket));
      }
      all.bound_.push_back(std::move(bound));
    }
  }
  return all;
}

} // namespace mta
