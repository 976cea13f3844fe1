// Session and serve(): one inbound connection, from the accepted socket to its end; the thin coroutine edge of
// ServerSession.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mta/base/async.hpp"
#include "mta/inbound/edge.hpp"
#include "mta/inbound/receiver.hpp"
#include "mta/net/watchdog.hpp"
#include "tls/stream.hpp"

namespace mta::inbound {

/// What the acceptor knows of a connection that judge_connection() let in.
struct Arrival {
  asio::ip::tcp::socket socket;
  smtp::SocketAddress client;
  ListenerInForce in_force;
  ConnectionLimits::Ticket ticket;
};

/// The state of one connection; lives in the frame of serve(), on one worker. An idle session holds no buffer.
class Session {
public:
  using Clock = tls::Stream::Clock;

  Session(WorkerEdge &edge, Arrival arrival);
  ~Session();
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;

  /// Shutdown: the session says 421 at its next safe point; if it waits for octets it looks now.
  void wake_to_stop();
  /// Closes the connection whatever it does.
  void cut();
  /// The server goes before the context that holds this frame: from now on nothing but the socket is touched.
  void orphan() noexcept;

private:
  friend class WorkerEdge;
  friend Task<> serve(WorkerEdge &edge, Arrival arrival);
  friend Task<bool> begin(Session &session);
  friend Task<bool> shake_hands(Session &session);
  friend Task<bool> write_output(Session &session);
  friend Task<> end_reading(Session &session, std::optional<smtp::Error> error);
  friend Task<> wait_for_room(Session &session);
  friend Task<bool> check_message(Session &session);
  friend Task<> commit_message(Session &session);
  friend Task<> say_farewell(Session &session, smtp::Reply reply);
  friend Task<> listen_on(Session &session);
  friend Task<> slow_down(Session &session);

  [[nodiscard]] const LimitConfig &limits() const noexcept { return in_force_.snapshot->config().limits; }
  void set_read_deadline();
  /// The reply for a read that timed out.
  [[nodiscard]] smtp::Reply timeout_reply() const;
  [[nodiscard]] smtp::Reply too_slow_reply() const;
  /// Limits meant for strangers end here when the client has shown to be one of ours.
  void look_at_trust();
  /// False when the peer is slower than limits.minimum_rate allows.
  [[nodiscard]] bool count_octets(std::size_t octets);
  void stop_if_asked();
  /// After a handshake: what is kept of the client's certificates is counted, or let go where nothing needs it. False:
  /// there is no memory for it, and the client has been told.
  [[nodiscard]] bool hold_certificates();
  void end(std::string reason);
  void log_connect();
  void log_tls();
  void log_disconnect();

  WorkerEdge &edge_;
  std::optional<ConnectionLimits::Ticket> ticket_;
  std::optional<MemoryAccount::Charge> memory_;
  ListenerInForce in_force_;
  smtp::SocketAddress client_;
  std::string name_;
  tls::Stream stream_;
  Watchdog::Watch watch_;
  Receiver receiver_;

  Clock::time_point began_;
  Clock::time_point window_start_{}; ///< of the floor for slow clients
  std::uint64_t window_octets_ = 0;
  std::size_t octets_since_yield_ = 0;
  Clock::duration worked_since_yield_{0};
  bool in_window_ = false;
  bool waiting_ = false; ///< suspended until octets come
  bool stop_asked_ = false;
  bool stop_told_ = false;
  bool cut_ = false;
  bool orphaned_ = false;
  std::string end_reason_;

  Session *next_ = nullptr; ///< WorkerEdge's list
  Session *previous_ = nullptr;
};

/// Serves one connection until its end. Network errors end the session; anything else that is thrown is a bug.
Task<> serve(WorkerEdge &edge, Arrival arrival);

} // namespace mta::inbound
