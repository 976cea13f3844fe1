// judge_sender and needed_verdict: the inbound half of the partner table.
#include <algorithm>

#include <fmt/format.h>

#include "policy/decide.hpp"
#include "smtp/base/text.hpp"

namespace policy {

namespace {

struct Found {
  const Partner *partner = nullptr;
  const InboundRule *rule = nullptr;
  const smtp::Domain *domain = nullptr;
};

Found find_rule(const PartnerTable &partners, const smtp::ReversePath &sender, std::string_view listener) {
  const smtp::Mailbox *mailbox = sender.mailbox();
  if (!mailbox || !mailbox->domain()) return {};
  const Partner *partner = partners.find(*mailbox->domain());
  if (!partner || !partner->inbound) return {};
  const auto &listeners = partner->inbound->listeners;
  if (!listener.empty() && !listeners.empty() &&
      std::find(listeners.begin(), listeners.end(), listener) == listeners.end())
    return {};
  return {partner, &*partner->inbound, mailbox->domain()};
}

std::string join(const std::vector<std::string> &names) {
  std::string text;
  for (const auto &name : names) {
    if (!text.empty()) text += " or ";
    text += name;
  }
  return text;
}

/// What the rule demands and what was missing, for the reply: "… demands an encrypted session; start TLS".
std::string describe_failure(const Verdict &verdict, const Requirement &requirement, bool has_networks,
                             const SenderFacts &facts) {
  std::string text = "this domain's policy demands ";
  switch (verdict.kind) {
  case VerdictKind::satisfied: break; // not a failure
  case VerdictKind::not_encrypted: return text + "an encrypted session; start TLS";
  case VerdictKind::no_certificate: text += "a client certificate; none was shown"; break;
  case VerdictKind::untrusted: text += "a trusted client certificate; " + verdict.reason; break;
  case VerdictKind::wrong_name:
    text += fmt::format("a client certificate for {}; {}", smtp::escape(join(requirement.references)), verdict.reason);
    break;
  case VerdictKind::wrong_pin: text += "a client certificate with a pinned key; " + verdict.reason; break;
  case VerdictKind::revoked: text += "a client certificate that is not revoked; " + verdict.reason; break;
  case VerdictKind::no_dane_match:
  case VerdictKind::outside_profile:
  case VerdictKind::no_requiretls: text += verdict.reason; break;
  }
  if (has_networks) text += fmt::format(", and {} is not in its networks", facts.client.to_string());
  return text;
}

smtp::Reply refusal(OnFailure on_failure, VerdictKind kind, std::string text) {
  const std::uint8_t status = on_failure == OnFailure::defer ? 4 : 5;
  // RFC 5248's registry: X.7.10 encryption needed; X.7.1 delivery not authorized.
  const std::uint16_t detail = kind == VerdictKind::not_encrypted ? 10 : 1;
  return {.code = static_cast<std::uint16_t>(status == 4 ? 450 : 550),
          .enhanced = smtp::EnhancedCode{status, 7, detail},
          .text = std::move(text)};
}

} // namespace

std::optional<NeededVerdict> needed_verdict(const PartnerTable &partners, const smtp::ReversePath &sender,
                                            std::string_view listener) {
  const Found found = find_rule(partners, sender, listener);
  if (!found.rule || found.rule->level < tls::Level::authenticated) return std::nullopt;
  return NeededVerdict{
      .trust = found.rule->trust, .crls = found.rule->crls, .accept_server_auth = found.rule->accept_server_auth};
}

SenderVerdict judge_sender(const PartnerTable &partners, const smtp::ReversePath &sender, const SenderFacts &facts,
                           std::chrono::system_clock::time_point now) {
  const Found found = find_rule(partners, sender, facts.listener);
  if (!found.rule) return {};
  const InboundRule &rule = *found.rule;

  SenderVerdict result;
  result.wanted = rule.level;
  result.rule = fmt::format("{} {} [inbound]", rule.place, found.partner->name);
  result.mode = mode_at(rule.mode, rule.from, now);

  Requirement requirement;
  requirement.level = rule.level;
  requirement.trust = rule.trust;
  if (rule.level >= tls::Level::authenticated) {
    requirement.pins = rule.pins;
    requirement.crls = rule.crls; // beside lists a pin alone is no trust, here as outbound
  }

  static const tls::Facts clear_text;
  const tls::Facts &session = facts.facts ? *facts.facts : clear_text;
  // A partner that is known by the key of its certificate need not carry a name that we know.
  const bool known_key = !session.chain.empty() && std::find(rule.pins.begin(), rule.pins.end(),
                                                             session.chain.front().spki_sha256) != rule.pins.end();
  if (!rule.names.empty())
    requirement.references = rule.names;
  else if (!known_key)
    requirement.references = {found.domain->ascii()};
  const Verdict verdict = judge_tls(requirement, session);
  result.reason = verdict.reason;
  result.verdict = verdict;
  const bool from_network = std::any_of(rule.networks.begin(), rule.networks.end(),
                                        [&](const smtp::Network &network) { return network.contains(facts.client); });
  // Beside lists of revoked certificates a key speaks only in a chain that they allow.
  result.is_proven = from_network || (known_key && (rule.crls.empty() || verdict.ok())) ||
                     (verdict.ok() && rule.level >= tls::Level::authenticated);
  if (verdict.ok()) return result;

  // The network stands in for the certificate, never for the encryption.
  if (rule.level == tls::Level::authenticated && session.encrypted && from_network) {
    result.reason = fmt::format("{} is in the partner's networks", facts.client.to_string());
    result.verdict->kind = VerdictKind::satisfied;
    result.verdict->reason = result.reason;
    return result;
  }

  result.satisfied = false;
  const std::string text = describe_failure(verdict, requirement, !rule.networks.empty(), facts);
  result.reason = text;
  // A list of revoked certificates that we lack is a fault near us: the partner's mail is not to bounce for it.
  const bool ours = session.verdict && session.verdict->fault == tls::ChainFault::no_revocation;
  if (result.mode == Mode::enforce)
    result.refusal = refusal(ours ? OnFailure::defer : rule.on_failure, verdict.kind,
                             fmt::format("mail from {}: {}", found.domain->ascii(), text));
  return result;
}

} // namespace policy
