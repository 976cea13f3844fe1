#include "mta/outbound/explain.hpp"

#include <algorithm>
#include <chrono>
#include <random>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/log/printable.hpp"
#include "mta/outbound/decision_text.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

std::string describe_recipient(const Config &config, const smtp::Mailbox &mailbox) {
  switch (config.classify(smtp::ForwardPath(mailbox))) {
  case policy::LocalRecipient::known: return "known";
  case policy::LocalRecipient::unknown: return "unknown: 550 5.1.1";
  case policy::LocalRecipient::not_ours: return "";
  }
  return "";
}

std::string describe_route(const HostList &hosts) {
  if (hosts.route == nullptr) return hosts.implicit_mx ? "by the domain's own address (it has no MX)" : "by MX";
  const auto &route = *hosts.route;
  std::string text = route.name.empty() || route.name == route.place
                         ? fmt::format("route at {}", route.place)
                         : fmt::format("route {} ({})", route.name, route.place);
  if (route.look_up_mx) text += ", MX of its hosts";
  if (route.implicit_tls) text += ", TLS from the first octet";
  return text;
}

void explain_inbound(Explanation &explanation, const Config &config, const smtp::Domain &domain,
                     std::chrono::system_clock::time_point now) {
  const policy::Partner *partner = config.partners.find(domain);
  if (partner == nullptr || !partner->inbound) return;
  explanation.inbound_rule = fmt::format("{} {} [inbound]", partner->inbound->place, partner->name);
  const auto mode = policy::mode_at(partner->inbound->mode, partner->inbound->from, now);
  explanation.inbound_mode = policy::to_string(mode);
  if (mode != partner->inbound->mode) explanation.inbound_from = format_utc(*partner->inbound->from).substr(0, 10);
  explanation.inbound_level = tls::to_string(partner->inbound->level);
}

/// "authenticated for a, b", "dane at mx.example.org and a certificate for a", …
std::string describe(const policy::Requirement &requirement) {
  std::string text = tls::to_string(requirement.level);
  if (requirement.level == tls::Level::authenticated)
    text += fmt::format(" for {}", fmt::join(requirement.references, ", "));
  if (requirement.level == tls::Level::dane) text += fmt::format(" at {}", requirement.server_name);
  if (requirement.and_certificate)
    text += fmt::format(" and a certificate for {}", fmt::join(requirement.references, ", "));
  return text;
}

std::string describe_observed(const policy::Decision &decision) {
  const policy::Requirement &observed = *decision.observed;
  std::string wanted = tls::to_string(observed.level);
  if (observed.and_certificate)
    wanted += fmt::format(" and a certificate for {}", fmt::join(observed.references, ", "));
  if (observed.level == decision.enforced.level && observed.profile != decision.enforced.profile)
    wanted += fmt::format(" with profile {}", observed.profile);
  return fmt::format("; {} would demand {} but only observes", observed.rule, wanted);
}

/// No host has an address and none is forbidden: what delivery answers then.
std::string summarise_unreachable(const Explanation &explanation) {
  const auto temporary = std::find_if(explanation.hosts.begin(), explanation.hosts.end(),
                                      [](const auto &host) { return !host.plan || host.plan->addresses.temporary; });
  if (temporary != explanation.hosts.end())
    return fmt::format("mail for {} waits: {}", explanation.domain, temporary->problem);
  return fmt::format("mail for {} bounces: 550 5.4.4 {}", explanation.domain, explanation.hosts.back().problem);
}

std::string summarise(const Explanation &explanation) {
  if (!explanation.recipient_state.empty() && explanation.recipient_state != "known")
    return fmt::format("mail for {} is refused: {}", explanation.subject, explanation.recipient_state);
  if (!explanation.dns_problem.empty())
    return fmt::format("mail for {} cannot be sent: {}", explanation.domain, explanation.dns_problem);
  const policy::Decision &decision = explanation.decision();
  const auto usable = std::count_if(explanation.hosts.begin(), explanation.hosts.end(), [](const auto &host) {
    return host.plan && !host.addresses.empty() && !host.plan->decision.unusable;
  });
  const auto forbidden = std::find_if(explanation.hosts.begin(), explanation.hosts.end(),
                                      [](const auto &host) { return host.plan && host.plan->decision.unusable; });
  if (usable == 0 && forbidden != explanation.hosts.end())
    return fmt::format("mail for {} waits: no host may be used; {}: {}", explanation.domain, forbidden->name,
                       forbidden->plan->decision.unusable->reason);
  if (usable == 0 && !explanation.hosts.empty()) return summarise_unreachable(explanation);
  const policy::Requirement &required = decision.enforced;
  std::string text = fmt::format("mail for {} goes {} to {} host{}; TLS {}, because {} says so", explanation.domain,
                                 explanation.route, usable, usable == 1 ? "" : "s", describe(required), required.rule);
  if (decision.observed) text += describe_observed(decision);
  return text;
}

