#include "mta/config/snapshot.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "policy/chain_judgement.hpp"

namespace mta {

namespace {

std::string client_key(std::string_view profile, std::string_view certificate) {
  return fmt::format("{}\n{}", profile, certificate);
}

/// A trust store with the revocation lists of a rule.
using TrustNeed = std::pair<std::string, std::vector<std::string>>;

/// A URL's list may not have come yet: until it has, chains that need it fail (fail closed), and the daemon starts.
smtp::Result<std::shared_ptr<const tls::TrustStore>>
load_trust(const std::string &name, const std::vector<std::string> &crls, const KeptCrls &kept) {
  return tls::TrustStore::load(name, crl_sources(crls, kept));
}

/// Which trust stores and client contexts the rules can ask for.
struct Needs {
  std::set<TrustNeed> trust{{"system", {}}};
  std::set<std::pair<std::string, std::string>> clients; ///< profile, certificate
};

Needs find_needs(const Config &config) {
  Needs needs;
  // Any profile may meet any client certificate: a route lends its certificate to whichever rule wins.
  std::set<std::string> profiles{config.outbound.profile};
  std::set<std::string> certificates{""};
  const auto add_route = [&](const policy::Route &route) { certificates.insert(route.client_certificate); };
  for (const auto &route : config.routes) {
    profiles.insert(route.profile);
    needs.trust.emplace(route.tls_trust, std::vector<std::string>());
    add_route(route.route);
  }
  for (const auto &[name, domain] : config.domains)
    if (domain.route) add_route(*domain.route);
  for (const auto &partner : config.partners.partners()) {
    if (partner.outbound) {
      profiles.insert(partner.outbound->profile);
      needs.trust.emplace(partner.outbound->trust, partner.outbound->crls);
      if (partner.outbound->route) add_route(*partner.outbound->route);
    }
    if (partner.inbound) needs.trust.emplace(partner.inbound->trust, partner.inbound->crls);
  }
  for (const auto &listener : config.listeners)
    for (const auto &authority : {listener.trusted_ca, listener.required_ca})
      if (!authority.empty()) needs.trust.emplace(authority, listener.crls);
  needs.trust.emplace(config.mta_sts.trust, std::vector<std::string>());
  needs.trust.emplace(config.tls_reports.https_trust, std::vector<std::string>());
  for (const auto &profile : profiles)
    for (const auto &certificate : certificates) needs.clients.emplace(profile, certificate);
  return needs;
}

tl::unexpected<smtp::Error> at(const std::string &place, smtp::Error error) {
  error.detail = fmt::format("{}: {}", place, error.detail);
  return tl::unexpected<smtp::Error>(std::move(error));
}

smtp::Result<std::shared_ptr<const tls::Context>> build_listener(const Config &config, const ListenerConfig &listener,
                                                                 const std::shared_ptr<tls::TicketKeys> &ticket_keys) {
  tls::ServerContextOptions options;
  options.profile = listener.profile;
  options.ask_client_certificate = listener.request_client_certificate;
  options.client_ca_hints = listener.client_ca_hints;
  options.tickets = listener.tickets;
  for (const auto &certificate : config.certificates)
    if (listener.certificates.empty()) options.certificates.push_back(certificate.files);
  for (const auto &name : listener.certificates)
    if (const auto *certificate = config.find_certificate(name)) options.certificates.push_back(certificate->files);
  return tls::Context::server(options, ticket_keys);
}

} // namespace

smtp::Result<std::shared_ptr<const Snapshot>> Snapshot::build(std::shared_ptr<const Config> config,
                                                              std::shared_ptr<tls::TicketKeys> ticket_keys) {
  auto snapshot = std::make_shared<Snapshot>();
  for (const auto &listener : config->listeners) {
    if (listener.tls == ListenerTls::none) continue;
    auto context = build_listener(*config, listener, ticket_keys);
    if (!context)
      return at(fmt::format("{}: listener \"{}\"", listener.place, listener.name), std::move(context.error()));
    snapshot->listeners_.emplace(listener.name, std::move(*context));
  }
  const Needs needs = find_needs(*config);
  for (const auto &[profile, name] : needs.clients) {
    tls::ClientContextOptions options;
    options.profile = profile;
    const auto *certificate = config->find_certificate(name);
    if (certificate) options.certificate = certificate->files;
    auto context = tls::Context::client(options);
    if (!context)
      return at(
          fmt::format("{}: profile \"{}\" for outgoing mail", certificate ? certificate->place : config->file, profile),
          std::move(context.error()));
    snapshot->clients_.emplace(client_key(profile, name), std::move(*context));
  }
  for (const auto &[name, crls] : needs.trust) {
    auto store = load_trust(name, crls, {});
    if (!store) return at(fmt::format("trust \"{}\"", name), std::move(store.error()));
    snapshot->trust_.emplace(policy::trust_key(name, crls), Trust{name, crls, std::move(*store)});
  }
  snapshot->config_ = std::move(config);
  return snapshot;
}

std::shared_ptr<const tls::Context> Snapshot::listener_context(std::string_view listener) const {
  const auto found = listeners_.find(std::string(listener));
  return found == listeners_.end() ? nullptr : found->second;
}

std::shared_ptr<const tls::Context> Snapshot::client_context(std::string_view profile,
                                                             std::string_view certificate) const {
  const auto found = clients_.find(client_key(profile, certificate));
  return found == clients_.end() ? nullptr : found->second;
}

std::shared_ptr<const tls::TrustStore> Snapshot::trust_store(std::string_view name,
                                                             const std::vector<std::string> &crls) const {
  const auto found = trust_.find(policy::trust_key(name, crls));
  return found == trust_.end() ? nullptr : found->second.store;
}

bool Snapshot::has_crls() const noexcept {
  return std::any_of(trust_.begin(), trust_.end(), [](const auto &entry) { return !entry.second.crls.empty(); });
}

Snapshot::Renewed Snapshot::renew_crls(const KeptCrls &kept) const {
  Renewed renewed;
  auto snapshot = std::make_shared<Snapshot>(*this);
  for (auto &[key, trust] : snapshot->trust_) {
    if (trust.crls.empty()) continue;
    auto store = load_trust(trust.name, trust.crls, kept);
    if (store) {
      renewed.is_changed = renewed.is_changed || (*store)->digest() != trust.store->digest();
      trust.store = std::move(*store);
    } else {
      renewed.problems.push_back(fmt::format("trust \"{}\": {}", trust.name, store.error().detail));
    }
  }
  renewed.snapshot = std::move(snapshot);
  return renewed;
}

} // namespace mta
