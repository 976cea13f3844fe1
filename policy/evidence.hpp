// Evidence: what past TLS sessions showed, and what a rule, existing or only thought of, would have made of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/chain_judgement.hpp"
#include "policy/decide.hpp"

namespace policy {

enum class Direction : std::uint8_t { outbound, inbound };
[[nodiscard]] const char *to_string(Direction direction) noexcept;

/// One key of what the peer sent; only the first, the leaf's, is proven by that. The keys of a verified chain are in
/// its judgement.
struct EvidenceKey {
  std::string spki_sha256; ///< base64, as in pins
  friend bool operator==(const EvidenceKey &, const EvidenceKey &) = default;
};

/// What sessions had in common. No mailbox and nothing of a message is in it.
struct EvidenceRow {
  Direction direction = Direction::outbound;
  std::string domain;       ///< of the recipient, or of the envelope sender
  std::string host;         ///< outbound: of the MX or route host; inbound: the name given in EHLO
  std::string address;      ///< inbound only: the client's, because a rule may go by networks
  bool is_connected = true; ///< false: the host was passed over for its policy
  bool by_route = false;
  NameTrust name_trust = NameTrust::none;
  DaneFacts::State dane = DaneFacts::State::off;
  std::string dane_base; ///< TLSA base domain, when it is not the host
  StsFacts::State sts = StsFacts::State::off;

  bool is_offered = false; ///< STARTTLS
  bool is_fallback = false;
  bool is_encrypted = false;
  tls::Version version = tls::Version::tls1_2; ///< when encrypted
  std::string suite;                           ///< as tls::Facts has it; empty: not recorded
  std::string group;                           ///< likewise
  std::string key_type;                        ///< of the leaf, likewise
  std::optional<tls::DaneVerdict> dane_verdict;

  std::vector<std::string> names;                    ///< of the leaf
  std::string issuer;                                ///< of the leaf
  std::optional<std::chrono::sys_seconds> not_after; ///< of the leaf; nothing: there was no certificate
  std::vector<EvidenceKey> keys;                     ///< of the chain as sent, leaf first
  std::string chain_digest;
  bool system_trusted = false;
  std::vector<ChainJudgement> judgements;

