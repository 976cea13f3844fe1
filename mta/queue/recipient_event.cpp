#include "mta/queue/recipient_event.hpp"

namespace mta {

const char *status_word(RecipientResult::Kind kind) noexcept {
  using Kind = RecipientResult::Kind;
  return kind == Kind::delivered ? "delivered" : kind == Kind::permanent ? "failed" : "deferred";
}

Event recipient_event(QueueId id, const RecipientState &state, std::string_view status, LogLevel level) {
  return Event("recipient", level)
      .with("id", id.to_string())
      .with("to", state.recipient.mailbox.to_string())
      .with("status", status);
}

Event recipient_event(const QueuedMessage &message, const RecipientResult &result) {
  using Kind = RecipientResult::Kind;
  const bool good = result.kind == Kind::delivered;
  Event event = recipient_event(message.id, message.recipients[result.index], status_word(result.kind),
                                good ? LogLevel::info : LogLevel::warning);
  event = std::move(event).with_if("host", result.host);
  if (result.reply.code != 0) event = std::move(event).with("reply", result.reply.to_line());
  if (!good && result.cause != FailureCause::none) event = std::move(event).with("cause", to_string(result.cause));
  return good ? event : std::move(event).with_if("detail", result.detail);
}

} // namespace mta
