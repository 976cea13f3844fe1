// ListenSockets: the bound sockets of every listener, made before the rights are dropped and served afterwards.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "mta/config/config.hpp"
#include "smtp/base/result.hpp"

namespace mta {

class ListenSockets {
public:
  /// A socket that listens; closed by its destructor unless it was released.
  class Socket {
  public:
    explicit Socket(int descriptor) noexcept : descriptor_(descriptor) {}
    Socket(Socket &&other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    Socket &operator=(Socket &&other) noexcept {
      std::swap(descriptor_, other.descriptor_);
      return *this;
    }
    ~Socket();
    [[nodiscard]] int get() const noexcept { return descriptor_; }
    [[nodiscard]] int release() noexcept { return std::exchange(descriptor_, -1); }

  private:
    int descriptor_;
  };
  struct Bound {
    std::string listener;
    smtp::SocketAddress address; ///< with the real port
    std::vector<Socket> sockets; ///< one for each worker
  };

  /// Binds every listener's addresses (SO_REUSEPORT, one socket for each worker). Needs the rights for low ports.
  /// Starts no thread and touches no file. Errors name listener, address and place.
  [[nodiscard]] static smtp::Result<ListenSockets> bind(const Config &config, std::size_t workers);

  [[nodiscard]] std::vector<Bound> take() && { return std::move(bound_); }

private:
  std::vector<Bound> bound_;
};

} // namespace mta
