// HeldMail: how much of the queue is held, for who decides whether more may be.
#pragma once

#include <atomic>
#include <cstdint>

namespace mta {

/// Written by the scheduler, read on any thread.
struct HeldMail {
  std::atomic<std::uint64_t> messages{0};
  std::atomic<std::uint64_t> octets{0}; ///< of their bodies
};

} // namespace mta
