// What operators see of the queue and do to it; each act on a message is durable, and logged, before it counts.
#include <algorithm>
#include <functional>
#include <unordered_set>
#include <utility>

#include "mta/queue/recipient_event.hpp"
#include "mta/queue/scheduler_impl.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

/// By an operator, who knows better than a standing hold.
void let_go(QueuedMessage &message) {
  message.held = false;
  message.hold_reason.clear();
  message.held_since = {};
  message.passes_holds = true;
}

} // namespace

/// What an act may have given to the spool without an answer: a million updates at once would only fill memory.
constexpr std::size_t open_records = 1'024;
/// To change a message, and to write it, is so many times the work of a look at it.
constexpr std::size_t cost_of_touch = 5;

class Scheduler::Impl::ShownStates {
public:
  explicit ShownStates(const Entry &entry) : entry_(entry) {}

  /// False: every recipient is shown as it is.
  [[nodiscard]] bool has_any() const {
    if (!looked_) look();
    return !awaited_.empty();
  }
  [[nodiscard]] RecipientState operator()(std::size_t index) const {
    RecipientState state = entry_.message->recipients[index];
    const Destination *destination = has_any() ? awaited_[index] : nullptr;
    if (destination == nullptr || state.status != RecipientStatus::pending) return state;
    take_reason(state, *destination);
    if (destination->is_backing_off()) state.next_attempt = std::max(state.next_attempt, destination->backoff_until);
    return state;
  }

private:
  /// Only for whom somebody asks: few are.
  void look() const {
    looked_ = true;
    if (entry_.message->held) return;
    for (const auto &unit : entry_.units) {
      if (!unit->destination->is_stuck()) continue;
      awaited_.resize(entry_.message->recipients.size());
      if (unit->recipients.empty()) std::fill(awaited_.begin(), awaited_.end(), unit->destination);
      for (const std::uint32_t index : unit->recipients) awaited_[index] = unit->destination;
    }
    if (awaited_.empty()) return;
    for (const Settling &one : entry_.settling)
      if (one.kind != NotificationRequest::Kind::delay) awaited_[one.index] = nullptr;
  }

  const Entry &entry_;
  mutable bool looked_ = false;
  mutable std::vector<const Destination *>
      awaited_; ///< the dead or full destination that each waits for; empty: there is none
};

bool Scheduler::Impl::fits(const Entry &entry, const QueueFilter &filter, const Reasons &state_of) const {
  if (entry.is_leaving()) return false;
  // How old it is says the queue's clock: a wall clock that is set makes nothing older.
  const WallTime as_old = entry.message->envelope.arrival + (now() - entry.came);
  return matches(filter, *entry.message, as_old, state_of);
}

/// Calls `visit` with the entry and its states, until it says false.
template <typename Visit> void Scheduler::Impl::for_each_match(const QueueFilter &filter, Visit visit) {
  const auto consider = [&](Entry &entry) {
    const ShownStates states(entry);
    const Reasons state_of = std::cref(states);
    return !fits(entry, filter, state_of) || visit(entry, state_of);
  };
  if (filter.id) {
    if (Entry *entry = find(*filter.id)) consider(*entry);
    return;
  }
  for (auto &[id, entry] : entries)
    if (!consider(entry)) return;
}

std::shared_ptr<const QueuedMessage> Scheduler::Impl::shown(const Entry &entry) const {
  const ShownStates states(entry);
  if (!states.has_any()) return hand_out(entry);
  auto copy = std::make_shared<QueuedMessage>(*entry.message);
  for (std::size_t i = 0; i < copy->recipients.size(); ++i) copy->recipients[i] = states(i);
  return copy;
}

std::vector<std::shared_ptr<const QueuedMessage>> Scheduler::list(const QueueFilter &filter, std::size_t limit) const {
  std::vector<std::shared_ptr<const QueuedMessage>> found;
  if (limit == 0) return found;
  impl_->for_each_match(filter, [&](Entry &entry, const Reasons &) {
    found.push_back(impl_->shown(entry));
    return found.size() < limit;
  });
  return found;
}

