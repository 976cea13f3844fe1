// judge_recipient and judge_client: who may send to whom, so that we are never an open relay.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "smtp/names/mailbox.hpp"
#include "smtp/wire/reply.hpp"

namespace policy {

enum class ListenerRole : std::uint8_t { mx, relay };

/// What the configuration says of a recipient of ours.
enum class LocalRecipient : std::uint8_t { not_ours, unknown, known };

struct RecipientFacts {
  ListenerRole role = ListenerRole::mx;
  bool client_trusted = false; ///< by network or client certificate, on a relay listener
  LocalRecipient local = LocalRecipient::not_ours;
  bool is_literal = false; ///< user@[192.0.2.1]
  bool is_caught = false;  ///< known only because its domain takes every recipient, or everything behind a delimiter
  std::string_view
      why_untrusted{}; ///< what the client's certificate lacked, one clause for the reply; empty: nothing to say
  bool untrusted_for_now = false; ///< whether it was revoked could not be seen: 450 instead of 550
};

/// "user%host", "host!user", "user@host": the host behind us may take it for a route and, since it trusts us, relay.
[[nodiscard]] bool names_further_hop(std::string_view local_part) noexcept;

/// The refusal, or nothing when the recipient is accepted. mx: only our known recipients (550 5.7.1 relaying denied,
/// 550 5.1.1 unknown). relay: from a trusted client anything but our unknown recipients; an untrusted client gets what
/// mx gives. A recipient that is only caught and whose local part names a further hop is refused unless the client is
/// trusted.
[[nodiscard]] std::optional<smtp::Reply> judge_recipient(const RecipientFacts &facts, const smtp::ForwardPath &path);

} // namespace policy