/// Every address of every host: explain shows what delivery would ask for one host after the other.
Task<void> explain_hosts(Explanation &explanation, const PolicySources &sources) {
  const HostList &hosts = explanation.plan->hosts;
  for (const auto &host : hosts.hosts) {
    ExplainedHost explained;
    explained.name = host.port == 25 ? host.name : fmt::format("{}:{}", host.name, host.port);
    explained.preference = host.preference;
    auto planned = co_await gather_host_plan(sources, explanation.plan, host);
    if (planned) {
      explained.plan = std::move(*planned);
      for (const auto &address : explained.plan->addresses.addresses)
        explained.addresses.push_back(address.to_string());
      explained.problem = explained.plan->addresses.problem;
    } else {
      explained.problem = planned.error().detail;
    }
    explanation.hosts.push_back(std::move(explained));
  }
}

boost::json::array to_json_array(const std::vector<std::string> &values) {
  boost::json::array array;
  for (const auto &value : values) array.emplace_back(value);
  return array;
}

void append_reasons(std::string &text, const std::vector<policy::Reason> &reasons) {
  for (const auto &reason : reasons)
    text += fmt::format("  {} {}: {} ({})\n", reason.won ? "*" : " ", policy::to_string(reason.source), reason.said,
                        reason.rule);
}

void append_requirement(std::string &text, const char *title, const policy::Requirement &requirement) {
  text += fmt::format("{}: {} (profile {}) by {}\n", title, tls::to_string(requirement.level), requirement.profile,
                      requirement.rule);
  if (requirement.and_certificate) text += "  the certificate counts as well as the TLSA records\n";
  if (requirement.level >= tls::Level::authenticated) {
    text += fmt::format("  certificate for: {}\n", fmt::join(requirement.references, ", "));
    text += fmt::format("  trusted CAs: {}\n", requirement.trust);
    if (!requirement.pins.empty()) text += fmt::format("  pinned keys: {}\n", fmt::join(requirement.pins, ", "));
    for (const auto &demand : requirement.also) {
      text += fmt::format("  and as {} wants it: certificate for {}, trusted CAs {}", demand.rule,
                          fmt::join(demand.references, ", "), demand.trust);
      if (!demand.pins.empty()) text += fmt::format(", pinned keys {}", fmt::join(demand.pins, ", "));
      text += '\n';
    }
  }
  if (!requirement.client_certificate.empty())
    text += fmt::format("  we show the certificate: {}\n", requirement.client_certificate);
}

void append_domain(std::string &text, const Plan &plan) {
  const policy::StsFacts &sts = plan.sts;
  text += fmt::format("MTA-STS: {}", policy::to_string(sts.state));
  if (!sts.id.empty()) text += fmt::format(", id {}", sts.id);
  if (has_policy(sts))
    text += fmt::format(", MX {}, fetched {}, expires {}",
                        sts.mx.empty() ? "none" : fmt::format("{}", fmt::join(sts.mx, " ")), format_utc(sts.fetched),
                        format_utc(sts.expires));
  else if (sts.fault == policy::TlsFault::sts_policy_invalid)
    text += ", the policy is faulty";
  text += sts.detail.empty() ? "\n" : fmt::format(" ({})\n", sts.detail);
  const policy::MemoryFacts &memory = plan.memory;
  if (memory.known)
    text += fmt::format("remembered: TLS up to {}{}, since {}, last on {}{}\n", tls::to_string(memory.best_version),
                        memory.authenticated ? ", authenticated" : "", format_utc(memory.first_seen),
                        format_utc(memory.last_seen), memory.protect ? ", never in clear" : "");
}

/// Names come from the peer.
std::string list_names(const std::vector<std::string> &names) {
  constexpr std::size_t shown = 10;
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < shown; ++i) text += (i == 0 ? "" : " ") + smtp::escape(names[i], 100);
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

