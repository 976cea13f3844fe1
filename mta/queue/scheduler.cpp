// The scheduler's main line: messages come in, jobs go out, results come back and are written to the spool.
//
// Every message is in memory as an Entry; its waiting recipients are Units, one for each destination (a domain or a
// route). A unit is due by its own schedule, and its destination decides when it runs: one that answers takes as many
// jobs at once as it has shown to bear, a dead one a single trial after each of its waits. Agenda keeps both, and the
// shares of the pool, so that one destination, notices or domains that nobody has reached yet never take all of it.
//
// A result changes the recipients that it names and no other. Delivered or refused for good: the sender's notice is
// stored first, only then is the recipient recorded as finished, so that a crash between the two tells twice and never
// not at all. Temporary: the next attempt by the retry schedule, until the message expires. Put off: the job found no
// room at the host, nothing is written, and the message waits as if it had not been tried.
//
// What changed goes to the spool in one batch at the end of each turn; acts of operators are durable before they are
// answered. Waits are measured by QueueClock: a clock that is set moves no message's age.
#include "mta/queue/scheduler.hpp"

#include <algorithm>
#include <cassert>

#include "mta/queue/scheduler_impl.hpp"

namespace mta {

namespace {

/// Recipients in one transaction. RFC 5321 section 4.5.3.1.8: a server takes at least 100.
constexpr std::size_t recipients_per_job = 100;
constexpr std::size_t regrouped_in_a_row = 2'000; ///< messages and recipients, some milliseconds
/// The clock is looked at this often, in case that it was set.
constexpr auto longest_sleep = std::chrono::seconds(60);

Agenda::Limits limits_of(const Scheduler::Options &options) {
  const auto connections = std::max<std::size_t>(1, options.connections);
  // A share of a small pool is one connection at least, and a reserve never all of it.
  const auto share = [connections](unsigned percent) { return std::max<std::size_t>(1, connections * percent / 100); };
  return {.connections = connections,
          .connections_per_destination = std::max<std::size_t>(1, options.connections_per_destination),
          .reserved = options.reserved_percent == 0 || connections < 2 ? 0 : share(options.reserved_percent),
          .notices = share(options.notices_percent),
          .unreached = share(options.unreached_percent)};
}

/// Calls `visit` with the index of each recipient of the unit.
template <typename Visit> void for_each_recipient(const Unit &unit, const QueuedMessage &message, Visit visit) {
  if (unit.recipients.empty())
    for (std::size_t i = 0; i < message.recipients.size(); ++i) visit(i);
  else
    for (const std::uint32_t i : unit.recipients) visit(static_cast<std::size_t>(i));
}

/// Makes the result have exactly one row for each recipient of the job, in its order.
void complete(JobResult &result, const std::vector<std::size_t> &recipients) {
  const bool is_complete =
      std::equal(result.results.begin(), result.results.end(), recipients.begin(), recipients.end(),
                 [](const RecipientResult &row, std::size_t index) { return row.index == index; });
  if (is_complete) return;
  std::vector<RecipientResult> rows;
  rows.reserve(recipients.size());
  for (const std::size_t index : recipients) {
    const auto found = std::find_if(result.results.begin(), result.results.end(),
                                    [&](const RecipientResult &row) { return row.index == index; });
    if (found != result.results.end())
      rows.push_back(*found);
    else
      rows.push_back({.index = index,
                      .kind = RecipientResult::Kind::temporary,
                      .cause = FailureCause::local,
                      .reply = {},
                      .host = {},
                      .detail = "the attempt ended without a result for this recipient"});
  }
  result.results = std::move(rows);
}

Feedback feedback_of(const JobResult &result) {
  if (result.put_off) return Feedback::put_off;
  if (result.destination_failed) return Feedback::failed;
  if (result.nothing_learnt) return Feedback::unknown;
  const bool ours = std::all_of(result.results.begin(), result.results.end(),
                                [](const RecipientResult &row) { return row.cause == FailureCause::local; });
  return ours ? Feedback::unknown : Feedback::reached;
}

} // namespace

Scheduler::Impl::Impl(asio::any_io_executor executor, Spool &spool_, MailLog &log_, Options options_, Hooks hooks_)
    : spool(spool_), log(log_), options(std::move(options_)), hooks(std::move(hooks_)), clock(hooks.now, hooks.steady),
      inbox(std::make_shared<Inbox>(executor)), timer(executor), agenda(limits_of(options)) {
  inbox->owner = this;
}

Scheduler::Impl::~Impl() {
  inbox->owner = nullptr;
  deadlines.clear();
  for (auto &[id, entry] : entries)
    for (auto &unit : entry.units) agenda.remove(*unit);
}

void Scheduler::Impl::process() {
  Inbox::Contents contents;
  {
    const std::lock_guard lock(inbox->mutex);
    std::swap(contents, inbox->contents);
    inbox->posted = false;
  }
  if (const auto by = clock.look()) follow_jump(*by);
  for (JobResult &result : contents.results) finish_job(std::move(result));
  for (auto &other : contents.others) other(*this);
  for (auto &message : contents.submitted) admit(std::move(message));
  agenda.wake(now());
  if (started && !draining) {
    meet_deadlines();
    dispatch();
  }
  write_updates();
  arm_timer();
  report_idle();
}

Entry *Scheduler::Impl::find(QueueId id) {
  const auto found = entries.find(id.value);
  return found == entries.end() ? nullptr : &found->second;
}

QueuedMessage &Scheduler::Impl::writable(Entry &entry) {
  if (entry.handed_out) {
    entry.message = std::make_shared<QueuedMessage>(*entry.message);
    entry.handed_out = false;
  }
  return *entry.message;
}

std::shared_ptr<const QueuedMessage> Scheduler::Impl::hand_out(const Entry &entry) const {
  entry.handed_out = true;
  return entry.message;
}

void Scheduler::Impl::admit(std::shared_ptr<QueuedMessage> message, bool recovered) {
  if (message->is_finished()) { // recovered between its last update and its removal
    spool.remove(message->id);
    return;
  }
  if (message->expires == WallTime{}) message->expires = message->envelope.arrival + options.retry.give_up_after;
  const std::uint64_t id = message->id.value;
  const auto before = entries.size();
  const auto at = entries.try_emplace(entries.end(), id);
  if (entries.size() == before) {
    log.write(Event("queue_duplicate_id", LogLevel::error).with("id", message->id.to_string()));
    return;
  }
  Entry &entry = at->second;
  entry.message = std::move(message);
  recovered ? settle_times_of_recovered(entry) : settle_times_of_new(entry);
  hold_by_rule(entry);
  group(entry);
  resume_bounce(entry);
  schedule(entry);
  set_deadline(entry);
  tally(entry);
}

/// In memory at once; a crash before the update is on disk finds the rule still in force.
void Scheduler::Impl::hold_by_rule(Entry &entry) {
  const QueuedMessage &message = *entry.message;
  if (!hooks.hold_for || message.held || message.passes_holds) return;
  std::string reason = hooks.hold_for(message);
  if (reason.empty()) return;
  QueuedMessage &held = writable(entry);
  held.held = true;
  held.hold_reason = std::move(reason);
  held.held_since = now();
  mark_dirty(entry);
  log.write(
      Event("queue_hold").with("id", held.id.to_string()).with("by", "standing hold").with("reason", held.hold_reason));
}

void Scheduler::Impl::group(Entry &entry) {
  const auto &recipients = entry.message->recipients;
  entry.regroup = false;
  std::size_t grouped = 0;
  for (std::size_t i = 0; i < recipients.size(); ++i) {
    if (recipients[i].status != RecipientStatus::pending) continue;
    Destination &destination = agenda.destination(hooks.destination_of(recipients[i].recipient.mailbox));
    if (destination.grouping_unit == nullptr) {
      if (destination.units == 0 && hooks.is_ours) agenda.set_ours(destination, hooks.is_ours(destination.key));
      entry.units.push_back(std::make_unique<Unit>(entry, destination));
      entry.units.back()->is_notice = entry.message->envelope.sender.path.is_null();
      destination.grouping_unit = entry.units.back().get();
      agenda.attach(*entry.units.back());
    }
    if (recipients.size() > 1) destination.grouping_unit->recipients.push_back(static_cast<std::uint32_t>(i));
    ++grouped;
  }
  if (entry.units.size() == 1 && grouped == recipients.size())
    std::vector<std::uint32_t>().swap(entry.units[0]->recipients);
  for (auto &unit : entry.units) unit->destination->grouping_unit = nullptr;
}

void Scheduler::Impl::ungroup(Entry &entry) {
  assert(entry.jobs == 0);
  for (auto &unit : entry.units) {
    agenda.remove(*unit);
    agenda.detach(*unit);
  }
  entry.units.clear();
}

void Scheduler::Impl::schedule(Entry &entry) {
  for (auto &unit : entry.units) schedule(entry, *unit);
}

void Scheduler::Impl::schedule(Entry &entry, Unit &unit) {
  if (unit.state == Unit::State::active) return;
  agenda.remove(unit);
  if (entry.message->held || entry.is_leaving()) return;
  std::optional<WallTime> due;
  for_each_recipient(unit, *entry.message, [&](std::size_t i) {
    const WallTime next = entry.message->recipients[i].next_attempt;
    if (is_open(entry, i) && (!due || next < *due)) due = next;
  });
  // At a dead destination one unit at a time is tried: what an operator has let go must not wait behind what will fail.
  unit.is_first = entry.message->tls_override.has_value();
  if (due) agenda.add(unit, *due, now());
}

void Scheduler::Impl::unschedule(Entry &entry) {
  for (auto &unit : entry.units) agenda.remove(*unit);
}

void Scheduler::Impl::dispatch() {
  while (Unit *unit = agenda.next()) start_job(*unit);
}

void Scheduler::Impl::start_job(Unit &unit) {
  Entry &entry = *unit.entry;
  const WallTime time = now();
  std::vector<std::size_t> recipients;
  for_each_recipient(unit, *entry.message, [&](std::size_t i) {
    const bool is_due = is_open(entry, i) && entry.message->recipients[i].next_attempt <= std::max(time, unit.due);
    if (is_due && recipients.size() < recipients_per_job) recipients.push_back(i);
  });
  assert(!recipients.empty()); // a unit is ready only while a recipient of it is due
  const std::uint64_t number = ++last_job;
  auto withdrawn = std::make_shared<std::atomic<bool>>(false);
  Job job{.number = number,
          .destination = unit.destination->key,
          .slot = unit.slot,
          .worker = std::exchange(unit.destination->worker, std::nullopt),
          .hurry = agenda.is_pressed(unit),
          .message = hand_out(entry),
          .recipients = recipients,
          .withdrawn = withdrawn};
  jobs.emplace(number,
               ActiveJob{.unit = &unit, .recipients = std::move(recipients), .withdrawn = std::move(withdrawn)});
  ++entry.jobs;
  hooks.deliver(std::move(job),
                [to = inbox](JobResult result) { Inbox::add(to, &Inbox::Contents::results, std::move(result)); });
}

void Scheduler::Impl::finish_job(JobResult result) {
  const auto found = jobs.find(result.number);
  if (found == jobs.end()) return; // a second result for one job
  Unit &unit = *found->second.unit;
  complete(result, found->second.recipients);
  jobs.erase(found);
  Entry &entry = *unit.entry;
  --entry.jobs;
  note_feedback(unit, result);

  if (entry.is_leaving()) return finish_if_done(entry);
  if (result.put_off && now() < entry.message->expires) { // it was not tried: nothing is written of it
    unit.try_again = false;
    if (!entry.bounce_reason.empty()) end_by_operator(entry);
    if (!entry.regroup || entry.jobs > 0) schedule(entry, unit);
    if (entry.regroup && entry.jobs == 0) {
      ungroup(entry);
      group(entry);
      schedule(entry);
    }
    return;
  }
  if (entry.settling.empty() && finishes_plainly(*entry.message, result)) {
    spool.remove(entry.message->id);
    return erase(entry);
  }
  Applied applied = apply(writable(entry), result, options.retry, now(), hooks.random(), entry.begun);
  mark_dirty(entry);
  if (std::exchange(unit.try_again, false)) {
    for (const std::size_t index : applied.retried) writable(entry).recipients[index].next_attempt = now();
    agenda.end_backoff(*unit.destination);
  }
  if (!entry.bounce_reason.empty() && !applied.retried.empty()) end_by_operator(entry);
  if (!applied.failure.empty()) {
    log_failures(entry, applied.failure);
    ask_notice(entry, NotificationRequest::Kind::failure, std::move(applied.failure));
  }
  if (!applied.success.empty()) ask_notice(entry, NotificationRequest::Kind::success, std::move(applied.success));
  if (!applied.delay.empty()) ask_notice(entry, NotificationRequest::Kind::delay, std::move(applied.delay));
  if (entry.regroup && entry.jobs == 0) {
    ungroup(entry);
    group(entry);
    schedule(entry);
  } else {
    schedule(entry, unit);
  }
  finish_if_done(entry);
}

void Scheduler::Impl::note_feedback(Unit &unit, const JobResult &result) {
  Destination &destination = *unit.destination;
  const Agenda::Change change =
      agenda.finish(unit, feedback_of(result), options.retry, now(), hooks.random(), result.address, result.worker);
  if (result.destination_failed && !result.results.empty()) {
    const RecipientResult &why = result.results.front();
    destination.failure_cause = why.cause;
    destination.failure_reply = why.reply;
    destination.failure_host = why.host;
    destination.failure_detail = why.detail;
  }
  switch (change) {
  case Agenda::Change::died:
  case Agenda::Change::stays_dead: {
    const auto wait = std::chrono::duration_cast<std::chrono::seconds>(destination.backoff_until - now());
    log.write(Event(change == Agenda::Change::died ? "destination_dead" : "destination_still_dead", LogLevel::warning)
                  .with("destination", destination.key)
                  .with("cause", to_string(destination.failure_cause))
                  .with("failures", static_cast<std::uint64_t>(destination.failures))
                  .with("waiting", static_cast<std::uint64_t>(destination.units))
                  .with("next_try_s", static_cast<std::int64_t>(wait.count()))
                  .with_if("detail", destination.failure_detail));
    break;
  }
  case Agenda::Change::recovered: log.write(Event("destination_recovered").with("destination", destination.key)); break;
  case Agenda::Change::none: break;
  }
}

void Scheduler::Impl::finish_if_done(Entry &entry) {
  if (entry.jobs > 0 || entry.notices > 0 || entry.recording) return;
  if (!entry.removed && !entry.message->is_finished()) return;
  spool.remove(entry.message->id);
  erase(entry);
}

void Scheduler::Impl::tally(Entry &entry) {
  Entry::Share share;
  if (!entry.is_leaving()) {
    share.is_there = true;
    share.is_held = entry.message->held;
    for (const RecipientState &state : entry.message->recipients)
      if (state.status == RecipientStatus::pending) ++share.pending;
  }
  totals.messages += share.is_there;
  totals.messages -= entry.share.is_there;
  totals.held += share.is_held;
  totals.held -= entry.share.is_held;
  if (hooks.held && share.is_held != entry.share.is_held) {
    const std::uint64_t octets = entry.message->envelope.body_size;
    hooks.held->messages += share.is_held ? 1 : std::uint64_t(-1);
    hooks.held->octets += share.is_held ? octets : -octets;
  }
  totals.recipients += share.pending;
  totals.recipients -= entry.share.pending;
  entry.share = share;
}

void Scheduler::Impl::erase(Entry &entry) {
  entry.removed = true; // of the counters
  tally(entry);
  clear_deadline(entry);
  ungroup(entry);
  entries.erase(entry.message->id.value);
}

void Scheduler::Impl::mark_dirty(Entry &entry) {
  if (entry.dirty) return;
  entry.dirty = true;
  dirty.push_back(entry.message->id.value);
}

/// One update for all that happened to a message since the last look, not one for each job.
void Scheduler::Impl::write_updates() {
  for (const std::uint64_t id : dirty) {
    const auto found = entries.find(id);
    if (found == entries.end()) continue;
    Entry &entry = found->second;
    entry.dirty = false;
    tally(entry);
    if (!entry.is_leaving()) spool.update(entry.message->id, encode_update(*entry.message));
  }
  dirty.clear();
}

void Scheduler::Impl::arm_timer() {
  std::optional<WallTime> next = agenda.next_event();
  const bool keeps_deadlines = started && !draining && !deadlines.empty();
  if (keeps_deadlines && (!next || deadlines.begin()->deadline < *next)) next = deadlines.begin()->deadline;
  if (!next || (timer_set_for && *timer_set_for <= *next)) return;
  const WallTime time = now();
  const auto wait = std::clamp<WallTime::duration>(*next - time, std::chrono::milliseconds(1), longest_sleep);
  timer_set_for = time + wait;
  timer.expires_after(std::chrono::duration_cast<asio::steady_timer::duration>(wait));
  timer.async_wait([to = inbox](const boost::system::error_code &error) {
    if (error || to->owner == nullptr) return;
    to->owner->timer_set_for.reset();
    to->owner->process();
  });
}

void Scheduler::Impl::report_idle() {
  if (!draining || !idle || agenda.active() > 0 || notices_in_flight > 0) return;
  std::exchange(idle, nullptr)();
}

Scheduler::Scheduler(asio::any_io_executor executor, Spool &spool, MailLog &log, Options options, Hooks hooks)
    : impl_(std::make_unique<Impl>(std::move(executor), spool, log, std::move(options), std::move(hooks))) {}

Scheduler::~Scheduler() = default;

void Scheduler::start(std::vector<QueuedMessage> recovered) {
  for (QueuedMessage &message : recovered) impl_->admit(std::make_shared<QueuedMessage>(std::move(message)), true);
  impl_->started = true;
  impl_->process();
}

void Scheduler::submit(std::shared_ptr<QueuedMessage> message) {
  Impl::Inbox::add(impl_->inbox, &Impl::Inbox::Contents::submitted, std::move(message));
}

void Scheduler::reconfigure(Options options, const std::function<bool(const smtp::Mailbox &)> &concerns) {
  impl_->options = std::move(options);
  impl_->agenda.set_limits(limits_of(impl_->options));
  if (impl_->hooks.is_ours) impl_->agenda.classify(impl_->hooks.is_ours);
  // At once, before a long queue is gone through: nothing more leaves by the old rules.
  for (auto &[number, job] : impl_->jobs) {
    if (concerns && !impl_->is_concerned(*job.unit, concerns)) continue;
    job.unit->try_again = job.unit->try_again || concerns;
    job.withdrawn->store(true, std::memory_order_relaxed);
  }
  impl_->agenda.end_idle_backoffs(); // no message can say whether the change concerns them
  impl_->begin_regrouping(concerns);
  impl_->process();
}

void Scheduler::Impl::begin_regrouping(std::function<bool(const smtp::Mailbox &)> concerns) {
  // One that is still under way begins anew, and remembers what the earlier change concerned.
  if (regroup_from && regroup_concerns && concerns) {
    regroup_concerns = [earlier = std::move(regroup_concerns), later = std::move(concerns)](
                           const smtp::Mailbox &mailbox) { return earlier(mailbox) || later(mailbox); };
  } else {
    regroup_ends_backoffs = !concerns || (regroup_from && regroup_ends_backoffs);
    regroup_concerns = std::move(concerns);
  }
  regroup_from = 0;
  if (!regroup_posted) regroup_some();
}

void Scheduler::Impl::regroup_some() {
  if (!regroup_from) return;
  auto at = entries.lower_bound(*regroup_from);
  for (std::size_t count = 0; at != entries.end() && count < regrouped_in_a_row; ++at) {
    Entry &entry = at->second;
    count += 1 + entry.message->recipients.size();
    const bool is_meant = bring_forward(entry, regroup_concerns);
    entry.regroup = entry.jobs > 0;
    if (entry.regroup) {
      if (is_meant) try_again_what_runs(entry);
      continue;
    }
    ungroup(entry);
    group(entry);
    schedule(entry);
    set_deadline(entry);
    if (!is_meant) continue;
    for (const auto &unit : entry.units)
      if (is_concerned(*unit, regroup_concerns)) agenda.end_backoff(*unit->destination);
  }
  if (at == entries.end()) {
    regroup_from.reset();
    if (std::exchange(regroup_ends_backoffs, false)) agenda.end_all_backoffs(); // what was wrong may be right now
    regroup_concerns = nullptr;
    return;
  }
  regroup_from = at->first;
  regroup_posted = true;
  Inbox::add(inbox, &Inbox::Contents::others, std::function<void(Impl &)>([](Impl &impl) {
               impl.regroup_posted = false;
               impl.regroup_some();
             }));
}

/// Makes the recipients that a change concerns due; true when there are some.
bool Scheduler::Impl::bring_forward(Entry &entry, const std::function<bool(const smtp::Mailbox &)> &concerns) {
  if (!concerns) return false; // destinations alone: as it was asked for
  const auto is_meant = [&](const RecipientState &state) {
    return state.status == RecipientStatus::pending && concerns(state.recipient.mailbox);
  };
  if (std::none_of(entry.message->recipients.begin(), entry.message->recipients.end(), is_meant)) return false;
  const WallTime time = now();
  for (RecipientState &state : writable(entry).recipients)
    if (is_meant(state) && state.next_attempt > time) state.next_attempt = time;
  return true;
}

bool Scheduler::Impl::is_concerned(const Unit &unit, const std::function<bool(const smtp::Mailbox &)> &concerns) const {
  bool found = false;
  for_each_recipient(unit, *unit.entry->message, [&](std::size_t i) {
    found = found || concerns(unit.entry->message->recipients[i].recipient.mailbox);
  });
  return found;
}

void Scheduler::drain(std::function<void()> idle) {
  impl_->draining = true;
  impl_->idle = std::move(idle);
  impl_->process();
}

void Scheduler::resume() {
  impl_->draining = false;
  impl_->idle = nullptr;
  impl_->process();
}

void Scheduler::wake() {
  impl_->process();
}

} // namespace mta
