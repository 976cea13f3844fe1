// Looks at the queue for the control socket: counts and lists of any queue in small steps, and answers of bounded size.
#pragma once

#include <cstddef>

#include <boost/json/object.hpp>

#include "mta/base/async.hpp"
#include "mta/queue/scheduler.hpp"

namespace mta {

/// What one answer holds at most. Whoever wants more goes on with "from".
inline constexpr std::size_t listed_messages = 500;
inline constexpr std::size_t listed_rows = 2'000;    ///< recipients of all its messages, but one message at least
inline constexpr std::size_t recipients_shown = 100; ///< of one message among others
inline constexpr std::size_t recipients_shown_alone = 1'000; ///< of a message that is shown alone

/// How many messages (and of them recipients that wait, and held ones) fit. On the scheduler's executor.
[[nodiscard]] Task<QueueCounts> count_in_steps(const Scheduler &scheduler, QueueFilter filter);

/// Which recipients of a message are shown.
struct RecipientView {
  const Reasons *state_of = nullptr;   ///< null: as they are
  const QueueFilter *filter = nullptr; ///< of more than `most`, those that it means are shown
  std::size_t most = recipients_shown_alone;
};
/// One message of the queue as JSON; `detailed` adds each recipient's history. "more_recipients" is how many are not
/// shown.
[[nodiscard]] boost::json::object describe_message(const QueuedMessage &message, WallTime now, bool detailed,
                                                   const RecipientView &view = {});

/// Answers {"action":"list"}: "messages", oldest first, from the id "from" on, as many as fit into one answer ("limit":
/// fewer); "next" is where to go on, when not all was looked at; without "from" also "total", how many fit, and "more",
/// how many of them are not in the answer.
[[nodiscard]] Task<boost::json::object> answer_queue_list(const Scheduler &scheduler, boost::json::object request,
                                                          QueueFilter filter, WallTime now);
/// Answers {"action":"show"} for the filter's id; the rest of the filter says which recipients are meant.
[[nodiscard]] boost::json::object answer_queue_show(const Scheduler &scheduler, const QueueFilter &filter,
                                                    WallTime now);

} // namespace mta
