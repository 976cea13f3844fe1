#include "mta/config/losses.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "mta/config/faults.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

void compare_domains(const Config &before, const Config &loaded, std::vector<Finding> &losses) {
  for (const auto &[name, was] : before.domains) {
    const auto found = loaded.domains.find(name);
    if (found == loaded.domains.end()) {
      losses.push_back(finding_at(Severity::error, was.place, "domain",
                                  fmt::format("{} was a domain of ours and no longer is; all its mail would be refused "
                                              "for good, or taken for somebody else's",
                                              name)));
      continue;
    }
    // With catch_all before or now somebody changed the configuration itself and meant it.
    if (was.catch_all || found->second.catch_all) continue;
    const std::size_t count = was.recipients.size();
    const std::size_t now = found->second.recipients.size();
    if (count == 0 || now * 2 > count) continue;
    losses.push_back(finding_at(
        Severity::error, found->second.place,
        found->second.recipients_file.empty() ? "domain.recipients" : "domain.recipients_file",
        fmt::format("the list of {} had {} recipients and has {} now; mail for those who are missing would be refused "
                    "for good",
                    name, count, now == 0 ? std::string("none") : std::to_string(now))));
  }
}

/// A domain for which a pattern speaks.
std::optional<smtp::Domain> example_of(const smtp::DomainPattern &pattern) {
  const std::string text = pattern.to_string() == "*" ? "*.invalid" : pattern.to_string();
  auto domain = smtp::Domain::parse(text.starts_with("*.") ? "any-domain." + text.substr(2) : text);
  return domain ? std::optional(std::move(*domain)) : std::nullopt;
}

/// Null: it demands nothing on that day.
template <typename Rule> const Rule *in_force(const std::optional<Rule> &rule, std::chrono::sys_days today) noexcept {
  return rule && rule->mode == policy::Mode::enforce && (!rule->from || *rule->from <= today) ? &*rule : nullptr;
}

/// Where a certificate has to lead: a file of ours is less than any CA of the operating system.
bool is_wider_trust(const std::string &was, const std::string &is) noexcept {
  return was != is && is == "system";
}

/// Listeners of a rule; none: all of them.
bool holds_at_fewer(const std::vector<std::string> &was, const std::vector<std::string> &is) {
  if (is.empty()) return false;
  return was.empty() || std::any_of(was.begin(), was.end(), [&](const std::string &name) {
           return std::find(is.begin(), is.end(), name) == is.end();
         });
}

std::string what_is_less_here(const policy::OutboundRule &was, const policy::OutboundRule &now) {
  if (!was.match.empty() && now.match.empty()) return "has no names in `match` any more";
  return {};
}

std::string what_is_less_here(const policy::InboundRule &was, const policy::InboundRule &now) {
  if (!was.names.empty() && now.names.empty() && was.pins.empty()) return "has no certificate names any more";
  if (was.authors && !now.authors) return "does not hold for authors any more";
  if (holds_at_fewer(was.listeners, now.listeners)) return "does not hold at all listeners any more";
  if (was.networks.empty() && !now.networks.empty()) return "takes a network instead of a certificate";
  return {};
}

/// What of a rule is less than it was; empty: nothing.
template <typename Rule> std::string what_is_less(const Rule &was, const std::optional<Rule> &is, const Rule *now) {
  if (!is) return "is gone";
  if (now == nullptr) return "is only observed";
  if (now->level < was.level)
    return fmt::format("demands {} instead of {}", tls::to_string(now->level), tls::to_string(was.level));
  if (!was.pins.empty() && now->pins.empty()) return "has no pins any more";
  if (!was.crls.empty() && now->crls.empty()) return "has no lists of revoked certificates any more";
  if (is_wider_trust(was.trust, now->trust))
    return fmt::format("trusts the CAs of the operating system instead of {}", smtp::escape(was.trust));
  return what_is_less_here(was, *now);
}

/// One domain for each pattern of both: a new pattern may take domains from under an old one.
template <typename Owners, typename Patterns>
std::vector<std::pair<std::string, smtp::Domain>> examples_of(const Owners &before, const Owners &loaded,
                                                              Patterns patterns_of) {
  std::vector<std::pair<std::string, smtp::Domain>> examples;
  for (const Owners *owners : {&before, &loaded})
    for (const auto &owner : *owners)
      for (const smtp::DomainPattern &pattern : patterns_of(owner))
        if (auto example = example_of(pattern)) examples.emplace_back(pattern.to_string(), std::move(*example));
  return examples;
}

/// Each partner that lost something once, by the first domain that shows it.
void compare_partners(const Config &before, const Config &loaded, std::chrono::sys_days today,
                      std::vector<Finding> &losses) {
  const std::optional<policy::OutboundRule> no_outbound;
  const std::optional<policy::InboundRule> no_inbound;
  std::set<std::string> told;
  const auto add = [&](const policy::Partner &partner, const std::string &less, const std::string &place,
                       const char *key, const char *direction, const std::string &domain) {
    if (less.empty() || !told.insert(place + key).second) return;
    losses.push_back(finding_at(Severity::error, place, key,
                                fmt::format("the rule in force of the partner \"{}\" for mail {} {} {}",
                                            smtp::escape(partner.name, 80), direction, domain, less)));
  };
  const auto domains_of = [](const policy::Partner &partner) -> const auto & {
    return partner.domains;
  };
  for (const auto &[name, example] : examples_of(before.partners.partners(), loaded.partners.partners(), domains_of)) {
    const policy::Partner *was = before.partners.find(example);
    if (was == nullptr) continue;
    const policy::Partner *now = loaded.partners.find(example);
    const auto &now_out = now != nullptr ? now->outbound : no_outbound;
    const auto &now_in = now != nullptr ? now->inbound : no_inbound;
    if (const auto *rule = in_force(was->outbound, today))
      add(*was, what_is_less(*rule, now_out, in_force(now_out, today)), rule->place, "outbound", "to", name);
    if (const auto *rule = in_force(was->inbound, today))
      add(*was, what_is_less(*rule, now_in, in_force(now_in, today)), rule->place, "inbound", "from", name);
  }
}

