// decide_tls and judge_sender: the two pure decisions of the partner table, outbound and inbound.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "policy/partner.hpp"
#include "policy/requirement.hpp"
#include "smtp/names/ip_address.hpp"
#include "smtp/names/mailbox.hpp"
#include "smtp/wire/reply.hpp"

namespace policy {

/// Defaults for those who are not in the table; a [[route]] may raise them for its domains (Config::outbound_defaults).
struct OutboundDefaults {
  tls::Level level = tls::Level::opportunistic;
  std::string profile = "internet";
  std::string rule = "default";
  std::string source = "default"; ///< Reason::source: "default" or "route"
  std::string trust = "system";
  std::vector<std::string> match; ///< reference identifiers; empty: as decide_tls says
  std::vector<std::string> pins;
};

/// What is known of the next hop when TLS is decided.
struct NextHop {
  const Route *route =
      nullptr; ///< set when a route applies (partner's own, or a [[route]]); its host names are `configured`
  std::vector<std::string> mx_names; ///< names of the MX hosts
  NameTrust mx_trust = NameTrust::none;
};

/// Decides what the next hop for mail to `domain` must give. Pure. The strictest source wins, except that a dated
/// exception, not expired at `now`, may lower it. The references of `authenticated` are, in this order: the partner's
/// `match`; MX names when `mx_trust` is dnssec; otherwise the recipient domain and, for a route, its host names. They
/// are given at every level, so that what a connection proved is recorded even where nothing was demanded. A rule in
/// observe mode counts for nothing in `enforced`; what it would have demanded is in `observed`. An exception to
/// `opportunistic` or `none` takes the default's profile: a strict one would only turn old TLS into clear text. A route
/// with TLS from the first octet is never below `encrypted`: there is no clear text on such a port.
[[nodiscard]] Decision decide_tls(const PartnerTable &partners, const smtp::Domain &domain, const NextHop &hop,
                                  const OutboundDefaults &defaults, std::chrono::system_clock::time_point now);

/// The decision for an address literal recipient: no partner can match, the default applies.
[[nodiscard]] Decision decide_tls_without_domain(const OutboundDefaults &defaults);

/// What is known of a client when it says MAIL.
struct SenderFacts {
  smtp::IpAddress client;
  const tls::Facts *facts =
      nullptr; ///< of the session; `verdict` against the rule's trust store when the rule asks for one
};

/// Which trust store (Requirement's words) and purpose the verdict must be made against before judge_sender; nothing
/// when no certificate needs judging.
struct NeededVerdict {
  std::string trust;
  bool accept_server_auth = false;
};
[[nodiscard]] std::optional<NeededVerdict> needed_verdict(const PartnerTable &partners,
                                                          const smtp::ReversePath &sender);

struct SenderVerdict {
  std::optional<smtp::Reply> refusal;   ///< 550 5.7.x or 450 4.7.x, naming what was missing; nothing: accepted
  tls::Level wanted = tls::Level::none; ///< what the rule (observed or enforced) demands; none: no rule
  std::string rule;                     ///< empty: no rule applies
  Mode mode = Mode::enforce;
  bool satisfied = true; ///< false with mode observe: recorded, let pass
  std::string reason;
};

/// Inbound: judges the claim of an envelope sender by its domain. Pure. The null reverse-path and literals have no
/// rule. `authenticated` is met by TLS with a certificate that the rule accepts, or by TLS from one of the rule's
/// networks.
[[nodiscard]] SenderVerdict judge_sender(const PartnerTable &partners, const smtp::ReversePath &sender,
                                         const SenderFacts &facts);

} // namespace policy
