// explain: see explain.hpp.
#include "mta/outbound/explain.hpp"

#include <algorithm>
#include <chrono>
#include <random>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/outbound/find_hosts.hpp"
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

void explain_inbound(Explanation &explanation, const Config &config, const smtp::Domain &domain) {
  const policy::Partner *partner = config.partners.find(domain);
  if (partner == nullptr || !partner->inbound) return;
  explanation.inbound_rule = fmt::format("{} {} [inbound]", partner->inbound->place, partner->name);
  explanation.inbound_mode = policy::to_string(partner->inbound->mode);
  explanation.inbound_level = tls::to_string(partner->inbound->level);
}

std::string summarise(const Explanation &explanation) {
  if (!explanation.recipient_state.empty() && explanation.recipient_state != "known")
    return fmt::format("mail for {} is refused: {}", explanation.subject, explanation.recipient_state);
  if (!explanation.dns_problem.empty())
    return fmt::format("mail for {} cannot be sent: {}", explanation.domain, explanation.dns_problem);
  const auto &required = explanation.decision.enforced;
  const auto usable = std::count_if(explanation.hosts.begin(), explanation.hosts.end(),
                                    [](const auto &host) { return !host.addresses.empty(); });
  std::string text = fmt::format("mail for {} goes {} to {} host{}; TLS {}", explanation.domain, explanation.route,
                                 usable, usable == 1 ? "" : "s", tls::to_string(required.level));
  if (required.level >= tls::Level::authenticated) text += fmt::format(" for {}", fmt::join(required.references, ", "));
  text += fmt::format(", because {} says so", required.rule);
  if (explanation.decision.observed)
    text += fmt::format("; {} would demand {} but only observes", explanation.decision.observed->rule,
                        tls::to_string(explanation.decision.observed->level));
  return text;
}

/// Every address of every host: explain shows what delivery would ask for one host after the other.
Task<void> explain_hosts(Explanation &explanation, const Config &config, Resolver &resolver, const HostList &hosts) {
  for (const auto &host : hosts.hosts) {
    ExplainedHost explained;
    explained.name = host.port == 25 ? host.name : fmt::format("{}:{}", host.name, host.port);
    explained.preference = host.preference;
    auto found = co_await find_addresses(config, resolver, host);
    for (const auto &address : found.addresses) explained.addresses.push_back(address.to_string());
    explained.problem = std::move(found.problem);
    explanation.hosts.push_back(std::move(explained));
  }
  explanation.route = describe_route(hosts);
  explanation.name_trust = policy::to_string(hosts.trust);
}

Task<void> explain_domain(Explanation &explanation, const Config &config, Resolver &resolver, smtp::Domain domain) {
  explanation.domain = domain.ascii();
  explanation.local = config.domains.contains(domain.ascii());
  explain_inbound(explanation, config, domain);
  std::mt19937_64 generator{std::random_device()()};
  const RandomIndex random = [&generator](std::size_t n) {
    return n < 2 ? 0 : std::uniform_int_distribution<std::size_t>(0, n - 1)(generator);
  };
  auto found = co_await find_hosts(config, resolver, domain, random);
  if (found) {
    co_await explain_hosts(explanation, config, resolver, *found);
  } else {
    explanation.dns_problem =
        fmt::format("{} ({})", found.error().detail,
                    found.error().reply.is_permanent() ? "permanent" : "temporary, tried again later");
    explanation.route = "by MX";
    explanation.name_trust = policy::to_string(policy::NameTrust::none);
  }
  // What the rules say does not need the hosts: shown also when the DNS fails.
  const HostList nothing;
  explanation.decision = decide_for(config, domain, found ? *found : nothing, std::chrono::system_clock::now());
}

boost::json::array to_array(const std::vector<std::string> &values) {
  boost::json::array array;
  for (const auto &value : values) array.emplace_back(value);
  return array;
}

boost::json::object to_object(const policy::Requirement &requirement) {
  return {{"level", tls::to_string(requirement.level)},
          {"profile", requirement.profile},
          {"trust", requirement.trust},
          {"references", to_array(requirement.references)},
          {"pins", to_array(requirement.pins)},
          {"client_certificate", requirement.client_certificate},
          {"implicit_tls", requirement.implicit_tls},
          {"rule", requirement.rule}};
}

void append_requirement(std::string &text, const char *title, const policy::Requirement &requirement) {
  text += fmt::format("{}: {} (profile {}) by {}\n", title, tls::to_string(requirement.level), requirement.profile,
                      requirement.rule);
  if (requirement.level >= tls::Level::authenticated) {
    text += fmt::format("  certificate for: {}\n", fmt::join(requirement.references, ", "));
    text += fmt::format("  trusted CAs: {}\n", requirement.trust);
    if (!requirement.pins.empty()) text += fmt::format("  pinned keys: {}\n", fmt::join(requirement.pins, ", "));
  }
  if (!requirement.client_certificate.empty())
    text += fmt::format("  we show the certificate: {}\n", requirement.client_certificate);
}

} // namespace

