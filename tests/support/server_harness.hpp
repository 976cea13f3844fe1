// ServerHarness: plays the edge of a ServerSession in process: feeds octets in any cut, answers questions, keeps what
// came out.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "smtp/session/server_session.hpp"

namespace test {

/// A message that the session asked to commit and whose answer was positive.
struct ReceivedMessage {
  std::string from;
  std::vector<std::string> to;
  std::string body;
};

/// How questions are answered; the defaults accept everything.
struct Judge {
  std::function<smtp::Reply(const smtp::Sender &)> sender = [](const smtp::Sender &) {
    return smtp::Reply{250, smtp::EnhancedCode{2, 1, 0}, "sender ok"};
  };
  std::function<smtp::Reply(const smtp::AskRecipient &)> recipient = [](const smtp::AskRecipient &) {
    return smtp::Reply{250, smtp::EnhancedCode{2, 1, 5}, "recipient ok"};
  };
  std::function<smtp::Reply()> begin = [] { return smtp::Reply{250, {}, {}}; };
  std::function<smtp::Reply(const std::string &)> message = [](const std::string &) {
    return smtp::Reply{250, smtp::EnhancedCode{2, 0, 0}, "queued"};
  };
};

class ServerHarness {
public:
  explicit ServerHarness(smtp::ServerOptions options, Judge given = {})
      : session(std::move(options)), judge(std::move(given)) {}

  /// Feeds in pieces of `cut` octets, and does after each what the session says.
  void feed(std::string_view octets, std::size_t cut = 4096) {
    for (; !octets.empty(); octets.remove_prefix(std::min(octets.size(), cut))) {
      session.feed(octets.substr(0, cut));
      pump();
    }
  }

  /// Runs actions until Wait with no question open.
  void pump() {
    for (;;) {
      auto action = session.next();
      if (std::holds_alternative<smtp::Wait>(action)) return;
      if (closed) broken = "an action came after Close";
      std::visit([this](auto &what) { on(what); }, action);
    }
  }

  smtp::ServerSession session;
  Judge judge;
  std::string output; ///< everything sent
  bool closed = false;
  bool tls_wanted = false;
  std::string close_reason;
  std::string broken; ///< an order of actions that must not be; empty: none
  std::size_t aborted = 0;
  std::vector<ReceivedMessage> messages;

private:
  void on(const smtp::Wait &) {}
  void on(const smtp::Send &send) { output += send.octets; }
  void on(const smtp::StartTls &) { tls_wanted = true; }
  void on(const smtp::AskSender &ask) {
    current_ = {ask.sender.path.to_string(), {}, {}};
    session.answer(judge.sender(ask.sender));
  }
  void on(const smtp::AskRecipient &ask) {
    const auto reply = judge.recipient(ask);
    if (reply.is_positive()) current_.to.push_back(ask.path.to_string());
    session.answer(reply);
  }
  void on(const smtp::BeginBody &) {
    if (open_) broken = "a body began within a body";
    const auto reply = judge.begin();
    open_ = reply.is_positive();
    current_.body.clear();
    session.answer(reply);
  }
  void on(const smtp::Body &body) {
    if (!open_) broken = "body octets came although no body is open";
    if (body.octets.empty()) broken = "an empty piece of body came";
    current_.body += body.octets;
  }
  void on(const smtp::AskMessage &ask) {
    if (!open_) broken = "a message was complete although no body is open";
    if (ask.size != current_.body.size()) broken = "AskMessage has another size than what was handed out";
    open_ = false;
    const auto reply = judge.message(current_.body);
    if (reply.is_positive()) messages.push_back(current_);
    session.answer(reply);
  }
  void on(const smtp::AbortBody &) {
    if (!open_) broken = "AbortBody came although no body is open";
    open_ = false;
    ++aborted;
  }
  void on(const smtp::Close &close) {
    if (open_) broken = "Close came within a body without AbortBody";
    closed = true;
    close_reason = close.reason;
  }

  ReceivedMessage current_;
  bool open_ = false;
};

} // namespace test
