// Discovery of one domain's MTA-STS policy: its TXT record, and the fetch from its policy host (RFC 8461 section 3).
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "mta/base/async.hpp"
#include "mta/config/snapshot.hpp"
#include "mta/dns/resolver.hpp"
#include "mta/http/fetch.hpp"
#include "policy/mta_sts.hpp"
#include "policy/tls_fault.hpp"

namespace mta {

/// What `_mta-sts.DOMAIN` says.
struct StsRecordAnswer {
  enum class State : std::uint8_t {
    none, ///< no record, or none that can be used
    found,
    failed, ///< the look-up failed and may work later
  };
  State state = State::failed;
  std::string id;     ///< when found
  std::string detail; ///< when not
  std::chrono::seconds ttl{0};
  friend bool operator==(const StsRecordAnswer &, const StsRecordAnswer &) = default;
};
[[nodiscard]] Task<StsRecordAnswer> look_up_sts_record(Resolver &resolver, std::string domain);

/// A policy as it was fetched; or why there is none.
struct StsFetchOutcome {
  std::optional<policy::StsPolicy> policy;
  std::string text;
  policy::TlsFault fault = policy::TlsFault::none;
  std::string detail;
};
/// Section 3.3: over https with a valid certificate, status 200, text/plain, no redirects, within the limits of
/// [mta_sts]. Never fails otherwise.
[[nodiscard]] Task<StsFetchOutcome> fetch_sts_policy(std::shared_ptr<const Snapshot> snapshot, Resolver &resolver,
                                                     std::string domain);

/// "https://mta-sts.DOMAIN/.well-known/mta-sts.txt".
[[nodiscard]] Url sts_policy_url(const std::string &domain, std::uint16_t port = 443);

} // namespace mta