QueueCounts Scheduler::count(const QueueFilter &filter) const {
  if (matches_everything(filter)) {
    QueueCounts counts = impl_->totals;
    counts.active_jobs = impl_->jobs.size();
    counts.destinations = impl_->agenda.in_use();
    return counts;
  }
  QueueCounts counts;
  std::unordered_set<const Destination *> destinations;
  impl_->for_each_match(filter, [&](Entry &entry, const Reasons &) {
    ++counts.messages;
    counts.active_jobs += entry.jobs;
    if (entry.message->held) ++counts.held;
    for (const RecipientState &state : entry.message->recipients)
      if (state.status == RecipientStatus::pending) ++counts.recipients;
    for (const auto &unit : entry.units) destinations.insert(unit->destination);
    return true;
  });
  counts.destinations = destinations.size();
  return counts;
}

std::optional<std::uint64_t> Scheduler::visit(std::uint64_t from, std::size_t most, const Show &show) const {
  const WallTime now = impl_->now();
  auto at = impl_->entries.lower_bound(from);
  for (std::size_t seen = 0; at != impl_->entries.end() && seen < most; ++at) {
    seen += 1 + at->second.message->recipients.size();
    show(*at->second.message, std::chrono::duration_cast<std::chrono::seconds>(now - at->second.came));
  }
  if (at == impl_->entries.end()) return std::nullopt;
  return at->first;
}

std::optional<std::uint64_t> Scheduler::visit(const QueueFilter &filter, std::uint64_t from, std::size_t most,
                                              const std::function<bool(const Match &)> &show) const {
  auto at = impl_->entries.lower_bound(filter.id ? std::max(from, filter.id->value) : from);
  bool goes_on = true;
  for (std::size_t seen = 0; at != impl_->entries.end() && seen < most && goes_on; ++at) {
    const Entry &entry = at->second;
    if (filter.id && at->first > filter.id->value) return std::nullopt;
    seen += 1 + entry.message->recipients.size();
    const Impl::ShownStates states(entry);
    const Reasons state_of = std::cref(states);
    if (impl_->fits(entry, filter, state_of)) goes_on = show({*entry.message, state_of});
  }
  if (at == impl_->entries.end()) return std::nullopt;
  return at->first;
}

void Scheduler::Impl::begin_act(const std::shared_ptr<Act> &act, const QueueFilter &filter, Touch touch) {
  act->filter = filter;
  act->touch = touch;
  if (filter.id && !act->ids) act->ids = {filter.id->value};
  act->last = entries.empty() ? 0 : entries.rbegin()->first;
  walk(act);
  process();
}

void Scheduler::Impl::walk(const std::shared_ptr<Act> &act) {
  // The next entry to look at; null: there is none.
  const auto next = [&]() -> Entry * {
    if (!act->ids) {
      const auto at = entries.lower_bound(act->next);
      if (at == entries.end() || at->first > act->last) return nullptr;
      act->next = at->first + 1;
      return &at->second;
    }
    while (act->next_of_ids < act->ids->size())
      if (Entry *entry = find({(*act->ids)[act->next_of_ids++]})) return entry;
    return nullptr;
  };
  for (std::size_t cost = 0; cost < step;) {
    if (act->open > open_records) {
      act->waits_for_spool = true; // close_act() goes on
      return;
    }
    Entry *entry = next();
    if (entry == nullptr) return close_act(act);
    const std::size_t size = 1 + entry->message->recipients.size();
    cost += size;
    const ShownStates states(*entry);
    const Reasons state_of = std::cref(states);
    if (!fits(*entry, act->filter, state_of)) continue;
    cost += cost_of_touch * size;
    (this->*act->touch)(*entry, act);
  }
  Inbox::add(inbox, &Inbox::Contents::others, std::function<void(Impl &)>([act](Impl &impl) { impl.walk(act); }));
}

