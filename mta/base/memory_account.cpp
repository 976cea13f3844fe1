#include "mta/base/memory_account.hpp"

#include <cstdio>

#include <unistd.h>

namespace mta {

std::uint64_t MemoryAccount::used(Clock::time_point now) {
  const std::int64_t ticks = now.time_since_epoch().count();
  std::int64_t due = next_look_.load(std::memory_order_relaxed);
  const std::int64_t next = ticks + Clock::duration(std::chrono::seconds(1)).count();
  // Only the thread that moves the time on reads the file.
  if (ticks >= due && next_look_.compare_exchange_strong(due, next)) {
    // proc(5): "size resident shared …", in pages.
    unsigned long size = 0;
    unsigned long pages = 0;
    if (std::FILE *file = std::fopen("/proc/self/statm", "re"); file != nullptr) {
      if (std::fscanf(file, "%lu %lu", &size, &pages) != 2) pages = 0;
      std::fclose(file);
    }
    charged_at_look_.store(charged(), std::memory_order_relaxed);
    resident_.store(static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)),
                    std::memory_order_relaxed);
  }
  const std::uint64_t before = charged_at_look_.load(std::memory_order_relaxed);
  const std::uint64_t since = charged();
  return resident_.load(std::memory_order_relaxed) + (since > before ? since - before : 0);
}

std::uint64_t MemoryAccount::share(MemoryNeed need, std::uint64_t budget) noexcept {
  switch (need) {
  case MemoryNeed::large_header: return budget / 4 * 3;
  case MemoryNeed::stranger: return budget / 8 * 7;
  case MemoryNeed::message: break;
  }
  return budget;
}

bool MemoryAccount::has_room(MemoryNeed need, std::uint64_t budget, std::uint64_t more, Clock::time_point now) {
  if (budget == 0) return true;
  const std::uint64_t limit = share(need, budget);
  const std::uint64_t in_use = used(now);
  return in_use <= limit && limit - in_use >= more;
}

} // namespace mta
