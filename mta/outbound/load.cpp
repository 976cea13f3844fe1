#include "mta/outbound/load.hpp"

#include <algorithm>
#include <utility>

namespace mta {

namespace {

/// Addresses that are remembered to have answered; over it all are forgotten, and the next answers begin anew.
constexpr std::size_t answered_limit = 10'000;
/// Hosts of which it is known how many connections they take; over it those are forgotten whose time is over.
constexpr std::size_t rooms_limit = 1'000;
/// Addresses at which a session said QUIT of late; the one that did so first is forgotten for another.
constexpr std::size_t ended_limit = 200;

} // namespace

smtp::IpAddress OutboundLoad::counted(const smtp::IpAddress &address) noexcept {
  return address.is_v6() ? address.masked(64) : address;
}

OutboundLoad::Hold::Hold(std::shared_ptr<OutboundLoad> load, const smtp::IpAddress &address)
    : load_(std::move(load)), address_(address) {
  if (!load_) return;
  const std::lock_guard lock(load_->mutex_);
  ++load_->by_address_[OutboundLoad::counted(address_)];
  ++load_->connections_;
}

OutboundLoad::Hold &OutboundLoad::Hold::operator=(Hold &&other) noexcept {
  if (this == &other) return *this;
  release();
  load_ = std::move(other.load_);
  address_ = other.address_;
  return *this;
}

void OutboundLoad::Hold::release() noexcept {
  const auto load = std::exchange(load_, nullptr);
  if (!load) return;
  const std::lock_guard lock(load->mutex_);
  const auto found = load->by_address_.find(OutboundLoad::counted(address_));
  if (found != load->by_address_.end() && --found->second == 0) load->by_address_.erase(found);
  --load->connections_;
}

bool OutboundLoad::has_room(const smtp::IpAddress &address, std::size_t per_address, std::size_t limit) const {
  const smtp::IpAddress key = counted(address);
  const std::lock_guard lock(mutex_);
  if (!takes_more_locked(key, Clock::now())) return false;
  const auto found = by_address_.find(key);
  if (found == by_address_.end()) return true;
  per_address = std::min(per_address, std::max<std::size_t>(1, limit / (answered_.contains(key) ? 4 : 10)));
  return found->second < per_address;
}

bool OutboundLoad::takes_more_locked(const smtp::IpAddress &key, Clock::time_point now) const {
  const auto room = rooms_.find(key);
  if (room == rooms_.end() || room->second.until <= now) return true;
  const auto found = by_address_.find(key);
  return found == by_address_.end() || found->second < room->second.connections;
}

bool OutboundLoad::takes_more(const smtp::IpAddress &address, Clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  return takes_more_locked(counted(address), now);
}

bool OutboundLoad::knows_room(const smtp::IpAddress &address, Clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  const auto room = rooms_.find(counted(address));
  return room != rooms_.end() && room->second.until > now;
}

bool OutboundLoad::note_no_room(const smtp::IpAddress &address, Clock::time_point now) {
  const smtp::IpAddress key = counted(address);
  const std::lock_guard lock(mutex_);
  const auto found = by_address_.find(key);
  if (found == by_address_.end()) // the one that was refused has ended by now
    return std::any_of(ended_.begin(), ended_.end(),
                       [&](const auto &one) { return one.first == key && now < one.second + just_now; });
  if (rooms_.size() >= rooms_limit && !rooms_.contains(key)) {
    std::erase_if(rooms_, [now](const auto &room) { return room.second.until <= now; });
    if (rooms_.size() >= rooms_limit) rooms_.clear();
  }
  Room &room = rooms_[key];
  room.connections = found->second;
  room.until = now + room_is_known;
  return true;
}

void OutboundLoad::note_ended(const smtp::IpAddress &address, Clock::time_point now) noexcept {
  const std::lock_guard lock(mutex_);
  const smtp::IpAddress key = counted(address);
  const auto last = std::find_if(ended_.begin(), ended_.end(), [&key](const auto &one) { return one.first == key; });
  if (last != ended_.end())
    last->second = now;
  else if (ended_.size() < ended_limit)
    ended_.emplace_back(key, now);
  else
    *std::min_element(ended_.begin(), ended_.end(),
                      [](const auto &left, const auto &right) { return left.second < right.second; }) = {key, now};
}

void OutboundLoad::note_answered(const smtp::IpAddress &address) {
  const smtp::IpAddress key = counted(address);
  const std::lock_guard lock(mutex_);
  if (answered_.size() >= answered_limit && !answered_.contains(key)) answered_.clear();
  answered_.insert(key);
}

void OutboundLoad::note_kept(const smtp::IpAddress &address, std::size_t worker) {
  const std::lock_guard lock(mutex_);
  auto &by_worker = kept_by_[counted(address)];
  if (by_worker.size() <= worker) by_worker.resize(worker + 1);
  ++by_worker[worker];
  ++kept;
}

void OutboundLoad::note_not_kept(const smtp::IpAddress &address, std::size_t worker) noexcept {
  const std::lock_guard lock(mutex_);
  --kept;
  const auto found = kept_by_.find(counted(address));
  if (found == kept_by_.end()) return;
  --found->second[worker];
  if (std::all_of(found->second.begin(), found->second.end(), [](std::uint32_t count) { return count == 0; }))
    kept_by_.erase(found);
}

std::optional<std::size_t> OutboundLoad::keeper_of(const smtp::IpAddress &address) const {
  const std::lock_guard lock(mutex_);
  const auto found = kept_by_.find(counted(address));
  if (found == kept_by_.end()) return std::nullopt;
  const auto most = std::max_element(found->second.begin(), found->second.end());
  return static_cast<std::size_t>(most - found->second.begin());
}

} // namespace mta
