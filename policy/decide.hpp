// decide_tls and judge_sender: the arbiter of every source of TLS policy, outbound, and the partner table's inbound
// half.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "policy/partner.hpp"
#include "policy/requirement.hpp"
#include "policy/tls_sources.hpp"
#include "smtp/names/ip_address.hpp"
#include "smtp/names/mailbox.hpp"
#include "smtp/wire/reply.hpp"

namespace policy {

/// Decides what one host must give before mail is handed to it. Pure; the same for delivery, `explain` and `simulate`.
/// Every source is weighed and listed in `reasons`; docs/architecture.md, "One arbiter", has the table:
///   - The strictest level wins: default, route, partner (`enforce`), DANE, MTA-STS (`enforce`), memory, REQUIRETLS.
///   - DANE usable: level dane; unusable: at least encrypted; failed: the host is `unusable`. DANE beats MTA-STS where
///     both apply (RFC 8461 section 2): then the policy's MX patterns and the WebPKI are not judged. A partner's
///     authenticated rule holds beside DANE (`and_certificate`).
///   - MTA-STS enforce: the host must match a pattern, else it is `unusable`; level authenticated, system CAs, the
///     reference is the host's name (RFC 8461 section 4.1). testing: `observed` only. failed: `unusable`.
///   - A rule in observe mode (or before its `from` date) counts for nothing in `enforced`; what it would have demanded
///   is
///     in `observed`, also where that is only another TLS profile.
///   - A dated exception, not expired at `now`, lowers (or raises) what all those before it demand.
///   - REQUIRETLS raises to authenticated with a trusted name: a host whose name is neither secure, nor in a valid
///     MTA-STS policy, nor configured is `unusable`. An exception does not lower it.
///   - TLS-Required: No passes over DANE, MTA-STS and memory; a partner's mandate and REQUIRETLS are not passed over.
///     A TLSRPT report of ours passes over every mandate.
///   - An operator's override for the message sets the level, whatever the others say.
/// The references of `authenticated` are, in this order: the partner's `match`; the host's name when its trust is sts
/// or dnssec (dnssec: also the names that DANE gives); otherwise the recipient domain and, for a route, its host names.
/// They are given at every level, so that what a connection proved is recorded even where nothing was demanded. A level
/// below `encrypted` takes the default's profile: a strict one would only turn old TLS into clear text. A route with
/// TLS from the first octet is never below `encrypted`: there is no clear text on such a port.
[[nodiscard]] Decision decide_tls(const TlsSources &sources);

/// Whether a rule with this mode and date is enforced at `now`: not before its day (UTC).
[[nodiscard]] Mode mode_at(Mode mode, const std::optional<std::chrono::sys_days> &from,
                           std::chrono::system_clock::time_point now) noexcept;

/// What is known of a client when it says MAIL.
struct SenderFacts {
  smtp::IpAddress client;
  const tls::Facts *facts =
      nullptr;                 ///< of the session; `verdict` against the rule's trust store when the rule asks for one
  std::string_view listener{}; ///< the name of the listener; empty: one for which every rule holds
};

/// Which trust store (Requirement's words) and purpose the verdict must be made against before judge_sender; nothing
/// when no certificate needs judging.
struct NeededVerdict {
  std::string trust;
  std::vector<std::string> crls;
  bool accept_server_auth = false;
};
[[nodiscard]] std::optional<NeededVerdict> needed_verdict(const PartnerTable &partners, const smtp::ReversePath &sender,
                                                          std::string_view listener = {});

struct SenderVerdict {
  std::optional<smtp::Reply> refusal;   ///< 550 5.7.x or 450 4.7.x, naming what was missing; nothing: accepted
  tls::Level wanted = tls::Level::none; ///< what the rule (observed or enforced) demands; none: no rule
  std::string rule;                     ///< empty: no rule applies
  Mode mode = Mode::enforce;
  bool satisfied = true;          ///< false with mode observe: recorded, let pass
  bool is_proven = false;         ///< a network or a certificate of the rule says that it is the partner
  std::optional<Verdict> verdict; ///< over the certificate or the encryption; nothing: no rule applies
  std::string reason;
};

/// Inbound: judges the claim of an envelope sender by its domain. Pure. The null reverse-path and literals have no
/// rule. `authenticated` is met by TLS with a certificate that the rule accepts, or by TLS from one of the rule's
/// networks.
[[nodiscard]] SenderVerdict judge_sender(const PartnerTable &partners, const smtp::ReversePath &sender,
                                         const SenderFacts &facts, std::chrono::system_clock::time_point now);

} // namespace policy
