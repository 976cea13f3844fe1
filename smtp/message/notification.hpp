// Delivery status notifications: the multipart/report of RFC 3464 and RFC 6533, built from facts, in plain English.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "smtp/names/mailbox.hpp"
#include "smtp/wire/envelope.hpp"
#include "smtp/wire/reply.hpp"

namespace smtp {

enum class NotificationAction : std::uint8_t { failed, delayed, delivered, relayed, expanded };

struct NotifiedRecipient {
  Mailbox final_recipient;
  std::optional<OriginalRecipient> original;
  NotificationAction action = NotificationAction::failed;
  EnhancedCode status;
  std::optional<Reply> remote_reply; ///< Diagnostic-Code: smtp; …
  std::string remote_host;           ///< Remote-MTA; empty: none was reached
  std::string explanation;           ///< one or two sentences for a person
  std::optional<std::chrono::system_clock::time_point> last_attempt;
  std::optional<std::chrono::system_clock::time_point> will_retry_until;
};

struct NotificationFacts {
  std::string reporting_mta;                      ///< our host name
  Mailbox from;                                   ///< the header From: mailer-daemon or postmaster at our name
  std::string from_name = "Mail Delivery System"; ///< display name of From; ASCII
  Mailbox to;                                     ///< the original reverse-path
  std::string message_id;                         ///< for the notification itself, without <>
  std::string envid;                              ///< Original-Envelope-Id; empty: none
  std::string queue_id;
  std::chrono::system_clock::time_point arrival;
  std::chrono::system_clock::time_point now;
  std::vector<NotifiedRecipient> recipients; ///< all with the same action
  std::string original_headers;              ///< the header section of the message, CRLF ends
  bool original_needs_utf8 = false;          ///< message/global and its kin (RFC 6533)
  /// Room for the whole message when RET=FULL is honoured and the message is small; empty: headers only.
  std::optional<std::string> original_message;
  /// The message said "TLS-Required: No", so its notification says so too (RFC 8689 section 6).
  bool tls_optional = false;
  /// `to` is not the sender but our postmaster: the message names no sender who could be told.
  bool to_postmaster = false;
};

/// The complete message (header and body, CRLF ends), to be sent from <> to `to`.
[[nodiscard]] std::string build_notification(const NotificationFacts &facts);

} // namespace smtp
