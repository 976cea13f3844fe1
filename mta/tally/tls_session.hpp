// TlsSession: what one SMTP session proved of its peer, in one value; the log, TLSRPT, the evidence for partner rules
// and the TLS memory are all made from it, so that they cannot disagree.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/chain_judgement.hpp"
#include "policy/requirement.hpp"
#include "policy/tls_fault.hpp"
#include "policy/tls_sources.hpp"
#include "tls/core/facts.hpp"

namespace mta {

/// Const once made. Outbound: one for each connection that was opened, or failed at TLS or was passed over for policy;
/// a host that could not be reached, or did not greet, gives none. Inbound: one for each session and sender domain
/// whose mail was judged.
struct TlsSession {
  enum class Direction : std::uint8_t { outbound, inbound };
  Direction direction = Direction::outbound;
  std::chrono::system_clock::time_point time;
  std::string domain;        ///< outbound: of the recipient; inbound: of the envelope sender
  std::string host;          ///< outbound: name of the MX or route host; inbound: the name that the client gave in EHLO
  std::string address;       ///< of the peer; empty: passed over before a connection was opened
  std::string local_address; ///< ours (RFC 8460 "sending-mta-ip")
  bool by_route = false;     ///< outbound: the host is configured, not found in the DNS
  policy::NameTrust name_trust = policy::NameTrust::none; ///< outbound: of the host's name (Decision::name_trust)
  bool starttls_offered = false;
  bool fallback = false; ///< outbound: the planned attempt in clear
  tls::Facts facts;      ///< `verdict`: the chain against the rule's CAs; nothing when it was not judged
  /// The chain against the operating system's CAs, whatever the rule demands: what a rule that does not exist yet would
  /// find. Names are not judged here; they are in `facts`.
  bool system_trusted = false;
  /// The chain against every store of CAs that it was judged against: that of the rule, that of an observing rule, the
  /// system's (which says why it is not `system_trusted`). From these the rule is judged that does not exist yet.
  std::vector<policy::ChainJudgement> judgements;
  std::string chain_digest; ///< lower-case hex of SHA-256 over the fingerprints of the chain; empty: no certificate

  policy::DaneFacts dane;
  policy::StsFacts sts;
  tls::Level wanted = tls::Level::none;
  std::string rule;
  std::optional<policy::Verdict> verdict; ///< nothing: it did not come to a judgement (STARTTLS failed, passed over)
  std::string tls_problem;                ///< why TLS did not come about
  std::string observed_rule;              ///< a rule in observe mode that demands more; empty: none
  tls::Level observed_level = tls::Level::none;
  std::optional<policy::Verdict> observed; ///< what that rule would have said
  bool is_proven = false; ///< inbound: SPF, a network or a certificate said that it was the domain's own
  bool refused = false;   ///< our policy ended the session, or refused the sender
  std::string
      refused_by_partner; ///< the partner's rule or exception that was not met, whichever source won; empty: none
  policy::TlsFault fault = policy::TlsFault::none; ///< of the policy that applied; none: success
  std::string fault_detail;                        ///< RFC 8460 "failure-reason-code": for people, printable

  [[nodiscard]] tls::Level got() const noexcept { return verdict ? verdict->got : tls::Level::none; }
};

/// Whoever counts sessions. Thread-safe; never waits for the disk.
class TlsObserver {
public:
  virtual ~TlsObserver() = default;
  /// Once for each session.
  virtual void session(const std::shared_ptr<const TlsSession> &session) = 0;
  /// `count` messages for `domain` were accepted over it.
  virtual void messages(const std::shared_ptr<const TlsSession> &session, std::string_view domain,
                        std::uint32_t count) = 0;
};

} // namespace mta
