#include "mta/spool/index.hpp"

#include <algorithm>
#include <cassert>

namespace mta::spool {

void Index::add_segment(std::shared_ptr<Segment> segment) {
  const std::scoped_lock lock(mutex_);
  const std::uint32_t number = segment->number();
  segments_[number].segment = std::move(segment);
}

void Index::seal(std::uint32_t number) {
  const std::scoped_lock lock(mutex_);
  segments_.at(number).sealed = true;
}

void Index::bury(std::uint32_t grave, std::uint32_t buried, std::uint64_t id) {
  const std::scoped_lock lock(mutex_);
  bury_locked(grave, buried, id);
}

void Index::bury_locked(std::uint32_t grave, std::uint32_t buried, std::uint64_t id) {
  const auto from = segments_.find(grave);
  const auto to = segments_.find(buried);
  if (to == segments_.end()) return;
  to->second.ended.push_back(id);
  if (from != segments_.end() && from != to) from->second.buries.insert(buried);
}

void Index::abandon(std::uint32_t checkpoint, std::uint32_t abandoned) {
  const std::scoped_lock lock(mutex_);
  const auto found = segments_.find(checkpoint);
  if (found != segments_.end() && segments_.contains(abandoned)) found->second.abandoned.insert(abandoned);
}

void Index::note_stale(std::uint64_t id, std::uint32_t segment) {
  const std::scoped_lock lock(mutex_);
  stale_[id].push_back(segment);
}

void Index::add_live(const Extent &extent) {
  if (extent.segment != 0) segments_.at(extent.segment).live += record_space(extent.length);
}

void Index::take_live(const Extent &extent, std::uint64_t sequence) {
  if (extent.segment == 0) return;
  State &state = segments_.at(extent.segment);
  assert(state.live >= record_space(extent.length));
  state.live -= record_space(extent.length);
  state.quiet_after = std::max(state.quiet_after, sequence);
}

void Index::add_all(const Entry &entry) {
  entry.for_each_part([this](const Extent &part) { add_live(part); });
  add_live(entry.envelope);
  add_live(entry.update);
}

void Index::take_all(const Entry &entry, std::uint64_t sequence) {
  entry.for_each_part([this, sequence](const Extent &part) { take_live(part, sequence); });
  take_live(entry.envelope, sequence);
  take_live(entry.update, sequence);
}

void Index::release_hold(const Entry &entry) {
  entry.for_each_part([this](const Extent &part) {
    if (part.segment == 0) return;
    State &state = segments_.at(part.segment);
    assert(state.held > 0);
    --state.held;
  });
}

void Index::hold(const Extent &part) {
  const std::scoped_lock lock(mutex_);
  add_live(part);
  ++segments_.at(part.segment).held;
}

void Index::drop(std::span<const Extent> parts, std::uint64_t sequence) {
  const std::scoped_lock lock(mutex_);
  for (const Extent &part : parts) {
    if (part.segment == 0) continue;
    take_live(part, sequence);
    --segments_.at(part.segment).held;
  }
}

void Index::insert(std::span<NewMessage> messages) {
  const std::scoped_lock lock(mutex_);
  for (NewMessage &message : messages) {
    release_hold(message.entry);
    add_live(message.entry.envelope);
    entries_.emplace(message.id, std::move(message.entry));
  }
  messages_ = entries_.size();
}

void Index::insert_recovered(std::uint64_t id, Entry entry) {
  const std::scoped_lock lock(mutex_);
  add_all(entry);
  entries_.emplace(id, std::move(entry));
  messages_ = entries_.size();
}

bool Index::contains(std::uint64_t id) const {
  const std::scoped_lock lock(mutex_);
  return entries_.contains(id);
}

std::optional<Entry> Index::find(std::uint64_t id) const {
  const std::scoped_lock lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end()) return std::nullopt;
  return found->second;
}