void append_probe(std::string &text, const ExplainedProbe &probe) {
  if (!probe.problem.empty()) {
    text += fmt::format("  asked {}: {}\n", probe.address, probe.problem);
    return;
  }
  text += fmt::format("  asked {}: {}, {}{}\n", probe.address, tls::to_string(probe.got),
                      probe.would_deliver ? "would be delivered" : "nothing would be sent",
                      probe.reason.empty() ? "" : ": " + probe.reason);
  if (!probe.version.empty()) text += fmt::format("    {} {}\n", probe.version, probe.suite);
  if (!probe.names.empty())
    text += fmt::format("    certificate for {}, by {}, until {}{}\n", list_names(probe.names),
                        smtp::escape(probe.issuer), format_utc(probe.not_after),
                        probe.matched_name.empty() ? "" : ", matched " + smtp::escape(probe.matched_name));
  if (!probe.chain_digest.empty()) text += fmt::format("    chain {}\n", probe.chain_digest);
  if (probe.would_refuse) text += fmt::format("    the observing rule would refuse: {}\n", probe.would_refuse_reason);
}

void append_host(std::string &text, const ExplainedHost &host) {
  text += fmt::format("host: {} {} {}\n", host.preference, host.name,
                      host.addresses.empty() ? "- " + host.problem : fmt::format("{}", fmt::join(host.addresses, " ")));
  if (!host.plan) return;
  const policy::Decision &decision = host.plan->decision;
  const policy::DaneFacts &dane = host.plan->dane;
  text += fmt::format("  name trust: {}\n", policy::to_string(decision.name_trust));
  text += fmt::format("  DANE: {}", policy::to_string(dane.state));
  if (!dane.base_domain.empty()) text += fmt::format(" at {}", dane.base_domain);
  text += dane.detail.empty() ? "\n" : fmt::format(" ({})\n", dane.detail);
  for (const auto &record : dane.records) text += fmt::format("    TLSA {}\n", format_tlsa(record));
  if (decision.unusable)
    text +=
        fmt::format("  not used, by {}: {}\n", policy::to_string(decision.unusable->source), decision.unusable->reason);
  if (decision.observed_unusable)
    text += fmt::format("  would not be used, by {} (observed): {}\n",
                        policy::to_string(decision.observed_unusable->source), decision.observed_unusable->reason);
  append_requirement(text, "  TLS", decision.enforced);
  if (decision.observed) append_requirement(text, "  observed, not enforced", *decision.observed);
  text += "  sources:\n";
  append_reasons(text, decision.reasons);
  for (const auto &probe : host.probes) append_probe(text, probe);
}

boost::json::object to_json(const ExplainedProbe &probe) {
  boost::json::object object{{"address", probe.address},
                             {"problem", probe.problem},
                             {"tls_got", tls::to_string(probe.got)},
                             {"version", probe.version},
                             {"suite", probe.suite},
                             {"verdict", probe.verdict},
                             {"reason", probe.reason},
                             {"matched_name", probe.matched_name},
                             {"names", to_json_array(probe.names)},
                             {"issuer", probe.issuer},
                             {"chain_digest", probe.chain_digest},
                             {"would_deliver", probe.would_deliver},
                             {"would_refuse", probe.would_refuse}};
  object["not_after"] = probe.names.empty() ? std::string() : format_utc(probe.not_after);
  return object;
}

boost::json::object to_json(const ExplainedHost &host) {
  boost::json::object object{{"name", host.name},
                             {"preference", host.preference},
                             {"addresses", to_json_array(host.addresses)},
                             {"problem", host.problem},
                             {"decision", nullptr}};
  if (host.plan) object["decision"] = mta::to_json(*host.plan);
  if (!host.probes.empty()) {
    boost::json::array probes;
    for (const auto &probe : host.probes) probes.push_back(to_json(probe));
    object["probes"] = std::move(probes);
  }
  return object;
}

} // namespace

const policy::Decision &Explanation::decision() const noexcept {
  for (const auto &host : hosts)
    if (host.plan && !host.plan->decision.unusable) return host.plan->decision;
  static const policy::Decision nothing;
  return plan ? plan->decision : nothing;
}

smtp::Result<smtp::Mailbox> parse_subject(std::string_view subject) {
  const std::string_view name = subject;
  const bool is_mailbox = name.find('@') != std::string_view::npos;
  // The absolute form of a domain (RFC 1034 section 3.1) is a mailbox's matter, too.
  auto mailbox = smtp::Mailbox::parse(is_mailbox ? std::string(name) : fmt::format("postmaster@{}", name));
  if (mailbox) return mailbox;
  return smtp::fail(mailbox.error().code, fmt::format("{} is not a {}: {}", smtp::escape(subject),
                                                      is_mailbox ? "mailbox" : "domain", mailbox.error().detail));
}

