#include "mta/queue/agenda.hpp"

#include <algorithm>
#include <cassert>

namespace mta {

namespace {

/// Destinations without work that are remembered with their window, for the next message.
constexpr std::size_t idle_limit = 1024;
/// What is due beyond has the next turn of the timer, at once.
constexpr std::size_t woken_in_a_row = 50'000;

} // namespace

Agenda::~Agenda() {
  for (auto &ring : rings_) ring.clear();
  idle_.clear();
  crowds_.clear();
  waiting_.clear();
  backing_off_.clear();
  for (auto &[key, destination] : destinations_) {
    destination->ready.clear();
    destination->ready_notices.clear();
    destination->all.clear();
  }
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

const Destination *Agenda::find(std::string_view key) const {
  const auto found = destinations_.find(key);
  return found == destinations_.end() ? nullptr : found->second.get();
}

void Agenda::set_ours(Destination &destination, bool is_ours) {
  if (destination.is_ours == is_ours) return;
  leave_ring(destination);
  destination.is_ours = is_ours;
  place(destination);
}

void Agenda::classify(const std::function<bool(std::string_view)> &is_ours) {
  for (auto &[key, destination] : destinations_) set_ours(*destination, is_ours(key));
}

void Agenda::attach(Unit &unit) {
  Destination &destination = *unit.destination;
  ++destination.units;
  destination.all.push_back(unit);
  if (destination.idle_hook.is_linked()) idle_.erase(idle_.iterator_to(destination));
}

void Agenda::detach(Unit &unit) {
  assert(unit.state == Unit::State::idle);
  Destination &destination = *unit.destination;
  unit.destination_hook.unlink();
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
  case Unit::State::ready: {
    ReadyLine &line = unit.is_notice ? unit.destination->ready_notices : unit.destination->ready;
    line.erase(line.iterator_to(unit));
    break;
  }
  case Unit::State::idle:
  case Unit::State::active: return;
  }
  unit.state = Unit::State::idle;
}

void Agenda::make_ready(Unit &unit) {
  unit.state = Unit::State::ready;
  ReadyLine &line = unit.is_notice ? unit.destination->ready_notices : unit.destination->ready;
  unit.is_first ? line.push_front(unit) : line.push_back(unit);
  place(*unit.destination);
}

Agenda::Lane Agenda::lane_of(const Destination &destination) const noexcept {
  if (destination.is_ours) return Lane::ours;
  if (destination.is_dead()) return Lane::dead;
  if (destination.ready.empty()) return Lane::notices;
  return destination.was_reached ? Lane::known : Lane::unreached;
}

void Agenda::place(Destination &destination) {
  if (!destination.can_start(limits_.connections_per_destination)) return;
  const auto lane = static_cast<std::uint8_t>(lane_of(destination));
  if (destination.ring_hook.is_linked()) {
    if (destination.ring == lane) return;
    leave_ring(destination);
  }
  destination.ring = lane;
  rings_[lane].push_back(destination);
}

void Agenda::leave_ring(Destination &destination) {
  if (!destination.ring_hook.is_linked()) return;
  Ring &ring = rings_[destination.ring];
  ring.erase(ring.iterator_to(destination));
}

bool Agenda::has_room(Lane lane) const noexcept {
  if (active_ >= limits_.connections) return false;
  if (lane == Lane::ours) return true;
  const std::size_t strangers = active_ - count(Lane::ours);
  if (limits_.connections > limits_.reserved && strangers >= limits_.connections - limits_.reserved) return false;
  switch (lane) {
  case Lane::notices: return count(Lane::notices) < limits_.notices;
  case Lane::unreached: return count(Lane::unreached) < limits_.unreached;
  case Lane::dead: return count(Lane::dead) < probe_limit();
  case Lane::ours:
  case Lane::known: return true;
  }
  return true;
}

void Agenda::wake(WallTime now) {
  for (std::size_t woken = 0; woken < woken_in_a_row && !waiting_.empty() && waiting_.begin()->due <= now; ++woken) {
    Unit &unit = *waiting_.begin();
    waiting_.erase(waiting_.begin());
    make_ready(unit);
  }
  while (!backing_off_.empty() && backing_off_.begin()->backoff_until <= now) {
    Destination &destination = *backing_off_.begin();
    if (destination.crowd_hook.is_linked() && destination.has_ready())
      try_for_room(destination, now);
    else
      end_backoff(destination);
  }
}

/// Nothing ended at its address for a while, or others stand before it: a job of
/// the first in the line sees whether there is room; all others keep their places.
void Agenda::try_for_room(Destination &destination, WallTime now) {
  backing_off_.erase(backing_off_.iterator_to(destination));
  destination.backoff_until = now + put_off_wait;
  backing_off_.insert(destination);
  const auto found = destination.waits_at ? crowds_.find(*destination.waits_at) : crowds_.end();
  if (found == crowds_.end()) return;
  Crowds &crowds = found->second;
  Crowd &line = !crowds.mail.empty() && &crowds.mail.front() == &destination ? crowds.mail : crowds.notices;
  if (line.empty() || &line.front() != &destination) return;
  line.pop_front();
  destination.has_turn = true;
  destination.passes = 1;
  place(destination);
}

Destination *Agenda::take_turn(Lane lane) {
  Ring &ring = rings_[static_cast<std::size_t>(lane)];
  while (!ring.empty()) {
    Destination &destination = ring.front();
    ring.pop_front();
    // What was true when it entered may have ended.
    if (!destination.can_start(limits_.connections_per_destination)) continue;
    if (lane_of(destination) == lane) return &destination;
    place(destination);
  }
  return nullptr;
}

/// From <> and others in turn, where both are ready. What strangers could make many of counts in its own share,
/// whichever lane it comes by.
Unit &Agenda::take_unit(Destination &destination, Lane lane) {
  bool notice = destination.ready.empty();
  if (!notice && !destination.ready_notices.empty() && !destination.last_was_notice)
    notice = lane == Lane::ours || count(Lane::notices) < limits_.notices;
  destination.last_was_notice = notice;
  ReadyLine &line = notice ? destination.ready_notices : destination.ready;
  Unit &unit = line.front();
  line.pop_front();
  unit.counted = static_cast<std::uint8_t>(notice && lane != Lane::ours && lane != Lane::dead ? Lane::notices : lane);
  return unit;
}

Unit *Agenda::next() {
  for (std::size_t step = 1; step <= lanes; ++step) {
    const std::size_t at = (last_lane_ + step) % lanes;
    const auto lane = static_cast<Lane>(at);
    if (rings_[at].empty() || !has_room(lane)) continue;
    Destination *destination = take_turn(lane);
    if (destination == nullptr) continue;
    last_lane_ = at;
    Unit &unit = take_unit(*destination, lane);
    unit.state = Unit::State::active;
    unit.slot = destination->take_slot();
    if (destination->is_backing_off()) --destination->passes;
    ++destination->active;
    ++active_;
    ++in_lane_[unit.counted];
    place(*destination);
    return &unit;
  }
  return nullptr;
}

bool Agenda::is_pressed(const Unit &unit) const noexcept {
  const auto lane = static_cast<Lane>(unit.counted);
  std::size_t share = limits_.connections;
  switch (lane) {
  case Lane::notices: share = std::min(share, limits_.notices); break;
  case Lane::unreached: share = std::min(share, limits_.unreached); break;
  case Lane::dead: share = probe_limit(); break;
  case Lane::ours:
  case Lane::known: return false;
  }
  return share > 1 && count(lane) * 4 >= share * 3;
}

Agenda::Change Agenda::finish(Unit &unit, Feedback feedback, const policy::RetrySchedule &schedule, WallTime now,
                              double random, const std::optional<smtp::IpAddress> &address,
                              std::optional<std::size_t> worker) {
  assert(unit.state == Unit::State::active);
  Destination &destination = *unit.destination;
  destination.give_slot(unit.slot);
  --destination.active;
  --active_;
  --in_lane_[unit.counted];
  unit.state = Unit::State::idle;

  Change change = Change::none;
  switch (feedback) {
  case Feedback::reached:
    if (destination.is_dead()) {
      change = Change::recovered;
      leave_ring(destination);
      if (destination.is_backing_off()) end_wait_for_room(destination);
    }
    destination.note_reached(limits_.connections_per_destination);
    break;
  case Feedback::failed:
    // Jobs that ran side by side fail together: that is one failure of the destination.
    if (destination.is_dead() && destination.is_backing_off() && !destination.crowd_hook.is_linked()) break;
    if (destination.is_backing_off()) end_wait_for_room(destination);
    change = destination.is_dead() ? Change::stays_dead : Change::died;
    leave_ring(destination);
    destination.note_failed(schedule, now, random);
    backing_off_.insert(destination);
    break;
  case Feedback::put_off: put_off(unit, now, address, worker); break;
  case Feedback::unknown: break;
  }
  place(destination);
  if (address && feedback != Feedback::put_off && (!crowds_.empty() || destination.is_backing_off()))
    pass_on(destination, *address, worker, now);
  return change;
}

void Agenda::put_off(const Unit &unit, WallTime now, const std::optional<smtp::IpAddress> &address,
                     std::optional<std::size_t> worker) {
  Destination &destination = *unit.destination;
  leave_ring(destination);
  if (!destination.is_backing_off()) {
    destination.note_put_off(now);
    backing_off_.insert(destination);
  }
  if (worker) { // it goes on at once where an idle connection can make room
    destination.passes = 1;
    destination.worker = worker;
    return;
  }
  if (!address || destination.crowd_hook.is_linked()) return;
  if (crowds_.size() >= 1024) std::erase_if(crowds_, [](const auto &crowd) { return crowd.second.empty(); });
  Crowds &crowds = crowds_[*address];
  Crowd &crowd = unit.is_notice && destination.ready.empty() ? crowds.notices : crowds.mail;
  destination.waits_at = address;
  destination.has_turn ? crowd.push_front(destination) : crowd.push_back(destination);
}

void Agenda::pass_on(Destination &from, const smtp::IpAddress &address, std::optional<std::size_t> worker,
                     WallTime now) {
  // It has had its turn; when it has more, the next is behind all others that wait.
  const auto waiting = crowds_.find(address);
  const bool others_wait = waiting != crowds_.end() && !waiting->second.empty();
  if (others_wait && !from.is_backing_off() && !from.is_dead() && !from.is_ours && from.has_ready()) {
    leave_ring(from);
    from.note_put_off(now);
    backing_off_.insert(from);
  }
  if (from.is_backing_off() && !from.is_dead() && from.has_ready()) {
    from.passes = 0;
    from.has_turn = false;
    from.crowd_hook.unlink();
    from.waits_at = address;
    Crowds &crowds = crowds_[address];
    (from.ready.empty() ? crowds.notices : crowds.mail).push_back(from);
  }
  const auto found = crowds_.find(address);
  if (found == crowds_.end()) return;
  Crowds &crowds = found->second;
  while (!crowds.empty()) {
    Crowd &crowd = crowds.turn();
    Destination &next = crowd.front();
    crowd.pop_front();
    if (!next.is_backing_off() || !next.has_ready()) continue;
    crowds.last_was_mail = &crowd == &crowds.mail;
    next.passes = 1;
    next.has_turn = true;
    next.worker = worker;
    place(next);
    break;
  }
  if (crowds.empty()) crowds_.erase(found);
}

void Agenda::end_wait_for_room(Destination &destination) noexcept {
  backing_off_.erase(backing_off_.iterator_to(destination));
  destination.crowd_hook.unlink();
  destination.passes = 0;
  destination.has_turn = false;
}

void Agenda::end_backoff(Destination &destination) {
  if (!destination.is_backing_off()) return;
  end_wait_for_room(destination);
  place(destination);
}

void Agenda::end_all_backoffs() {
  while (!backing_off_.empty()) end_backoff(*backing_off_.begin());
}

void Agenda::end_idle_backoffs() {
  for (Destination &destination : idle_) end_backoff(destination);
}

void Agenda::shift(WallTime::duration by) {
  for (auto &[key, destination] : destinations_) destination->backoff_until += by;
}

std::optional<WallTime> Agenda::next_event() const noexcept {
  std::optional<WallTime> next;
  if (!waiting_.empty()) next = waiting_.begin()->due;
  if (!backing_off_.empty() && (!next || backing_off_.begin()->backoff_until < *next))
    next = backing_off_.begin()->backoff_until;
  return next;
}

} // namespace mta
