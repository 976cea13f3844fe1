// OutboundLoad: see load.hpp.
#include "mta/outbound/load.hpp"

#include <algorithm>
#include <utility>

namespace mta {

namespace {

/// Addresses that are remembered to have answered; over it all are forgotten, and the next answers begin anew.
constexpr std::size_t answered_limit = 10'000;

smtp::IpAddress counted(const smtp::IpAddress &address) noexcept {
  return address.is_v6() ? address.masked(64) : address;
}

} // namespace

OutboundLoad::Hold::Hold(std::shared_ptr<OutboundLoad> load, const smtp::IpAddress &address)
    : load_(std::move(load)), address_(address) {
  if (!load_) return;
  const std::lock_guard lock(load_->mutex_);
  ++load_->by_address_[counted(address_)];
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
  const auto found = load->by_address_.find(counted(address_));
  if (found != load->by_address_.end() && --found->second == 0) load->by_address_.erase(found);
  --load->connections_;
}

bool OutboundLoad::has_room(const smtp::IpAddress &address, std::size_t per_address, std::size_t limit) const {
  const smtp::IpAddress key = counted(address);
  const std::lock_guard lock(mutex_);
  const auto found = by_address_.find(key);
  if (found == by_address_.end()) return true;
  per_address = std::min(per_address, std::max<std::size_t>(1, limit / (answered_.contains(key) ? 4 : 10)));
  return found->second < per_address;
}

void OutboundLoad::note_answered(const smtp::IpAddress &address) {
  const smtp::IpAddress key = counted(address);
  const std::lock_guard lock(mutex_);
  if (answered_.size() >= answered_limit && !answered_.contains(key)) answered_.clear();
  answered_.insert(key);
}

} // namespace mta
