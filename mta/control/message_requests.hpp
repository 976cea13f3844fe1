// MessageRequests: the messages of the queue over the control socket: their content, export, import, and standing
// holds.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include <boost/json/object.hpp>

#include "mta/base/async.hpp"
#include "mta/config/snapshot.hpp"
#include "mta/control/server.hpp"
#include "mta/queue/hold_rules.hpp"
#include "mta/queue/scheduler.hpp"
#include "smtp/message/header_scan.hpp"

namespace mta {

/// Everything referred to must outlive it. Runs on the scheduler's executor. Messages go in parts, so that none of them
/// stops the queue.
class MessageRequests {
public:
  struct Services {
    Scheduler &scheduler;
    Spool &spool;
    CurrentSnapshot &snapshot;
    MailLog &log;
    HoldRules &holds;
    asio::any_io_executor files{}; ///< where the disk is waited for; none: here
  };
  static constexpr std::size_t part_size = 262'144;      ///< of a message that is read
  static constexpr std::size_t import_limit = 8;         ///< imports under way
  static constexpr std::chrono::seconds import_time{60}; ///< between two parts of one
  explicit MessageRequests(Services services) : services_(services) {}

  /// Answers {"command":"message","action":…}: content, envelope, import-begin, import-recipients,
  /// import-data, import-end.
  Task<boost::json::object> answer_message(boost::json::object request, ControlPeer peer);
  /// Answers {"command":"hold-rule","action":…}: add, list, remove.
  Task<boost::json::object> answer_hold_rule(boost::json::object request, ControlPeer peer);

private:
  struct Import {
    std::shared_ptr<QueuedMessage> message;
    std::shared_ptr<MessageWriter> writer;
    std::unique_ptr<smtp::HeaderScanner> scanner;
    std::string reason;
    std::chrono::steady_clock::time_point last;
    std::uint64_t taken = 0; ///< octets of the file
    bool after_cr = false;   ///< the last of them was a CR
  };
  static smtp::Result<std::string> with_line_ends(Import &import, std::string_view octets);
  [[nodiscard]] std::shared_ptr<const QueuedMessage> find(const std::string &id) const;
  Task<boost::json::object> content(boost::json::object request, ControlPeer peer);
  /// One change at a time, each made of the rules that are in force by then; the disk is waited for elsewhere.
  Task<smtp::Result<HoldRule>> change_rules(std::function<smtp::Result<HoldRules::Change>()> plan);
  Task<boost::json::object> list_rules();
  [[nodiscard]] boost::json::object begin_import(const boost::json::object &request);
  [[nodiscard]] boost::json::object take_recipients(const boost::json::object &request);
  [[nodiscard]] boost::json::object take_import(const boost::json::object &request);
  Task<boost::json::object> end_import(std::string token, ControlPeer peer);

  Services services_;
  bool rules_change_ = false;
  std::map<std::string, Import> imports_; ///< by the queue id that the message will have
};

} // namespace mta
