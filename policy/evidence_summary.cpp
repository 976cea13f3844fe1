// summarise and suggest: what the evidence of many sessions amounts to.
#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

#include <fmt/format.h>

#include "policy/evidence.hpp"
#include "smtp/base/text.hpp"

namespace policy {

namespace {

using std::chrono::sys_seconds;

void widen(std::optional<tls::Version> &best, std::optional<tls::Version> &worst, tls::Version version) {
  best = best ? std::max(*best, version) : version;
  worst = worst ? std::min(*worst, version) : version;
}

struct RuleView {
  tls::Level level = tls::Level::none;
  std::string text;
  std::string store = "system";
  const std::vector<std::string> *pins = nullptr;
  bool has_crls = false;
};

RuleView rule_of(const EvidenceQuestion &question) {
  RuleView view;
  const Partner *partner = question.partner;
  if (!partner) return view;
  if (question.direction == Direction::outbound && partner->outbound) {
    const OutboundRule &rule = *partner->outbound;
    view = {rule.level, fmt::format("{} {} [outbound]", rule.place, partner->name), trust_key(rule.trust, rule.crls),
            &rule.pins, !rule.crls.empty()};
  } else if (question.direction == Direction::inbound && partner->inbound) {
    const InboundRule &rule = *partner->inbound;
    view = {rule.level, fmt::format("{} {} [inbound]", rule.place, partner->name),
            trust_key(rule.trust, rule.crls, rule.accept_server_auth), &rule.pins, !rule.crls.empty()};
  }
  return view;
}

/// Gathers what summarise() lists.
class Gathering {
public:
  Gathering(const EvidenceQuestion &question, EvidenceSummary &summary)
      : question_(question), summary_(summary), rule_(rule_of(question)) {
    summary_.direction = question.direction;
    summary_.level = rule_.level;
    summary_.rule = rule_.text;
    summary_.days_asked = question.days;
  }

  void add(const Evidence &evidence) {
    const EvidenceRow &row = evidence.row;
    if (row.direction != question_.direction) return;
    if (!row.is_connected) {
      summary_.passed_over += evidence.sessions;
      return;
    }
    summary_.last = summary_.last ? std::max(*summary_.last, evidence.last) : evidence.last;
    summary_.sessions += evidence.sessions;
    summary_.messages += evidence.messages;
    auto &host = hosts_[row.host];
    auto &domain = domains_[row.domain];
    host.name = row.host;
    domain.name = row.domain;
    for (auto *counted : {&host, &domain}) {
      counted->sessions += evidence.sessions;
      counted->messages += evidence.messages;
    }
    if (row.is_encrypted) {
      widen(summary_.best, summary_.worst, row.version);
      widen(host.best, host.worst, row.version);
      widen(domain.best, domain.worst, row.version);
    } else {
      summary_.clear_sessions += evidence.sessions;
      summary_.clear_messages += evidence.messages;
      host.clear_sessions += evidence.sessions;
      domain.clear_sessions += evidence.sessions;
    }
    const Judged judged = judge_evidence(question_, row);
    if (judged.got >= tls::Level::authenticated) {
      summary_.authenticated_sessions += evidence.sessions;
      summary_.authenticated_messages += evidence.messages;
      host.authenticated_sessions += evidence.sessions;
      domain.authenticated_sessions += evidence.sessions;
    }
    if (judged.is_unknown) {
      summary_.unknown_sessions += evidence.sessions;
      summary_.unknown_messages += evidence.messages;
    } else if (judged.is_refused && !is_theirs(row)) {
      // Anybody may say MAIL FROM with the partner's domain: that must not keep a rule from being enforced.
      summary_.unproven_sessions += evidence.sessions;
      summary_.unproven_messages += evidence.messages;
      return; // nor must the certificate that he shows
    } else if (judged.is_refused) {
      add_refusal(evidence, judged);
      host.refused_sessions += evidence.sessions;
      domain.refused_sessions += evidence.sessions;
    }
    // Who meets an inbound rule for authenticated has proven who he is.
    const bool meets = !judged.is_unknown && !judged.is_refused && rule_.level >= tls::Level::authenticated;
    if (!judged.is_unknown && (meets || is_theirs(row))) days_.insert(evidence.day);
    add_certificate(evidence);
  }

