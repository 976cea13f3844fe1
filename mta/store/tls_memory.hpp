// DomainMemory: what is remembered of one domain's TLS, and its rows in the store.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mta/store/store.hpp"
#include "smtp/base/result.hpp"
#include "tls/core/facts.hpp"

namespace mta {

/// One host that takes the domain's mail. Times of 0: never.
struct HostMemory {
  std::string name;
  tls::Version best_version = tls::Version::tls1_0;
  bool authenticated = false; ///< was so at least once
  std::chrono::sys_seconds first_tls{};
  std::chrono::sys_seconds last_tls{};
  std::chrono::sys_seconds last_clear{}; ///< the last session without TLS
  friend bool operator==(const HostMemory &, const HostMemory &) = default;
};

/// An operator's act.
struct MemoryRelease {
  std::chrono::sys_seconds when{};
  std::string reason;
  std::string by;
  friend bool operator==(const MemoryRelease &, const MemoryRelease &) = default;
};

/// Times of 0: never.
struct DomainMemory {
  std::string domain;
  std::vector<HostMemory> hosts;
  std::chrono::sys_seconds first_tls{}; ///< ever
  std::chrono::sys_seconds last_tls{};
  std::chrono::sys_seconds last_clear{};
  std::chrono::sys_seconds always_since{};  ///< since then each session had TLS, but for a stretch that fails now
  std::chrono::sys_seconds failing_since{}; ///< first session without TLS after one with it; 0: it does not fail
  std::uint64_t failing_sessions = 0;       ///< of the stretch
  std::string failing_why;                  ///< of its latest session
  bool was_let_go = false;                  ///< after TLS was known, mail could leave in clear, now or once
  std::optional<MemoryRelease> release;     ///< for this stretch
  [[nodiscard]] std::chrono::sys_seconds last_seen() const noexcept {
    return last_tls > last_clear ? last_tls : last_clear;
  }
  friend bool operator==(const DomainMemory &, const DomainMemory &) = default;
};

struct MemoryLimits {
  static constexpr std::size_t hosts = 8; ///< of one domain; the one seen longest ago goes
  static constexpr std::size_t name = 255;
  static constexpr std::size_t reason = 1'000;
};

namespace store {

/// Soon; replaces what was kept of the domain. False: no room in memory, it is not kept.
bool keep_tls_memory(Store &store, const DomainMemory &memory);
/// Durable when it returns. Errors: those of the store.
[[nodiscard]] smtp::Result<void> keep_tls_memory_now(Store &store, const DomainMemory &memory);
/// Soon.
void forget_tls_memory(Store &store, std::vector<std::string> domains);
/// What was last seen before then.
void forget_tls_memory_before(Store &store, std::chrono::sys_seconds time);

struct StoredTlsMemory {
  std::vector<DomainMemory> domains;
  std::vector<std::string> damaged;               ///< domains whose rows do not fit their fingerprints
  std::optional<std::chrono::sys_seconds> damage; ///< when rows were last lost with a damaged file
};
/// Empty when there is no store yet. Errors: those of the reader.
[[nodiscard]] smtp::Result<StoredTlsMemory> read_tls_memory(Reader &reader);
/// Durable when they return.
[[nodiscard]] smtp::Result<void> note_tls_memory_damage(Store &store, std::chrono::sys_seconds now);
[[nodiscard]] smtp::Result<void> end_tls_memory_damage(Store &store);

} // namespace store

} // namespace mta
