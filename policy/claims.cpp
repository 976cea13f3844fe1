#include "policy/claims.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "policy/decide.hpp"
#include "policy/mta_sts.hpp"
#include "smtp/base/text.hpp"
#include "tls/core/name_match.hpp"

namespace policy {

namespace {

using Effect = Claim::Effect;

std::string date_text(std::chrono::sys_days day) {
  const std::chrono::year_month_day date(day);
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()));
}

std::string date_text(std::chrono::system_clock::time_point time) {
  return date_text(std::chrono::floor<std::chrono::days>(time));
}

/// "words", or "words: detail" where there is one; details quote what strangers wrote.
std::string with_detail(std::string words, const std::string &detail) {
  if (!detail.empty()) words += fmt::format(": {}", smtp::escape(detail, 200));
  return words;
}

Reason reason_of(Source source, std::string rule, std::string said) {
  return {.source = source, .rule = std::move(rule), .said = std::move(said), .won = false};
}

Claim claim_of_defaults(const OutboundDefaults &defaults) {
  Claim claim;
  claim.reason = reason_of(defaults.source, defaults.rule, tls::to_string(defaults.level));
  claim.level = defaults.level;
  claim.means = Means{&defaults.profile, &defaults.trust, &defaults.match, &defaults.pins, nullptr};
  // A [[route]] was written for these domains, also where it names only how, and [outbound] says how much.
  claim.for_domain = defaults.source == Source::route || defaults.trust != "system" || !defaults.match.empty() ||
                     !defaults.pins.empty();
  return claim;
}

Claim claim_of_partner(const Partner &partner, const OutboundRule &rule, std::chrono::system_clock::time_point now) {
  Claim claim;
  claim.mode = mode_at(rule.mode, rule.from, now);
  std::string said = tls::to_string(rule.level);
  if (claim.mode == Mode::observe)
    said = rule.mode == Mode::enforce ? fmt::format("not enforced before {}: {}", date_text(*rule.from), said)
                                      : "not yet enforced: " + said;
  claim.reason = reason_of(Source::partner, fmt::format("{} {} [outbound]", rule.place, partner.name), std::move(said));
  claim.level = rule.level;
  claim.means = Means{&rule.profile, &rule.trust, &rule.match, &rule.pins, &rule.crls};
  claim.for_domain = true;
  return claim;
}

/// RFC 7672 section 2.2.
Claim claim_of_dane(const DaneFacts &dane, const std::string &host) {
  Claim claim;
  const std::string &base = dane.base_domain.empty() ? host : dane.base_domain;
  claim.reason = reason_of(Source::dane, fmt::format("TLSA of {}", base.empty() ? "no host" : smtp::escape(base)), {});
  std::string &said = claim.reason.said;
  switch (dane.state) {
  case DaneFacts::State::off:
    claim.effect = Effect::none;
    said = with_detail("not asked", dane.detail);
    break;
  case DaneFacts::State::insecure:
    claim.effect = Effect::none;
    said = with_detail("does not apply, the DNS answers are not secured", dane.detail);
    break;
  case DaneFacts::State::none:
    claim.effect = Effect::none;
    said = "no TLSA record";
    break;
  case DaneFacts::State::unusable: // TLS is a must, and nothing can be verified by the records
    claim.level = tls::Level::encrypted;
    said = with_detail(fmt::format("encrypted, none of {} TLSA records is usable", dane.records.size()), dane.detail);
    break;
  case DaneFacts::State::usable:
    claim.level = tls::Level::dane;
    said = fmt::format("dane, by {}{} TLSA record{}",
                       dane.unusable_records == 0
                           ? std::string()
                           : fmt::format("{} usable of ", dane.records.size() - dane.unusable_records),
                       dane.records.size(), dane.records.size() == 1 ? "" : "s");
    break;
  case DaneFacts::State::failed: // section 2.1.2: never as if there were no records
    said = with_detail("the host must not be used now, its TLSA records cannot be had", dane.detail);
    claim.forbids = Unusable{
        .source = Source::dane,
        .reason = with_detail(fmt::format("the TLSA records of {} cannot be had", smtp::escape(base)), dane.detail),
        .fault = TlsFault::dnssec_invalid};
    break;
  }
  return claim;
}

