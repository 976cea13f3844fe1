// find_hosts: which hosts take the mail for a domain, by route or by MX, and at which addresses.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mta/base/async.hpp"
#include "mta/config/config.hpp"
#include "mta/dns/resolver.hpp"
#include "policy/decide.hpp"
#include "smtp/wire/reply.hpp"

namespace mta {

/// One host to try.
struct NextHost {
  std::string name; ///< domain name, or the address as text
  std::uint16_t preference = 0;
  std::uint16_t port = 25;
  std::optional<smtp::IpAddress> address; ///< set when the name is an address: nothing is looked up
  bool configured = false;                ///< of a route: what the operator wants, wherever it is
};

struct HostList {
  std::vector<NextHost> hosts;          ///< in the order to try
  const policy::Route *route = nullptr; ///< lives as long as the Config
  policy::NameTrust trust = policy::NameTrust::none;
  bool implicit_mx = false; ///< no MX record: the domain itself
  std::chrono::seconds ttl{0};
};

/// Why there are no hosts; the reply is ours and says whether trying again makes sense.
struct HostsFailure {
  smtp::Reply reply;
  std::string detail; ///< one sentence for people
};

/// Uniform in [0, n).
using RandomIndex = std::function<std::size_t(std::size_t)>;

/// The route of the domain if it has one, else its MX hosts. `config`, `resolver` and `random` must outlive the call.
[[nodiscard]] Task<tl::expected<HostList, HostsFailure>> find_hosts(const Config &config, Resolver &resolver,
                                                                    smtp::Domain domain, const RandomIndex &random);
/// RFC 5321 section 5.1: mail for user@[192.0.2.1] goes to that address.
[[nodiscard]] HostList hosts_of_literal(const Config &config, const smtp::IpAddress &address);

struct HostAddresses {
  std::vector<smtp::IpAddress> addresses; ///< IPv6 first
  bool temporary = false;                 ///< none now, perhaps later
  std::string problem;                    ///< why there are none
  std::chrono::seconds ttl{0};
  bool secure = false;        ///< every answer that gave an address, or said that there is none, is DNSSEC-secure
  std::string canonical_name; ///< the end of the CNAME chain; empty: no alias
  bool partial = false;       ///< a question failed for now: what is here is not believed for long
  bool is_us = false;         ///< RFC 5321 section 5.1: one of the addresses is ours; `addresses` is empty then
};
/// Asks for the address families that the configuration allows. What strangers' records and literals lead to is looked
/// at: addresses that nobody else may have (unspecified, multicast) never count, those that the internet does not reach
/// (private and the like) only with allow_private_addresses, loopback only with allow_loopback_addresses; unspecified,
/// multicast and link-local ones never. Routes are free, but may not lead to ourselves. Own: see
/// mta/config/own_addresses.hpp.
[[nodiscard]] Task<HostAddresses> find_addresses(const Config &config, Resolver &resolver, NextHost host);

} // namespace mta
