// Partner and PartnerTable: the per-domain policy for known partners, both directions, and its look-up.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "policy/requirement.hpp"
#include "smtp/base/result.hpp"
#include "smtp/names/domain.hpp"
#include "smtp/names/ip_address.hpp"

namespace policy {

/// One host of a route: a name or an address, a port, and whether TLS starts at once.
struct RouteHost {
  std::string host;            ///< a domain name, or an address as text
  std::uint16_t port = 25;
  int preference = 10;         ///< lower first; equal ones are shuffled
  friend bool operator==(const RouteHost &, const RouteHost &) = default;
};

/// How mail for some domains is handed on instead of by MX: smart hosts, a private network.
struct Route {
  std::string name;            ///< for logs; the key's place when it stands in a partner file
  std::vector<RouteHost> hosts;
  bool implicit_tls = false;   ///< TLS from the first octet instead of STARTTLS
  bool look_up_mx = false;     ///< the host is a domain whose MX records are asked for (off: addresses only)
  std::string client_certificate; ///< name of a [[certificate]]; empty: none
  std::string place;           ///< "portcullis.toml:88"
  friend bool operator==(const Route &, const Route &) = default;
};

enum class OnFailure : std::uint8_t { reject, defer };

struct OutboundRule {
  Mode mode = Mode::enforce;
  tls::Level level = tls::Level::authenticated;
  std::vector<std::string> match;
  std::string trust = "system";
  std::vector<std::string> pins;
  std::string profile = "ncsc";
  std::optional<Route> route;
  std::string place; ///< "partners.d/example.toml:9"
};

struct InboundRule {
  Mode mode = Mode::enforce;
  tls::Level level = tls::Level::encrypted;     ///< encrypted or authenticated
  std::vector<std::string> names;               ///< certificate names, patterns of one label; empty: the sender's domain itself
  std::string trust = "system";
  std::vector<std::string> pins;
  bool accept_server_auth = false;
  std::vector<smtp::Network> networks;          ///< instead of a certificate
  OnFailure on_failure = OnFailure::reject;
  std::string place;
};

struct Exception {
  smtp::DomainPattern domain;
  tls::Level level = tls::Level::opportunistic;
  std::string owner;
  std::string reason;
  std::chrono::sys_days expires; ///< counts through this day (UTC)
  std::string place;
};

struct Partner {
  std::string name;
  std::vector<smtp::DomainPattern> domains;
  std::string contact;
  std::string reference;
  std::optional<std::chrono::sys_days> review;
  std::optional<OutboundRule> outbound;
  std::optional<InboundRule> inbound;
  std::vector<Exception> exceptions;
  std::string file;
};

/// Immutable after build(). Look-up is by hash of the name and its parents: no slower with 10,000 partners.
class PartnerTable {
public:
  PartnerTable() = default;
  /// Fails when two partners claim the same pattern ("overlapping rules"), naming both places.
  [[nodiscard]] static smtp::Result<PartnerTable> build(std::vector<Partner> partners);

  /// The partner whose pattern matches best (exact before wildcard, longest wildcard first), or null.
  [[nodiscard]] const Partner *find(const smtp::Domain &domain) const noexcept;
  /// The most specific exception for the domain, expired or not; null if none. Of several equally specific the last to expire.
  [[nodiscard]] const Exception *find_exception(const smtp::Domain &domain) const noexcept;
  [[nodiscard]] const std::vector<Partner> &partners() const noexcept { return partners_; }

private:
  std::vector<Partner> partners_;
  std::unordered_map<std::string, std::size_t> by_pattern_; ///< DomainPattern::to_string() to index
  std::unordered_map<std::string, std::pair<std::size_t, std::size_t>> exceptions_; ///< partner, exception
};

} // namespace policy
