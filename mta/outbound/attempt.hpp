// Attempt: all facts of one try to hand a message to one host, in one value; the log line is made from it, and whatever
// else counts attempts must be too, so that they cannot disagree.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mta/log/mail_log.hpp"
#include "mta/queue/message.hpp"
#include "mta/tally/decision_log.hpp"
#include "policy/requirement.hpp"
#include "policy/tls_sources.hpp"
#include "smtp/wire/reply.hpp"
#include "tls/core/facts.hpp"

namespace mta {

enum class AttemptResult : std::uint8_t {
  delivered, ///< every recipient of the transaction
  partly,    ///< outcomes differ between recipients
  temporary, ///< all recipients wait
  permanent, ///< all recipients are refused
  next_host, ///< nothing was decided here: the next host, or the next try, is to decide
};
[[nodiscard]] const char *to_string(AttemptResult result) noexcept;

/// One recipient of an attempt, and what became of it there.
struct TriedRecipient {
  std::size_t index = 0; ///< in the message
  const char *status = "deferred";
  smtp::Reply reply{}; ///< code 0: there is none
};

struct Attempt {
  QueueId id;
  std::string sender; ///< with angle brackets
  std::string to;     ///< the mailbox when it is one, else the domain or destination
  std::size_t recipients = 0;
  std::vector<TriedRecipient> tried;
  std::size_t delivered = 0;
  std::size_t refused = 0;
  std::string domain;  ///< recipient domain whose policy decided
  std::string host;    ///< name of the next hop; empty: none was found
  std::string address; ///< its address; empty: no connection
  std::uint16_t port = 0;
  bool reused = false; ///< over a kept connection

  policy::Wish wish = policy::Wish::none; ///< what the message asked for
  std::string override_by;                ///< who released this message at another level; empty: nobody
  tls::Level wanted = tls::Level::none;
  std::string rule;
  std::optional<policy::Verdict> verdict; ///< nothing: it did not come to a judgement
  std::string tls_problem;                ///< why TLS did not come about, when it did not
  std::optional<tls::Version> version;
  std::string suite;
  std::string certificate;   ///< the name that satisfied a reference, else the first name of the leaf
  std::string chain_digest;  ///< as TlsSession::chain_digest
  bool fallback = false;     ///< the planned attempt in clear
  std::string observed_rule; ///< a rule in observe mode that demands more
  tls::Level observed_level = tls::Level::none;
  std::optional<policy::Verdict> observed; ///< what that rule would have said

  AttemptResult result = AttemptResult::next_host;
  FailureCause cause = FailureCause::none;
  smtp::Reply reply; ///< the remote one that counts, or one of ours
  std::string detail;
  std::uint64_t size = 0; ///< octets of the message, once it was offered
  std::chrono::milliseconds duration{0};

  [[nodiscard]] tls::Level got() const noexcept { return verdict ? verdict->got : tls::Level::none; }
  /// "mx1.example.org[192.0.2.1]"; empty without a host.
  [[nodiscard]] std::string host_label() const;
};

/// event=delivery: info when delivered, warning when not.
[[nodiscard]] Event to_event(const Attempt &attempt);
/// What `explain --message` and `trace` show of it; `decision` is HostPlan::decision_text; null: there was none.
[[nodiscard]] DecisionNote to_note(const Attempt &attempt, const QueuedMessage &message,
                                   std::shared_ptr<const std::string> decision);
/// event=tls_fallback: an opportunistic message goes out in clear, and why.
[[nodiscard]] Event to_fallback_event(const Attempt &attempt, std::string_view reason);

/// "mx1.example.org[192.0.2.1]".
[[nodiscard]] std::string label_host(std::string_view name, std::string_view address);

} // namespace mta
