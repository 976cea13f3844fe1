#include "mta/config/losses.hpp"

#include <algorithm>

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

/// What of a rule is less than it was; empty: nothing.
template <typename Rule> std::string what_is_less(const Rule &was, const std::optional<Rule> &is, const Rule *now) {
  if (!is) return "is gone";
  if (now == nullptr) return "is only observed";
  if (now->level < was.level)
    return fmt::format("demands {} instead of {}", tls::to_string(now->level), tls::to_string(was.level));
  if (!was.pins.empty() && now->pins.empty()) return "has no pins any more";
  if (!was.crls.empty() && now->crls.empty()) return "has no lists of revoked certificates any more";
  return {};
}

void compare_partners(const Config &before, const Config &loaded, std::chrono::sys_days today,
                      std::vector<Finding> &losses) {
  const std::optional<policy::OutboundRule> no_outbound;
  const std::optional<policy::InboundRule> no_inbound;
  for (const policy::Partner &partner : before.partners.partners()) {
    const auto *outbound = in_force(partner.outbound, today);
    const auto *inbound = in_force(partner.inbound, today);
    std::string less_out, less_in;
    std::string domain;
    for (const smtp::DomainPattern &pattern : partner.domains) {
      const auto example = example_of(pattern);
      if (!example) continue;
      const policy::Partner *now = loaded.partners.find(*example);
      const auto &now_out = now != nullptr ? now->outbound : no_outbound;
      const auto &now_in = now != nullptr ? now->inbound : no_inbound;
      if (outbound != nullptr && less_out.empty())
        less_out = what_is_less(*outbound, now_out, in_force(now_out, today));
      if (inbound != nullptr && less_in.empty()) less_in = what_is_less(*inbound, now_in, in_force(now_in, today));
      if (domain.empty() && !(less_out.empty() && less_in.empty())) domain = pattern.to_string();
    }
    const auto add = [&](const std::string &less, const std::string &place, const char *key, const char *direction) {
      if (!less.empty())
        losses.push_back(finding_at(Severity::error, place, key,
                                    fmt::format("the rule in force of the partner \"{}\" for mail {} {} {}",
                                                smtp::escape(partner.name, 80), direction, domain, less)));
    };
    if (outbound != nullptr) add(less_out, outbound->place, "outbound", "to");
    if (inbound != nullptr) add(less_in, inbound->place, "inbound", "from");
  }
}

void compare_routes(const Config &before, const Config &loaded, std::vector<Finding> &losses) {
  for (const RouteConfig &route : before.routes) {
    for (const smtp::DomainPattern &pattern : route.domains) {
      const auto example = example_of(pattern);
      if (!route.tls || !example) continue;
      const tls::Level was = before.outbound_defaults(*example).level;
      const tls::Level is = loaded.outbound_defaults(*example).level;
      if (is >= was) continue;
      losses.push_back(finding_at(Severity::error, route.route.place, "route.tls",
                                  fmt::format("for {} the route demanded {}, and what holds now demands {}",
                                              pattern.to_string(), tls::to_string(was), tls::to_string(is))));
      break;
    }
  }
}

} // namespace

Losses find_losses(const Config &before, const Config &loaded, std::chrono::system_clock::time_point now) {
  Losses losses;
  compare_domains(before, loaded, losses.recipients);
  compare_partners(before, loaded, std::chrono::floor<std::chrono::days>(now), losses.protection);
  compare_routes(before, loaded, losses.protection);
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
