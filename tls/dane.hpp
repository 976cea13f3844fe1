// verify_dane: a peer's chain against TLSA records (RFC 6698, 7671, 7672).
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "smtp/dns/answer.hpp"
#include "tls/context.hpp"
#include "tls/core/facts.hpp"

namespace tls {

/// Of one set; a larger one matches nothing, so that hostile sets cost bounded time. The resolver's limit is the same.
inline constexpr std::size_t max_tlsa_records = 100;

/// Whether SMTP can use the record (RFC 7672 section 3.1): usage 2 or 3, a selector and matching type that are known
/// here, and data that fits them.
[[nodiscard]] bool is_usable(const smtp::TlsaRecord &record) noexcept;

/// Usage 3: the leaf's certificate or key; its names and dates are not judged (RFC 7672 section 3.1.1). Usage 2: a
/// chain to the trust anchor, in time, and one of `names` in the leaf (section 3.1.2 and 3.2.2). Records that are not
/// usable are passed over; of the digests of one usage and selector only the strongest counts (RFC 7671 section 9). The
/// reason says which record matched ("3 1 1 at depth 0", "2 1 0 above depth 1" for a bare key), or why none did. No
/// network. A null chain is "no certificate was presented".
[[nodiscard]] DaneVerdict verify_dane(const PeerChain *chain, std::span<const smtp::TlsaRecord> records,
                                      const std::vector<std::string> &names, std::chrono::system_clock::time_point now);

} // namespace tls
