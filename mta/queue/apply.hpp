// apply: what a job's result means for each recipient, as a pure function; the scheduler carries it out.
#pragma once

#include <vector>

#include "mta/queue/job.hpp"
#include "policy/retry.hpp"

namespace mta {

/// What is to be done after apply(). Recipients in `success` and `failure` are still pending in the message: they are
/// recorded as finished when their notice is durable, so that a crash repeats the notice instead of losing it.
struct Applied {
  std::vector<std::size_t> delivered; ///< finished now, nobody is told
  std::vector<std::size_t> success;   ///< delivered; the sender asked for a notice that no later hop sends
  std::vector<std::size_t> failure;   ///< for good; the sender is to be told
  std::vector<std::size_t> delay;     ///< stay pending; the sender is to be told that it takes long
  std::vector<std::size_t> retried;   ///< stay pending, with a new next_attempt
};

/// Writes the result into the recipients' states. `random` is uniform in [0, 1) and the same for the whole job, so that
/// its recipients stay together in one transaction. `begun` is when the message came, by the clock of `now`. Results
/// for recipients that do not exist or are not pending are passed over.
[[nodiscard]] Applied apply(QueuedMessage &message, const JobResult &result, const policy::RetrySchedule &schedule,
                            WallTime now, double random, WallTime begun);

/// True when a pending recipient of a message that came at `begun` has waited so long that its sender is told, once.
[[nodiscard]] bool owes_delay_notice(WallTime begun, const RecipientState &state, const policy::RetrySchedule &schedule,
                                     WallTime now) noexcept;

/// Records that the recipient is given up because its time is over; what the last attempt said stays.
void expire(RecipientState &state) noexcept;

/// True when every recipient of the message is delivered by this result and no notice is owed: it can be removed
/// unread.
[[nodiscard]] bool finishes_plainly(const QueuedMessage &message, const JobResult &result) noexcept;

} // namespace mta