std::optional<BodyPlace> Index::find_body(std::uint64_t id) const {
  const std::scoped_lock lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end()) return std::nullopt;
  const Entry &entry = found->second;
  BodyPlace place;
  place.size = entry.body_size;
  place.parts.reserve(entry.more ? entry.more->size() + 1 : 1);
  entry.for_each_part([&](const Extent &part) {
    place.parts.push_back({part, SegmentPin(part.segment == 0 ? nullptr : segments_.at(part.segment).segment)});
  });
  return place;
}

SegmentPin Index::pin(std::uint32_t segment) const {
  const std::scoped_lock lock(mutex_);
  const auto found = segments_.find(segment);
  return SegmentPin(found == segments_.end() ? nullptr : found->second.segment);
}

void Index::set_update(std::uint64_t id, const Extent &update, std::uint64_t sequence) {
  const std::scoped_lock lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;
  take_live(found->second.update, sequence);
  found->second.update = update;
  add_live(update);
}

std::vector<std::uint32_t> Index::remove(std::uint64_t id, std::uint32_t done_in, std::uint64_t sequence) {
  const std::scoped_lock lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end()) return {};
  std::vector<std::uint32_t> envelopes;
  if (const auto stale = stale_.find(id); stale != stale_.end()) {
    envelopes = std::move(stale->second);
    stale_.erase(stale);
  }
  envelopes.push_back(found->second.envelope.segment);
  take_all(found->second, sequence);
  entries_.erase(found);
  messages_ = entries_.size();
  for (const std::uint32_t segment : envelopes) bury_locked(done_in, segment, id);
  return envelopes;
}

void Index::replace(std::uint64_t id, Entry entry, std::uint64_t sequence) {
  const std::scoped_lock lock(mutex_);
  const auto found = entries_.find(id);
  assert(found != entries_.end());
  std::vector<std::uint32_t> &stale = stale_[id];
  std::erase_if(stale, [this](std::uint32_t segment) { return !segments_.contains(segment); });
  stale.push_back(found->second.envelope.segment);
  take_all(found->second, sequence);
  release_hold(entry);
  add_live(entry.envelope);
  add_live(entry.update);
  found->second = std::move(entry);
}

std::vector<std::shared_ptr<Segment>> Index::take_free(std::uint64_t durable) {
  const std::scoped_lock lock(mutex_);
  std::vector<std::shared_ptr<Segment>> result;
  for (auto &[number, state] : segments_) {
    if (!state.sealed || state.leaving || state.live != 0 || state.held != 0) continue;
    if (state.quiet_after > durable || !state.buries.empty() || !state.abandoned.empty()) continue;
    state.leaving = true;
    result.push_back(state.segment);
  }
  return result;
}

bool Index::waits_for_sync(std::uint64_t durable) const {
  const std::scoped_lock lock(mutex_);
  return std::any_of(segments_.begin(), segments_.end(), [durable](const auto &pair) {
    const State &state = pair.second;
    return state.sealed && !state.leaving && state.live == 0 && state.quiet_after > durable;
  });
}

void Index::gone(std::uint32_t number) {
  const std::scoped_lock lock(mutex_);
  segments_.erase(number);
  for (auto &[grave, state] : segments_) {
    state.buries.erase(number);
    state.abandoned.erase(number);
  }
}

bool Index::is_mostly_dead(std::uint64_t segment_size) const {
  constexpr std::uint64_t slack_segments = 4;
  std::uint64_t live = 0;
  std::uint64_t dead = 0;
  for (const auto &[number, state] : segments_) {
    live += state.live;
    if (state.sealed && !state.leaving) dead += state.segment->size() - std::min(state.live, state.segment->size());
  }
  return dead > live + slack_segments * segment_size;
}