std::string what_is_less(const policy::OutboundDefaults &was, const policy::OutboundDefaults &is) {
  if (is.level < was.level)
    return fmt::format("demanded {}, and what holds now demands {}", tls::to_string(was.level),
                       tls::to_string(is.level));
  if (is.level < tls::Level::authenticated) return {};
  if (!was.pins.empty() && is.pins.empty()) return "had pins, and what holds now has none";
  if (!was.match.empty() && is.match.empty()) return "had names in `match`, and what holds now has none";
  if (is_wider_trust(was.trust, is.trust))
    return fmt::format("trusted {}, and what holds now trusts the CAs of the operating system",
                       smtp::escape(was.trust));
  return {};
}

void compare_routes(const Config &before, const Config &loaded, std::vector<Finding> &losses) {
  std::set<std::string> told;
  const auto domains_of = [](const RouteConfig &route) -> const auto & {
    return route.domains;
  };
  for (const auto &[name, example] : examples_of(before.routes, loaded.routes, domains_of)) {
    const policy::OutboundDefaults was = before.outbound_defaults(example);
    if (was.source != policy::Source::route) continue;
    const std::string less = what_is_less(was, loaded.outbound_defaults(example));
    if (less.empty() || !told.insert(was.rule).second) continue;
    losses.push_back(finding_at(Severity::error, was.rule.substr(0, was.rule.find(' ')), "route.tls",
                                fmt::format("for {} the route {}", name, less)));
  }
}

void compare_listeners(const Config &before, const Config &loaded, std::vector<Finding> &losses) {
  for (const ListenerConfig &was : before.listeners) {
    const auto is = std::find_if(loaded.listeners.begin(), loaded.listeners.end(),
                                 [&](const ListenerConfig &one) { return one.name == was.name; });
    if (is == loaded.listeners.end()) continue; // nobody gets in there
    const auto add = [&](bool is_less, const char *key, const char *text) {
      if (is_less)
        losses.push_back(
            finding_at(Severity::error, is->place, key, fmt::format("listener \"{}\" {}", was.name, text)));
    };
    add(was.require_tls && !is->require_tls, "listener.require_tls", "demanded TLS and no longer does");
    add(was.require_client_certificate && !is->require_client_certificate, "listener.require_client_certificate",
        "demanded a client certificate and no longer does");
    add(!was.required_names.empty() && is->required_names.empty(), "listener.required_names",
        "took certificates with certain names only, and takes any now");
    add(!was.allowed_senders.empty() && is->allowed_senders.empty(), "listener.allowed_senders",
        "let clients use certain senders only, and lets them use any now");
    add(was.check_senders && !is->check_senders, "listener.check_senders",
        "checked who sent mail from outside and no longer does");
  }
}

void compare_switches(const Config &before, const Config &loaded, std::vector<Finding> &losses) {
  const auto add = [&](bool was, bool is, const char *key, const char *text) {
    if (was && !is) losses.push_back({Severity::error, loaded.file, 0, key, text});
  };
  add(before.outbound.dane, loaded.outbound.dane, "outbound.dane",
      "TLSA records of others were kept to and no longer are");
  add(before.authentication.enabled, loaded.authentication.enabled, "authentication.enabled",
      "mail from outside was checked and no longer is");
  add(before.authentication.rules.own_domain_shield, loaded.authentication.rules.own_domain_shield,
      "authentication.own_domain_shield", "our own domains in From were refused from outside and no longer are");
  add(before.tls_memory.enabled && !before.tls_memory.protect.empty(),
      loaded.tls_memory.enabled && !loaded.tls_memory.protect.empty(), "tls_memory.protect",
      "domains that always had TLS were protected and no longer are");
}

} // namespace

Losses find_losses(const Config &before, const Config &loaded, std::chrono::system_clock::time_point now) {
  Losses losses;
  compare_domains(before, loaded, losses.recipients);
  compare_partners(before, loaded, std::chrono::floor<std::chrono::days>(now), losses.protection);
  compare_routes(before, loaded, losses.protection);
  compare_listeners(before, loaded, losses.protection);
  compare_switches(before, loaded, losses.protection);
  if (loaded.outbound.level < before.outbound.level)
    losses.protection.push_back({Severity::error, loaded.file, 0, "outbound.tls",
                                 fmt::format("demands {} instead of {}", tls::to_string(loaded.outbound.level),
                                             tls::to_string(before.outbound.level))});
  for (auto *findings : {&losses.recipients, &losses.protection})
    std::stable_sort(findings->begin(), findings->end(), [](const Finding &left, const Finding &right) {
      return left.file != right.file ? left.file < right.file : left.line < right.line;
    });
  return losses;
}

std::vector<Finding> with_remedy(std::vector<Finding> findings, Severity severity, std::string_view remedy) {
  for (Finding &finding : findings) {
    finding.severity = severity;
    finding.message += ". ";
    finding.message += remedy;
  }
  return findings;
}

} // namespace mta
