// decide_tls and judge_sender: see decide.hpp.
#include "policy/decide.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "smtp/base/text.hpp"

namespace policy {

namespace {

/// How a rule wants a level to be proven; views into the rule.
struct Means {
  const std::string *profile = nullptr;
  const std::string *trust = nullptr;
  const std::vector<std::string> *match = nullptr;
  const std::vector<std::string> *pins = nullptr;
};

/// One source's demand, weighed against the others: the highest level wins, of equal ones the later (closer to the
/// domain).
struct Claim {
  Reason reason;
  tls::Level level = tls::Level::none;
  std::optional<Means> means; ///< nothing: the source demands a level only
  Mode mode = Mode::enforce;
  bool overrides = false; ///< a valid exception: its level stands whatever the claims before it said
};

std::string date_text(std::chrono::sys_days day) {
  const std::chrono::year_month_day date(day);
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()));
}

std::string rule_text(const std::string &place, const std::string &name, const char *section) {
  return fmt::format("{} {} {}", place, name, section);
}

Claim claim_of(const OutboundDefaults &defaults) {
  return {.reason = {.source = defaults.source,
                     .rule = defaults.rule,
                     .said = tls::to_string(defaults.level),
                     .won = false},
          .level = defaults.level,
          .means = Means{&defaults.profile, &defaults.trust, &defaults.match, &defaults.pins},
          .mode = Mode::enforce,
          .overrides = false};
}

Claim claim_of(const Partner &partner, const OutboundRule &rule) {
  std::string said = tls::to_string(rule.level);
  if (rule.mode == Mode::observe) said = "not yet enforced: " + said;
  return {.reason = {.source = "partner",
                     .rule = rule_text(rule.place, partner.name, "[outbound]"),
                     .said = std::move(said),
                     .won = false},
          .level = rule.level,
          .means = Means{&rule.profile, &rule.trust, &rule.match, &rule.pins},
          .mode = rule.mode,
          .overrides = false};
}

Claim claim_of(const Route &route) {
  return {.reason = {.source = "route",
                     .rule = route.name == route.place ? route.place : fmt::format("{} {}", route.place, route.name),
                     .said = route.implicit_tls ? "encrypted: TLS from the first octet" : "hosts by configuration",
                     .won = false},
          .level = route.implicit_tls ? tls::Level::encrypted : tls::Level::none,
          .means = std::nullopt,
          .mode = Mode::enforce,
          .overrides = false};
}

Claim claim_of(const Exception &exception) {
  return {.reason = {.source = "exception",
                     .rule = fmt::format("{} [[exception]] {}", exception.place, exception.domain.to_string()),
                     .said = fmt::format("{} until {} ({}: {})", tls::to_string(exception.level),
                                         date_text(exception.expires), exception.owner, exception.reason),
                     .won = false},
          .level = exception.level,
          .means = std::nullopt,
          .mode = Mode::enforce,
          .overrides = true};
}

/// "Counts through its day": valid until the end of the day, UTC. Compared in days: a far date does not fit the clock's
/// unit.
bool is_valid(const Exception &exception, std::chrono::system_clock::time_point now) {
  return std::chrono::floor<std::chrono::days>(now) <= exception.expires;
}

void add_reference(std::vector<std::string> &references, const std::string &name) {
  if (!name.empty() && std::find(references.begin(), references.end(), name) == references.end())
    references.push_back(name);
}

std::vector<std::string> find_references(const std::vector<std::string> &match,
                                         const TlsSources &sources) {
  if (!match.empty()) return match;
  std::vector<std::string> references;
  if (sources.mx_trust == NameTrust::dnssec && !sources.host.empty()) {
    add_reference(references, sources.host);
    return references;
  }
  // A name from an unauthenticated MX answer may be forged, so it is no reference.
  if (sources.domain) add_reference(references, sources.domain->ascii());
  if (sources.route)
    for (const auto &host : sources.route->hosts)
      if (!smtp::IpAddress::parse(host.host)) add_reference(references, host.host);
  return references;
}

