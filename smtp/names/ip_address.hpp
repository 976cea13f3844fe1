// IpAddress and Network: IPv4 and IPv6 addresses and CIDR ranges as values, without any socket header.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "smtp/base/result.hpp"

namespace smtp {

/// An IPv4 or IPv6 address. An IPv4-mapped IPv6 address is turned into its IPv4 form.
class IpAddress {
public:
  [[nodiscard]] static Result<IpAddress> parse(std::string_view text);
  [[nodiscard]] static IpAddress v4(const std::array<std::uint8_t, 4> &octets) noexcept;
  [[nodiscard]] static IpAddress v6(const std::array<std::uint8_t, 16> &octets) noexcept;

  [[nodiscard]] bool is_v6() const noexcept { return v6_; }
  /// Network order; an IPv4 address stands in the first four.
  [[nodiscard]] const std::array<std::uint8_t, 16> &octets() const noexcept { return octets_; }
  /// RFC 5952 text.
  [[nodiscard]] std::string to_string() const;
  /// "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3).
  [[nodiscard]] std::string to_literal() const;
  /// "1.2.0.192.in-addr.arpa" and its IPv6 counterpart, without a final dot.
  [[nodiscard]] std::string reverse_name() const;
  [[nodiscard]] bool is_loopback() const noexcept;
  /// The address with all bits after the first `bits` cleared.
  [[nodiscard]] IpAddress masked(int bits) const noexcept;

  friend auto operator<=>(const IpAddress &, const IpAddress &) = default;

private:
  bool v6_ = false;
  std::array<std::uint8_t, 16> octets_{};
};

/// "192.0.2.0/24", "2001:db8::/32", or a single address. Bits behind the prefix must be zero.
class Network {
public:
  [[nodiscard]] static Result<Network> parse(std::string_view text);
  [[nodiscard]] bool contains(const IpAddress &address) const noexcept;
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] const IpAddress &base() const noexcept { return base_; }
  [[nodiscard]] int bits() const noexcept { return bits_; }

  friend auto operator<=>(const Network &, const Network &) = default;

private:
  Network(IpAddress base, int bits) : base_(base), bits_(bits) {}
  IpAddress base_;
  int bits_ = 0;
};

/// An address with a port: "192.0.2.1:25", "[2001:db8::1]:25".
struct SocketAddress {
  IpAddress address;
  std::uint16_t port = 0;

  [[nodiscard]] static Result<SocketAddress> parse(std::string_view text, std::uint16_t default_port);
  [[nodiscard]] std::string to_string() const;
  friend auto operator<=>(const SocketAddress &, const SocketAddress &) = default;
};

} // namespace smtp