/// Writes the blob durably, then calls `recorded` on the executor and counts the message.
void Scheduler::Impl::record(Entry &entry, const std::shared_ptr<Act> &act, std::string blob, Recorded recorded) {
  ++act->open;
  const QueueId id = entry.message->id;
  spool.update_durably(id, std::move(blob), [to = inbox, id, act, recorded](smtp::Result<void> written) {
    Inbox::add(to, &Inbox::Contents::others, std::function<void(Impl &)>([=](Impl &impl) {
                 if (written) {
                   ++act->touched;
                   impl.log.write(event_of(*act, id));
                 } else {
                   impl.log.write(Event("queue_act_failed", LogLevel::error)
                                      .with("act", act->name)
                                      .with("id", id.to_string())
                                      .with("detail", written.error().detail));
                 }
                 if (Entry *found = impl.find(id)) (impl.*recorded)(*found, *act, written.has_value());
                 impl.close_act(act);
               }));
  });
}

Event Scheduler::Impl::event_of(const Act &act, QueueId id) {
  Event event = Event("queue_" + act.name).with("id", id.to_string());
  if (act.name == "override")
    event = std::move(event).with("level", act.tls_override ? tls::to_string(act.tls_override->level) : "cleared");
  if (act.redirect)
    event =
        std::move(event).with_if("recipient", act.redirect->only).with("redirected_to", act.redirect->to.to_string());
  return std::move(event).with_if("by", act.by).with_if("reason", act.reason);
}

/// An operator's act ends the message for this recipient: its line, beside that of the act.
void Scheduler::Impl::log_act(const Entry &entry, const RecipientState &state, const Act &act,
                              std::string_view status) {
  Event event = recipient_event(entry.message->id, state, status, LogLevel::warning);
  if (act.redirect) event = std::move(event).with("redirected_to", act.redirect->to.to_string());
  log.write(std::move(event).with_if("by", act.by).with_if("reason", act.reason));
}

void Scheduler::Impl::close_act(const std::shared_ptr<Act> &act) {
  --act->open;
  if (act->waits_for_spool && act->open <= open_records / 2) {
    act->waits_for_spool = false;
    walk(act);
    return;
  }
  if (act->open == 0 && act->done) std::exchange(act->done, nullptr)(act->touched);
}

void Scheduler::retry(const QueueFilter &filter, std::function<void(std::size_t)> done) {
  const auto act = std::make_shared<Impl::Act>();
  act->name = "retry";
  act->done = std::move(done);
  impl_->begin_act(act, filter, &Impl::retry_one);
}

void Scheduler::retry_at(std::string_view destination, const QueueFilter &filter,
                         std::function<void(std::size_t)> done) {
  constexpr std::size_t longest_list = 10'000; // behind it a look at the whole queue, in steps, costs little more
  const auto act = std::make_shared<Impl::Act>();
  act->name = "retry";
  act->done = std::move(done);
  const Destination *found = impl_->agenda.find(destination);
  if (found == nullptr || found->units <= longest_list) {
    act->ids.emplace();
    if (found != nullptr)
      for (const Unit &unit : found->all) act->ids->push_back(unit.entry->message->id.value);
  }
  impl_->begin_act(act, filter, &Impl::retry_one);
}

void Scheduler::Impl::retry_one(Entry &entry, const std::shared_ptr<Act> &act) {
  if (entry.message->held) return; // release() is the act for those
  const WallTime time = now();
  for (RecipientState &state : writable(entry).recipients)
    if (state.status == RecipientStatus::pending) state.next_attempt = time;
  for (const auto &unit : entry.units) agenda.end_backoff(*unit->destination);
  schedule(entry);
  record(entry, act, encode_update(*entry.message), &Impl::retry_recorded);
}