struct Weighed {
  Requirement requirement;
  std::size_t winner = 0;
};

/// What all claims together demand; with `as_if_enforced` the observing ones count too.
Weighed weigh(const std::vector<Claim> &claims, bool as_if_enforced, const TlsSources &sources) {
  Weighed result;
  tls::Level level = tls::Level::none;
  Means means = *claims.front().means;
  bool lowered = false;
  for (std::size_t i = 0; i < claims.size(); ++i) {
    const Claim &claim = claims[i];
    if (claim.mode == Mode::observe && !as_if_enforced) continue;
    if (claim.means) means = *claim.means; // the closest rule says how, even when another one says how much
    if (claim.overrides || claim.level > level || (claim.level == level && claim.means)) {
      lowered = claim.overrides && claim.level < level;
      level = claim.level;
      result.winner = i;
    }
  }
  Requirement &requirement = result.requirement;
  requirement.level = level;
  requirement.profile = lowered && level < tls::Level::encrypted ? sources.defaults.profile : *means.profile;
  requirement.trust = *means.trust;
  requirement.references = *means.match;
  if (level >= tls::Level::authenticated) requirement.pins = *means.pins; // below it no certificate is judged
  if (sources.route) {
    requirement.client_certificate = sources.route->client_certificate;
    requirement.implicit_tls = sources.route->implicit_tls;
  }
  requirement.rule = claims[result.winner].reason.rule;
  return result;
}

bool demands_more(const Requirement &observed, const Requirement &enforced) {
  if (observed.level != enforced.level) return observed.level > enforced.level;
  if (observed.level < tls::Level::authenticated) return false;
  return observed.trust != enforced.trust || observed.references != enforced.references ||
         observed.pins != enforced.pins;
}

} // namespace

Decision decide_tls(const TlsSources &sources) {
  const OutboundDefaults &defaults = sources.defaults;
  // From the general to the particular; further sources take their place before the exceptions.
  std::vector<Claim> claims;
  claims.push_back(claim_of(defaults));
  const bool by_table = sources.partners != nullptr && sources.domain != nullptr;
  const Partner *partner = by_table ? sources.partners->find(*sources.domain) : nullptr;
  if (partner && partner->outbound) claims.push_back(claim_of(*partner, *partner->outbound));

  std::vector<Reason> expired;
  if (by_table)
    for (const Exception *exception : sources.partners->find_exceptions(*sources.domain)) {
      Claim claim = claim_of(*exception);
      if (is_valid(*exception, sources.now)) {
        claims.push_back(std::move(claim));
        break; // the most specific valid one is the exception for this domain
      }
      claim.reason.said = "expired on " + date_text(exception->expires);
      expired.push_back(std::move(claim.reason));
    }
  if (sources.route) claims.push_back(claim_of(*sources.route));

  Decision decision;
  Weighed enforced = weigh(claims, false, sources);
  enforced.requirement.references = find_references(enforced.requirement.references, sources);
  decision.enforced = std::move(enforced.requirement);
  if (std::any_of(claims.begin(), claims.end(), [](const Claim &claim) { return claim.mode == Mode::observe; })) {
    Weighed observed = weigh(claims, true, sources);
    observed.requirement.references = find_references(observed.requirement.references, sources);
    if (demands_more(observed.requirement, decision.enforced)) decision.observed = std::move(observed.requirement);
  }
  claims[enforced.winner].reason.won = true;
  for (auto &claim : claims) decision.reasons.push_back(std::move(claim.reason));
  for (auto &reason : expired) decision.reasons.push_back(std::move(reason));
  return decision;
}

Mode mode_at(Mode mode, const std::optional<std::chrono::sys_days> &from,
             std::chrono::system_clock::time_point now) noexcept {
  return mode == Mode::enforce && from && std::chrono::floor<std::chrono::days>(now) < *from ? Mode::observe : mode;
}

} // namespace policy