  tls::Level wanted = tls::Level::none;
  tls::Level got = tls::Level::none;
  std::string rule;
  std::optional<VerdictKind> verdict;
  std::string reason; ///< of the verdict when it was not satisfied, or why TLS did not come about
  std::string observed_rule;
  std::optional<VerdictKind> observed;
  bool is_refused = false;
  bool is_proven =
      false; ///< inbound: SPF, a network or a certificate said that it was the domain's own; else anybody's claim
  TlsFault fault = TlsFault::none;
  friend bool operator==(const EvidenceRow &, const EvidenceRow &) = default;
};

/// A row of one day with its counts.
struct Evidence {
  EvidenceRow row;
  std::chrono::sys_days day;
  std::uint64_t sessions = 0;
  std::uint64_t messages = 0;
  std::chrono::sys_seconds last; ///< session or message
};

/// The Facts of the row as decide and judge want them, with the verdict of the store that the requirement names.
[[nodiscard]] tls::Facts facts_of(const EvidenceRow &row, const std::string &store);

/// Which rule is asked about. What it points to must outlive the call.
struct EvidenceQuestion {
  Direction direction = Direction::outbound;
  const PartnerTable *partners = nullptr; ///< with the rule in it, in mode enforce: see as_enforced()
  const Partner *partner = nullptr;       ///< whose rule it is; null: none is there, only what was seen is told
  /// What counts beside the partner's rule, and the route of a domain (null: none). Empty: the defaults of the code.
  std::function<OutboundDefaults(const smtp::Domain &)> defaults;
  std::function<const Route *(const smtp::Domain &)> route;
  std::chrono::system_clock::time_point now;
  unsigned days = 30; ///< that were read
};

/// The partner with its rules as `status` and `simulate` judge them: in mode enforce, from now on.
[[nodiscard]] Partner as_enforced(Partner partner);

/// What the question's rule makes of one session: the functions that deliver and receive, asked again.
struct Judged {
  bool is_refused = false;
  bool is_unknown = false; ///< the session was not judged by what the rule asks for: it says neither yes nor no
  VerdictKind kind = VerdictKind::satisfied;
  tls::Level got = tls::Level::none;
  std::string reason;
};
[[nodiscard]] Judged judge_evidence(const EvidenceQuestion &question, const EvidenceRow &row);

/// One cause for which enforce would have refused.
struct RefusalCause {
  VerdictKind kind = VerdictKind::not_encrypted;
  std::string reason; ///< of its latest session
  std::string host;
  std::uint64_t sessions = 0;
  std::uint64_t messages = 0;
  std::chrono::sys_seconds last;
};

/// A leaf certificate that a host showed.
struct SeenCertificate {
  std::string host;
  std::vector<std::string> names;
  std::string issuer;
  std::chrono::sys_seconds not_after;
  std::chrono::sys_seconds last_seen;
  std::string leaf_pin;
  std::string pinned; ///< the pin of the rule that its chain carries; empty: none
  bool is_pinned_leaf = false;
  bool is_trusted = false;    ///< by the rule's store, or by the pin of its leaf
  bool has_successor = false; ///< the host has since shown one that lasts longer
};

struct EvidenceSummary {
  Direction direction = Direction::outbound;
  tls::Level level = tls::Level::none; ///< what the rule demands; none: no rule was there
  std::string rule;
  unsigned days_asked = 0;
  std::uint64_t distinct_days = 0; ///< with sessions
  std::optional<std::chrono::sys_seconds> last;
  std::uint64_t sessions = 0;
  std::uint64_t messages = 0;
  std::uint64_t clear_sessions = 0; ///< without TLS
  std::uint64_t clear_messages = 0;
  std::uint64_t authenticated_sessions = 0; ///< judged so by this rule
  std::uint64_t authenticated_messages = 0;
  std::uint64_t unknown_sessions = 0; ///< recorded before the rule: not judged by what it asks for
  std::uint64_t unknown_messages = 0;
  std::uint64_t unproven_sessions =
      0; ///< inbound: that did not meet the rule, and of which nothing says whose they were
  std::uint64_t unproven_messages = 0;
  std::uint64_t refused_sessions = 0; ///< that enforce would have refused
  std::uint64_t refused_messages = 0; ///< of them: messages that went all the same
  std::uint64_t passed_over = 0;      ///< sessions that DANE or MTA-STS did not let come about
  std::optional<tls::Version> best;   ///< of the sessions with TLS
  std::optional<tls::Version> worst;
  struct Host {
    std::string name;
    std::uint64_t sessions = 0;
    std::uint64_t messages = 0;
    std::uint64_t clear_sessions = 0;
    std::uint64_t authenticated_sessions = 0;
    std::uint64_t refused_sessions = 0;
    std::optional<tls::Version> best;
    std::optional<tls::Version> worst;
  };
  std::vector<Host> hosts;                   ///< most sessions first
  std::vector<Host> domains;                 ///< whose mail it was, the same; for a rule for a whole group
  std::vector<SeenCertificate> certificates; ///< the last seen first
  std::vector<RefusalCause> causes;          ///< most sessions first
  bool is_safe = false;
  std::vector<std::string> because;  ///< why not; or, when safe, what it rests on
  std::vector<std::string> warnings; ///< what does not forbid it but wants work
};

/// When a rule may be enforced; docs/partners.md, "Safe to enforce", says the same in words. Besides, whoever asks
/// probes every address.
struct SafetyLimits {
  static constexpr std::uint64_t enough_days = 7; ///< with sessions that say something; a burst of one day says little
  static constexpr std::chrono::days certificate_margin{14};
  static constexpr std::chrono::days pin_margin{60};
};

/// At most this many hosts, certificates and causes are listed.
inline constexpr std::size_t summary_list_limit = 50;

/// Rows of the other direction are passed over. Rows of every domain are taken: the caller chooses them.
[[nodiscard]] EvidenceSummary summarise(const EvidenceQuestion &question, std::span<const Evidence> evidence);

/// A domain that is not in the table, and whose every session would pass a rule of level authenticated.
struct Suggestion {
  std::string domain;
  std::vector<std::string> match; ///< that the rule needs; empty: none
  EvidenceSummary summary;
};
/// Outbound. Those with most messages first; at most `limit`. `question.partners` is the table in force.
[[nodiscard]] std::vector<Suggestion> suggest(const EvidenceQuestion &question, std::span<const Evidence> evidence,
                                              std::size_t limit = 1000);

} // namespace policy
