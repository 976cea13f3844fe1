// open_connection: from addresses to a session that is greeted, protected as the plan demands, and judged; or why not.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mta/net/connect.hpp"
#include "mta/net/workers.hpp"
#include "mta/outbound/attempt.hpp"
#include "mta/outbound/connection.hpp"
#include "mta/outbound/outcome.hpp"

namespace mta {

/// What a job is busy with, so that a hard stop can end it.
struct ActiveConnection {
  Connection *connection = nullptr;
};

struct OpenRequest {
  std::shared_ptr<const HostPlan> plan;
  std::vector<smtp::SocketAddress> addresses;
  bool in_clear = false;                ///< the planned attempt without TLS, of an opportunistic requirement only
  std::shared_ptr<OutboundLoad> load{}; ///< counts the connection; null: nobody does
  bool hurry = false;                   ///< others wait for the job's place
};

struct Opened {
  std::unique_ptr<Connection> connection;    ///< satisfied the requirement; MAIL may be said
  std::optional<HostFailure> failure;        ///< set when there is no connection
  std::shared_ptr<const TlsSession> session; ///< what was proved of the peer; null: it did not come to TLS
  std::vector<smtp::SocketAddress> tried;    ///< addresses that failed, and the one that was used
  /// STARTTLS was refused or the handshake failed, and the requirement allows an attempt in clear: to this address, for
  /// this reason.
  std::string fallback_reason;
  smtp::SocketAddress fallback_address;
  bool put_off = false;  ///< it answered with a 4xx at its greeting: perhaps it only has no room for one more
  bool is_us = false;    ///< it greeted us with our own name (RFC 5321 section 5.1)
  bool injected = false; ///< octets in clear around STARTTLS: an attack, never fallen back on
};

/// Fills the facts of `attempt`; does not log. `scratch` is the worker's. All references must outlive the call.
[[nodiscard]] Task<Opened> open_connection(Worker &worker, ActiveConnection &active, OpenRequest request,
                                           Attempt &attempt);

/// The facts of a connection, new or kept, for the log.
void note_connection(Attempt &attempt, const Connection &connection);

} // namespace mta