void Scheduler::Impl::retry_recorded(Entry &, const Act &, bool) {}

void Scheduler::hold(const QueueFilter &filter, std::string reason, std::string by,
                     std::function<void(std::size_t)> done) {
  const auto act = std::make_shared<Impl::Act>();
  act->name = "hold";
  act->reason = std::move(reason);
  act->by = std::move(by);
  act->done = std::move(done);
  impl_->begin_act(act, filter, &Impl::hold_one);
}

void Scheduler::Impl::hold_one(Entry &entry, const std::shared_ptr<Act> &act) {
  if (entry.message->held) return;
  QueuedMessage &message = writable(entry);
  message.held = true;
  message.hold_reason = act->reason;
  message.held_since = now();
  message.passes_holds = false;
  withdraw(entry);
  tally(entry);
  unschedule(entry);
  set_deadline(entry);
  record(entry, act, encode_update(message), &Impl::hold_recorded);
}

void Scheduler::Impl::hold_recorded(Entry &entry, const Act &, bool ok) {
  if (ok || !entry.message->held) return;
  QueuedMessage &message = writable(entry); // not durable: it is not held
  message.held = false;
  message.hold_reason.clear();
  message.held_since = {};
  mark_dirty(entry);
  schedule(entry);
  set_deadline(entry);
}

void Scheduler::release(const QueueFilter &filter, std::string reason, std::string by,
                        std::function<void(std::size_t)> done) {
  const auto act = std::make_shared<Impl::Act>();
  act->name = "release";
  act->reason = std::move(reason);
  act->by = std::move(by);
  act->done = std::move(done);
  impl_->begin_act(act, filter, &Impl::release_one);
}

void Scheduler::Impl::release_one(Entry &entry, const std::shared_ptr<Act> &act) {
  if (!entry.message->held) return;
  QueuedMessage released = *entry.message; // it stays held until the release is on disk
  let_go(released);
  const WallTime time = now();
  for (RecipientState &state : released.recipients)
    if (state.status == RecipientStatus::pending) state.next_attempt = time;
  record(entry, act, encode_update(released), &Impl::release_recorded);
}

void Scheduler::Impl::release_recorded(Entry &entry, const Act &, bool ok) {
  if (!ok || !entry.message->held) return;
  let_go(writable(entry));
  mark_dirty(entry); // an attempt that ended meanwhile wrote the hold again
  try_now(entry);
}

/// Every pending recipient is due, and no destination of the message waits.
void Scheduler::Impl::try_now(Entry &entry) {
  const WallTime time = now();
  for (RecipientState &state : writable(entry).recipients)
    if (state.status == RecipientStatus::pending) state.next_attempt = time;
  schedule(entry); // before the backoff ends, so that it stands in its line
  for (const auto &unit : entry.units) agenda.end_backoff(*unit->destination);
  set_deadline(entry);
}

void Scheduler::override_tls(QueueId id, std::optional<policy::OperatorOverride> given, std::string by,
                             std::function<void(std::size_t)> done) {
  const auto act = std::make_shared<Impl::Act>();
  act->name = "override";
  act->reason = given ? given->reason : std::string();
  act->by = given ? given->by : std::move(by);
  act->tls_override = std::move(given);
  act->done = std::move(done);
  QueueFilter only;
  only.id = id;
  const WallTime time = impl_->now();
  impl_->for_each_match(only, [&](Entry &entry, const Reasons &) {
    if (entry.message->is_finished()) return true; // its notice is on its way; nothing will be sent
    if (!act->tls_override && !entry.message->tls_override) return true;
    QueuedMessage changed = *entry.message; // the old rule holds until the new one is on disk
    changed.tls_override = act->tls_override;
    if (act->tls_override) {
      let_go(changed);
      for (RecipientState &state : changed.recipients)
        if (state.status == RecipientStatus::pending) state.next_attempt = time;
    }
    impl_->record(entry, act, encode_update(changed), &Impl::override_recorded);
    return true;
  });
  impl_->close_act(act);
  impl_->process();
}

