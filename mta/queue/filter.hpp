// QueueFilter and its matching: which messages an operator means.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "mta/queue/message.hpp"
#include "smtp/names/ip_address.hpp"

namespace mta {

struct QueueFilter {
  std::optional<QueueId> id;
  std::string recipient_domain; ///< exact or "*.x"; empty: any
  std::string recipient;        ///< mailbox, without case; empty: any
  std::string sender;           ///< mailbox, domain, or "<>"; empty: any
  std::optional<std::chrono::seconds> older_than;
  std::string reason; ///< substring of cause, reply or detail, without case; empty: any
  std::optional<bool> held;
  std::optional<smtp::Network> client{}; ///< from where the message came
};

/// The state whose reason counts for a recipient, by index: its own, or that of a destination that it waits for. Asked
/// only where `reason` decides. Empty: each has its own.
using Reasons = std::function<RecipientState(std::size_t index)>;

/// A message matches when one of its pending recipients fits recipient, recipient_domain and reason, and the rest fits
/// the message. The reason of a hold counts as a reason too.
[[nodiscard]] bool matches(const QueueFilter &filter, const QueuedMessage &message, WallTime now,
                           const Reasons &reason_of = {});
/// Whether the filter's parts about recipients fit this one, whether it waits or not.
[[nodiscard]] bool matches_recipient(const QueueFilter &filter, const RecipientState &state);
/// True when it leaves nothing out.
[[nodiscard]] bool matches_everything(const QueueFilter &filter) noexcept;

} // namespace mta