  void finish() {
    summary_.distinct_days = days_.size();
    for (auto &[name, host] : hosts_) summary_.hosts.push_back(std::move(host));
    std::stable_sort(summary_.hosts.begin(), summary_.hosts.end(),
                     [](const auto &left, const auto &right) { return left.sessions > right.sessions; });
    for (auto &[name, domain] : domains_) summary_.domains.push_back(std::move(domain));
    std::stable_sort(summary_.domains.begin(), summary_.domains.end(),
                     [](const auto &left, const auto &right) { return left.sessions > right.sessions; });
    for (auto &[key, certificate] : certificates_) summary_.certificates.push_back(std::move(certificate));
    find_successors();
    std::stable_sort(summary_.certificates.begin(), summary_.certificates.end(),
                     [](const auto &left, const auto &right) { return left.last_seen > right.last_seen; });
    for (auto &[key, cause] : causes_) summary_.causes.push_back(std::move(cause));
    std::stable_sort(summary_.causes.begin(), summary_.causes.end(),
                     [](const auto &left, const auto &right) { return left.sessions > right.sessions; });
    judge_safety();
    if (summary_.hosts.size() > summary_list_limit) summary_.hosts.resize(summary_list_limit);
    if (summary_.domains.size() > summary_list_limit) summary_.domains.resize(summary_list_limit);
    if (summary_.certificates.size() > summary_list_limit) summary_.certificates.resize(summary_list_limit);
    if (summary_.causes.size() > summary_list_limit) summary_.causes.resize(summary_list_limit);
  }

private:
  /// Outbound it was we who connected.
  [[nodiscard]] static bool is_theirs(const EvidenceRow &row) noexcept {
    return row.direction == Direction::outbound || row.is_proven;
  }

  void add_refusal(const Evidence &evidence, const Judged &judged) {
    summary_.refused_sessions += evidence.sessions;
    summary_.refused_messages += evidence.messages;
    RefusalCause &cause = causes_[{judged.kind, evidence.row.host}];
    cause.kind = judged.kind;
    cause.host = evidence.row.host;
    if (cause.reason.empty() || evidence.last >= cause.last) cause.reason = judged.reason;
    cause.sessions += evidence.sessions;
    cause.messages += evidence.messages;
    cause.last = std::max(cause.last, evidence.last);
  }

  void add_certificate(const Evidence &evidence) {
    const EvidenceRow &row = evidence.row;
    if (!row.is_encrypted || !row.not_after) return;
    const std::string leaf = row.keys.empty() ? std::string() : row.keys.front().spki_sha256;
    SeenCertificate &seen = certificates_[{row.host, leaf, *row.not_after}];
    seen.host = row.host;
    seen.names = row.names;
    seen.issuer = row.issuer;
    seen.not_after = *row.not_after;
    seen.leaf_pin = leaf;
    const tls::Facts facts = facts_of(row, rule_.store);
    const bool is_trusted = facts.verdict && facts.verdict->trusted;
    if (evidence.last >= seen.last_seen) seen.is_trusted = is_trusted;
    seen.last_seen = std::max(seen.last_seen, evidence.last);
    if (!rule_.pins) return;
    const auto is_pinned = [&](const std::string &key) {
      return std::find(rule_.pins->begin(), rule_.pins->end(), key) != rule_.pins->end();
    };
    if (is_pinned(leaf)) {
      seen.pinned = leaf;
      seen.is_pinned_leaf = true;
      if (!rule_.has_crls) seen.is_trusted = true; // beside lists a pin alone is no trust
    }
    // Above the leaf only the verified chain counts, as for judge_tls().
    if (is_trusted && seen.pinned.empty())
      for (const std::string &key : facts.verdict->keys)
        if (is_pinned(key)) {
          seen.pinned = key;
          break;
        }
  }

