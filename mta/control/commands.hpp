// Commands: what the daemon does for each request on the control socket.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "mta/control/message_requests.hpp"
#include "mta/control/server.hpp"
#include "mta/inbound/server.hpp"
#include "mta/outbound/explain.hpp"
#include "mta/queue/damaged_files.hpp"
#include "mta/queue/scheduler.hpp"
#include "mta/queue/unreadable.hpp"
#include "mta/tally/tls_memory.hpp"

namespace mta {

class OutboundLoad;

/// What a reload came to.
struct ReloadOutcome {
  bool ok = false;
  std::vector<std::string> findings; ///< errors when not ok; else warnings, also what needs a restart
};

/// Runs on the scheduler's executor. Everything referred to must outlive it.
class Commands {
public:
  struct Services {
    Scheduler &scheduler;
    InboundServer &inbound;
    Spool &spool;
    CurrentSnapshot &snapshot;
    PolicySources policy_sources;
    MailLog &log;
    std::function<Task<ReloadOutcome>(bool force)> reload;
    std::function<void(bool draining)> set_draining;
    std::function<bool()> is_draining;
    WallTime started;
    asio::any_io_executor files{};                         ///< where the spool is read; none: here
    TlsMemory *memory = nullptr;                           ///< null: nothing is remembered
    std::function<void()> forget_plans{};                  ///< what delivery has settled is to be settled anew
    std::function<void()> ask_anew{};                      ///< delivery is to ask the DNS and the policies again
    const OutboundLoad *load = nullptr;                    ///< null: not told
    MessageRequests *messages = nullptr;                   ///< null: none of them is answered
    std::function<Task<Explanation>(Explanation)> probe{}; ///< connects to what is explained
    std::function<void(boost::json::object &)> describe{}; ///< adds to the answer of `status`
    std::vector<UnreadableMessage> *unreadable = nullptr;  ///< of the spool; null: none
    DamagedFiles *damaged = nullptr;                       ///< what recoveries set aside; null: nothing is told of it
  };
  explicit Commands(Services services) : services_(std::move(services)) {}

  /// The request's "command" says which: status, reload, drain, explain, queue, message, hold-rule. The answer has
  /// "ok", and "error" when it is false.
  Task<boost::json::object> handle(boost::json::object request, ControlPeer peer);

private:
  Task<boost::json::object> queue(boost::json::object request, ControlPeer peer);
  Task<boost::json::object> reload(bool force);
  boost::json::object status() const;
  Services services_;
};

} // namespace mta
