// observe: makes the TlsSession of a connection that was judged, or of a host that policy passed over.
#pragma once

#include <memory>
#include <string>

#include "mta/outbound/connection.hpp"
#include "mta/outbound/plan.hpp"
#include "mta/tally/tls_session.hpp"

namespace mta {

/// How a session ended for policy.
struct SessionEnd {
  std::string tls_problem;                         ///< why TLS did not come about; empty: it did, or was not wished for
  policy::TlsFault fault = policy::TlsFault::none; ///< of `tls_problem`
  bool refused = false;                            ///< our policy ended it
};

/// Of a connection that was judged, or whose STARTTLS failed (then it is not judged).
[[nodiscard]] std::shared_ptr<const TlsSession> make_session(const HostPlan &plan, Connection &connection,
                                                             SessionEnd end, std::chrono::system_clock::time_point now);
/// Of a host that was passed over: decision.unusable is set.
[[nodiscard]] std::shared_ptr<const TlsSession> make_passed_over(const HostPlan &plan,
                                                                 std::chrono::system_clock::time_point now);

} // namespace mta