Task<Explanation> explain(std::shared_ptr<const Snapshot> snapshot, PolicySources sources, std::string subject,
                          MessageWish wish) {
  const Config &config = snapshot->config();
  Explanation explanation;
  explanation.subject = subject;
  auto mailbox = parse_subject(subject);
  if (!mailbox) {
    explanation.summary = mailbox.error().detail;
    co_return explanation;
  }
  if (subject.find('@') != std::string::npos) explanation.recipient_state = describe_recipient(config, *mailbox);
  explanation.domain = mailbox->host();
  if (const smtp::Domain *domain = mailbox->domain()) {
    explanation.local = config.domains.contains(domain->ascii());
    explain_inbound(explanation, config, *domain, std::chrono::system_clock::now());
  }
  std::mt19937_64 generator{std::random_device()()};
  const RandomIndex random = [&generator](std::size_t n) {
    return n < 2 ? 0 : std::uniform_int_distribution<std::size_t>(0, n - 1)(generator);
  };
  const bool by_domain = mailbox->domain() != nullptr;
  auto gathered = co_await gather_plan(sources, snapshot, std::move(*mailbox), std::move(wish), random);
  explanation.plan = std::move(gathered.plan);
  explanation.route = by_domain ? describe_route(explanation.plan->hosts) : "to the address itself";
  explanation.name_trust = policy::to_string(explanation.plan->hosts.trust);
  // What the rules say does not need the hosts: shown also when the DNS fails.
  if (gathered.failure)
    explanation.dns_problem =
        fmt::format("{} ({})", gathered.failure->detail,
                    gathered.failure->reply.is_permanent() ? "permanent" : "temporary, tried again later");
  co_await explain_hosts(explanation, sources);
  explanation.summary = summarise(explanation);
  co_return explanation;
}

std::string format_text(const Explanation &explanation) {
  std::string text = explanation.summary + "\n";
  if (!explanation.plan) return text;
  text += fmt::format("\ndomain: {}{}\n", explanation.domain, explanation.local ? " (ours)" : "");
  if (!explanation.recipient_state.empty()) text += fmt::format("recipient: {}\n", explanation.recipient_state);
  text += fmt::format("route: {}\nname trust: {}\n", explanation.route, explanation.name_trust);
  if (!explanation.dns_problem.empty()) text += fmt::format("DNS: {}\n", explanation.dns_problem);
  append_domain(text, *explanation.plan);
  for (const auto &host : explanation.hosts) append_host(text, host);
  if (explanation.hosts.empty()) {
    append_requirement(text, "TLS", explanation.decision().enforced);
    if (explanation.decision().observed)
      append_requirement(text, "observed, not enforced", *explanation.decision().observed);
    text += "sources:\n";
    append_reasons(text, explanation.decision().reasons);
  }
  if (explanation.inbound_rule.empty())
    text += "inbound: nothing is demanded of its senders\n";
  else
    text +=
        fmt::format("inbound: {} ({}{}) by {}\n", explanation.inbound_level, explanation.inbound_mode,
                    explanation.inbound_from.empty() ? "" : fmt::format(", enforced from {}", explanation.inbound_from),
                    explanation.inbound_rule);
  return printable_lines(text); // names, replies and details are what strangers wrote
}

std::string format_json(const Explanation &explanation) {
  boost::json::array hosts;
  for (const auto &host : explanation.hosts) hosts.push_back(to_json(host));
  const policy::Decision &decision = explanation.decision();
  boost::json::object object{{"subject", explanation.subject},
                             {"domain", explanation.domain},
                             {"local", explanation.local},
                             {"recipient_state", explanation.recipient_state},
                             {"route", explanation.route},
                             {"name_trust", explanation.name_trust},
                             {"mta_sts", nullptr},
                             {"memory", nullptr},
                             {"hosts", std::move(hosts)},
                             {"dns_problem", explanation.dns_problem},
                             {"requirement", to_json(decision.enforced)},
                             {"observed", nullptr},
                             {"reasons", to_json(decision.reasons)},
                             {"inbound", nullptr},
                             {"summary", explanation.summary}};
  if (explanation.plan) {
    object["mta_sts"] = to_json(explanation.plan->sts);
    object["memory"] = to_json(explanation.plan->memory);
  }
  if (decision.observed) object["observed"] = to_json(*decision.observed);
  if (!explanation.inbound_rule.empty())
    object["inbound"] = boost::json::object{{"rule", explanation.inbound_rule},
                                            {"mode", explanation.inbound_mode},
                                            {"from", explanation.inbound_from},
                                            {"level", explanation.inbound_level}};
  make_utf8(object);
  return boost::json::serialize(object);
}

} // namespace mta
