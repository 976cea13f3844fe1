// ControlServer: the local socket over which `portcullis` talks to the daemon; one JSON object a line each way.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <boost/json/object.hpp>

#include "mta/base/async.hpp"
#include "mta/config/config.hpp"
#include "smtp/base/result.hpp"

namespace mta {

/// Who is on the other end, as the kernel says (SO_PEERCRED): for the log of an operator's acts.
struct ControlPeer {
  unsigned uid = 0;
  std::string user; ///< name, or the number when there is none, or none comes in time
};

/// Answers one request. Runs on the server's io_context.
using ControlHandler = std::function<Task<boost::json::object>(boost::json::object request, ControlPeer peer)>;

/// How long a connection may say nothing; tests make it shorter.
struct ControlOptions {
  std::chrono::milliseconds idle{10'000};        ///< between two requests, and for an answer to be read
  std::chrono::milliseconds accept_backoff{100}; ///< after accept() failed
};

/// A request line is at most 64 KiB; at most 32 connections are served at once: one more closes that which has been
/// idle longest, so that whoever only holds connections locks nobody out. A descriptor is kept for the operator. The
/// file's mode is 0600, or 0660 when a group is configured: the kernel keeps everyone else out.
class ControlServer {
public:
  /// Binds with the rights of whoever calls, who owns the file: never root's rights in a folder of somebody else. A
  /// stale socket file is replaced; a living daemon's, or a file that is not a socket, is an error.
  [[nodiscard]] static smtp::Result<std::unique_ptr<ControlServer>>
  bind(asio::io_context &context, const ControlConfig &config, ControlOptions options = {});
  ~ControlServer();
  void start(ControlHandler handler);
  /// Closes the listener and every connection, and removes the file.
  void stop();

private:
  struct State;
  explicit ControlServer(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

} // namespace mta
