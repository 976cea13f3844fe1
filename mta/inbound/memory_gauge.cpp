// MemoryGauge: see memory_gauge.hpp.
#include "mta/inbound/memory_gauge.hpp"

#include <cstdio>

#include <unistd.h>

namespace mta::inbound {

std::uint64_t MemoryGauge::resident(Clock::time_point now) {
  const std::int64_t ticks = now.time_since_epoch().count();
  std::int64_t due = next_look_.load(std::memory_order_relaxed);
  if (ticks < due) return resident_.load(std::memory_order_relaxed);
  const std::int64_t next = ticks + Clock::duration(std::chrono::seconds(1)).count();
  // Only the thread that moves the time on reads the file.
  if (!next_look_.compare_exchange_strong(due, next)) return resident_.load(std::memory_order_relaxed);
  // proc(5): "size resident shared …", in pages.
  unsigned long size = 0;
  unsigned long pages = 0;
  if (std::FILE *file = std::fopen("/proc/self/statm", "re"); file != nullptr) {
    if (std::fscanf(file, "%lu %lu", &size, &pages) != 2) pages = 0;
    std::fclose(file);
  }
  const auto octets = static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  resident_.store(octets, std::memory_order_relaxed);
  return octets;
}

} // namespace mta::inbound
