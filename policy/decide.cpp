// decide_tls: the claims of all sources, weighed; see decide.hpp and claims.hpp.
#include "policy/decide.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "policy/claims.hpp"
#include "smtp/base/text.hpp"

namespace policy {

namespace {

using Effect = Claim::Effect;

void add_reference(std::vector<std::string> &references, const std::string &name) {
  if (!name.empty() && std::find(references.begin(), references.end(), name) == references.end())
    references.push_back(name);
}

/// RFC 7672 section 3.2.2: the TLSA base domain first; behind a secure MX answer the next-hop domain as well.
std::vector<std::string> find_dane_names(const TlsSources &sources) {
  std::vector<std::string> names;
  add_reference(names, sources.dane.base_domain.empty() ? sources.host : sources.dane.base_domain);
  for (const auto &name : sources.dane.names) add_reference(names, name);
  if (sources.mx_trust == NameTrust::dnssec && sources.domain) add_reference(names, sources.domain->ascii());
  return names;
}

std::vector<std::string> find_references(const std::vector<std::string> &match, const TlsSources &sources,
                                         NameTrust name_trust) {
  if (!match.empty()) return match;
  std::vector<std::string> references;
  if (!sources.host.empty() && (name_trust == NameTrust::dnssec || name_trust == NameTrust::sts)) {
    add_reference(references, sources.host);
    const auto state = sources.dane.state;
    const bool secure =
        state == DaneFacts::State::none || state == DaneFacts::State::unusable || state == DaneFacts::State::usable;
    if (name_trust == NameTrust::dnssec && secure) {
      add_reference(references, sources.dane.base_domain);
      for (const auto &name : sources.dane.names) add_reference(references, name);
    }
    return references;
  }
  // A name from an unauthenticated MX answer may be forged, so it is no reference.
  if (sources.domain) add_reference(references, sources.domain->ascii());
  if (sources.route)
    for (const auto &host : sources.route->hosts)
      if (!smtp::IpAddress::parse(host.host)) add_reference(references, host.host);
  return references;
}

/// What the claims so far come to.
struct Weighed {
  tls::Level level = tls::Level::none;
  std::size_t winner = 0;
  Means means;                   ///< of the closest rule that counts: it says how, even when another one says how much
  bool lowered = false;          ///< the last claim that set the level put it below what stood before
  bool rule_proves = false;      ///< a rule of ours demands authenticated or more, so its means hold
  bool rule_beside_dane = false; ///< that rule was written for these domains
  bool partner_proves = false;   ///< that rule is the partner's
  bool by_host_name = false;     ///< MTA-STS demands the host's own name
  std::optional<std::size_t> partner; ///< the partner's rule, or the exception in its place, unless passed over
  std::optional<Unusable> unusable;

