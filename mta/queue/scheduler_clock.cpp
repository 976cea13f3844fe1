// The scheduler and the clock: what a wall clock that was set does to the times of the queue, and what of stored times
// is believed.
#include <algorithm>

#include "mta/queue/scheduler_impl.hpp"

namespace mta {

namespace {

/// After a start nothing is given up, and nobody told of a delay, before this: the clock may have been wrong at the
/// start or before it, and after a long stop every message gets more than one attempt.
constexpr std::chrono::minutes longest_grace{10};

WallTime::duration grace_of(std::chrono::seconds limit) {
  return std::min<WallTime::duration>(longest_grace, limit / 4);
}

WallTime::duration longest_wait(const policy::RetrySchedule &schedule) {
  std::chrono::seconds longest = std::chrono::hours(1); // policy::retry_wait() of an empty list
  for (const auto wait : schedule.waits) longest = std::max(longest, wait);
  return longest + longest / 2 + std::chrono::seconds(1);
}

} // namespace

/// What came just now came now, whatever the wall clock was when its session stamped it.
void Scheduler::Impl::settle_times_of_new(Entry &entry) {
  const WallTime time = now();
  entry.begun = clock.is_steady() ? time : entry.message->envelope.arrival;
  entry.came = entry.begun;
  if (!clock.is_steady()) return;
  QueuedMessage &message = *entry.message;
  message.expires = time + std::max<WallTime::duration>(message.expires - message.envelope.arrival, {});
  for (RecipientState &state : message.recipients) state.next_attempt = std::min(state.next_attempt, time);
}

/// What an earlier process stored, perhaps under a clock that was wrong: a next attempt further away than the longest
/// wait is not believed and made now (to cut it short would put it off with every restart); the end is no further than
/// the whole time allowed, and no nearer than the grace.
void Scheduler::Impl::settle_times_of_recovered(Entry &entry) {
  const WallTime time = now();
  QueuedMessage &message = *entry.message;
  entry.recovered = true;
  const WallTime latest = time + longest_wait(options.retry);
  for (RecipientState &state : message.recipients)
    if (state.status == RecipientStatus::pending && state.next_attempt > latest) state.next_attempt = time;
  const auto whole = options.retry.give_up_after;
  message.expires = std::clamp<WallTime>(message.expires, time + grace_of(whole), time + whole);
  entry.begun = std::clamp<WallTime>(message.envelope.arrival, time - whole, time);
  entry.came = std::min<WallTime>(message.envelope.arrival, time);
  if (const auto delay = options.retry.delay_notice_after; delay.count() > 0)
    entry.begun = std::max<WallTime>(entry.begun, time + grace_of(delay) - delay);
}

/// Every time that lies in the future or counts from the past moves with the clock, so that all waits stay as long as
/// they were. The order in the agenda and among the deadlines stays the same.
void Scheduler::Impl::follow_jump(WallTime::duration by) {
  const WallTime time = now();
  for (auto &[id, entry] : entries) {
    QueuedMessage &message = writable(entry);
    for (RecipientState &state : message.recipients) {
      if (state.next_attempt != WallTime{}) state.next_attempt += by;
      if (state.last_attempt != WallTime{}) state.last_attempt += by;
    }
    message.expires += by;
    entry.begun += by;
    entry.came += by;
    entry.deadline += by;
    for (Settling &one : entry.settling) one.ask_again += by;
    for (auto &unit : entry.units) unit->due += by;
  }
  agenda.shift(by);
  timer_set_for.reset();
  // A start under a wrong clock took messages for older than they are: their own stamps say more now.
  for (auto &[id, entry] : entries) {
    const WallTime arrival = entry.message->envelope.arrival;
    if (!entry.recovered || arrival > time) continue;
    const auto whole = options.retry.give_up_after;
    const WallTime said = std::min<WallTime>(arrival + whole, time + whole);
    entry.begun = std::max(entry.begun, arrival);
    entry.came = std::max(entry.came, arrival);
    if (said <= entry.message->expires) continue;
    writable(entry).expires = said;
    set_deadline(entry);
  }
  log.write(Event("clock_jump", LogLevel::warning)
                .with("by_s", static_cast<std::int64_t>(std::chrono::duration_cast<std::chrono::seconds>(by).count()))
                .with("messages", static_cast<std::uint64_t>(entries.size()))
                .with("note", "the system's clock was set; waits and ages in the queue stay as long as they were"));
}

} // namespace mta
