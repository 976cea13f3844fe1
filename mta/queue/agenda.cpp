// Which unit of work is next: see agenda.hpp.
#include "mta/queue/agenda.hpp"

#include <cassert>

namespace mta {

namespace {

/// Destinations without work that are remembered with their window, for the next message.
constexpr std::size_t idle_limit = 1024;

} // namespace

Agenda::~Agenda() {
  alive_.clear();
  dead_.clear();
  idle_.clear();
  waiting_.clear();
  backing_off_.clear();
  for (auto &[key, destination] : destinations_) destination->ready.clear();
}

void Agenda::set_limits(Limits limits) {
  limits_ = limits;
  for (auto &[key, destination] : destinations_) place(*destination);
}

Destination &Agenda::destination(std::string_view key) {
  if (const auto found = destinations_.find(key); found != destinations_.end()) return *found->second;
  auto made = std::make_unique<Destination>(std::string(key));
  Destination &destination = *made;
  destinations_.emplace(destination.key, std::move(made));
  return destination;
}

void Agenda::attach(Unit &unit) {
  Destination &destination = *unit.destination;
  ++destination.units;
  if (destination.idle_hook.is_linked()) idle_.erase(idle_.iterator_to(destination));
}

void Agenda::detach(Unit &unit) {
  assert(unit.state == Unit::State::idle);
  Destination &destination = *unit.destination;
  if (--destination.units > 0) return;
  destination.grouping_unit = nullptr;
  idle_.push_back(destination);
  if (idle_.size() <= idle_limit) return;
  Destination &oldest = idle_.front();
  idle_.pop_front();
  if (oldest.is_backing_off()) backing_off_.erase(backing_off_.iterator_to(oldest));
  leave_ring(oldest);
  destinations_.erase(destinations_.find(std::string_view(oldest.key)));
}

void Agenda::add(Unit &unit, WallTime due, WallTime now) {
  assert(unit.state == Unit::State::idle);
  unit.due = due;
  if (due <= now) {
    make_ready(unit);
    return;
  }
  unit.state = Unit::State::waiting;
  waiting_.insert(unit);
}

void Agenda::remove(Unit &unit) {
  switch (unit.state) {
  case Unit::State::waiting: waiting_.erase(waiting_.iterator_to(unit)); break;
  case Unit::State::ready: unit.destination->ready.erase(unit.destination->ready.iterator_to(unit)); break;
  case Unit::State::idle:
  case Unit::State::active: return;
  }
  unit.state = Unit::State::idle;
}

void Agenda::make_ready(Unit &unit) {
  unit.state = Unit::State::ready;
  ReadyLine &line = unit.destination->ready;
  unit.is_first ? line.push_front(unit) : line.push_back(unit);
  place(*unit.destination);
}

void Agenda::place(Destination &destination) {
  if (destination.ring_hook.is_linked() || !destination.can_start(limits_.connections_per_destination)) return;
  destination.in_dead_ring = destination.is_dead();
  (destination.in_dead_ring ? dead_ : alive_).push_back(destination);
}

void Agenda::leave_ring(Destination &destination) {
  if (!destination.ring_hook.is_linked()) return;
  Ring &ring = destination.in_dead_ring ? dead_ : alive_;
  ring.erase(ring.iterator_to(destination));
}

void Agenda::wake(WallTime now) {
  while (!waiting_.empty() && waiting_.begin()->due <= now) {
    Unit &unit = *waiting_.begin();
    waiting_.erase(waiting_.begin());
    make_ready(unit);
  }
  while (!backing_off_.empty() && backing_off_.begin()->backoff_until <= now) end_backoff(*backing_off_.begin());
}

Destination *Agenda::take_turn() {
  for (;;) {
    const bool may_probe = !dead_.empty() && probes_ < probe_limit();
    const bool probe = may_probe && (alive_.empty() || !last_was_probe_);
    Ring &ring = probe ? dead_ : alive_;
    if (ring.empty()) return nullptr;
    Destination &destination = ring.front();
    ring.pop_front();
    if (!destination.can_start(limits_.connections_per_destination))
      continue; // what was true when it entered may have ended
    last_was_probe_ = probe;
    return &destination;
  }
}

Unit *Agenda::next() {
  if (active_ >= limits_.connections) return nullptr;
  Destination *destination = take_turn();
  if (destination == nullptr) return nullptr;
  Unit &unit = destination->ready.front();
  destination->ready.pop_front();
  unit.state = Unit::State::active;
  unit.is_probe = destination->is_dead();
  unit.slot = destination->take_slot();
  ++destination->active;
  ++active_;
  if (unit.is_probe) ++probes_;
  place(*destination);
  return &unit;
}

Agenda::Change Agenda::finish(Unit &unit, Feedback feedback, const policy::RetrySchedule &schedule, WallTime now,
                              double random) {
  assert(unit.state == Unit::State::active);
  Destination &destination = *unit.destination;
  destination.give_slot(unit.slot);
  --destination.active;
  --active_;
  if (unit.is_probe) --probes_;
  unit.is_probe = false;
  unit.state = Unit::State::idle;

  Change change = Change::none;
  switch (feedback) {
  case Feedback::reached:
    if (destination.is_dead()) {
      change = Change::recovered;
      leave_ring(destination);
      if (destination.is_backing_off()) backing_off_.erase(backing_off_.iterator_to(destination));
    }
    destination.note_reached(limits_.connections_per_destination);
    break;
  case Feedback::failed:
    // Jobs that ran side by side fail together: that is one failure of the destination.
    if (destination.is_backing_off()) break;
    change = destination.is_dead() ? Change::stays_dead : Change::died;
    leave_ring(destination);
    destination.note_failed(schedule, now, random);
    backing_off_.insert(destination);
    break;
  case Feedback::unknown: break;
  }
  place(destination);
  return change;
}

void Agenda::end_backoff(Destination &destination) {
  if (!destination.is_backing_off()) return;
  backing_off_.erase(backing_off_.iterator_to(destination));
  place(destination);
}

void Agenda::end_all_backoffs() {
  while (!backing_off_.empty()) end_backoff(*backing_off_.begin());
}

std::optional<WallTime> Agenda::next_event() const noexcept {
  std::optional<WallTime> next;
  if (!waiting_.empty()) next = waiting_.begin()->due;
  if (!backing_off_.empty() && (!next || backing_off_.begin()->backoff_until < *next))
    next = backing_off_.begin()->backoff_until;
  return next;
}

} // namespace mta
