// Requirement and Verdict: what TLS a next hop must give, with its reasons, and what a handshake amounted to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "policy/tls_fault.hpp"
#include "smtp/dns/answer.hpp"
#include "tls/core/facts.hpp"
#include "tls/core/level.hpp"

namespace policy {

/// Where a reference identifier or an MX name got its trust from (docs/architecture.md, "TLS trust").
enum class NameTrust : std::uint8_t { none, sts, dnssec, configured };
[[nodiscard]] const char *to_string(NameTrust trust) noexcept;

enum class Mode : std::uint8_t { observe, enforce };
[[nodiscard]] const char *to_string(Mode mode) noexcept;

/// Who may demand something of the TLS of a session.
enum class Source : std::uint8_t {
  defaults,        ///< [outbound]
  route,           ///< a [[route]]
  partner,         ///< a partner's rule
  dane,            ///< TLSA records (RFC 7672)
  mta_sts,         ///< the domain's policy (RFC 8461)
  memory,          ///< what sessions before this one had
  exception,       ///< a partner's [[exception]]
  requiretls,      ///< the message (RFC 8689 section 2)
  tls_required_no, ///< the message's header (RFC 8689 section 3)
  report,          ///< the message is a TLS report (RFC 8460 section 3)
  operator_act,    ///< an override for the message
};
/// "default", "route", "partner", "dane", "mta-sts", "memory", "exception", "requiretls", "tls-required-no", "report",
/// "operator".
[[nodiscard]] const char *to_string(Source source) noexcept;

/// One source of TLS policy and what it said, for logs and `explain`.
struct Reason {
  Source source = Source::defaults;
  std::string rule; ///< "partners.d/example.toml:12 Example Department [outbound]"
  std::string said; ///< "authenticated", "not yet enforced: authenticated", "expired on 2026-04-01", …
  bool won = false;
  friend bool operator==(const Reason &, const Reason &) = default;
};

/// What proves level authenticated to one of those who demand it.
struct CertificateDemand {
  std::string trust = "system";        ///< "system" or the path of a PEM file with the only anchors
  std::vector<std::string> references; ///< as Requirement has them
  std::vector<std::string> pins;
  std::vector<std::string> crls;
  std::string rule; ///< whose it is, as in Reason::rule
  friend bool operator==(const CertificateDemand &, const CertificateDemand &) = default;
};

/// What the connection to a next hop must give before MAIL is sent. Two equal requirements may share a connection.
struct Requirement {
  tls::Level level = tls::Level::opportunistic;
  std::string profile = "internet";
  std::string trust = "system";        ///< "system" or the path of a PEM file with the only CAs
  std::vector<std::string> references; ///< reference identifiers for `authenticated`; empty then only where the pinned
                                       ///< key of the leaf is the identity (inbound)
  std::vector<std::string>
      pins; ///< base64 SPKI SHA-256; when not empty, one must be in the verified chain, or be the leaf's
  std::string client_certificate; ///< name of a [[certificate]] to show; empty: none
  std::vector<std::string> crls;  ///< CRL files and URLs that the chain is checked against; empty: none
  /// The demands of others who want level authenticated as well, by other means: they must all hold.
  std::vector<CertificateDemand> also{};
  bool implicit_tls = false; ///< TLS from the first octet (a route says so)
  /// With level dane: the usable TLSA records, of which one must match; empty: nothing can satisfy it.
  std::vector<smtp::TlsaRecord> tlsa;
  std::vector<std::string> dane_names; ///< reference identifiers of usage 2; the first is the TLSA base domain
  /// With level dane: a partner's rule of level authenticated holds as well, so the chain must also be trusted and
  /// carry a reference.
  bool and_certificate = false;
  std::string server_name; ///< SNI; empty: the host's name
  bool requiretls = false; ///< the host must offer REQUIRETLS inside TLS (RFC 8689 section 4.2.1)
  std::string rule;        ///< the winning rule, as in Reason::rule
  friend bool operator==(const Requirement &, const Requirement &) = default;
};

/// Why a host must not be used at all, whatever it would show.
struct Unusable {
  Source source = Source::dane; ///< dane, mta_sts or requiretls
  std::string reason;           ///< one clause: "mx.evil.example is not among the MX hosts of the MTA-STS policy"
  TlsFault fault = TlsFault::validation_failure;
  friend bool operator==(const Unusable &, const Unusable &) = default;
};

/// decide_tls()'s answer for one host: what is enforced, what an observing rule would have enforced, and why.
struct Decision {
  Requirement enforced;
  std::optional<Unusable> unusable;       ///< set: no connection is made to this host
  NameTrust name_trust = NameTrust::none; ///< of this host's name
  /// Set when a rule in observe mode, or an MTA-STS policy in testing, demands more than `enforced`, be it only another
  /// TLS profile (from level encrypted); never with `unusable`. Its `rule` is that of the source that observes.
  std::optional<Requirement> observed;
  /// Set when it would not use this host at all; `observed` is then set as well, has no reference and cannot be met.
  std::optional<Unusable> observed_unusable;
  /// What the partner's enforced rule, or an exception to it, demands by itself; none: no such rule, or an operator or
  /// a TLS report passes over it.
  tls::Level partner_level = tls::Level::none;
  std::string partner_rule;         ///< as Reason::rule
  CertificateDemand partner_demand; ///< how it wants its level proven
  std::vector<Reason> reasons;
  friend bool operator==(const Decision &, const Decision &) = default;
};

enum class VerdictKind : std::uint8_t {
  satisfied,
  not_encrypted, ///< TLS was demanded and there is none
  no_certificate,
  untrusted, ///< chain not trusted: expired, self-signed, unknown CA, …
  wrong_name,
  wrong_pin,
  no_dane_match,
  revoked,         ///< by a CRL, or no valid CRL where one is demanded
  no_requiretls,   ///< the message demands REQUIRETLS and the host does not offer it
  outside_profile, ///< of an observing rule: its TLS profile would not have made this session
};
[[nodiscard]] const char *to_string(VerdictKind kind) noexcept;

/// judge_tls()'s answer. `got` is the level that the connection really reached: none (clear), encrypted, authenticated;
/// dane only where it was demanded.
struct Verdict {
  VerdictKind kind = VerdictKind::not_encrypted;
  tls::Level got = tls::Level::none;
  std::string reason; ///< one clause for people: "the certificate is for mx.other.example, not for example.gov.uk"
  std::string matched_name;                            ///< the certificate name that satisfied a reference
  tls::ChainFault chain_fault = tls::ChainFault::none; ///< of kinds untrusted and revoked
  [[nodiscard]] bool ok() const noexcept { return kind == VerdictKind::satisfied; }
  friend bool operator==(const Verdict &, const Verdict &) = default;
};

/// Whether mail may leave in clear text under this requirement.
[[nodiscard]] bool allows_clear_text(const Requirement &requirement) noexcept;

/// The word of TLSRPT for a session that was judged so, for the policy that applied (RFC 8460 section 4.3). Of a
/// session without TLS it says starttls_not_supported: a handshake that failed is the edge's to tell apart
/// (validation_failure). A REQUIRETLS that the host does not offer is no fault of its TLS.
[[nodiscard]] TlsFault fault_of(const Requirement &requirement, const Verdict &verdict,
                                const tls::Facts &facts) noexcept;

/// Pure. `facts.verdict` must have been made against `requirement.trust` and its `crls` when the level is authenticated
/// or `and_certificate` holds, `facts.others` against the stores of `also`, `facts.dane` against `tlsa` and
/// `dane_names` when it is dane. A certificate whose chain is trusted and which carries a reference counts as
/// `authenticated` in `got` even when less was demanded.
[[nodiscard]] Verdict judge_tls(const Requirement &requirement, const tls::Facts &facts);

/// `verdict` where the requirement's TLS profile would have made the session; else outside_profile, since the handshake
/// would have failed, or come out otherwise: the peer may offer more than it showed to another profile. For sessions
/// that were not made with the requirement's own profile, from level encrypted. What is not recorded (Facts::suite,
/// group) passes.
[[nodiscard]] Verdict judge_profile(const Requirement &requirement, Verdict verdict, const tls::Facts &facts);

/// Whether what the partner's own rule demands was not met, whichever source won beside it; never for a rule that only
/// observes. `facts` as judge_tls() wants them for `enforced`, with the verdict for `partner_demand` in `others`; empty
/// when TLS did not come about.
[[nodiscard]] bool partner_refuses(const Decision &decision, const tls::Facts &facts);

/// What the rule that only looks would have said of the connection: judge_tls() and judge_profile() by `observed`, or
/// why it would not have used the host. `facts` as judge_tls() wants them for `observed`. Nothing: no such rule demands
/// more.
[[nodiscard]] std::optional<Verdict> judge_observed(const Decision &decision, const tls::Facts &facts);

/// Whether mail that met this, and no better host, goes back to its sender at once: RFC 8689 section 4.2.1 has no
/// waiting for REQUIRETLS (status 5.7.30 for no_requiretls and a host without a trusted name, else 5.7.10). A list of
/// revoked certificates that we lack is our own passing fault: for that even such mail waits.
[[nodiscard]] bool is_final(const Unusable &unusable) noexcept;
[[nodiscard]] bool is_final(const Requirement &requirement, const Verdict &verdict) noexcept;

/// `verdict` once the host's EHLO inside TLS is known: no_requiretls where the requirement demands REQUIRETLS and the
/// host does not offer it, or there is no TLS (RFC 8689 section 4.2.1, step 5); else `verdict`.
[[nodiscard]] Verdict judge_requiretls(const Requirement &requirement, Verdict verdict, bool offered);

/// A stable text that is equal for requirements that a connection may be shared between.
[[nodiscard]] std::string requirement_key(const Requirement &requirement);

} // namespace policy
