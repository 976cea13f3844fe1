#include "mta/outbound/find_hosts.hpp"

#include <algorithm>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <fmt/format.h>

#include "mta/config/own_addresses.hpp"
#include "smtp/base/text.hpp"
#include "smtp/dns/hosts.hpp"
#include "smtp/names/address_scope.hpp"

namespace mta {

using smtp::DnsStatus;

namespace {

/// More addresses of one host than this are not tried.
constexpr std::size_t address_limit = 16;

smtp::Reply our_reply(std::uint16_t code, smtp::EnhancedCode enhanced, const std::string &text) {
  return {code, enhanced, text};
}

NextHost make_host(std::string name, int preference, std::uint16_t port) {
  NextHost host;
  if (auto address = smtp::IpAddress::parse(name)) host.address = *address;
  host.name = std::move(name);
  host.preference = static_cast<std::uint16_t>(std::clamp(preference, 0, 65535));
  host.port = port;
  return host;
}

/// The reply codes of RFC 7505 section 4.2 and RFC 3463 for a look-up that cannot succeed.
HostsFailure describe(const smtp::Error &error, const smtp::DnsAnswer<smtp::MxRecord> &answer) {
  if (error.code == smtp::ErrorCode::dns_temporary) return {our_reply(451, {4, 4, 3}, error.detail), error.detail};
  if (answer.status == DnsStatus::no_name) return {our_reply(550, {5, 1, 2}, error.detail), error.detail};
  const bool null_mx =
      answer.status == DnsStatus::ok && answer.unreadable == 0 &&
      std::all_of(answer.records.begin(), answer.records.end(), [](const auto &mx) { return mx.host.empty(); });
  if (null_mx) return {our_reply(556, {5, 1, 10}, error.detail), error.detail};
  return {our_reply(550, {5, 4, 6}, error.detail), error.detail};
}

void shuffle_equal(std::vector<policy::RouteHost> &hosts, const RandomIndex &random) {
  std::stable_sort(hosts.begin(), hosts.end(),
                   [](const auto &left, const auto &right) { return left.preference < right.preference; });
  for (std::size_t first = 0; first < hosts.size();) {
    std::size_t end = first;
    while (end < hosts.size() && hosts[end].preference == hosts[first].preference) ++end;
    for (std::size_t left = end - first; left > 1; --left)
      std::swap(hosts[first + left - 1], hosts[first + random(left)]);
    first = end;
  }
}

/// Adds the MX hosts of `domain` at `port`; the trust and the TTL of the list become the lowest of what was added.
Task<std::optional<HostsFailure>> add_mx_hosts(HostList &list, const Config &config, Resolver &resolver,
                                               smtp::Domain domain, std::uint16_t port, const RandomIndex &random) {
  const auto answer = co_await resolver.mx(domain.ascii());
  const std::vector<std::string> own_names{config.server.hostname};
  auto selected = smtp::select_hosts(domain, answer, own_names, random);
  if (!selected) co_return describe(selected.error(), answer);
  const bool first = list.hosts.empty();
  if (selected->trust != smtp::DnsTrust::secure)
    list.trust = policy::NameTrust::none;
  else if (first)
    list.trust = policy::NameTrust::dnssec;
  list.ttl = first ? answer.ttl : std::min(list.ttl, answer.ttl);
  list.implicit_mx = selected->implicit_mx;
  // RFC 1035 section 3.3.9: the record names a host. One that is an address, or ends in a number as no name of the DNS
  // does (RFC 3696 section 2), is none.
  std::string numeric;
  for (auto &host : selected->hosts) {
    if (!smtp::has_numeric_end(host.name))
      list.hosts.push_back(make_host(std::move(host.name), host.preference, port));
    else
      numeric = std::move(host.name);
  }
  if (list.hosts.empty()) {
    auto detail =
        fmt::format("the MX record of {} names {}, which is not a host name", domain.ascii(), smtp::escape(numeric));
    co_return HostsFailure{our_reply(550, {5, 4, 4}, detail), detail};
  }
  co_return std::nullopt;
}

Task<tl::expected<HostList, HostsFailure>> hosts_of_route(const policy::Route &route, const Config &config,
                                                          Resolver &resolver, const RandomIndex &random) {
  HostList list;
  list.route = &route;
  list.trust = policy::NameTrust::configured;
  list.ttl = std::chrono::seconds(3600);
  auto configured = route.hosts;
  shuffle_equal(configured, random);
  std::optional<HostsFailure> failure;
  for (const auto &host : configured) {
    auto domain = smtp::Domain::parse(host.host);
    if (!route.look_up_mx || !domain || smtp::IpAddress::parse(host.host)) {
      list.hosts.push_back(make_host(host.host, host.preference, host.port));
      continue;
    }
    auto problem = co_await add_mx_hosts(list, config, resolver, std::move(*domain), host.port, random);
    // A name that can be asked for later outweighs one that never resolves: the mail may still go.
    if (problem && (!failure || problem->reply.is_temporary())) failure = std::move(problem);
  }
  if (list.hosts.empty()) {
    if (!failure) failure = HostsFailure{our_reply(451, {4, 3, 5}, "the route has no hosts"), "the route has no hosts"};
    co_return tl::unexpected(std::move(*failure));
  }
  for (auto &host : list.hosts) host.configured = true;
  co_return list;
}

/// What strangers may name, and what routes may: see find_hosts.hpp.
void permit(HostAddresses &found, const Config &config, const NextHost &host) {
  if (found.addresses.empty()) return;
  const auto ours = std::find_if(found.addresses.begin(), found.addresses.end(), [&](const auto &address) {
    const smtp::SocketAddress at{address, host.port};
    return host.configured ? leads_to_us(config, at) : is_own_address(config, at);
  });
  if (ours != found.addresses.end()) {
    found.problem =
        fmt::format("mail loops back to us: {} is at {}, which is our own address", host.name, ours->to_string());
    found.is_us = true;
    found.addresses.clear();
    return;
  }
  if (host.configured) return;
  const smtp::IpAddress first = found.addresses.front();
  // The key that would allow an address; null: it is of the internet. Nobody's mail host ("never"): the machine itself,
  // everybody, or what only the cable knows (a cloud's metadata service).
  const auto key_for = [](const smtp::IpAddress &address) -> const char * {
    const auto scope = smtp::special_scope(address);
    if (scope.empty()) return nullptr;
    if (scope == "unspecified" || scope == "multicast" || scope == "link-local") return "never";
    return scope == "loopback" ? "allow_loopback_addresses" : "allow_private_addresses";
  };
  std::erase_if(found.addresses, [&](const smtp::IpAddress &address) {
    const char *key = key_for(address);
    if (key == nullptr) return false;
    const std::string_view name(key);
    return name == "never" || !(name == "allow_loopback_addresses" ? config.outbound.allow_loopback_addresses
                                                                   : config.outbound.allow_private_addresses);
  });
  if (!found.addresses.empty()) return;
  const std::string_view key = key_for(first);
  found.problem =
      fmt::format("its address {} is not of the internet: {}", first.to_string(), smtp::special_scope(first));
  found.problem += key == "never" ? ", where no mail host is" : fmt::format("; [outbound] {} = false", key);
}

/// The addresses of one answer, or a note of why there are none.
void take_addresses(HostAddresses &found, smtp::DnsAnswer<smtp::IpAddress> &answer, const std::string &name) {
  if (answer.status != DnsStatus::temporary) {
    found.secure = found.secure && answer.trust == smtp::DnsTrust::secure;
    if (found.canonical_name.empty()) found.canonical_name = answer.canonical_name;
  }
  if (answer.status == DnsStatus::ok) {
    found.ttl = found.addresses.empty() ? answer.ttl : std::min(found.ttl, answer.ttl);
    for (const auto &address : answer.records) // one that stands there twice is one
      if (std::find(found.addresses.begin(), found.addresses.end(), address) == found.addresses.end())
        found.addresses.push_back(address);
  } else if (answer.status == DnsStatus::temporary) {
    found.temporary = found.partial = true;
    found.problem = fmt::format("the address of {} cannot be looked up now: {}", name, answer.detail);
  } else if (!found.temporary) {
    found.problem = answer.status == DnsStatus::no_name ? fmt::format("host {} does not exist", name)
                                                        : fmt::format("host {} has no address", name);
  }
}

/// A domain of ours whose mail has nowhere to go is our own slip (no route, an MX that is ourselves, a zone that is
/// gone): its mail was accepted, so it waits until somebody has mended that, and is not bounced.
HostsFailure as_failure_of(const Config &config, const smtp::Domain &domain, HostsFailure failure) {
  if (failure.reply.is_temporary() || !config.domains.contains(domain.ascii())) return failure;
  failure.detail =
      fmt::format("{} is a domain of ours without a route that leads anywhere: {}", domain.ascii(), failure.detail);
  failure.reply = our_reply(451, {4, 3, 5}, failure.detail);
  return failure;
}

/// A host that our configuration names and that is not there is our own slip as well: the mail waits until it is
/// mended.
void wait_for_configured(HostAddresses &found, const NextHost &host) {
  if (!host.configured || !found.addresses.empty() || found.is_us) return;
  found.temporary = true;
  found.problem += " (a route of the configuration names it)";
}

} // namespace

Task<tl::expected<HostList, HostsFailure>> find_hosts(const Config &config, Resolver &resolver, smtp::Domain domain,
                                                      const RandomIndex &random) {
  if (const policy::Route *route = config.find_route(domain)) {
    auto routed = co_await hosts_of_route(*route, config, resolver, random);
    if (!routed) co_return tl::unexpected(as_failure_of(config, domain, std::move(routed.error())));
    co_return routed;
  }
  HostList list;
  auto failure = co_await add_mx_hosts(list, config, resolver, domain, config.outbound.port, random);
  if (failure) co_return tl::unexpected(as_failure_of(config, domain, std::move(*failure)));
  co_return list;
}

HostList hosts_of_literal(const Config &config, const smtp::IpAddress &address) {
  HostList list;
  list.hosts.push_back({address.to_string(), 0, config.outbound.port, address});
  list.ttl = std::chrono::seconds(3600);
  return list;
}

Task<HostAddresses> find_addresses(const Config &config, Resolver &resolver, NextHost host) {
  using namespace asio::experimental::awaitable_operators;
  HostAddresses found;
  const bool v4 = config.outbound.ipv4;
  const bool v6 = config.outbound.ipv6;
  if (host.address) {
    if (host.address->is_v6() ? v6 : v4)
      found.addresses.push_back(*host.address);
    else
      found.problem = fmt::format("{} is of a family that the configuration turns off", host.name);
    found.ttl = std::chrono::seconds(3600);
    permit(found, config, host);
    wait_for_configured(found, host);
    co_return found;
  }
  found.secure = true; // until an answer says otherwise
  if (v4 && v6) {
    auto both = resolver.addresses_v6(host.name) && resolver.addresses_v4(host.name);
    auto answers = co_await std::move(both);
    take_addresses(found, std::get<0>(answers), host.name);
    take_addresses(found, std::get<1>(answers), host.name);
  } else if (v4 || v6) {
    auto question = v6 ? resolver.addresses_v6(host.name) : resolver.addresses_v4(host.name);
    auto answer = co_await std::move(question);
    take_addresses(found, answer, host.name);
  } else {
    found.problem = "both address families are turned off";
  }
  const bool any = !found.addresses.empty();
  if (any) {
    found.problem.clear();
    permit(found, config, host);
  }
  if (found.addresses.size() > address_limit) found.addresses.resize(address_limit);
  if (any) {
    // With one family that could not be asked, what the other one lacks may be there later.
    found.temporary = found.temporary && found.addresses.empty() && !found.is_us;
    found.partial = found.partial || found.temporary;
  } else {
    found.secure = false;
  }
  wait_for_configured(found, host);
  co_return found;
}

} // namespace mta
