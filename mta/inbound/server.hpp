// InboundServer: the listeners and the sessions behind them, one coroutine each, on the worker that accepted it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mta/config/snapshot.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/net/workers.hpp"
#include "mta/queue/message.hpp"
#include "mta/spool/spool.hpp"

namespace mta {

struct InboundStatus {
  std::uint64_t sessions = 0;          ///< open now
  std::uint64_t sessions_total = 0;
  std::uint64_t messages_accepted = 0;
  std::uint64_t messages_refused = 0;
  struct Bound {
    std::string listener;
    std::string address; ///< with the real port
  };
  std::vector<Bound> bound;
};

/// Everything referred to must outlive it; the workers end before its destruction.
class InboundServer {
public:
  struct Services {
    Workers &workers;
    CurrentSnapshot &snapshot;
    Spool &spool;
    MailLog &log;
    /// Called with each message that the spool has committed, before the client hears 250. Any thread.
    std::function<void(std::shared_ptr<QueuedMessage>)> submit;
  };
  explicit InboundServer(Services services);
  ~InboundServer();

  /// Binds every listener's addresses (SO_REUSEPORT, one socket for each worker). Needs the rights for low ports; call before the
  /// privileges are dropped. Errors name listener, address and place.
  [[nodiscard]] smtp::Result<void> bind(const Config &config);
  void start();
  /// No new connections; open sessions say 421 at their next safe point; what is left after `grace` is cut. `done` once.
  void shut_down(std::chrono::seconds grace, std::function<void()> done);
  /// `accepting` false answers new messages with 451 (drain), sessions stay.
  void set_accepting(bool accepting);
  [[nodiscard]] InboundStatus status() const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace mta
