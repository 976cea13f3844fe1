// InboundServer: the listeners and the sessions behind them, one coroutine each, on the worker that accepted it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mta/config/snapshot.hpp"
#include "mta/inbound/listen_sockets.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/net/workers.hpp"
#include "mta/queue/held_mail.hpp"
#include "mta/queue/message.hpp"
#include "mta/spool/spool.hpp"

namespace mta {

class DmarcTally;
class Resolver;
class TlsObserver;

struct InboundStatus {
  std::uint64_t sessions = 0; ///< open now
  std::uint64_t sessions_total = 0;
  std::uint64_t messages_accepted = 0;
  std::uint64_t messages_refused = 0;
  std::uint64_t memory_used = 0;
  std::uint64_t memory_budget = 0; ///< 0: none
  /// How often mail or a connection was put off for want of something: "queue_full", "disk_full", "spool_broken",
  /// "memory".
  std::vector<std::pair<std::string, std::uint64_t>> resource_refusals;
  struct Bound {
    std::string listener;
    std::string address; ///< with the real port
  };
  std::vector<Bound> bound;
};

/// What the configuration does not say; tests make them shorter.
struct InboundOptions {
  std::chrono::milliseconds rate_window{60'000}; ///< over which limits.minimum_rate is averaged
  std::chrono::milliseconds handshake_timeout{60'000};
  std::chrono::milliseconds farewell_timeout{5'000};   ///< for writing the last reply of a session that timed out
  std::chrono::milliseconds accept_backoff{100};       ///< after accept() failed for want of descriptors or memory
  std::chrono::milliseconds listen_on_timeout{30'000}; ///< after a last reply to a client that may still be sending
  std::chrono::milliseconds listen_on_silence{5'000};  ///< the same, without an octet
  std::chrono::milliseconds recipient_delay{200};      ///< for each unknown recipient after the first ten
};

/// The listeners are those that bind() was given: a new or moved one needs a restart. Everything else of a listener
/// (its role, profile, certificates, trust, switches) and the limits come from the snapshot in force when a connection
/// is accepted. Everything referred to must outlive it; the workers end before its destruction.
class InboundServer {
public:
  struct Services {
    Workers &workers;
    CurrentSnapshot &snapshot;
    Spool &spool;
    MailLog &log;
    /// Called with each message that the spool has committed, before the client hears 250. Any thread.
    std::function<void(std::shared_ptr<QueuedMessage>)> submit;
    std::shared_ptr<const HeldMail> held{}; ///< in the queue; none: quarantine has no limit of its own
  };
  explicit InboundServer(Services services, InboundOptions options = {});
  ~InboundServer();

  /// ListenSockets::bind() and adopt().
  [[nodiscard]] smtp::Result<void> bind(const Config &config);
  /// Serves these from start() on: sockets that were bound before the privileges were dropped.
  void adopt(ListenSockets sockets);
  /// `resolver` answers the checks of mail from outside (null: they find temporary failures); `tally` counts their
  /// results for reports (null: not); `observer` is told of the sessions of partners (null: nobody is).
  void start(Resolver *resolver, DmarcTally *tally, TlsObserver *observer = nullptr);
  /// No new connections; open sessions say 421 at their next safe point; what is left after `grace` is cut. `done`
  /// once.
  void shut_down(std::chrono::seconds grace, std::function<void()> done);
  /// `accepting` false answers new messages with 451 (drain), sessions stay.
  void set_accepting(bool accepting);
  [[nodiscard]] InboundStatus status() const;
  /// So much of server.memory_budget is used that something is refused, or nearly: what the allocator holds without use
  /// is to go back to the system.
  [[nodiscard]] bool is_short_of_memory() const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace mta
