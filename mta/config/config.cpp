#include "mta/config/config.hpp"

#include <fmt/format.h>

#include "smtp/base/text.hpp"

namespace mta {

namespace {

/// RFC 5321 section 4.5.1 and RFC 2142: these names are served in every domain.
bool is_role_name(std::string_view local_part) {
  return local_part == "postmaster" || local_part == "abuse";
}

} // namespace

bool Config::is_report_mailbox(const smtp::Mailbox &mailbox) const {
  const auto &known = received_reports.recipients;
  return std::any_of(known.begin(), known.end(), [&](const smtp::Mailbox &report) {
    return report.host() == mailbox.host() && smtp::equals_ignoring_case(report.local_part(), mailbox.local_part());
  });
}

const policy::Route *Config::find_route(const smtp::Domain &domain) const noexcept {
  if (const auto own = domains.find(domain.ascii()); own != domains.end() && own->second.route)
    return &*own->second.route;
  if (const auto *partner = partners.find(domain); partner && partner->outbound && partner->outbound->route)
    return &*partner->outbound->route;
  const RouteConfig *route = find_route_config(domain);
  return route ? &route->route : nullptr;
}

bool Config::is_within_own_domain(std::string_view domain) const {
  for (;;) {
    if (domains.contains(std::string(domain))) return true;
    const auto dot = domain.find('.');
    if (dot == std::string_view::npos) return false;
    domain.remove_prefix(dot + 1);
  }
}

std::vector<const SigningKeyConfig *> Config::find_dkim_keys(std::string_view author_domain) const {
  std::vector<const SigningKeyConfig *> found;
  for (;;) {
    for (const SigningKeyConfig &key : dkim_keys)
      if (key.domain.ascii() == author_domain) found.push_back(&key);
    const auto dot = author_domain.find('.');
    if (!found.empty() || dot == std::string_view::npos) return found;
    author_domain.remove_prefix(dot + 1);
  }
}

const RouteConfig *Config::find_route_config(const smtp::Domain &domain) const noexcept {
  const RouteConfig *best = nullptr;
  int specificity = 0;
  for (const auto &route : routes)
    for (const auto &pattern : route.domains)
      if (pattern.matches(domain) && (!best || pattern.specificity() > specificity)) {
        best = &route;
        specificity = pattern.specificity();
      }
  return best;
}

policy::OutboundDefaults Config::outbound_defaults(const smtp::Domain &domain) const {
  policy::OutboundDefaults defaults;
  defaults.level = outbound.level;
  defaults.profile = outbound.profile;
  const RouteConfig *route = find_route_config(domain);
  if (!route || find_route(domain) != &route->route) return defaults;
  defaults.level = std::max(outbound.level, route->tls.value_or(outbound.level));
  defaults.profile = route->profile;
  defaults.trust = route->tls_trust;
  defaults.match = route->match;
  defaults.pins = route->pins;
  if (route->tls && *route->tls >= outbound.level) {
    defaults.source = policy::Source::route;
    defaults.rule = route->route.name == route->route.place
                        ? fmt::format("{} [[route]]", route->route.place)
                        : fmt::format("{} {} [[route]]", route->route.place, route->route.name);
  }
  return defaults;
}

const CertificateConfig *Config::find_certificate(std::string_view name) const noexcept {
  for (const auto &certificate : certificates)
    if (certificate.name == name) return &certificate;
  return nullptr;
}

namespace {

/// With a delimiter, "user+tag" is known where "user" is (RFC 5233's "detail"). The address itself is handed on whole.
bool is_listed(const DomainConfig &domain, const std::string &local_part) {
  if (domain.recipients.contains(local_part)) return true;
  if (domain.recipient_delimiter.empty()) return false;
  const auto end = local_part.find(domain.recipient_delimiter);
  return end != std::string::npos && end > 0 && domain.recipients.contains(local_part.substr(0, end));
}

} // namespace

policy::LocalRecipient Config::classify(const smtp::ForwardPath &path) const {
  using policy::LocalRecipient;
  const smtp::Mailbox *mailbox = path.mailbox();
  if (!mailbox) return LocalRecipient::known;
  if (!mailbox->domain()) return LocalRecipient::not_ours;
  const auto found = domains.find(mailbox->domain()->ascii());
  if (found == domains.end()) return LocalRecipient::not_ours;
  if (found->second.catch_all) return LocalRecipient::known;
  const std::string local_part = smtp::to_lower(mailbox->local_part());
  if (is_role_name(local_part) || is_listed(found->second, local_part)) return LocalRecipient::known;
  return LocalRecipient::unknown;
}

bool Config::is_caught(const smtp::ForwardPath &path) const {
  const smtp::Mailbox *mailbox = path.mailbox();
  if (!mailbox || !mailbox->domain()) return false;
  const auto found = domains.find(mailbox->domain()->ascii());
  if (found == domains.end()) return false;
  return !found->second.recipients.contains(smtp::to_lower(mailbox->local_part()));
}

bool Config::keeps_requiretls(const smtp::Mailbox &mailbox) const {
  const smtp::Domain *domain = mailbox.domain();
  if (domain == nullptr || is_report_mailbox(mailbox)) return true;
  const auto found = domains.find(domain->ascii());
  return found == domains.end() || found->second.requiretls;
}

smtp::Mailbox Config::resolve_recipient(const smtp::ForwardPath &path) const {
  const smtp::Mailbox *mailbox = path.mailbox();
  if (!mailbox) return queue.postmaster.value();
  if (!mailbox->domain() || !queue.postmaster) return *mailbox;
  const auto found = domains.find(mailbox->domain()->ascii());
  if (found == domains.end() || found->second.catch_all) return *mailbox;
  const std::string local_part = smtp::to_lower(mailbox->local_part());
  if (is_role_name(local_part) && !found->second.recipients.contains(local_part)) return *queue.postmaster;
  return *mailbox;
}

} // namespace mta
