#include "mta/config/faults.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "mta/config/own_addresses.hpp"
#include "mta/config/units.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

bool has_mx_listener(const Config &config) {
  return std::any_of(config.listeners.begin(), config.listeners.end(),
                     [](const ListenerConfig &listener) { return listener.role == policy::ListenerRole::mx; });
}

/// Every mailbox of the domain that is not the postmaster's is read here as a report and goes nowhere.
bool serves_reports_only(const Config &config, const DomainConfig &domain) {
  if (domain.catch_all || domain.recipients.empty()) return false;
  return std::all_of(domain.recipients.begin(), domain.recipients.end(), [&](const std::string &local_part) {
    const auto mailbox = smtp::Mailbox::create(local_part, domain.domain);
    return mailbox && config.is_report_mailbox(*mailbox);
  });
}

/// RFC 6761 section 6.3: the names of the loopback addresses.
bool is_localhost(std::string_view name) {
  const std::string lower = smtp::to_lower(name.ends_with('.') ? name.substr(0, name.size() - 1) : name);
  return lower == "localhost" || lower == "localhost.localdomain" || lower == "ip6-localhost" ||
         lower.ends_with(".localhost");
}

/// What of ours a route's host is, without asking the DNS; empty: nothing. A host that is looked up by MX may have our
/// own name: our MX is then another host, and delivery looks.
std::string leads_back(const Config &config, const policy::RouteHost &host, bool look_up_mx) {
  const auto address = smtp::IpAddress::parse(host.host);
  std::vector<smtp::IpAddress> addresses;
  if (address) addresses.push_back(*address);
  if (!address && is_localhost(host.host))
    addresses = {smtp::IpAddress::parse("127.0.0.1").value(), smtp::IpAddress::parse("::1").value()};
  for (const smtp::IpAddress &one : addresses) {
    if (const ListenerConfig *listener = listener_at(config, {one, host.port}))
      return fmt::format("our own listener \"{}\"", listener->name);
    if (leads_to_us(config, {one, host.port})) return "our own address in server.outside_addresses";
  }
  if (look_up_mx || !smtp::equals_ignoring_case(host.host, config.server.hostname)) return {};
  for (const ListenerConfig &listener : config.listeners)
    for (const smtp::SocketAddress &bound : listener.addresses)
      if (bound.port == host.port) return fmt::format("our own listener \"{}\"", listener.name);
  // Behind a port that is handed on, the listener has another one.
  if (host.port == 25 && !config.server.outside_addresses.empty()) return "our own name, server.hostname";
  return {};
}

void check_hosts(const Config &config, const policy::Route &route, const std::string &whose, const std::string &place,
                 std::vector<Finding> &findings) {
  for (const policy::RouteHost &host : route.hosts) {
    const std::string what = leads_back(config, host, route.look_up_mx);
    if (what.empty()) continue;
    Finding finding = finding_at(Severity::fault, route.place.empty() ? place : route.place, "route",
                                 fmt::format("mail for {} would go to {} port {}, which is {}: it would come back for "
                                             "ever. Another server on this machine needs an address or a port of its "
                                             "own",
                                             whose, host.host, host.port, what));
    const bool is_told = std::any_of(findings.begin(), findings.end(), [&finding](const Finding &other) {
      return other.file == finding.file && other.line == finding.line && other.key == finding.key;
    });
    if (!is_told) findings.push_back(std::move(finding));
  }
}

void check_route(const Config &config, const DomainConfig &domain, std::vector<Finding> &findings) {
  const std::string name = domain.domain.ascii();
  const policy::Route *route = config.find_route(domain.domain);
  if (!route) {
    findings.push_back(finding_at(
        Severity::fault, domain.place, "domain",
        fmt::format(
            "{0} has no route: its mail would go by MX, which leads back to this host, and would wait here. Add "
            "where it goes, such as route = [\"mailstore.{0}:25\"]; a second MX, which hands mail on to "
            "the first, says route = {{ hosts = [\"{0}\"], look_up_mx = true }}",
            name)));
    return;
  }
  check_hosts(config, *route, name, domain.place, findings);
}