void Scheduler::Impl::override_recorded(Entry &entry, const Act &act, bool ok) {
  if (!ok || entry.is_leaving()) return;
  QueuedMessage &message = writable(entry);
  message.tls_override = act.tls_override;
  mark_dirty(entry); // an attempt that ended meanwhile wrote the old rule again
  if (!act.tls_override) return;
  let_go(message);
  try_again_what_runs(entry);
  try_now(entry);
}

void Scheduler::Impl::try_again_what_runs(Entry &entry) {
  for (const auto &unit : entry.units) unit->try_again = unit->state == Unit::State::active;
  withdraw(entry);
}

void Scheduler::Impl::withdraw(const Entry &entry) {
  if (entry.jobs == 0) return;
  for (auto &[number, job] : jobs)
    if (job.unit->entry == &entry) job.withdrawn->store(true, std::memory_order_relaxed);
}

bool Scheduler::Impl::is_under_way(const Entry &entry, std::size_t index) const {
  if (entry.jobs == 0) return false;
  return std::any_of(jobs.begin(), jobs.end(), [&](const auto &job) {
    const auto &own = job.second.recipients;
    return job.second.unit->entry == &entry && std::find(own.begin(), own.end(), index) != own.end();
  });
}

void Scheduler::bounce(const QueueFilter &filter, std::string reason, std::string by,
                       std::function<void(std::size_t)> done) {
  const auto act = std::make_shared<Impl::Act>();
  act->name = "bounce";
  act->reason = std::move(reason);
  act->by = std::move(by);
  act->done = std::move(done);
  impl_->begin_act(act, filter, &Impl::bounce_one);
}

void Scheduler::Impl::bounce_one(Entry &entry, const std::shared_ptr<Act> &act) {
  QueuedMessage ending = *entry.message; // pending with this cause: a restart goes on with the notice
  bool has_open = false;
  for (std::size_t i = 0; i < ending.recipients.size(); ++i) {
    if (!is_open(entry, i)) continue;
    ending.recipients[i].cause = FailureCause::operator_act;
    ending.recipients[i].detail = act->reason;
    has_open = true;
  }
  if (has_open) withdraw(entry);
  if (has_open) record(entry, act, encode_update(ending), &Impl::bounce_recorded);
}

void Scheduler::Impl::bounce_recorded(Entry &entry, const Act &act, bool ok) {
  if (!ok || entry.is_leaving()) return;
  entry.bounce_reason = act.reason;
  end_by_operator(entry);
}

void Scheduler::Impl::end_by_operator(Entry &entry) {
  std::vector<std::size_t> ended;
  for (std::size_t i = 0; i < entry.message->recipients.size(); ++i) {
    if (!is_open(entry, i) || is_under_way(entry, i)) continue;
    RecipientState &state = writable(entry).recipients[i];
    state.cause = FailureCause::operator_act;
    state.detail = entry.bounce_reason;
    state.last_reply = {};
    ended.push_back(i);
  }
  if (ended.empty()) return;
  mark_dirty(entry);
  log_failures(entry, ended);
  ask_notice(entry, NotificationRequest::Kind::failure, std::move(ended));
  schedule(entry);
  set_deadline(entry);
}

void Scheduler::Impl::resume_bounce(Entry &entry) {
  for (const RecipientState &state : entry.message->recipients)
    if (state.status == RecipientStatus::pending && state.cause == FailureCause::operator_act)
      entry.bounce_reason = state.detail.empty() ? "ended by an operator" : state.detail;
  if (!entry.bounce_reason.empty()) end_by_operator(entry);
}

