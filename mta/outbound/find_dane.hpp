// find_dane: the TLSA records of one next hop, with what DNSSEC says of them (RFC 7672 section 2.2).
#pragma once

#include "mta/base/async.hpp"
#include "mta/dns/resolver.hpp"
#include "mta/outbound/find_hosts.hpp"
#include "policy/tls_sources.hpp"

namespace mta {

/// What decides whether DANE can apply to a host at all.
struct DaneQuestion {
  NextHost host;
  policy::NameTrust trust = policy::NameTrust::none; ///< of the host's name: dnssec or configured, else DANE is off
  HostAddresses addresses;                           ///< of the host, with their DNSSEC state
  std::string next_hop_domain; ///< of the recipient: a further reference identifier of usage 2 where the MX is secure
};

/// Asks for _PORT._tcp.BASE: the end of the host's CNAME chain first, then its own name (section 2.2.2). `resolver`
/// must outlive the call.
[[nodiscard]] Task<policy::DaneFacts> find_dane(Resolver &resolver, DaneQuestion question);

} // namespace mta