/// Routes for the domains of others: those of [[route]] and of partners' rules.
void check_other_routes(const Config &config, std::vector<Finding> &findings) {
  for (const RouteConfig &route : config.routes) {
    const bool one = route.domains.size() == 1;
    check_hosts(config, route.route,
                route.domains.empty() ? "it" : route.domains.front().to_string() + (one ? "" : " …"), route.route.place,
                findings);
  }
  for (const policy::Partner &partner : config.partners.partners())
    if (partner.outbound && partner.outbound->route)
      check_hosts(config, *partner.outbound->route, fmt::format("the partner \"{}\"", smtp::escape(partner.name, 80)),
                  partner.outbound->place, findings);
}

/// An inbound rule in force that no listener can satisfy refuses all of the partner's mail.
void check_inbound_rules(const Config &config, std::chrono::sys_days today, std::vector<Finding> &findings) {
  for (const policy::Partner &partner : config.partners.partners()) {
    if (!partner.inbound || partner.inbound->mode != policy::Mode::enforce) continue;
    const policy::InboundRule &rule = *partner.inbound;
    if (rule.from && *rule.from > today) continue;
    const bool needs_certificate = rule.level >= tls::Level::authenticated && rule.networks.empty();
    for (const ListenerConfig &listener : config.listeners) {
      const bool holds_there = rule.listeners.empty() ? listener.role == policy::ListenerRole::mx
                                                      : std::find(rule.listeners.begin(), rule.listeners.end(),
                                                                  listener.name) != rule.listeners.end();
      if (!holds_there) continue;
      const char *what =
          listener.tls == ListenerTls::none ? "offers no TLS (tls = \"none\")"
          : needs_certificate && !listener.request_client_certificate && !listener.require_client_certificate
              ? "asks for no client certificate (request_client_certificate = false)"
              : nullptr;
      if (what == nullptr) continue;
      findings.push_back(
          finding_at(Severity::fault, rule.place, "inbound",
                     fmt::format("the listener \"{}\" {}: all mail of the partner \"{}\" would be refused "
                                 "there",
                                 listener.name, what, smtp::escape(partner.name, 80))));
    }
  }
}

} // namespace

Finding finding_at(Severity severity, const std::string &place, std::string key, std::string message) {
  const auto colon = place.rfind(':');
  const auto line = colon == std::string::npos ? std::nullopt : smtp::parse_number(place.substr(colon + 1));
  if (!line) return {severity, place, 0, std::move(key), std::move(message)};
  return {severity, place.substr(0, colon), static_cast<std::size_t>(*line), std::move(key), std::move(message)};
}

std::vector<Finding> find_faults(const Config &config, std::chrono::system_clock::time_point now) {
  std::vector<Finding> findings;
  if (has_mx_listener(config))
    for (const auto &[name, domain] : config.domains)
      if (!serves_reports_only(config, domain)) check_route(config, domain, findings);
  check_other_routes(config, findings);
  check_inbound_rules(config, std::chrono::floor<std::chrono::days>(now), findings);
  for (const CertificateConfig &certificate : config.certificates)
    if (certificate.not_after && *certificate.not_after <= now)
      findings.push_back(
          finding_at(Severity::fault, certificate.place, "certificate",
                     fmt::format("the certificate \"{}\" expired on {}: who demands authentication sends us no mail",
                                 smtp::escape(certificate.name, 80),
                                 format_date(std::chrono::floor<std::chrono::days>(*certificate.not_after)))));
  std::stable_sort(findings.begin(), findings.end(), [](const Finding &left, const Finding &right) {
    return left.file != right.file ? left.file < right.file : left.line < right.line;
  });
  return findings;
}

} // namespace mta