Task<Explanation> explain(std::shared_ptr<const Snapshot> snapshot, Resolver &resolver, std::string subject) {
  const Config &config = snapshot->config();
  Explanation explanation;
  explanation.subject = subject;
  std::optional<smtp::Mailbox> mailbox;
  std::optional<smtp::Domain> domain;
  if (subject.find('@') != std::string::npos) {
    auto parsed = smtp::Mailbox::parse(subject);
    if (parsed) {
      mailbox = std::move(*parsed);
      if (mailbox->domain() != nullptr) domain = *mailbox->domain();
    } else {
      explanation.summary = fmt::format("{} is not a mailbox: {}", smtp::escape(subject), parsed.error().detail);
      co_return explanation;
    }
  } else if (auto parsed = smtp::Domain::parse(subject)) {
    domain = std::move(*parsed);
  } else {
    explanation.summary = fmt::format("{} is not a domain: {}", smtp::escape(subject), parsed.error().detail);
    co_return explanation;
  }
  if (mailbox) explanation.recipient_state = describe_recipient(config, *mailbox);
  if (domain) {
    co_await explain_domain(explanation, config, resolver, *domain);
  } else {
    const HostList hosts = hosts_of_literal(config, *mailbox->literal());
    explanation.domain = mailbox->host();
    co_await explain_hosts(explanation, config, resolver, hosts);
    explanation.route = "to the address itself";
    explanation.decision = decide_for_literal(config);
  }
  explanation.summary = summarise(explanation);
  co_return explanation;
}

std::string format_text(const Explanation &explanation) {
  std::string text = explanation.summary + "\n";
  if (explanation.domain.empty()) return text;
  text += fmt::format("\ndomain: {}{}\n", explanation.domain, explanation.local ? " (ours)" : "");
  if (!explanation.recipient_state.empty()) text += fmt::format("recipient: {}\n", explanation.recipient_state);
  text += fmt::format("route: {}\nname trust: {}\n", explanation.route, explanation.name_trust);
  if (!explanation.dns_problem.empty()) text += fmt::format("DNS: {}\n", explanation.dns_problem);
  for (const auto &host : explanation.hosts)
    text +=
        fmt::format("host: {} {} {}\n", host.preference, host.name,
                    host.addresses.empty() ? "- " + host.problem : fmt::format("{}", fmt::join(host.addresses, " ")));
  append_requirement(text, "TLS", explanation.decision.enforced);
  if (explanation.decision.observed) append_requirement(text, "observed, not enforced", *explanation.decision.observed);
  text += "sources:\n";
  for (const auto &reason : explanation.decision.reasons)
    text += fmt::format("  {} {}: {} ({})\n", reason.won ? "*" : " ", reason.source, reason.said, reason.rule);
  if (explanation.inbound_rule.empty())
    text += "inbound: nothing is demanded of its senders\n";
  else
    text += fmt::format("inbound: {} ({}) by {}\n", explanation.inbound_level, explanation.inbound_mode,
                        explanation.inbound_rule);
  return text;
}

std::string format_json(const Explanation &explanation) {
  boost::json::array hosts;
  for (const auto &host : explanation.hosts)
    hosts.push_back(boost::json::object{{"name", host.name},
                                        {"preference", host.preference},
                                        {"addresses", to_array(host.addresses)},
                                        {"problem", host.problem}});
  boost::json::array reasons;
  for (const auto &reason : explanation.decision.reasons)
    reasons.push_back(boost::json::object{
        {"source", reason.source}, {"rule", reason.rule}, {"said", reason.said}, {"won", reason.won}});
  boost::json::object object{{"subject", explanation.subject},
                             {"domain", explanation.domain},
                             {"local", explanation.local},
                             {"recipient_state", explanation.recipient_state},
                             {"route", explanation.route},
                             {"name_trust", explanation.name_trust},
                             {"hosts", std::move(hosts)},
                             {"dns_problem", explanation.dns_problem},
                             {"requirement", to_object(explanation.decision.enforced)},
                             {"observed", nullptr},
                             {"reasons", std::move(reasons)},
                             {"inbound", nullptr},
                             {"summary", explanation.summary}};
  if (explanation.decision.observed) object["observed"] = to_object(*explanation.decision.observed);
  if (!explanation.inbound_rule.empty())
    object["inbound"] = boost::json::object{
        {"rule", explanation.inbound_rule}, {"mode", explanation.inbound_mode}, {"level", explanation.inbound_level}};
  return boost::json::serialize(object);
}

} // namespace mta
