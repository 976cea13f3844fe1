#include "mta/queue/unreadable.hpp"

#include <utility>

namespace mta {

DecodedRecovery decode_recovery(std::vector<RecoveredMessage> stored) {
  DecodedRecovery decoded;
  decoded.messages.reserve(stored.size());
  for (RecoveredMessage &one : stored) {
    auto message = decode_message(one.id, one.envelope, one.update);
    if (!message && !one.update.empty()) {
      auto without_state = decode_message(one.id, one.envelope, {});
      if (without_state) {
        without_state->held = true;
        without_state->hold_reason =
            "its stored state cannot be read: some recipients may have it already, and it may have been held before";
        decoded.guessed.push_back(message.error().detail);
        message = std::move(without_state);
      }
    }
    if (message) {
      decoded.messages.push_back(std::move(*message));
    } else {
      decoded.unreadable.push_back(
          {one.id, std::move(one.envelope), std::move(one.update), one.body_size, message.error().detail});
    }
  }
  return decoded;
}

} // namespace mta