namespace {

/// One copy is enough for one mailbox: the first recipient takes it over, the others are done with. False: none fits.
bool apply_redirect(QueuedMessage &message, const Scheduler::Redirect &redirect, WallTime now) {
  bool is_first = true;
  for (RecipientState &state : message.recipients) {
    const std::string address = state.recipient.mailbox.to_string();
    if (state.status != RecipientStatus::pending) continue;
    if (!redirect.only.empty() && !smtp::equals_ignoring_case(redirect.only, address)) continue;
    RecipientState fresh{state.recipient};
    fresh.redirected_from = state.redirected_from.empty() ? address : state.redirected_from;
    if (!std::exchange(is_first, false)) fresh.status = RecipientStatus::delivered;
    fresh.recipient.mailbox = redirect.to;
    fresh.next_attempt = now;
    state = std::move(fresh);
  }
  return !is_first;
}

} // namespace

void Scheduler::redirect(QueueId id, Redirect redirect, std::string reason, std::string by,
                         std::function<void(std::size_t)> done) {
  const auto act = std::make_shared<Impl::Act>();
  act->name = "redirect";
  act->reason = std::move(reason);
  act->by = std::move(by);
  act->redirect = std::move(redirect);
  act->done = std::move(done);
  QueueFilter only;
  only.id = id;
  impl_->for_each_match(only, [&](Entry &entry, const Reasons &) {
    if (entry.jobs > 0 || !entry.settling.empty()) return true; // its outcome would be another recipient's
    QueuedMessage changed = *entry.message;
    if (!apply_redirect(changed, *act->redirect, impl_->now())) return true;
    entry.recording = true; // no job begins before the new address is on disk
    impl_->tally(entry);
    impl_->unschedule(entry);
    impl_->clear_deadline(entry);
    impl_->record(entry, act, encode_update(changed), &Impl::redirect_recorded);
    return true;
  });
  impl_->close_act(act);
  impl_->process();
}

void Scheduler::Impl::redirect_recorded(Entry &entry, const Act &act, bool ok) {
  entry.recording = false;
  if (ok) {
    const auto before = hand_out(entry);
    QueuedMessage &message = writable(entry);
    apply_redirect(message, *act.redirect, now());
    for (std::size_t i = 0; i < message.recipients.size(); ++i)
      if (message.recipients[i].recipient.mailbox != before->recipients[i].recipient.mailbox)
        log_act(entry, before->recipients[i], act, "redirected");
    ungroup(entry);
    group(entry);
  }
  mark_dirty(entry);
  schedule(entry);
  set_deadline(entry);
}

void Scheduler::remove(const QueueFilter &filter, std::string reason, std::string by,
                       std::function<void(std::size_t)> done) {
  const auto act = std::make_shared<Impl::Act>();
  act->name = "delete";
  act->reason = std::move(reason);
  act->by = std::move(by);
  act->done = std::move(done);
  impl_->begin_act(act, filter, &Impl::remove_one);
}

void Scheduler::Impl::remove_one(Entry &entry, const std::shared_ptr<Act> &act) {
  QueuedMessage gone = *entry.message;
  for (RecipientState &state : gone.recipients) {
    if (state.status != RecipientStatus::pending) continue;
    state.status = RecipientStatus::failed;
    state.cause = FailureCause::operator_act;
  }
  entry.recording = true;
  withdraw(entry);
  tally(entry);
  unschedule(entry);
  clear_deadline(entry);
  record(entry, act, encode_update(gone), &Impl::removal_recorded);
}

void Scheduler::Impl::removal_recorded(Entry &entry, const Act &act, bool ok) {
  entry.recording = false;
  entry.removed = ok;
  if (ok)
    for (const RecipientState &state : entry.message->recipients)
      if (state.status == RecipientStatus::pending) log_act(entry, state, act, "deleted");
  if (!ok) {
    mark_dirty(entry);
    schedule(entry);
    set_deadline(entry);
  }
  finish_if_done(entry); // a job that runs is waited for
}

} // namespace mta