/// RFC 8461 sections 4 and 5.
Claim claim_of_sts(const StsFacts &sts, const std::string &host, bool dane_applies) {
  Claim claim;
  claim.reason = reason_of(
      Source::mta_sts,
      sts.id.empty() ? fmt::format("MTA-STS policy of {}", smtp::escape(sts.domain))
                     : fmt::format("MTA-STS policy of {}, id {}", smtp::escape(sts.domain), smtp::escape(sts.id)),
      {});
  std::string &said = claim.reason.said;
  switch (sts.state) {
  case StsFacts::State::off:
    claim.effect = Effect::none;
    said = with_detail("not asked", sts.detail);
    return claim;
  case StsFacts::State::none:
    claim.effect = Effect::none;
    said = with_detail("no policy", sts.detail);
    return claim;
  case StsFacts::State::failed:
    said = with_detail("cannot be looked up now", sts.detail);
    if (dane_applies) {
      claim.effect = Effect::none;
      said += "; passed over, DANE applies";
      return claim;
    }
    claim.yields_to_partner = true;
    claim.forbids = Unusable{
        .source = Source::mta_sts,
        .reason = with_detail(fmt::format("the MTA-STS policy of {} cannot be looked up now", smtp::escape(sts.domain)),
                              sts.detail),
        .fault = sts.fault == TlsFault::none ? TlsFault::validation_failure : sts.fault};
    return claim;
  case StsFacts::State::testing:
    claim.mode = Mode::observe;
    said = "testing, not enforced: authenticated";
    break;
  case StsFacts::State::enforce: said = "authenticated"; break;
  }
  // Section 2: "sending MTAs MUST NOT allow MTA-STS Policy validation to override a failing DANE validation"; where
  // DANE authenticates the host, it does so alone.
  if (dane_applies) {
    claim.effect = Effect::none;
    said += "; passed over, DANE applies";
    return claim;
  }
  claim.level = tls::Level::authenticated;
  claim.by_host_name = true;
  if (!host.empty() && !sts_policy_covers(sts.mx, host)) {
    said += fmt::format(", and {} is not among its MX hosts", smtp::escape(host));
    claim.forbids = Unusable{.source = Source::mta_sts,
                             .reason = fmt::format("{} is not among the MX hosts of the MTA-STS policy of {}",
                                                   smtp::escape(host), smtp::escape(sts.domain)),
                             .fault = TlsFault::validation_failure};
  }
  return claim;
}

Claim claim_of_memory(const MemoryFacts &memory) {
  Claim claim;
  claim.effect = memory.protect ? Effect::demands : Effect::none;
  claim.level = memory.protect ? tls::Level::encrypted : tls::Level::none;
  std::string seen = memory.known
                         ? fmt::format("{}{} seen, last on {}", tls::to_string(memory.best_version),
                                       memory.authenticated ? ", authenticated," : "", date_text(memory.last_seen))
                         : std::string("nothing seen yet");
  claim.reason = reason_of(Source::memory, memory.rule.empty() ? "TLS memory" : memory.rule,
                           memory.protect ? "encrypted, mail waits rather than leave in clear: " + seen : seen);
  return claim;
}

/// What the rules that count before it demand is `own`. One that raises it to authenticated takes nothing away: what
/// the domain itself asks for (DANE, the hosts of its MTA-STS policy) holds beside it.
Claim claim_of_exception(const Exception &exception, tls::Level own) {
  Claim claim;
  const bool raises = exception.level >= tls::Level::authenticated && exception.level > own;
  claim.effect = raises ? Effect::demands : Effect::lowers;
  claim.for_domain = true;
  claim.reason =
      reason_of(Source::exception, fmt::format("{} [[exception]] {}", exception.place, exception.domain.to_string()),
                fmt::format("{} until {} ({}: {})", tls::to_string(exception.level), date_text(exception.expires),
                            exception.owner, exception.reason));
  claim.level = exception.level;
  return claim;
}

