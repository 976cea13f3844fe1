// TlsSources: what each source of TLS policy knows of one next hop, as plain facts; decide_tls() weighs them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "policy/partner.hpp"
#include "policy/requirement.hpp"
#include "smtp/dns/answer.hpp"
#include "smtp/names/domain.hpp"
#include "tls/core/facts.hpp"
#include "tls/core/level.hpp"

namespace policy {

/// Defaults for those who are not in the table; a [[route]] may raise them for its domains (Config::outbound_defaults).
struct OutboundDefaults {
  tls::Level level = tls::Level::opportunistic;
  std::string profile = "internet";
  std::string rule = "default";
  Source source = Source::defaults; ///< or route
  std::string trust = "system";
  std::vector<std::string> match; ///< reference identifiers; empty: as decide_tls says
  std::vector<std::string> pins;
  friend bool operator==(const OutboundDefaults &, const OutboundDefaults &) = default;
};

/// What the DNS says of one host's TLSA records (RFC 7672 section 2.2).
struct DaneFacts {
  enum class State : std::uint8_t {
    off,      ///< not asked: switched off, an address literal, or a resolver that does not validate
    insecure, ///< the MX or the address answer is not DNSSEC-secure, or the TLSA answer is not: DANE does not apply
    none,     ///< secure, and there is no TLSA record
    unusable, ///< secure records, none of which SMTP can use (usages 0 and 1, unknown parameters): TLS without
              ///< authentication (RFC 7672 section 2.2, RFC 7671 section 10.1)
    usable,   ///< at least one usable record
    failed,   ///< the TLSA question was bogus or failed although the host is secure: this host must not be used now
  };
  State state = State::off;
  std::string base_domain;               ///< TLSA base domain: SNI, and the first reference identifier of usage 2
  std::vector<std::string> names;        ///< the other reference identifiers of usage 2 (section 3.2.2)
  std::vector<smtp::TlsaRecord> records; ///< all of them, usable or not
  std::size_t unusable_records = 0;      ///< how many of them SMTP cannot use
  std::string detail;                    ///< for insecure, unusable and failed: why; for people
  std::chrono::seconds ttl{0};
  friend bool operator==(const DaneFacts &, const DaneFacts &) = default;
};
[[nodiscard]] const char *to_string(DaneFacts::State state) noexcept;

/// What is known of the recipient domain's MTA-STS policy (RFC 8461).
struct StsFacts {
  enum class State : std::uint8_t {
    off,     ///< not asked: switched off, a route, an address literal
    none,    ///< no policy: no record, a policy that could not be fetched and none kept (section 3.3), or mode none
    testing, ///< failures are recorded, nothing is enforced
    enforce,
    failed, ///< our cache or the look-up of the record failed: a temporary failure, never "no policy"
  };
  State state = State::off;
  std::string domain;          ///< the policy domain
  std::string id;              ///< of the record
  std::vector<std::string> mx; ///< patterns, lower case
  std::chrono::system_clock::time_point fetched;
  std::chrono::system_clock::time_point expires;
  std::string policy_text; ///< as fetched, for reports (RFC 8460 section 4.4, "policy-string") and explain
  std::string detail;      ///< why there is none or why the last fetch failed; for people
  TlsFault fault =
      TlsFault::none; ///< of the last fetch: sts_policy_fetch_error, sts_policy_invalid, sts_webpki_invalid
  friend bool operator==(const StsFacts &, const StsFacts &) = default;
};
[[nodiscard]] const char *to_string(StsFacts::State state) noexcept;

/// What we remember of the TLS that a host for this domain gave before.
struct MemoryFacts {
  bool known = false; ///< TLS was seen
  tls::Version best_version = tls::Version::tls1_2;
  bool authenticated = false;
  std::chrono::system_clock::time_point first_seen;
  std::chrono::system_clock::time_point last_seen; ///< of TLS
  bool always = false;                             ///< no session without STARTTLS since the first with it
  /// A pattern of [tls_memory] covers the domain, and neither an operator nor time has released it: mail waits rather
  /// than leave in clear.
  bool protect = false;
  std::string rule; ///< "portcullis.toml:41 [tls_memory] *.gov.uk"
  friend bool operator==(const MemoryFacts &, const MemoryFacts &) = default;
};

/// What the message itself asks for.
enum class Wish : std::uint8_t {
  none,
  require_tls,  ///< REQUIRETLS (RFC 8689 section 4)
  tls_optional, ///< "TLS-Required: No" (section 5): DANE and MTA-STS are passed over, a partner's mandate is not
  tls_optional_outside, ///< the same of a stranger: our own TLS memory is not for him to pass over
  report,               ///< a TLSRPT report of ours (RFC 8460 section 3): exempt from every mandate
};
[[nodiscard]] const char *to_string(Wish wish) noexcept;

/// An operator's act for one message: `portcullis queue override`.
struct OperatorOverride {
  tls::Level level = tls::Level::opportunistic;
  std::string reason;
  std::string by;
  std::chrono::system_clock::time_point when;
  friend bool operator==(const OperatorOverride &, const OperatorOverride &) = default;
};

/// Everything that decide_tls() weighs, for one host that may take the mail. Views and pointers live for the call.
struct TlsSources {
  const PartnerTable *partners = nullptr; ///< null: none
  const smtp::Domain *domain = nullptr;   ///< of the recipient; null: an address literal, for which no partner counts
  OutboundDefaults defaults;
  const Route *route = nullptr;         ///< set when a route applies (partner's own, or a [[route]])
  std::string host;                     ///< name of the MX or route host; empty: none is known (the DNS failed)
  NameTrust mx_trust = NameTrust::none; ///< configured: a route; dnssec: a secure MX answer; `sts` is found out here
  DaneFacts dane;                       ///< of this host
  StsFacts sts;                         ///< of the domain
  MemoryFacts memory;                   ///< of the domain
  Wish wish = Wish::none;
  std::optional<OperatorOverride> override_;
  std::chrono::system_clock::time_point now;
};

} // namespace policy
