// session_io: moves octets between a ClientSession and its stream until the session has something to say.
#pragma once

#include <chrono>
#include <span>
#include <string>

#include "mta/base/async.hpp"
#include "mta/config/config.hpp"
#include "mta/outbound/body_source.hpp"
#include "mta/outbound/connection.hpp"

namespace mta {

/// Runs the session until ClientReady, ClientStartTls, TransactionDone, ClientFailed or ClientClosed, and returns that.
/// RFC 5321 section 4.5.3.2 gives a time to each reply: it begins when the reply is asked for and ends with its last
/// octet, however many come one by one. A message must go at [outbound] minimum_rate at least, and an opening or a
/// transaction has a time for all of it (begin_opening, begin_transaction). While the pool of connections is nearly
/// full, or the share of the job is, every wait but that for the end of a message is at most `hurried_timeout`. What
/// ends the connection is noted in `wire_error`, and comes back as ClientFailed. `body` may be null while no
/// transaction is open; a body that cannot be read sets `wire_error` to ErrorCode::io with `body_unreadable`. `scratch`
/// is used between suspensions only. All must outlive the call.
struct SessionIo {
  Connection &connection;
  const OutboundConfig &timeouts;
  BodySource *body = nullptr;
  std::span<char> scratch;
  bool body_unreadable = false; ///< out: our spool failed, not the peer
};
[[nodiscard]] Task<smtp::ClientAction> run_session(SessionIo &io);

inline constexpr std::chrono::seconds hurried_timeout{30};

/// The deadline of RFC 5321 section 4.5.3.2 for what the session waits for.
[[nodiscard]] std::chrono::seconds timeout_of(const OutboundConfig &timeouts,
                                              smtp::ClientSession::Waiting waiting) noexcept;

/// The connection has [outbound] session_timeout until it is ready.
void begin_opening(Connection &connection, const OutboundConfig &timeouts);
/// A message of `size` octets has the same again, and the time that it takes at the least rate.
void begin_transaction(Connection &connection, const OutboundConfig &timeouts, std::uint64_t size);
/// It has served as many messages, or as long, as it may.
[[nodiscard]] bool is_spent(const Connection &connection, const OutboundConfig &timeouts) noexcept;

/// "no reply to MAIL in 300 s", "the connection was closed while we waited for the reply to the message".
[[nodiscard]] std::string describe_wire_error(const smtp::Error &error, smtp::ClientSession::Waiting waiting);

/// Says QUIT to a session that is ready and waits for at most 5 s for the answer, then closes.
[[nodiscard]] Task<void> say_goodbye(std::unique_ptr<Connection> connection, std::span<char> scratch);

} // namespace mta
