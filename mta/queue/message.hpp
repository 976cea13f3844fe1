// QueuedMessage: a message in the queue with the state of each recipient, and its form in the spool.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/spool/spool.hpp"
#include "policy/tls_sources.hpp"
#include "smtp/names/mailbox.hpp"
#include "smtp/wire/envelope.hpp"
#include "smtp/wire/limits.hpp"
#include "smtp/wire/reply.hpp"

namespace mta {

using WallTime = std::chrono::system_clock::time_point;

/// Of one message. The configuration lets clients name no more than smtp::most_recipients; copies that we add ourselves
/// come on top.
inline constexpr std::size_t most_queued_recipients = 2 * smtp::most_recipients;

enum class RecipientStatus : std::uint8_t { pending, delivered, failed };

/// Why a recipient waits or failed: also the words of `portcullis queue --reason`.
enum class FailureCause : std::uint8_t { none, reply, connect, dns, tls, local, expired, operator_act };
[[nodiscard]] const char *to_string(FailureCause cause) noexcept;

struct RecipientState {
  smtp::Recipient recipient;
  RecipientStatus status = RecipientStatus::pending;
  std::uint32_t attempts = 0;
  WallTime next_attempt{}; ///< pending only
  WallTime last_attempt{};
  FailureCause cause = FailureCause::none;
  FailureCause before_expiry = FailureCause::none; ///< with cause expired: why the last attempt failed
  smtp::Reply last_reply{};                        ///< the remote one, or one of ours
  std::string last_host{};                         ///< "mx1.example.org[192.0.2.1]"
  std::string detail{};                            ///< one sentence for people: TLS verdict, DNS error, …
  bool delay_notified = false;
  bool dsn_passed_on = false;
  /// The address that the message came for, when an operator has put another in its place; empty: as it came.
  std::string redirected_from{};
  friend bool operator==(const RecipientState &, const RecipientState &) = default;
};

/// What is known of the sender's address when the message is taken: whom a notice may go to (mta/report/notifier).
enum class SenderStanding : std::uint8_t {
  unknown, ///< neither shown nor disproved
  ours,    ///< a client that may send for us, or we ourselves
  passed,  ///< SPF, or a partner's certificate, shows that the mail is of this sender
  failed,  ///< SPF says that it is not
};
[[nodiscard]] const char *to_string(SenderStanding standing) noexcept;

/// What came with the message; immutable after acceptance.
struct Envelope {
  smtp::Sender sender;
  WallTime arrival{};
  std::string
      trace; ///< fields emitted in front of the stored body (Received; later Authentication-Results, …), CRLF ends
  std::uint64_t body_size = 0;
  std::uint64_t header_size = 0;
  bool has_8bit = false;
  bool needs_smtputf8 = false; ///< header fields in UTF-8
  std::string message_id;
  std::string client;           ///< "192.0.2.7 (mail.example.org)" for the list
  std::string tls_in;           ///< "TLSv1.3 TLS_AES_256_GCM_SHA384 authenticated" for the list
  bool is_notification = false; ///< one of ours: never bounced
  bool is_tls_report = false;   ///< a TLSRPT report of ours: no TLS mandate holds for it (RFC 8460 section 3)
  bool tls_optional = false;    ///< the header says "TLS-Required: No" (RFC 8689 section 5)
  bool from_outside = false;    ///< of a client that may not send for us
  SenderStanding standing = SenderStanding::unknown;
  bool failures_only = false; ///< it came over a listener without DSN: neither success nor delay is told
  bool is_report = false;     ///< a daily report of ours: nobody is told when it fails
  friend bool operator==(const Envelope &, const Envelope &) = default;
};

struct QueuedMessage {
  QueueId id;
  Envelope envelope;
  std::vector<RecipientState> recipients;
  bool held = false;
  std::string hold_reason;
  WallTime held_since{};
  bool passes_holds = false;                            ///< an operator has let it go: standing holds keep it no more
  std::optional<policy::OperatorOverride> tls_override; ///< for this message only
  WallTime expires{};                                   ///< arrival + give_up_after
  [[nodiscard]] bool is_finished() const noexcept;      ///< no recipient is pending
  friend bool operator==(const QueuedMessage &, const QueuedMessage &) = default;
};

/// Of a message that is being accepted: recipients whose mailbox stands there before, as written or because several
/// addresses (postmaster of each domain) lead to one mailbox, become one, which is delivered to once. Of their NOTIFY
/// what any of them asked for is kept, of their ORCPT the first.
void merge_recipients(QueuedMessage &message);

/// The spool's blobs: envelope with recipients (written once), and the update with every recipient's state and the
/// hold. Versioned; an unknown version or damage is an Error that names the field. No pointers, no host byte order.
[[nodiscard]] std::string encode_envelope(const QueuedMessage &message);
[[nodiscard]] std::string encode_update(const QueuedMessage &message);
[[nodiscard]] smtp::Result<QueuedMessage> decode_message(QueueId id, std::string_view envelope,
                                                         std::string_view update);

} // namespace mta
