// The scheduler's debts: notices that must be durable before a recipient is finished, delay notices, and expiry.
#include <algorithm>

#include "mta/queue/scheduler_impl.hpp"

namespace mta {

namespace {

/// A deadline that could not be met yet (the message is in delivery, or waits its turn) is looked at again after this.
constexpr auto look_again = std::chrono::seconds(60);
constexpr std::size_t met_in_a_row = 2'000; ///< messages and recipients, some milliseconds

WallTime::duration first_wait(const policy::RetrySchedule &schedule) {
  return schedule.waits.empty() ? std::chrono::seconds(60) : std::max(schedule.waits.front(), std::chrono::seconds(1));
}

} // namespace

/// True when the recipient's end is decided and only its notice is missing: no further attempt.
bool Scheduler::Impl::is_settling(const Entry &entry, std::size_t index) noexcept {
  return std::any_of(entry.settling.begin(), entry.settling.end(), [&](const Settling &one) {
    return one.index == index && one.kind != NotificationRequest::Kind::delay;
  });
}

/// True when the recipient is still to be delivered to.
bool Scheduler::Impl::is_open(const Entry &entry, std::size_t index) noexcept {
  return entry.message->recipients[index].status == RecipientStatus::pending && !is_settling(entry, index);
}

void Scheduler::Impl::ask_notice(Entry &entry, NotificationRequest::Kind kind, std::vector<std::size_t> recipients) {
  std::erase_if(recipients, [&](std::size_t index) {
    return std::any_of(entry.settling.begin(), entry.settling.end(),
                       [&](const Settling &one) { return one.index == index && one.kind == kind; });
  });
  if (recipients.empty()) return;
  for (const std::size_t index : recipients)
    entry.settling.push_back({.index = static_cast<std::uint32_t>(index), .kind = kind});
  ++entry.notices;
  ++notices_in_flight;
  const QueueId id = entry.message->id;
  NotificationRequest request{.kind = kind, .message = hand_out(entry), .recipients = recipients};
  hooks.notify(std::move(request), [to = inbox, id, kind, recipients = std::move(recipients)](bool ok) {
    Inbox::add(to, &Inbox::Contents::others,
               std::function<void(Impl &)>([=](Impl &impl) { impl.notice_stored(id, kind, recipients, ok); }));
  });
}

void Scheduler::Impl::notice_stored(QueueId id, NotificationRequest::Kind kind,
                                    const std::vector<std::size_t> &recipients, bool ok) {
  --notices_in_flight;
  Entry *entry = find(id);
  if (entry == nullptr) return;
  --entry->notices;
  const auto is_meant = [&](const Settling &one) {
    return one.kind == kind && std::find(recipients.begin(), recipients.end(), one.index) != recipients.end();
  };
  if (ok) {
    std::erase_if(entry->settling, is_meant);
    QueuedMessage &message = writable(*entry);
    for (const std::size_t index : recipients) {
      RecipientState &state = message.recipients[index];
      switch (kind) {
      case NotificationRequest::Kind::failure: state.status = RecipientStatus::failed; break;
      case NotificationRequest::Kind::success: state.status = RecipientStatus::delivered; break;
      case NotificationRequest::Kind::delay: state.delay_notified = true; break;
      }
    }
    if (!message.is_finished()) mark_dirty(*entry);
  } else {
    for (Settling &one : entry->settling) {
      if (!is_meant(one)) continue;
      one.in_flight = false;
      one.ask_again = now() + first_wait(options.retry);
    }
    // A word about a delay that finds no room is put off; whoever builds notices has said so, once for all of them.
    if (kind != NotificationRequest::Kind::delay)
      log.write(Event("notice_not_stored", LogLevel::error).with("id", id.to_string()));
  }
  tally(*entry);
  set_deadline(*entry);
  finish_if_done(*entry);
}

void Scheduler::Impl::clear_deadline(Entry &entry) {
  if (entry.deadline_hook.is_linked()) deadlines.erase(deadlines.iterator_to(entry));
}

void Scheduler::Impl::set_deadline(Entry &entry) {
  clear_deadline(entry);
  if (entry.is_leaving()) return;
  const QueuedMessage &message = *entry.message;
  std::optional<WallTime> next;
  const auto consider = [&](WallTime time) { next = next ? std::min(*next, time) : time; };
  for (const Settling &one : entry.settling)
    if (!one.in_flight) consider(one.ask_again);
  if (!message.held) { // a held message neither expires nor is it late
    consider(message.expires);
    const bool may_be_late =
        options.retry.delay_notice_after.count() > 0 &&
        std::any_of(message.recipients.begin(), message.recipients.end(), [](const RecipientState &state) {
          return state.status == RecipientStatus::pending && !state.delay_notified;
        });
    if (may_be_late) consider(entry.begun + options.retry.delay_notice_after);
  }
  if (!next) return;
  const WallTime time = now();
  entry.deadline = *next > time ? *next : time + look_again;
  deadlines.insert(deadlines.end(), entry); // most messages are the youngest when they come: near the end
}

void Scheduler::Impl::meet_deadlines() {
  const WallTime time = now();
  // After a start a whole queue may be late at one moment: what is left over has the next turn of the timer.
  for (std::size_t cost = 0; cost < met_in_a_row && !deadlines.empty() && deadlines.begin()->deadline <= time;) {
    Entry &entry = *deadlines.begin();
    cost += 1 + entry.message->recipients.size();
    deadlines.erase(deadlines.begin());
    meet_deadline(entry, time);
    set_deadline(entry); // in the future, so this ends
  }
}

void Scheduler::Impl::meet_deadline(Entry &entry, WallTime time) {
  for (const auto kind :
       {NotificationRequest::Kind::failure, NotificationRequest::Kind::delay, NotificationRequest::Kind::success}) {
    std::vector<std::size_t> again;
    std::erase_if(entry.settling, [&](const Settling &one) {
      const bool is_due = one.kind == kind && !one.in_flight && one.ask_again <= time;
      if (is_due) again.push_back(one.index);
      return is_due;
    });
    if (!again.empty()) ask_notice(entry, kind, std::move(again));
  }
  if (entry.message->held) return;
  for (const auto &unit : entry.units) {
    const bool is_stuck = unit->state != Unit::State::active && unit->destination->is_stuck();
    if (is_stuck && time >= entry.message->expires) give_up(entry, *unit);
  }
  // A recipient that was never tried, at a destination that is neither dead nor waits for room, is about to be: what
  // comes of it decides.
  std::vector<std::size_t> late;
  for (const auto &unit : entry.units) {
    const auto look = [&](std::size_t i) {
      const RecipientState &state = entry.message->recipients[i];
      const bool was_tried = state.attempts > 0 || unit->destination->is_stuck();
      if (was_tried && is_open(entry, i) && owes_delay_notice(entry.begun, state, options.retry, time))
        late.push_back(i);
    };
    if (unit->recipients.empty())
      for (std::size_t i = 0; i < entry.message->recipients.size(); ++i) look(i);
    else
      for (const std::uint32_t i : unit->recipients) look(i);
  }
  if (!late.empty()) ask_notice(entry, NotificationRequest::Kind::delay, std::move(late));
}

void Scheduler::Impl::take_reason(RecipientState &state, const Destination &destination) {
  if (state.cause != FailureCause::none) return;
  if (!destination.is_dead()) {
    if (!destination.is_backing_off()) return;
    state.cause = FailureCause::connect;
    state.detail = "its hosts have no room for another connection of ours: it waits for one that ends";
    state.last_reply = {451, smtp::EnhancedCode{4, 4, 5}, state.detail};
    return;
  }
  state.cause = destination.failure_cause;
  state.last_reply = destination.failure_reply;
  state.last_host = destination.failure_host;
  state.detail = destination.failure_detail;
}

/// The destination is dead, or has no room for it, and the message's time is over: it fails with what is known, without
/// one more attempt.
void Scheduler::Impl::give_up(Entry &entry, Unit &unit) {
  std::vector<std::size_t> failed;
  const auto fail = [&](std::size_t i) {
    if (!is_open(entry, i)) return;
    RecipientState &state = writable(entry).recipients[i];
    take_reason(state, *unit.destination);
    expire(state);
    failed.push_back(i);
  };
  if (unit.recipients.empty())
    for (std::size_t i = 0; i < entry.message->recipients.size(); ++i) fail(i);
  else
    for (const std::uint32_t i : unit.recipients) fail(i);
  if (failed.empty()) return;
  agenda.remove(unit);
  mark_dirty(entry);
  log_failures(entry, failed);
  ask_notice(entry, NotificationRequest::Kind::failure, std::move(failed));
}

void Scheduler::Impl::log_failures(const Entry &entry, const std::vector<std::size_t> &recipients) {
  for (const std::size_t index : recipients) {
    const RecipientState &state = entry.message->recipients[index];
    const bool has_expired = state.cause == FailureCause::expired;
    log.write(Event("recipient_failed", LogLevel::warning)
                  .with("id", entry.message->id.to_string())
                  .with("sender", entry.message->envelope.sender.path.to_string())
                  .with("recipient", state.recipient.mailbox.to_string())
                  .with("cause", to_string(state.cause))
                  .with_if("before_expiry", has_expired ? to_string(state.before_expiry) : "")
                  .with("attempts", static_cast<std::uint64_t>(state.attempts))
                  .with_if("reply", state.last_reply.code == 0 ? std::string() : state.last_reply.to_line())
                  .with_if("host", state.last_host)
                  .with_if("detail", state.detail));
  }
}

} // namespace mta
