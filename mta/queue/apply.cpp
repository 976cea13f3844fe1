#include "mta/queue/apply.hpp"

#include <algorithm>

namespace mta {

namespace {

/// What is kept of a peer's words in memory and in the spool.
constexpr std::size_t kept_reply_limit = 2048;
constexpr std::size_t kept_text_limit = 1024;

std::string shortened(const std::string &text, std::size_t limit) {
  return text.substr(0, limit);
}

/// RFC 3461 section 5.2.2: a hop that took over the DSN parameters reports success itself; else we say "relayed"
/// (5.2.7.1).
bool owes_success_notice(const QueuedMessage &message, const smtp::Recipient &recipient, bool dsn_passed_on) noexcept {
  return recipient.parameters.notify.success && !dsn_passed_on && !message.envelope.sender.path.is_null();
}

/// RFC 3463 section 3.3, X.2.2: "mailbox full". Permanent as the code says, after a time of its own.
bool is_full_mailbox(const smtp::Reply &reply) noexcept {
  return reply.code == 552 && reply.enhanced == smtp::EnhancedCode{5, 2, 2};
}

void note_attempt(RecipientState &state, const RecipientResult &result, WallTime now) {
  ++state.attempts;
  state.last_attempt = now;
  state.cause = result.kind == RecipientResult::Kind::delivered ? FailureCause::none : result.cause;
  state.before_expiry = FailureCause::none;
  state.last_reply = {.code = result.reply.code,
                      .enhanced = result.reply.enhanced,
                      .text = shortened(result.reply.text, kept_reply_limit)};
  state.last_host = shortened(result.host, kept_text_limit);
  state.detail = shortened(result.detail, kept_text_limit);
  state.dsn_passed_on = result.dsn_passed_on;
}

} // namespace

bool owes_delay_notice(WallTime begun, const RecipientState &state, const policy::RetrySchedule &schedule,
                       WallTime now) noexcept {
  return schedule.delay_notice_after.count() > 0 && !state.delay_notified && state.status == RecipientStatus::pending &&
         now >= begun + schedule.delay_notice_after;
}

void expire(RecipientState &state) noexcept {
  if (state.cause == FailureCause::expired) return;
  state.before_expiry = state.cause;
  state.cause = FailureCause::expired;
}

bool finishes_plainly(const QueuedMessage &message, const JobResult &result) noexcept {
  if (result.results.size() != message.recipients.size()) return false; // one result each: see Scheduler
  return std::all_of(result.results.begin(), result.results.end(), [&](const RecipientResult &one) {
    return one.kind == RecipientResult::Kind::delivered &&
           !owes_success_notice(message, message.recipients[one.index].recipient, one.dsn_passed_on);
  });
}

Applied apply(QueuedMessage &message, const JobResult &result, const policy::RetrySchedule &schedule, WallTime now,
              double random, WallTime begun) {
  Applied applied;
  for (const RecipientResult &one : result.results) {
    if (one.index >= message.recipients.size()) continue;
    RecipientState &state = message.recipients[one.index];
    if (state.status != RecipientStatus::pending) continue;
    note_attempt(state, one, now);
    switch (one.kind) {
    case RecipientResult::Kind::delivered:
      if (owes_success_notice(message, state.recipient, one.dsn_passed_on)) {
        applied.success.push_back(one.index);
      } else {
        state.status = RecipientStatus::delivered;
        applied.delivered.push_back(one.index);
      }
      break;
    case RecipientResult::Kind::permanent: applied.failure.push_back(one.index); break;
    case RecipientResult::Kind::temporary: {
      const bool full = is_full_mailbox(one.reply);
      const WallTime full_end = begun + schedule.full_mailbox_after;
      if (full && now >= full_end) {
        applied.failure.push_back(one.index);
        break;
      }
      if (now >= message.expires) {
        expire(state);
        applied.failure.push_back(one.index);
        break;
      }
      // The last attempt falls on the end of the time allowed, not behind it.
      state.next_attempt =
          std::min<WallTime>(now + policy::retry_wait(schedule, state.attempts, random), message.expires);
      if (full) state.next_attempt = std::min(state.next_attempt, full_end);
      applied.retried.push_back(one.index);
      if (owes_delay_notice(begun, state, schedule, now)) applied.delay.push_back(one.index);
      break;
    }
    }
  }
  return applied;
}

} // namespace mta
