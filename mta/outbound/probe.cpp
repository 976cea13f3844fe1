#include "mta/outbound/probe.hpp"

#include <array>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "mta/net/connect.hpp"
#include "mta/outbound/find_hosts.hpp"
#include "mta/tally/evidence_row.hpp"
#include "smtp/base/text.hpp"
#include "smtp/session/client_session.hpp"
#include "tls/stream.hpp"

namespace mta {

namespace {

/// One session under way.
struct Probing {
  const ProbeServices &services;
  const NextHost &host;
  const policy::Route *route;
  tls::Stream stream;
  smtp::ClientSession session;
  TlsSession found;
  std::string problem;
};

void set_deadline(Probing &probing) {
  probing.stream.set_deadline(tls::Stream::Clock::now() + probing.services.timeout);
}

/// After the handshake: what each store says of the chain.
void judge_chain(Probing &probing) {
  probing.found.facts = probing.stream.facts();
  const auto chain = probing.stream.peer_chain();
  const auto now = std::chrono::system_clock::now();
  for (const auto &[name, store] : probing.services.stores) {
    const tls::ChainVerdict verdict = tls::verify_chain(chain.get(), *store, tls::Purpose::server, now);
    if (name == "system") probing.found.system_trusted = verdict.trusted;
    probing.found.judgements.push_back({name, verdict});
  }
}

Task<bool> shake_hands(Probing &probing) {
  set_deadline(probing);
  std::string server_name = probing.host.address ? std::string() : probing.host.name;
  auto done = co_await probing.stream.handshake(probing.services.context, tls::Role::client, std::move(server_name));
  if (!done) {
    probing.found.tls_problem = "the TLS handshake failed: " + smtp::escape(done.error().detail, 300);
    co_return false;
  }
  judge_chain(probing);
  co_return true;
}

Task<bool> read_more(Probing &probing) {
  std::array<char, 4096> buffer{};
  set_deadline(probing);
  const auto got = co_await probing.stream.read_some(buffer);
  if (!got) {
    if (probing.problem.empty()) probing.problem = got.error().detail;
    co_return false;
  }
  probing.session.feed(std::string_view(buffer.data(), *got));
  co_return true;
}

/// True: the handshake is done and the session goes on in it.
Task<bool> start_tls(Probing &probing) {
  if (probing.stream.readable_now()) {
    probing.found.tls_problem = "octets in clear came after the answer to STARTTLS";
    co_return false;
  }
  const bool done = co_await shake_hands(probing);
  if (done) probing.session.tls_done();
  co_return done;
}

void note_failure(Probing &probing, const smtp::ClientFailed &failed) {
  using Stage = smtp::ClientFailed::Stage;
  if (failed.stage == Stage::starttls_absent)
    probing.found.tls_problem = "STARTTLS was not offered";
  else if (failed.stage == Stage::starttls_refused || failed.stage == Stage::starttls_injected)
    probing.found.tls_problem = smtp::escape(failed.detail, 300);
  else if (!probing.found.facts.encrypted && probing.problem.empty())
    probing.problem = smtp::escape(failed.detail, 300);
}

/// Until QUIT is answered, or nothing more can be learned.
Task<void> converse(Probing &probing) {
  if (probing.route && probing.route->implicit_tls) {
    const bool done = co_await shake_hands(probing);
    if (!done) co_return;
  }
  for (int turn = 0; turn < 200; ++turn) {
    auto action = probing.session.next();
    bool goes_on = true;
    if (auto *send = std::get_if<smtp::ClientSend>(&action)) {
      set_deadline(probing);
      const auto written = co_await probing.stream.write(send->octets);
      goes_on = written.has_value();
      if (!goes_on) probing.problem = written.error().detail;
    } else if (std::holds_alternative<smtp::ClientWait>(action)) {
      goes_on = co_await read_more(probing);
    } else if (std::holds_alternative<smtp::ClientStartTls>(action)) {
      probing.found.starttls_offered = true;
      goes_on = co_await start_tls(probing);
    } else if (std::holds_alternative<smtp::ClientReady>(action)) {
      probing.session.quit();
    } else if (const auto *failed = std::get_if<smtp::ClientFailed>(&action)) {
      note_failure(probing, *failed);
      goes_on = false;
    } else {
      goes_on = false;
    }
    if (!goes_on) co_return;
  }
}

/// What find_hosts() settled for all hosts of the domain.
struct Destination {
  std::string domain;
  const policy::Route *route = nullptr;
  policy::NameTrust trust = policy::NameTrust::none;
};

Task<ProbeResult> probe_address(const ProbeServices &services, Destination destination, NextHost host,
                                smtp::SocketAddress address) {
  ProbeResult result;
  result.host = host.name;
  result.address = address.address.to_string();
  ConnectOptions options;
  options.timeout = services.timeout;
  options.source_addresses = services.config.outbound.source_addresses;
  std::vector<smtp::SocketAddress> addresses(1, address);
  auto connected = co_await connect_to(std::move(addresses), std::move(options));
  if (!connected.socket) {
    result.problem = format_failures(connected.failures);
    co_return result;
  }
  smtp::ClientOptions client;
  client.hostname = services.config.server.hostname;
  client.inside_tls = destination.route != nullptr && destination.route->implicit_tls;
  client.starttls = client.inside_tls ? smtp::StartTlsUse::never : smtp::StartTlsUse::required;
  Probing probing{services,
                  host,
                  destination.route,
                  tls::Stream(std::move(*connected.socket)),
                  smtp::ClientSession(std::move(client)),
                  {},
                  {}};
  const Watchdog::Watch watch(services.worker.watchdog, probing.stream);
  probing.found.time = std::chrono::system_clock::now();
  probing.found.domain = destination.domain;
  probing.found.host = host.name;
  probing.found.address = result.address;
  probing.found.by_route = destination.route != nullptr;
  probing.found.name_trust = destination.trust;
  co_await converse(probing);
  probing.stream.close();
  // A server that ends the session badly after TLS has shown what there was to see.
  if (!probing.found.facts.encrypted && probing.found.tls_problem.empty()) {
    result.problem = probing.problem.empty() ? "the session ended before STARTTLS" : probing.problem;
    co_return result;
  }
  result.row = make_evidence_row(probing.found, destination.domain);
  co_return result;
}

} // namespace

Task<std::vector<ProbeResult>> probe(const ProbeServices &services, smtp::Domain domain) {
  std::vector<ProbeResult> results;
  const RandomIndex first = [](std::size_t) { return std::size_t{0}; };
  auto hosts = co_await find_hosts(services.config, services.resolver, domain, first);
  if (!hosts) {
    ProbeResult failed;
    failed.problem = hosts.error().detail;
    results.push_back(std::move(failed));
    co_return results;
  }
  Destination destination;
  destination.domain = domain.ascii();
  destination.route = hosts->route;
  destination.trust = hosts->trust;
  for (const NextHost &host : hosts->hosts) {
    auto addresses = co_await find_addresses(services.config, services.resolver, host);
    if (addresses.addresses.empty()) {
      ProbeResult failed;
      failed.host = host.name;
      failed.problem = addresses.problem;
      results.push_back(std::move(failed));
    }
    for (const smtp::IpAddress &address : addresses.addresses) {
      if (results.size() >= services.limit) co_return results;
      smtp::SocketAddress socket_address = {address, host.port};
      auto result = co_await probe_address(services, destination, host, socket_address);
      results.push_back(std::move(result));
    }
  }
  co_return results;
}

} // namespace mta
