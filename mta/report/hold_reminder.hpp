// build_hold_reminder: the mail that reminds the postmaster of messages that are held, so that none is forgotten.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "mta/queue/message.hpp"

namespace mta {

struct HoldReminder {
  std::string hostname;
  std::string from_name;
  smtp::Mailbox from;
  smtp::Mailbox to;
  std::string message_id; ///< without <>
  WallTime now{};
  std::vector<std::shared_ptr<const QueuedMessage>> held; ///< the first of them, oldest first
  std::size_t total = 0;
};
/// So many messages are named; the rest is a number.
inline constexpr std::size_t reminded_messages = 50;

/// The whole message, CRLF line ends, ASCII: what strangers wrote is escaped.
[[nodiscard]] std::string build_hold_reminder(const HoldReminder &reminder);

} // namespace mta
