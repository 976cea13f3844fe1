// What SPF, DKIM, ARC and DMARC found, as plain values: policy judges them, the log and the trace fields write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace auth {

/// RFC 7208 section 2.6.
enum class SpfResult : std::uint8_t { none, neutral, pass, fail, softfail, temperror, permerror };

/// One identity of SPF.
struct SpfVerdict {
  SpfResult result = SpfResult::none;
  std::string domain;      ///< the <domain> that was checked, lower case
  std::string explanation; ///< from exp=, expanded, printable ASCII; only for fail (RFC 7208 section 6.2)
  std::string reason;      ///< for people: which mechanism matched, or what is wrong with the record
  unsigned lookups = 0;    ///< terms that cost a DNS lookup (RFC 7208 section 4.6.4)
  unsigned void_lookups = 0;
};

struct SpfVerdicts {
  SpfVerdict helo;
  SpfVerdict mail_from; ///< of postmaster@HELO when the reverse-path is empty (RFC 7208 section 2.4)
};

/// RFC 8601 section 2.7.1. `policy` is a signature that verifies and is not accepted (a weak key or algorithm).
enum class DkimResult : std::uint8_t { none, pass, fail, policy, neutral, temperror, permerror };

/// One DKIM-Signature field.
struct DkimVerdict {
  DkimResult result = DkimResult::none;
  std::string domain;          ///< d=, lower case
  std::string selector;        ///< s=
  std::string identity;        ///< i= as sent, or "@" and d=
  std::string algorithm;       ///< a=, lower case: "rsa-sha256"
  unsigned bits = 0;           ///< of the key; 0: not known
  std::string reason;          ///< for people, printable ASCII; empty for a plain pass
  std::string signature_start; ///< the first 8 characters of b=, for header.b (RFC 6008)
  bool testing = false;        ///< t=y in the key record
  bool body_goes_on = false;   ///< l= covers less than the whole body
};

/// RFC 8617 section 4.4: the validation status of a chain.
enum class ArcResult : std::uint8_t { none, pass, fail };

/// One ARC set that was present.
struct ArcSet {
  unsigned instance = 0;
  std::string domain;   ///< d= of the seal, lower case
  std::string selector; ///< s= of the seal
  std::string results;  ///< the value of ARC-Authentication-Results behind its instance tag
};

struct ArcVerdict {
  ArcResult result = ArcResult::none;
  std::vector<ArcSet> chain; ///< in the order of the instances
  unsigned oldest_pass = 0;  ///< RFC 8617 section 5.2 step 4: 0 when every message signature passes
  std::string reason;        ///< for fail: why, printable ASCII
  bool temporary = false;    ///< fail because a key could not be fetched
};

enum class DmarcResult : std::uint8_t { none, pass, fail, temperror, permerror };
/// What a domain asks for, and what is done (p=, sp=, np=).
enum class DmarcPolicy : std::uint8_t { none, quarantine, reject };

struct DmarcVerdict {
  DmarcResult result = DmarcResult::none;
  DmarcPolicy policy = DmarcPolicy::none; ///< the one that applies, as published (RFC 9989: p, sp or np)
  DmarcPolicy disposition =
      DmarcPolicy::none;     ///< what the domain's policy wants of this message, t=y applied; none for pass
  std::string domain;        ///< of header From, lower case A-labels
  std::string org_domain;    ///< its Organizational Domain
  std::string policy_domain; ///< where the record was found; empty: no record
  bool spf_aligned = false;
  bool dkim_aligned = false;
  bool strict_spf = false;      ///< aspf=s
  bool strict_dkim = false;     ///< adkim=s
  bool testing = false;         ///< t=y
  std::string applied_tag;      ///< "p", "sp" or "np"
  std::vector<std::string> rua; ///< URIs as published, for reports
  std::string record;           ///< the record's text
  std::string reason;           ///< for people, printable ASCII
};

/// Why what was done is not what the policy asks for (RFC 9990, "Policy Override Reason").
enum class OverrideKind : std::uint8_t { local_policy, mailing_list, other, policy_test_mode, trusted_forwarder };

struct PolicyOverride {
  OverrideKind kind = OverrideKind::other;
  std::string comment; ///< for people, printable ASCII; may be empty
  friend bool operator==(const PolicyOverride &, const PolicyOverride &) = default;
};

[[nodiscard]] std::string_view to_string(SpfResult result) noexcept;
[[nodiscard]] std::string_view to_string(DkimResult result) noexcept;
[[nodiscard]] std::string_view to_string(ArcResult result) noexcept;
[[nodiscard]] std::string_view to_string(DmarcResult result) noexcept;
[[nodiscard]] std::string_view to_string(DmarcPolicy policy) noexcept;
/// The words of the report.
[[nodiscard]] std::string_view to_string(OverrideKind kind) noexcept;

} // namespace auth
