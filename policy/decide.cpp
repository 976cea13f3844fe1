// decide_tls: the claims of all sources, weighed.
#include "policy/decide.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "policy/claims.hpp"
#include "smtp/base/text.hpp"
#include "tls/core/profile.hpp"

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
  // A name from an unauthenticated MX answer may be forged, so it is not a reference.
  if (sources.domain) add_reference(references, sources.domain->ascii());
  if (sources.route)
    for (const auto &host : sources.route->hosts)
      if (!smtp::IpAddress::parse(host.host)) add_reference(references, host.host);
  return references;
}

/// How much a claim asks for, as an exception counts it: a host that is forbidden is as far from any lower level as the
/// proof that the source wants.
tls::Level reach_of(const Claim &claim) {
  if (!claim.forbids) return claim.level;
  return claim.forbids->source == Source::dane ? tls::Level::dane : std::max(claim.level, tls::Level::authenticated);
}

bool is_rule(const Claim &claim) {
  return claim.means.has_value();
}

/// What the claims so far come to.
struct Weighed {
  tls::Level level = tls::Level::none;
  std::size_t winner = 0;
  std::vector<const Claim *> standing; ///< demands that nothing has taken away, in their order
  std::vector<const Claim *> rules;    ///< of ours, also those whose level was lowered: they still say how
  bool lowered = false;                ///< the last claim that set the level put it below what stood before
  std::optional<std::size_t> partner;  ///< the partner's rule, or the exception in its place, unless passed over
  std::optional<Unusable> unusable;

  void add(const Claim &claim, std::size_t index);

private:
  void lower(const Claim &claim, std::size_t index);
  void find_unusable();
};

/// Of what is left, the first that forbids the host.
void Weighed::find_unusable() {
  unusable.reset();
  for (const Claim *claim : standing)
    if (claim->forbids && !unusable) unusable = claim->forbids;
}

void Weighed::lower(const Claim &claim, std::size_t index) {
  const bool all = claim.effect != Effect::lowers;
  if (all) // what forbids the host goes, and so does every source that is not a rule of ours
    std::erase_if(standing, [&](const Claim *other) {
      return !is_rule(*other) || other->level > claim.level || claim.level == tls::Level::dane;
    });
  else
    std::erase_if(standing, [&](const Claim *other) { return reach_of(*other) > claim.level; });
  find_unusable();
  if (claim.effect == Effect::caps && level <= claim.level) return;
  lowered = claim.level < level;
  level = claim.level;
  winner = index;
  partner.reset();
  if (claim.reason.source == Source::exception) partner = index;
}

void Weighed::add(const Claim &claim, std::size_t index) {
  if (is_rule(claim)) rules.push_back(&claim);
  switch (claim.effect) {
  case Effect::none: return;
  case Effect::lowers:
  case Effect::caps:
  case Effect::sets: return lower(claim, index);
  case Effect::demands: break;
  }
  const bool is_exception = claim.reason.source == Source::exception;
  if (claim.reason.source == Source::partner || is_exception) partner = index;
  // A partner's mandate needs no MTA-STS policy.
  const bool partner_proves = std::any_of(standing.begin(), standing.end(), [](const Claim *other) {
    return other->reason.source == Source::partner && other->level >= tls::Level::authenticated;
  });
  if (claim.yields_to_partner && partner_proves) return;
  standing.push_back(&claim);
  if (claim.forbids && !unusable) unusable = claim.forbids;
  if (claim.level > level || (claim.level == level && (is_rule(claim) || is_exception))) {
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
    if (claims[i].reason.source == Source::route && i != 0) route = i;
  }
  if (sources.route && sources.route->implicit_tls && weighed.level < tls::Level::encrypted) {
    weighed.level = tls::Level::encrypted; // whoever lowered it: there is no clear text on such a port
    weighed.winner = route;
  }
  if (weighed.level == tls::Level::dane && !weighed.unusable && sources.dane.state != DaneFacts::State::usable) {
    // Demanded by a rule of ours, or by an operator: RFC 8460 section 4.3.2.1.
    const bool failed = sources.dane.state == DaneFacts::State::failed;
    weighed.unusable =
        Unusable{.source = Source::dane,
                 .reason = fmt::format("DANE is demanded, and {} has no usable TLSA record{}{}",
                                       sources.host.empty() ? "no host is known that" : smtp::escape(sources.host),
                                       sources.dane.detail.empty() ? "" : ": ", smtp::escape(sources.dane.detail, 200)),
                 .fault = failed ? TlsFault::dnssec_invalid : TlsFault::dane_required};
  }
  return weighed;
}

