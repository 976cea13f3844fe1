#include "mta/queue/destination.hpp"

#include <algorithm>
#include <bit>

namespace mta {

bool Destination::can_start(std::size_t limit) const noexcept {
  if (!has_ready() || (is_backing_off() && passes == 0)) return false;
  if (is_dead()) return active == 0;
  return active < std::min(limit, static_cast<std::size_t>(window));
}

std::uint32_t Destination::take_slot() {
  for (std::size_t word = 0; word < slots_.size(); ++word) {
    if (slots_[word] == ~std::uint64_t{0}) continue;
    const auto bit = static_cast<std::size_t>(std::countr_one(slots_[word]));
    slots_[word] |= std::uint64_t{1} << bit;
    return static_cast<std::uint32_t>(word * 64 + bit);
  }
  slots_.push_back(1);
  return static_cast<std::uint32_t>((slots_.size() - 1) * 64);
}

void Destination::give_slot(std::uint32_t slot) noexcept {
  slots_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
}

void Destination::note_reached(std::size_t limit) noexcept {
  failures = 0;
  was_reached = true;
  window += window < initial_window ? 1.0 : 1.0 / window;
  window = std::max(1.0, std::min(window, static_cast<double>(limit)));
}

void Destination::note_put_off(WallTime now) noexcept {
  window = std::clamp(static_cast<double>(active), 1.0, std::max(1.0, window));
  backoff_until = now + put_off_wait;
}

void Destination::note_failed(const policy::RetrySchedule &schedule, WallTime now, double random) noexcept {
  ++failures;
  window = 1;
  passes = 0;
  backoff_until = now + policy::retry_wait(schedule, std::min<std::uint32_t>(failures, 3), random);
}

} // namespace mta
