// recipient_event: the log's line for one recipient of a message that has several, at acceptance and after each
// attempt.
#pragma once

#include <string_view>

#include "mta/log/mail_log.hpp"
#include "mta/queue/job.hpp"

namespace mta {

/// "delivered", "failed" or "deferred".
[[nodiscard]] const char *status_word(RecipientResult::Kind kind) noexcept;

/// event=recipient: "id", "to", "status": queued, delivered, deferred, failed, or what else became of it. Lines of one
/// recipient alone (accepted, delivery) name it themselves. Every line of the log that concerns a recipient has its
/// address under "to" or "recipient": `portcullis trace` and grep go by that.
[[nodiscard]] Event recipient_event(QueueId id, const RecipientState &state, std::string_view status,
                                    LogLevel level = LogLevel::info);
/// With the reply, the host and the reason.
[[nodiscard]] Event recipient_event(const QueuedMessage &message, const RecipientResult &result);

} // namespace mta
