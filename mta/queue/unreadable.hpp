// UnreadableMessage: what the spool holds and the queue cannot read; kept, shown, and given out, never forgotten.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mta/queue/message.hpp"

namespace mta {

struct UnreadableMessage {
  QueueId id;
  std::string envelope; ///< as stored
  std::string update;
  std::uint64_t body_size = 0;
  std::string problem;
};

/// What a recovery found, as the queue understands it.
struct DecodedRecovery {
  std::vector<QueuedMessage> messages;
  std::vector<UnreadableMessage> unreadable; ///< stay in the spool
  std::vector<std::string> guessed;          ///< "0000000000001: why": the state was lost; the message is held
};

/// A message whose envelope is whole and whose newest state is not is held: some recipients may have it already, and it
/// may have been held before. One whose envelope cannot be read is unreadable.
[[nodiscard]] DecodedRecovery decode_recovery(std::vector<RecoveredMessage> stored);

} // namespace mta