Claim claim_of_route(const Route &route) {
  Claim claim;
  claim.reason =
      reason_of(Source::route, route.name == route.place ? route.place : fmt::format("{} {}", route.place, route.name),
                route.implicit_tls ? "encrypted: TLS from the first octet" : "hosts by configuration");
  claim.level = route.implicit_tls ? tls::Level::encrypted : tls::Level::none;
  claim.effect = route.implicit_tls ? Effect::demands : Effect::none;
  return claim;
}

/// RFC 8689 section 4.2.1: the name of the host comes from DNSSEC or is validated by MTA-STS, or stood in no MX record
/// at all: it is configured here, or is the domain itself.
Claim claim_of_requiretls(const TlsSources &sources, NameTrust name_trust) {
  Claim claim;
  claim.reason =
      reason_of(Source::requiretls, "REQUIRETLS of the message", "authenticated, by a host that offers REQUIRETLS");
  claim.level = tls::Level::authenticated;
  const bool is_domain = sources.domain && sources.host == sources.domain->ascii();
  if (sources.host.empty() || name_trust != NameTrust::none || is_domain) return claim;
  if (sources.sts.state == StsFacts::State::failed) {
    // The policy may yet vouch for the name: that is no reason to give the message back.
    claim.forbids = Unusable{.source = Source::mta_sts,
                             .reason = fmt::format("REQUIRETLS needs a trusted name, and the MTA-STS policy of {} "
                                                   "cannot be looked up now",
                                                   smtp::escape(sources.sts.domain)),
                             .fault = TlsFault::validation_failure};
  } else {
    claim.forbids =
        Unusable{.source = Source::requiretls,
                 .reason = fmt::format("REQUIRETLS needs a trusted name, and {} is neither in a secured DNS answer nor "
                                       "in an MTA-STS policy nor configured",
                                       smtp::escape(sources.host)),
                 .fault = TlsFault::validation_failure};
  }
  claim.reason.said += "; " + claim.forbids->reason;
  return claim;
}

Claim claim_of_override(const OperatorOverride &act, bool requiretls) {
  Claim claim;
  claim.effect = Effect::sets;
  claim.level = act.level;
  std::string said = fmt::format("{} for this message ({}: {})", tls::to_string(act.level), smtp::escape(act.by),
                                 smtp::escape(act.reason));
  if (requiretls && act.level < tls::Level::encrypted) {
    // RFC 8689 section 4.2.1, "MUST NOT transmit the message": an operator may vouch for a host, but the sender's word
    // that the message never travels in clear is not the operator's to take back.
    claim.level = tls::Level::encrypted;
    said += ", encrypted because of REQUIRETLS";
  }
  claim.reason = reason_of(Source::operator_act, fmt::format("override of {}", date_text(act.when)), std::move(said));
  return claim;
}

/// "Counts through its day": valid until the end of the day, UTC. Compared in days: a far date does not fit the clock's
/// unit.
bool is_valid(const Exception &exception, std::chrono::system_clock::time_point now) {
  return std::chrono::floor<std::chrono::days>(now) <= exception.expires;
}

const Partner *find_partner(const TlsSources &sources) {
  return sources.partners && sources.domain ? sources.partners->find(*sources.domain) : nullptr;
}

std::vector<const Exception *> find_exceptions(const TlsSources &sources) {
  if (!sources.partners || !sources.domain) return {};
  return sources.partners->find_exceptions(*sources.domain);
}

void pass_over(Claim &claim) {
  if (claim.effect == Effect::none) return;
  claim.effect = Effect::none;
  claim.reason.said += "; passed over, the message says TLS-Required: No";
}

} // namespace

