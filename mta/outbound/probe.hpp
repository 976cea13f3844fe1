// probe: connects to every address of a domain's hosts, as far as the TLS handshake, and says what a session would
// show.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "mta/base/async.hpp"
#include "mta/config/config.hpp"
#include "mta/dns/resolver.hpp"
#include "mta/net/workers.hpp"
#include "policy/evidence.hpp"
#include "tls/context.hpp"

namespace mta {

/// One address that was tried.
struct ProbeResult {
  std::string host;
  std::string address; ///< empty: the host has none
  std::string problem; ///< why no session came about; empty: `row` is filled
  policy::EvidenceRow row;
};

/// What a probe needs besides the domain. All must outlive it.
struct ProbeServices {
  const Config &config;
  Resolver &resolver;
  Worker &worker;
  std::shared_ptr<const tls::Context> context;
  /// The stores to judge each chain against, under policy::trust_key().
  std::vector<std::pair<std::string, std::shared_ptr<const tls::TrustStore>>> stores;
  std::chrono::seconds timeout{20}; ///< for connecting, and for each step after it
  std::size_t limit = 100;          ///< addresses; further ones are not tried
};

/// The hosts of the domain by route or MX, each address in turn: EHLO, STARTTLS, handshake, EHLO, QUIT. No MAIL is
/// said, and nothing is sent in clear but EHLO, STARTTLS and QUIT. The rows hold no DANE or MTA-STS state: `explain`
/// tells of them. Never throws.
[[nodiscard]] Task<std::vector<ProbeResult>> probe(const ProbeServices &services, smtp::Domain domain);

} // namespace mta