bool says_how(const Means &means) {
  return *means.trust != "system" || !means.match->empty() || !means.pins->empty();
}

/// The rule that says how, where somebody demands a proof who has no means of his own (REQUIRETLS, an exception, an
/// operator), and how what a connection proved is recorded: one that names means, then the one that demands most, then
/// the closest.
const Claim &find_guide(const Weighed &weighed) {
  const Claim *best = weighed.rules.front();
  const auto rank = [](const Claim &claim) { return std::pair(says_how(*claim.means), claim.level); };
  for (const Claim *rule : weighed.rules)
    if (rank(*rule) >= rank(*best)) best = rule;
  return *best;
}

/// The rules of ours that demand a certificate at this level. What holds for everyone yields to what was written for
/// the domain, and beside DANE only the latter counts.
std::vector<const Claim *> find_provers(const Weighed &weighed) {
  std::vector<const Claim *> provers;
  if (weighed.level < tls::Level::authenticated) return provers;
  for (const Claim *claim : weighed.standing)
    if (is_rule(*claim) && claim->level == tls::Level::authenticated) provers.push_back(claim);
  const bool for_domain =
      std::any_of(provers.begin(), provers.end(), [](const Claim *claim) { return claim->for_domain; });
  if (for_domain || weighed.level == tls::Level::dane)
    std::erase_if(provers, [](const Claim *claim) { return !claim->for_domain; });
  return provers;
}

CertificateDemand demand_of(const Claim &rule, const TlsSources &sources, NameTrust name_trust) {
  CertificateDemand demand;
  demand.trust = *rule.means->trust;
  demand.references = find_references(*rule.means->match, sources, name_trust);
  demand.pins = *rule.means->pins;
  if (rule.means->crls) demand.crls = *rule.means->crls;
  demand.rule = rule.reason.rule;
  return demand;
}

void add_demand(std::vector<CertificateDemand> &demands, CertificateDemand demand) {
  const bool known = std::any_of(demands.begin(), demands.end(), [&](const CertificateDemand &other) {
    return other.trust == demand.trust && other.references == demand.references && other.pins == demand.pins &&
           other.crls == demand.crls;
  });
  if (!known) demands.push_back(std::move(demand));
}

/// Every proof that the level needs; the closest rule's first. Empty: no certificate is judged.
std::vector<CertificateDemand> find_demands(const Weighed &weighed, const TlsSources &sources, NameTrust name_trust) {
  std::vector<CertificateDemand> demands;
  if (weighed.level < tls::Level::authenticated) return demands;
  const auto provers = find_provers(weighed);
  for (auto prover = provers.rbegin(); prover != provers.rend(); ++prover)
    add_demand(demands, demand_of(**prover, sources, name_trust));
  // An exception that raises to authenticated says how much; the rule that it is an exception to says how.
  const bool raised = std::any_of(weighed.standing.begin(), weighed.standing.end(), [](const Claim *claim) {
    return claim->reason.source == Source::exception && claim->level == tls::Level::authenticated;
  });
  if (raised) add_demand(demands, demand_of(find_guide(weighed), sources, name_trust));
  if (weighed.level == tls::Level::dane) return demands;
  for (const Claim *claim : weighed.standing)
    if (claim->by_host_name) { // RFC 8461 section 4.2, whatever a rule of ours says beside it
      CertificateDemand demand{.trust = "system", .references = {}, .pins = {}, .crls = {}, .rule = claim->reason.rule};
      add_reference(demand.references, sources.host);
      add_demand(demands, std::move(demand));
    }
  if (demands.empty()) add_demand(demands, demand_of(find_guide(weighed), sources, name_trust));
  return demands;
}