NameTrust trust_of_name(const TlsSources &sources) {
  if (sources.mx_trust == NameTrust::dnssec || sources.mx_trust == NameTrust::configured) return sources.mx_trust;
  if (sources.host.empty()) return NameTrust::none;
  const auto names_host = [&](const std::vector<std::string> &match) {
    return std::any_of(match.begin(), match.end(),
                       [&](const std::string &name) { return tls::name_covers(name, sources.host); });
  };
  const Partner *partner = find_partner(sources);
  const bool is_enforced = partner && partner->outbound &&
                           mode_at(partner->outbound->mode, partner->outbound->from, sources.now) == Mode::enforce;
  if (names_host(sources.defaults.match) || (is_enforced && names_host(partner->outbound->match)))
    return NameTrust::configured;
  const auto state = sources.sts.state;
  const bool has_policy = state == StsFacts::State::enforce || state == StsFacts::State::testing;
  return has_policy && sts_policy_covers(sources.sts.mx, sources.host) ? NameTrust::sts : NameTrust::none;
}

std::vector<Claim> collect_claims(const TlsSources &sources, NameTrust name_trust) {
  std::vector<Claim> claims;
  claims.reserve(10);
  claims.push_back(claim_of_defaults(sources.defaults));
  const Partner *partner = find_partner(sources);
  if (partner && partner->outbound) claims.push_back(claim_of_partner(*partner, *partner->outbound, sources.now));

  tls::Level own_level = tls::Level::none;
  for (const Claim &claim : claims)
    if (claim.mode == Mode::enforce) own_level = std::max(own_level, claim.level);

  const std::size_t first_of_domain = claims.size();
  const DaneFacts &dane = sources.dane;
  if (dane.state != DaneFacts::State::off || !dane.detail.empty()) claims.push_back(claim_of_dane(dane, sources.host));
  const StsFacts &sts = sources.sts;
  if (sts.state != StsFacts::State::off || !sts.detail.empty())
    claims.push_back(claim_of_sts(sts, sources.host, dane.state == DaneFacts::State::usable));
  if (sources.memory.known || sources.memory.protect) claims.push_back(claim_of_memory(sources.memory));
  if (sources.wish == Wish::tls_optional || sources.wish == Wish::tls_optional_outside)
    for (std::size_t i = first_of_domain; i < claims.size(); ++i)
      if (sources.wish == Wish::tls_optional || claims[i].reason.source != Source::memory) pass_over(claims[i]);

  for (const Exception *exception : find_exceptions(sources))
    if (is_valid(*exception, sources.now)) {
      // The most specific valid one is the exception for this domain.
      claims.push_back(claim_of_exception(*exception, own_level));
      break;
    }
  if (sources.route) claims.push_back(claim_of_route(*sources.route));

  switch (sources.wish) {
  case Wish::none: break;
  case Wish::require_tls: claims.push_back(claim_of_requiretls(sources, name_trust)); break;
  case Wish::tls_optional:
  case Wish::tls_optional_outside: { // RFC 8689 section 5
    Claim claim;
    claim.effect = Effect::none;
    claim.reason = reason_of(Source::tls_required_no, "TLS-Required: No of the message",
                             sources.wish == Wish::tls_optional
                                 ? "passes over DANE, MTA-STS and memory; rules of our own stand"
                                 : "from outside: passes over DANE and MTA-STS; our memory and rules of our own stand");
    claims.push_back(std::move(claim));
    break;
  }
  case Wish::report: { // RFC 8460 section 3: a report must get through where TLS is what fails
    Claim claim;
    claim.effect = Effect::caps;
    claim.level = tls::Level::opportunistic;
    claim.reason = reason_of(Source::report, "TLS report", "opportunistic: no mandate holds for a TLS report");
    claims.push_back(std::move(claim));
    break;
  }
  }
  if (sources.override_) claims.push_back(claim_of_override(*sources.override_, sources.wish == Wish::require_tls));
  return claims;
}

std::vector<Reason> list_expired(const TlsSources &sources) {
  std::vector<Reason> expired;
  for (const Exception *exception : find_exceptions(sources)) {
    if (is_valid(*exception, sources.now)) break; // what is less specific than a valid one was never asked
    Reason reason = claim_of_exception(*exception, tls::Level::none).reason;
    reason.said = "expired on " + date_text(exception->expires);
    expired.push_back(std::move(reason));
  }
  return expired;
}

} // namespace policy
