// What a notice says of one recipient, in plain English, and its status code.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "mta/queue/scheduler.hpp"

namespace mta {

struct NoticeContext {
  NotificationRequest::Kind kind = NotificationRequest::Kind::failure;
  std::string_view contact;          ///< whom to ask about this recipient's mail system: an address
  std::chrono::seconds tried_for{0}; ///< since the message arrived
};

/// One to four sentences; empty for a success.
[[nodiscard]] std::string explain_recipient(const RecipientState &state, const NoticeContext &context);

/// RFC 3463: what the last reply said where it said something, else by cause. Class 5 for a failure, 4 for a delay and
/// for a failure by expiry (RFC 3464 section 2.3.4), 2 for a success.
[[nodiscard]] smtp::EnhancedCode status_of(const RecipientState &state, NotificationRequest::Kind kind) noexcept;

/// True when last_reply came from the other server, not from us.
[[nodiscard]] bool is_remote_reply(const RecipientState &state) noexcept;

} // namespace mta