  void find_successors() {
    for (SeenCertificate &old : summary_.certificates)
      old.has_successor =
          std::any_of(summary_.certificates.begin(), summary_.certificates.end(), [&](const SeenCertificate &other) {
            return other.host == old.host && other.not_after > old.not_after && other.last_seen >= old.last_seen;
          });
  }

  void forbid(std::string why) { summary_.because.push_back(std::move(why)); }

  /// docs/partners.md, "Safe to enforce", has the same list.
  void judge_safety() {
    if (rule_.level == tls::Level::none) return forbid("there is no rule for this direction");
    if (rule_.level <= tls::Level::opportunistic) return forbid("the rule demands nothing that could be enforced");
    if (summary_.distinct_days < SafetyLimits::enough_days)
      forbid(fmt::format("too little was seen: {} on {} of the {} days that are needed{}",
                         summary_.sessions == 0 ? "nothing" : "sessions that say something", summary_.distinct_days,
                         SafetyLimits::enough_days,
                         summary_.unknown_sessions > 0
                             ? fmt::format("; {} sessions were before the rule, and were not judged by its CAs",
                                           summary_.unknown_sessions)
                             : std::string()));
    if (summary_.unproven_sessions + summary_.unproven_messages > 0)
      summary_.warnings.push_back(fmt::format("{} sessions with {} messages did not meet the rule and are not counted: "
                                              "neither SPF nor network nor certificate "
                                              "says that they were the partner's",
                                              summary_.unproven_sessions, summary_.unproven_messages));
    if (summary_.refused_sessions + summary_.refused_messages > 0)
      forbid(fmt::format("enforce would have refused {} of {} sessions, with {} messages", summary_.refused_sessions,
                         summary_.sessions, summary_.refused_messages));
    if (rule_.level >= tls::Level::authenticated) judge_certificates();
    summary_.is_safe = summary_.because.empty();
    if (summary_.is_safe)
      summary_.because.push_back(fmt::format(
          "every one of {} sessions on {} days, with {} messages, met the rule",
          summary_.sessions - summary_.unknown_sessions - summary_.unproven_sessions, summary_.distinct_days,
          summary_.messages - summary_.unknown_messages - summary_.unproven_messages));
  }

  void judge_certificates() {
    const auto now = std::chrono::floor<std::chrono::seconds>(question_.now);
    for (const SeenCertificate &seen : summary_.certificates) {
      if (seen.has_successor) continue;
      const auto left = std::chrono::floor<std::chrono::days>(seen.not_after - now);
      const std::string whose = fmt::format("the certificate of {} ({})", smtp::escape(seen.host, 100),
                                            seen.names.empty() ? "no name" : smtp::escape(seen.names.front(), 100));
      // A pinned leaf is trusted whatever its dates, but its key tends to go with it.
      if (seen.is_pinned_leaf && left < SafetyLimits::pin_margin) {
        std::string text = fmt::format("{} expires in {} days and its key is pinned", whose, left.count());
        if (rule_.pins->size() < 2)
          forbid(text + ", without a second pin for the next key");
        else
          summary_.warnings.push_back(text + ": make sure that another pin is that of the next key");
      } else if (!seen.is_pinned_leaf && left < SafetyLimits::certificate_margin && left.count() >= 0) {
        forbid(fmt::format("{} expires in {} days, and no successor was seen", whose, left.count()));
      } else if (!seen.is_pinned_leaf && left.count() < 0) {
        summary_.warnings.push_back(fmt::format("{} has expired since it was seen last", whose));
      }
    }
  }

