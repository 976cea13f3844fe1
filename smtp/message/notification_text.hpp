// The part of a delivery status notification that people read.
#pragma once

#include <string>
#include <string_view>

#include "smtp/message/notification.hpp"
#include "smtp/message/plain_text.hpp"

namespace smtp {

[[nodiscard]] std::string_view notification_subject(NotificationAction action) noexcept;

/// Whole lines with CRLF ends: what happened to whom, what the other server said, what can be done.
[[nodiscard]] std::string notification_text(const NotificationFacts &facts, TextCharset charset);

} // namespace smtp
