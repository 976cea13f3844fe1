#include "mta/inbound/resource_refusals.hpp"

namespace mta::inbound {

const char *to_string(Resource resource) noexcept {
  switch (resource) {
  case Resource::queue: return "queue_full";
  case Resource::disk: return "disk_full";
  case Resource::spool: return "spool_broken";
  case Resource::memory: return "memory";
  case Resource::quarantine: return "quarantine_full";
  }
  return "spool_broken";
}

Resource resource_of(const smtp::Error &error, const SpoolStatus &status) noexcept {
  if (error.code != smtp::ErrorCode::full) return Resource::spool;
  return status.state == StorageState::queue_full ? Resource::queue : Resource::disk;
}

std::optional<std::uint64_t> ResourceRefusals::note(Resource resource, Clock::time_point now) noexcept {
  Row &row = rows_[static_cast<std::size_t>(resource)];
  row.count.fetch_add(1, std::memory_order_relaxed);
  row.unsaid.fetch_add(1, std::memory_order_relaxed);
  auto due = row.next_line.load(std::memory_order_relaxed);
  if (now.time_since_epoch().count() < due) return std::nullopt;
  const auto next = (now + line_every).time_since_epoch().count();
  if (!row.next_line.compare_exchange_strong(due, next, std::memory_order_relaxed)) return std::nullopt;
  return row.unsaid.exchange(0, std::memory_order_relaxed);
}

} // namespace mta::inbound
