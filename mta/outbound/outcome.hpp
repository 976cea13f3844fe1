// From what hosts said and failed with to the results that the queue gets: the one place where causes become temporary
// or permanent.
#pragma once

#include <string>
#include <vector>

#include "mta/outbound/attempt.hpp"
#include "mta/outbound/find_hosts.hpp"
#include "mta/outbound/plan.hpp"
#include "mta/queue/job.hpp"
#include "smtp/session/client_session.hpp"

namespace mta {

/// Why one host did not take the message, without a decision over its recipients.
struct HostFailure {
  FailureCause cause = FailureCause::connect;
  std::string host;              ///< "mx1.example.org[192.0.2.1]"
  smtp::Reply reply;             ///< the remote one, or one of ours
  std::string detail;            ///< one clause: "wanted authenticated, got encrypted: the certificate is for …"
  bool refused_for_good = false; ///< the host itself said 5xx, or cannot exist
};

/// The result of a decided recipient. `host` is its label.
[[nodiscard]] RecipientResult to_result(std::size_t index, const smtp::RecipientOutcome &outcome,
                                        const std::string &host);

/// The result for recipients that no host decided. Permanent only when every host refused us for good (RFC 5321 section
/// 3.1: a 554 greeting; section 4.2.5 lets us choose): one that failed otherwise may take the mail later. A TLS failure
/// of any host is always temporary, and names what was wanted and got; but with REQUIRETLS the host is refused for
/// good.
[[nodiscard]] RecipientResult to_result(std::size_t index, const std::vector<HostFailure> &failures);
[[nodiscard]] RecipientResult to_result(std::size_t index, const HostsFailure &failure);
/// The failure is on our side (spool, shutdown).
[[nodiscard]] RecipientResult to_local_failure(std::size_t index, const std::string &detail);

/// Fills what the outcomes of one transaction amount to: result, counts, the reply that counts.
void sum_up(Attempt &attempt, const std::vector<RecipientResult> &results);

/// RFC 8689 section 4.2.1: the message demands REQUIRETLS, and this host does not offer it. For good: 5.7.30.
[[nodiscard]] HostFailure requiretls_failure(const std::string &host, const std::string &reason);

/// Policy forbids this host: decision.unusable is set.
[[nodiscard]] HostFailure unusable_host(const HostPlan &plan);
/// The failure is on our side.
[[nodiscard]] HostFailure local_failure(const std::string &host, const std::string &detail);

/// "wanted authenticated, got none: STARTTLS was not offered". `for_good`: the message demands REQUIRETLS and does not
/// wait for it.
[[nodiscard]] HostFailure tls_failure(const policy::Requirement &wanted, tls::Level got, const std::string &host,
                                      const std::string &reason, smtp::EnhancedCode code, bool for_good);

} // namespace mta
