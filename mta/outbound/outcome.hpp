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

/// Whom a failure concerns: health belongs to the host, an unmet requirement to the message.
enum class HostLesson : std::uint8_t {
  host,    ///< it could not be reached, did not greet us, or its name could not be looked up
  message, ///< it was reached, and is not what this message needs
  nothing, ///< it was not asked, the fault is ours, or the session broke in the midst of the message
};

/// Why one host did not take the message, without a decision over its recipients.
struct HostFailure {
  HostLesson lesson = HostLesson::host;
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
/// good. `all_tried`: no host was left out.
[[nodiscard]] RecipientResult to_result(std::size_t index, const std::vector<HostFailure> &failures, bool all_tried);
[[nodiscard]] RecipientResult to_result(std::size_t index, const HostsFailure &failure);
/// The failure is on our side (spool, shutdown).
[[nodiscard]] RecipientResult to_local_failure(std::size_t index, const std::string &detail);

/// A part of our copy of the message is lost for good: the sender is to send it again. 5.3.0.
[[nodiscard]] RecipientResult to_lost_message(std::size_t index);

/// Fills what the outcomes of one transaction amount to: result, counts, the reply that counts.
void sum_up(Attempt &attempt, const std::vector<RecipientResult> &results);

/// RFC 8689 section 4.2.1: the message demands REQUIRETLS, and this host does not offer it. For good: 5.7.30.
[[nodiscard]] HostFailure requiretls_failure(const std::string &host, const std::string &reason);

/// The host lacks what the message needs (8BITMIME, SMTPUTF8, REQUIRETLS, its size): for good, unless another has it.
[[nodiscard]] HostFailure lacking_failure(const std::string &host, const smtp::Reply &reply);

/// RFC 5321 section 5.1: the host is ourselves. `operators`: a route or a domain of ours leads there, so it is our
/// configuration that leads in circles, and the mail waits until it is mended.
[[nodiscard]] HostFailure loop_failure(const std::string &host, const std::string &reason, bool operators);

/// The message was sent whole to the host, and what it answered, if anything, does not say what became of it.
[[nodiscard]] HostFailure unsure_failure(const std::string &host, const std::string &detail);
/// What the last attempt for the recipient ended in: the label of the host, to which it goes first again; empty: not in
/// such an end. Kept in the spool as the reply.
[[nodiscard]] std::string unsure_end(const RecipientState &state);

/// Policy forbids this host: decision.unusable is set.
[[nodiscard]] HostFailure unusable_host(const HostPlan &plan);
/// The failure is on our side.
[[nodiscard]] HostFailure local_failure(const std::string &host, const std::string &detail);

/// "wanted authenticated, got none: STARTTLS was not offered". `for_good`: the message demands REQUIRETLS and does not
/// wait for it.
[[nodiscard]] HostFailure tls_failure(const policy::Requirement &wanted, tls::Level got, const std::string &host,
                                      const std::string &reason, smtp::EnhancedCode code, bool for_good);

} // namespace mta
