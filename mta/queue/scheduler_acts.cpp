// What operators see of the queue and do to it; each act on a message is durable, and logged, before it counts.
#include <unordered_set>

#include "mta/queue/scheduler_impl.hpp"

namespace mta {

template <typename Visit> void Scheduler::Impl::for_each_match(const QueueFilter &filter, Visit visit) {
  const WallTime time = now();
  const auto consider = [&](Entry &entry) {
    return entry.is_leaving() || !matches(filter, *entry.message, time) || visit(entry);
  };
  if (filter.id) {
    if (Entry *entry = find(*filter.id)) consider(*entry);
    return;
  }
  for (auto &[id, entry] : entries)
    if (!consider(entry)) return;
}

std::vector<std::shared_ptr<const QueuedMessage>> Scheduler::list(const QueueFilter &filter, std::size_t limit) const {
  std::vector<std::shared_ptr<const QueuedMessage>> found;
  if (limit == 0) return found;
  impl_->for_each_match(filter, [&](Entry &entry) {
    found.push_back(impl_->hand_out(entry));
    return found.size() < limit;
  });
  return found;
}

QueueCounts Scheduler::count(const QueueFilter &filter) const {
  QueueCounts counts;
  std::unordered_set<const Destination *> destinations;
  impl_->for_each_match(filter, [&](Entry &entry) {
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

/// Writes the blob durably, then calls `recorded` on the executor and counts the message.
void Scheduler::Impl::record(Entry &entry, const std::shared_ptr<Act> &act, std::string blob,
                             Recorded recorded) {
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
  return std::move(event).with_if("by", act.by).with_if("reason", act.reason);
}

void Scheduler::Impl::close_act(const std::shared_ptr<Act> &act) {
  if (--act->open == 0 && act->done) std::exchange(act->done, nullptr)(act->touched);
}

void Scheduler::retry(const QueueFilter &filter, std::function<void(std::size_t)> done) {
  const auto act = std::make_shared<Impl::Act>();
  act->name = "retry";
  act->done = std::move(done);
  const WallTime time = impl_->now();
  impl_->for_each_match(filter, [&](Entry &entry) {
    if (entry.message->held) return true; // release() is the act for those
    for (RecipientState &state : impl_->writable(entry).recipients)
      if (state.status == RecipientStatus::pending) state.next_attempt = time;
    for (const auto &unit : entry.units) impl_->agenda.end_backoff(*unit->destination);
    impl_->schedule(entry);
    impl_->record(entry, act, encode_update(*entry.message), &Impl::retry_recorded);
    return true;
  });
  impl_->close_act(act);
  impl_->process();
}

void Scheduler::Impl::retry_recorded(Entry &, const Act &, bool) {}

void Scheduler::hold(const QueueFilter &filter, std::string reason, std::string by,
                     std::function<void(std::size_t)> done) {
  const auto act = std::make_shared<Impl::Act>();
  act->name = "hold";
  act->reason = std::move(reason);
  act->by = std::move(by);
  act->done = std::move(done);
  impl_->for_each_match(filter, [&](Entry &entry) {
    if (entry.message->held) return true;
    QueuedMessage &message = impl_->writable(entry);
    message.held = true;
    message.hold_reason = act->reason;
    impl_->unschedule(entry);
    impl_->set_deadline(entry);
    impl_->record(entry, act, encode_update(message), &Impl::hold_recorded);
    return true;
  });
  impl_->close_act(act);
  impl_->process();
}

void Scheduler::Impl::hold_recorded(Entry &entry, const Act &, bool ok) {
  if (ok || !entry.message->held) return;
  QueuedMessage &message = writable(entry); // not durable: it is not held
  message.held = false;
  message.hold_reason.clear();
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
  const WallTime time = impl_->now();
  impl_->for_each_match(filter, [&](Entry &entry) {
    if (!entry.message->held) return true;
    QueuedMessage released = *entry.message; // it stays held until the release is on disk
    released.held = false;
    released.hold_reason.clear();
    for (RecipientState &state : released.recipients)
      if (state.status == RecipientStatus::pending) state.next_attempt = time;
    impl_->record(entry, act, encode_update(released), &Impl::release_recorded);
    return true;
  });
  impl_->close_act(act);
  impl_->process();
}

void Scheduler::Impl::release_recorded(Entry &entry, const Act &, bool ok) {
  if (!ok || !entry.message->held) return;
  QueuedMessage &message = writable(entry);
  message.held = false;
  message.hold_reason.clear();
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
  impl_->for_each_match(only, [&](Entry &entry) {
    if (entry.message->is_finished()) return true; // its notice is on its way; nothing will be sent
    if (!act->tls_override && !entry.message->tls_override) return true;
    QueuedMessage changed = *entry.message; // the old rule holds until the new one is on disk
    changed.tls_override = act->tls_override;
    if (act->tls_override) {
      changed.held = false;
      changed.hold_reason.clear();
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
  message.held = false;
  message.hold_reason.clear();
  entry.try_again = entry.jobs > 0;
  try_now(entry);
}

void Scheduler::remove(const QueueFilter &filter, std::string reason, std::string by,
                       std::function<void(std::size_t)> done) {
  const auto act = std::make_shared<Impl::Act>();
  act->name = "delete";
  act->reason = std::move(reason);
  act->by = std::move(by);
  act->done = std::move(done);
  impl_->for_each_match(filter, [&](Entry &entry) {
    QueuedMessage gone = *entry.message;
    for (RecipientState &state : gone.recipients) {
      if (state.status != RecipientStatus::pending) continue;
      state.status = RecipientStatus::failed;
      state.cause = FailureCause::operator_act;
    }
    entry.recording = true;
    impl_->unschedule(entry);
    impl_->clear_deadline(entry);
    impl_->record(entry, act, encode_update(gone), &Impl::removal_recorded);
    return true;
  });
  impl_->close_act(act);
  impl_->process();
}

void Scheduler::Impl::removal_recorded(Entry &entry, const Act &, bool ok) {
  entry.recording = false;
  entry.removed = ok;
  if (!ok) {
    mark_dirty(entry);
    schedule(entry);
    set_deadline(entry);
  }
  finish_if_done(entry); // a job that runs is waited for
}

} // namespace mta