/// The TLS profile of the closest rule. Another rule that demands TLS and stands is not loosened by it: the narrower
/// profile is taken, and where neither lies within the other, that of the rule which demands more.
const std::string &find_profile(const Weighed &weighed, const TlsSources &sources) {
  if (weighed.lowered && weighed.level < tls::Level::encrypted) return sources.defaults.profile;
  const Claim &closest = *weighed.rules.back();
  const std::string *chosen = closest.means->profile;
  tls::Level level = closest.level;
  if (weighed.level < tls::Level::encrypted) return *chosen;
  for (const Claim *rule : weighed.standing) {
    if (!is_rule(*rule) || rule->level < tls::Level::encrypted) continue;
    if (!rule->for_domain && rule->level <= closest.level) continue; // what holds for everyone yields
    const std::string &other = *rule->means->profile;
    if (tls::lies_within(*chosen, other)) continue;
    if (!tls::lies_within(other, *chosen) && rule->level <= level) continue;
    chosen = &other;
    level = rule->level;
  }
  return *chosen;
}

Requirement make_requirement(const Weighed &weighed, const std::vector<Claim> &claims, const TlsSources &sources,
                             NameTrust name_trust) {
  Requirement requirement;
  requirement.level = weighed.level;
  requirement.profile = find_profile(weighed, sources);
  requirement.requiretls = sources.wish == Wish::require_tls;
  requirement.rule = claims[weighed.winner].reason.rule;
  if (sources.route) {
    requirement.client_certificate = sources.route->client_certificate;
    requirement.implicit_tls = sources.route->implicit_tls;
  }
  std::vector<CertificateDemand> demands = find_demands(weighed, sources, name_trust);
  const bool judged = !demands.empty();
  // Below `authenticated` no certificate is judged, but what it proves is recorded.
  CertificateDemand first = judged ? std::move(demands.front()) : demand_of(find_guide(weighed), sources, name_trust);
  requirement.trust = std::move(first.trust);
  requirement.references = std::move(first.references);
  requirement.crls = std::move(first.crls);
  if (judged) {
    requirement.pins = std::move(first.pins);
    requirement.also.assign(std::make_move_iterator(demands.begin() + 1), std::make_move_iterator(demands.end()));
  }
  if (weighed.level == tls::Level::dane) {
    requirement.and_certificate = judged;
    requirement.server_name = sources.dane.base_domain; // RFC 7672 section 8.1
    requirement.dane_names = find_dane_names(sources);
    if (sources.dane.state == DaneFacts::State::usable) {
      for (const auto &record : sources.dane.records)
        if (record.usage == 2 || record.usage == 3) requirement.tlsa.push_back(record);
      // The DNS turns the order with every answer; equal sets are to be equal requirements.
      std::sort(requirement.tlsa.begin(), requirement.tlsa.end());
    }
  }
  return requirement;
}

/// How the partner's rule, or the exception in its place, wants its level proven.
CertificateDemand find_partner_demand(const Weighed &weighed, const TlsSources &sources, NameTrust name_trust) {
  for (const Claim *rule : weighed.rules)
    if (rule->reason.source == Source::partner) return demand_of(*rule, sources, name_trust);
  return demand_of(find_guide(weighed), sources, name_trust);
}

bool demands_more(const Requirement &observed, const Requirement &enforced) {
  if (observed.level != enforced.level) return observed.level > enforced.level;
  // Another profile may refuse what this one accepts. Below `encrypted` nothing is refused.
  if (observed.level >= tls::Level::encrypted && observed.profile != enforced.profile) return true;
  if (observed.level < tls::Level::authenticated) return false;
  if (observed.level == tls::Level::dane && !observed.and_certificate) return false;
  return observed.and_certificate != enforced.and_certificate || observed.trust != enforced.trust ||
         observed.also != enforced.also || observed.crls != enforced.crls ||
         observed.references != enforced.references || observed.pins != enforced.pins;
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
    decision.partner_demand = find_partner_demand(enforced, sources, decision.name_trust);
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
