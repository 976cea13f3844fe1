// Requirement and Verdict: what TLS a next hop must give, with its reasons, and what a handshake amounted to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tls/core/facts.hpp"
#include "tls/core/level.hpp"

namespace policy {

/// Where a reference identifier or an MX name got its trust from (docs/architecture.md, "TLS trust").
enum class NameTrust : std::uint8_t { none, sts, dnssec, configured };
[[nodiscard]] const char *to_string(NameTrust trust) noexcept;

enum class Mode : std::uint8_t { observe, enforce };
[[nodiscard]] const char *to_string(Mode mode) noexcept;

/// One source of TLS policy and what it said, for logs and `explain`.
struct Reason {
  std::string source; ///< "partner", "exception", "route", "default"; later "dane", "mta-sts", "requiretls"
  std::string rule;   ///< "partners.d/example.toml:12 Example Department [outbound]"
  std::string said;   ///< "authenticated", "not yet enforced: authenticated", "expired on 2026-04-01", …
  bool won = false;
  friend bool operator==(const Reason &, const Reason &) = default;
};

/// What the connection to a next hop must give before MAIL is sent. Two equal requirements may share a connection.
struct Requirement {
  tls::Level level = tls::Level::opportunistic;
  std::string profile = "internet";
  std::string trust = "system";        ///< "system" or the path of a PEM file with the only CAs
  std::vector<std::string> references; ///< reference identifiers for `authenticated`; empty then only where the pinned key of the leaf is the identity (inbound)
  std::vector<std::string> pins;       ///< base64 SPKI SHA-256; when not empty, one must be in the chain
  std::string client_certificate;      ///< name of a [[certificate]] to show; empty: none
  bool implicit_tls = false;           ///< TLS from the first octet (a route says so)
  std::string rule;                    ///< the winning rule, as in Reason::rule
  friend bool operator==(const Requirement &, const Requirement &) = default;
};

/// decide_tls()'s answer: what is enforced, what an observing rule would have enforced, and why.
struct Decision {
  Requirement enforced;
  std::optional<Requirement> observed; ///< set when a rule in observe mode demands more than `enforced`
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
};
[[nodiscard]] const char *to_string(VerdictKind kind) noexcept;

/// judge_tls()'s answer. `got` is the level that the connection really reached: none (clear), encrypted, authenticated.
struct Verdict {
  VerdictKind kind = VerdictKind::not_encrypted;
  tls::Level got = tls::Level::none;
  std::string reason; ///< one clause for people: "the certificate is for mx.other.example, not for example.gov.uk"
  std::string matched_name; ///< the certificate name that satisfied a reference
  [[nodiscard]] bool ok() const noexcept { return kind == VerdictKind::satisfied; }
  friend bool operator==(const Verdict &, const Verdict &) = default;
};

/// Pure. `facts.verdict` must have been made against `requirement.trust` when the level is authenticated. A certificate
/// whose chain is trusted and which carries a reference counts as `authenticated` in `got` even when less was demanded.
[[nodiscard]] Verdict judge_tls(const Requirement &requirement, const tls::Facts &facts);

/// A stable text that is equal for requirements that a connection may be shared between.
[[nodiscard]] std::string requirement_key(const Requirement &requirement);

} // namespace policy