// A segment that is at least three quarters dead is worth its move: an octet is then rewritten for three that are
// regained. When half of the log is dead all the same, the emptiest one is moved if that gains something; else the
// oldest one on which dead segments wait.
std::optional<std::uint32_t> Index::choose_victim(std::uint64_t segment_size,
                                                  const std::set<std::uint32_t> &excused) const {
  const std::scoped_lock lock(mutex_);
  std::optional<std::uint32_t> emptiest;
  double emptiest_share = 1.0;
  const auto can_be_moved = [&](std::uint32_t number, const State &state) {
    return state.sealed && !state.leaving && state.live != 0 && state.held == 0 && !excused.contains(number);
  };
  for (const auto &[number, state] : segments_) {
    if (!can_be_moved(number, state)) continue;
    const double share = static_cast<double>(state.live) / static_cast<double>(state.segment->size());
    if (share < emptiest_share) {
      emptiest_share = share;
      emptiest = number;
    }
  }
  if (emptiest && emptiest_share <= 0.25) return emptiest;
  if (!is_mostly_dead(segment_size)) return std::nullopt;
  if (emptiest && emptiest_share <= 0.5) return emptiest;
  std::optional<std::uint32_t> oldest;
  for (const auto &[number, state] : segments_) {
    if (!state.sealed || state.live != 0) continue;
    for (const auto *needs : {&state.buries, &state.abandoned})
      for (const std::uint32_t needed : *needs)
        if ((!oldest || needed < *oldest) && can_be_moved(needed, segments_.at(needed))) oldest = needed;
  }
  return oldest;
}

std::map<std::uint32_t, std::vector<std::uint32_t>> Index::find_waiting() const {
  std::map<std::uint32_t, std::vector<std::uint32_t>> waiting;
  for (const auto &[number, state] : segments_) {
    if (!state.sealed || state.live != 0) continue;
    for (const std::uint32_t buried : state.buries) waiting[buried].push_back(number);
  }
  return waiting;
}

// One that waits alone is where the graves were written the last time, unless a chain has formed behind it: nearly
// every segment holds graves of the one before it, so the whole log may wait on it.
std::optional<Index::Reburial> Index::choose_reburial(std::uint64_t segment_size,
                                                      const std::set<std::uint32_t> &excused) const {
  const std::scoped_lock lock(mutex_);
  if (!is_mostly_dead(segment_size)) return std::nullopt;
  const auto waiting = find_waiting();
  for (const auto &[number, behind] : waiting) {
    const State &state = segments_.at(number);
    const bool stuck = state.live != 0 && (state.held != 0 || excused.contains(number));
    if (stuck && (behind.size() >= 2 || waiting.contains(behind.front()))) return Reburial{number, state.ended};
  }
  return std::nullopt;
}

void Index::rebury(std::uint32_t segment, std::span<const std::uint32_t> graves) {
  const std::scoped_lock lock(mutex_);
  for (auto &[number, state] : segments_) state.buries.erase(segment);
  for (const std::uint32_t grave : graves)
    if (grave != segment) segments_.at(grave).buries.insert(segment);
}

bool Index::collect(std::uint32_t segment, std::size_t &cursor, std::vector<std::uint64_t> &ids) const {
  constexpr std::size_t buckets_per_call = 4096;
  const std::scoped_lock lock(mutex_);
  const std::size_t end = std::min(entries_.bucket_count(), cursor + buckets_per_call);
  for (; cursor < end; ++cursor) {
    for (auto at = entries_.begin(cursor); at != entries_.end(cursor); ++at) {
      const Entry &entry = at->second;
      bool inside = entry.envelope.segment == segment || entry.update.segment == segment;
      entry.for_each_part([&](const Extent &part) { inside = inside || part.segment == segment; });
      if (inside) ids.push_back(at->first);
    }
  }
  return cursor >= entries_.bucket_count();
}

Index::Totals Index::totals() const {
  const std::scoped_lock lock(mutex_);
  Totals totals{.messages = entries_.size(), .octets = 0, .segments = segments_.size()};
  for (const auto &[number, state] : segments_) totals.octets += state.live;
  return totals;
}

} // namespace mta::spool
