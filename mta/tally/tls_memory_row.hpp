// DomainMemory: what is remembered of one domain's TLS, and its form in the memory's file.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

[[nodiscard]] std::string encode_memory(const DomainMemory &memory);
/// Errors (bad_syntax): damage, an unknown version, a limit passed; the text names the field.
[[nodiscard]] smtp::Result<DomainMemory> decode_memory(std::string_view octets);

} // namespace mta