  void add(const Claim &claim, std::size_t index);
};

void Weighed::add(const Claim &claim, std::size_t index) {
  if (claim.means) means = *claim.means;
  switch (claim.effect) {
  case Effect::none: return;
  case Effect::caps:
  case Effect::sets:
    unusable.reset();
    if (claim.effect == Effect::caps && level <= claim.level) return;
    lowered = claim.level < level;
    level = claim.level;
    winner = index;
    partner.reset();
    if (claim.reason.source == "exception") partner = index;
    // By the partner's means where it has some: the exception says how much, not how.
    rule_proves = level >= tls::Level::authenticated;
    rule_beside_dane = partner_proves = by_host_name = false;
    return;
  case Effect::demands: break;
  }
  if (claim.reason.source == "partner") partner = index;
  if (claim.forbids && !unusable && !(claim.yields_to_partner && partner_proves)) unusable = claim.forbids;
  by_host_name = by_host_name || claim.by_host_name;
  if (claim.means && claim.level >= tls::Level::authenticated) {
    rule_proves = true;
    rule_beside_dane = claim.for_domain && claim.level == tls::Level::authenticated;
    partner_proves = claim.reason.source == "partner";
  }
  if (claim.level > level || (claim.level == level && claim.means)) {
    level = claim.level;
    lowered = false;
    winner = index;
  }
}

/// What all claims together demand; with `as_if_enforced` the observing ones count too.
Weighed weigh(const std::vector<Claim> &claims, bool as_if_enforced, const TlsSources &sources) {
  Weighed weighed;
  std::size_t route = 0;
  for (std::size_t i = 0; i < claims.size(); ++i) {
    if (claims[i].mode == Mode::observe && !as_if_enforced) continue;
    weighed.add(claims[i], i);
    if (claims[i].reason.source == "route" && i != 0) route = i;
  }
  if (sources.route && sources.route->implicit_tls && weighed.level < tls::Level::encrypted) {
    weighed.level = tls::Level::encrypted; // whoever lowered it: there is no clear text on such a port
    weighed.winner = route;
  }
  if (weighed.level == tls::Level::dane && !weighed.unusable && sources.dane.state != DaneFacts::State::usable) {
    // Demanded by a rule of ours, or by an operator: RFC 8460 section 4.3.2.1.
    const bool failed = sources.dane.state == DaneFacts::State::failed;
    weighed.unusable =
        Unusable{.source = "dane",
                 .reason = fmt::format("DANE is demanded, and {} has no usable TLSA record{}{}",
                                       sources.host.empty() ? "no host is known that" : smtp::escape(sources.host),
                                       sources.dane.detail.empty() ? "" : ": ", smtp::escape(sources.dane.detail, 200)),
                 .fault = failed ? TlsFault::dnssec_invalid : TlsFault::dane_required};
  }
  return weighed;
}

Requirement make_requirement(const Weighed &weighed, const std::vector<Claim> &claims, const TlsSources &sources,
                             NameTrust name_trust) {
  const Means &means = weighed.means;
  Requirement requirement;
  requirement.level = weighed.level;
  requirement.profile =
      weighed.lowered && weighed.level < tls::Level::encrypted ? sources.defaults.profile : *means.profile;
  requirement.requiretls = sources.wish == Wish::require_tls;
  requirement.rule = claims[weighed.winner].reason.rule;
  if (sources.route) {
    requirement.client_certificate = sources.route->client_certificate;
    requirement.implicit_tls = sources.route->implicit_tls;
  }
  if (weighed.by_host_name && !weighed.rule_proves) {
    requirement.trust = "system"; // RFC 8461 section 4.2, whatever a rule for a lower level says
    add_reference(requirement.references, sources.host);
  } else {
    requirement.trust = *means.trust;
    if (means.crls) requirement.crls = *means.crls;
    requirement.references = find_references(*means.match, sources, name_trust);
  }
  if (weighed.level == tls::Level::dane) {
    requirement.and_certificate = weighed.rule_beside_dane;
    requirement.server_name = sources.dane.base_domain; // RFC 7672 section 8.1
    requirement.dane_names = find_dane_names(sources);
    if (sources.dane.state == DaneFacts::State::usable) {
      for (const auto &record : sources.dane.records)
        if (record.usage == 2 || record.usage == 3) requirement.tlsa.push_back(record);
      // The DNS turns the order with every answer; equal sets are to be equal requirements.
      std::sort(requirement.tlsa.begin(), requirement.tlsa.end());
    }
  }
  // Below `authenticated` no certificate is judged.
  if (weighed.level == tls::Level::authenticated ? weighed.rule_proves || !weighed.by_host_name
                                                 : requirement.and_certificate)
    requirement.pins = *means.pins;
  return requirement;
}

bool demands_more(const Requirement &observed, const Requirement &enforced) {
  if (observed.level != enforced.level) return observed.level > enforced.level;
  // Another profile may refuse what this one accepts. Below `encrypted` nothing is refused.
  if (observed.level >= tls::Level::encrypted && observed.profile != enforced.profile) return true;
  if (observed.level < tls::Level::authenticated) return false;
  if (observed.level == tls::Level::dane && !observed.and_certificate) return false;
  return observed.and_certificate != enforced.and_certificate || observed.trust != enforced.trust ||
         observed.crls != enforced.crls || observed.references != enforced.references || observed.pins != enforced.pins;
}

/// The rule of the source that observes and makes the difference: the winner may be one that is enforced all the same,
/// as where a partner's names would count beside DANE.
const std::string &find_observing_rule(const std::vector<Claim> &claims, const Weighed &observed) {
  if (claims[observed.winner].mode == Mode::observe && !observed.unusable) return claims[observed.winner].reason.rule;
  const auto find = [&](auto &&is_wanted) {
    return std::find_if(claims.begin(), claims.end(), [&](const Claim &claim) {
      return claim.mode == Mode::observe && claim.effect != Effect::none && is_wanted(claim);
    });
  };
  if (observed.unusable)
    if (const auto found = find([&](const Claim &claim) { return claim.reason.source == observed.unusable->source; });
        found != claims.end())
      return found->reason.rule;
  const auto found = find([](const Claim &) { return true; }); // a partner's stands before MTA-STS
  return found != claims.end() ? found->reason.rule : claims[observed.winner].reason.rule;
}

} // namespace

Decision decide_tls(const TlsSources &sources) {
  Decision decision;
  decision.name_trust = trust_of_name(sources);
  std::vector<Claim> claims = collect_claims(sources, decision.name_trust);

  Weighed enforced = weigh(claims, false, sources);
  decision.enforced = make_requirement(enforced, claims, sources, decision.name_trust);
  decision.unusable = std::move(enforced.unusable);
  if (enforced.partner) {
    decision.partner_level = claims[*enforced.partner].level;
    decision.partner_rule = claims[*enforced.partner].reason.rule;
  }
  // No demand is more than not to use the host.
  if (!decision.unusable &&
      std::any_of(claims.begin(), claims.end(), [](const Claim &claim) { return claim.mode == Mode::observe; })) {
    Weighed observed = weigh(claims, true, sources);
    Requirement requirement = make_requirement(observed, claims, sources, decision.name_trust);
    requirement.rule = find_observing_rule(claims, observed);
    if (observed.unusable) {
      decision.observed_unusable = std::move(observed.unusable);
      requirement.references.clear(); // nothing that the host may show would do
      requirement.pins.clear();
    }
    if (decision.observed_unusable || demands_more(requirement, decision.enforced))
      decision.observed = std::move(requirement);
  }
  claims[enforced.winner].reason.won = true;
  decision.reasons.reserve(claims.size());
  for (auto &claim : claims) decision.reasons.push_back(std::move(claim.reason));
  for (auto &reason : list_expired(sources)) decision.reasons.push_back(std::move(reason));
  return decision;
}

Mode mode_at(Mode mode, const std::optional<std::chrono::sys_days> &from,
             std::chrono::system_clock::time_point now) noexcept {
  return mode == Mode::enforce && from && std::chrono::floor<std::chrono::days>(now) < *from ? Mode::observe : mode;
}

} // namespace policy