  const EvidenceQuestion &question_;
  EvidenceSummary &summary_;
  const RuleView rule_;
  std::set<std::chrono::sys_days> days_;
  std::map<std::string, EvidenceSummary::Host> hosts_;
  std::map<std::string, EvidenceSummary::Host> domains_;
  std::map<std::pair<VerdictKind, std::string>, RefusalCause> causes_;
  std::map<std::tuple<std::string, std::string, sys_seconds>, SeenCertificate> certificates_;
};

/// What a new rule for the domain would say; nothing when the name is none.
std::optional<Partner> partner_for(const std::string &domain, std::vector<std::string> match) {
  auto pattern = smtp::DomainPattern::parse(domain);
  if (!pattern) return std::nullopt;
  Partner partner;
  partner.name = domain;
  partner.domains.push_back(std::move(*pattern));
  OutboundRule rule;
  rule.level = tls::Level::authenticated;
  rule.match = std::move(match);
  rule.place = "a rule for";
  partner.outbound = std::move(rule);
  return partner;
}

/// Nothing unless every session would pass.
std::optional<EvidenceSummary> try_rule(const EvidenceQuestion &question, const std::string &domain,
                                        std::vector<std::string> match, std::span<const Evidence> evidence) {
  auto partner = partner_for(domain, std::move(match));
  if (!partner) return std::nullopt;
  auto table = PartnerTable::build({*partner});
  if (!table) return std::nullopt;
  EvidenceQuestion asked = question;
  asked.direction = Direction::outbound;
  asked.partners = &*table;
  asked.partner = &*partner;
  EvidenceSummary summary = summarise(asked, evidence);
  if (summary.sessions == 0 || summary.refused_sessions > 0 || summary.unknown_sessions > 0 || summary.passed_over > 0)
    return std::nullopt;
  return summary;
}

bool is_in_table(const PartnerTable *partners, const std::string &name) {
  const auto domain = smtp::Domain::parse(name);
  if (!domain) return true; // an address literal: no rule can be written for it
  const Partner *partner = partners ? partners->find(*domain) : nullptr;
  return partner && partner->outbound;
}

} // namespace

EvidenceSummary summarise(const EvidenceQuestion &question, std::span<const Evidence> evidence) {
  EvidenceSummary summary;
  Gathering gathering(question, summary);
  for (const Evidence &each : evidence) gathering.add(each);
  gathering.finish();
  return summary;
}

std::vector<Suggestion> suggest(const EvidenceQuestion &question, std::span<const Evidence> evidence,
                                std::size_t limit) {
  constexpr std::size_t most_names = 8; ///< of a proposed `match`
  std::unordered_map<std::string, std::vector<Evidence>> domains;
  std::set<std::string> unfit;
  for (const Evidence &each : evidence) {
    const EvidenceRow &row = each.row;
    if (row.direction != Direction::outbound) continue;
    if (!row.is_encrypted || !row.not_after) unfit.insert(row.domain);
    if (!unfit.contains(row.domain)) domains[row.domain].push_back(each);
  }
  std::vector<Suggestion> result;
  for (const auto &[domain, rows] : domains) {
    if (unfit.contains(domain) || is_in_table(question.partners, domain)) continue;
    Suggestion suggestion{.domain = domain, .match = {}, .summary = {}};
    auto summary = try_rule(question, domain, {}, rows);
    if (!summary) {
      std::set<std::string> hosts;
      for (const Evidence &each : rows) hosts.insert(each.row.host);
      if (hosts.size() > most_names) continue;
      suggestion.match.assign(hosts.begin(), hosts.end());
      summary = try_rule(question, domain, suggestion.match, rows);
    }
    if (!summary) continue;
    suggestion.summary = std::move(*summary);
    result.push_back(std::move(suggestion));
  }
  std::sort(result.begin(), result.end(), [](const Suggestion &left, const Suggestion &right) {
    return left.summary.messages != right.summary.messages ? left.summary.messages > right.summary.messages
                                                           : left.domain < right.domain;
  });
  if (result.size() > limit) result.resize(limit);
  return result;
}

} // namespace policy
