// A scripted server for ClientSession: plays a dialogue in any cut, with the connection lost or a reply replaced at any
// step.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "smtp/session/client_session.hpp"

namespace test {

/// What the client must have sent since the step before, and what the server then says. "<TLS>" stands for the
/// handshake.
struct Step {
  std::string client;
  std::string server;
};

/// A message to send: the transaction and its octets.
struct Message {
  smtp::Transaction transaction;
  std::string body;
};

struct Dialogue {
  std::string name;
  smtp::ClientOptions options;
  std::vector<Message> messages;
  std::vector<Step> steps;
  std::vector<std::string> outcomes; ///< of every recipient of every message, in order: see to_words
  std::string end = "closed";        ///< or the stage of the failure
  bool end_of_input = false;         ///< the server closes after its last step
};

/// What is done to a dialogue.
struct Mischief {
  std::size_t cut = 4096;
  std::optional<std::size_t> lost_after{};    ///< end of input after so many steps
  std::size_t octets_of_next = 0;             ///< then so many octets of the next step came too
  std::optional<std::size_t> replaced_step{}; ///< this step's server words become `words`
  std::string words{};
};

struct Played {
  std::vector<std::string> outcomes;
  std::string end; ///< "closed", a stage, or "stuck"
  std::string detail;
  std::optional<smtp::Reply> reply;
  std::vector<std::string> differences; ///< what the client sent and should not have
  std::vector<smtp::RecipientOutcome> raw;
  std::size_t told_when_failed = 0; ///< how many of the outcomes came with the failure
};

inline std::string to_words(const smtp::RecipientOutcome &outcome) {
  using Kind = smtp::RecipientOutcome::Kind;
  std::string words = outcome.kind == Kind::delivered   ? "delivered"
                      : outcome.kind == Kind::temporary ? "temporary"
                                                        : "permanent";
  words += fmt::format(" {}", outcome.reply.code);
  if (outcome.reply.enhanced) words += " " + outcome.reply.enhanced->to_string();
  if (outcome.local) words += " local";
  if (outcome.dsn_passed) words += " dsn";
  return words;
}

inline std::string to_words(smtp::ClientFailed::Stage stage) {
  using Stage = smtp::ClientFailed::Stage;
  switch (stage) {
  case Stage::greeting: return "greeting";
  case Stage::loop: return "loop";
  case Stage::hello: return "hello";
  case Stage::starttls_absent: return "starttls_absent";
  case Stage::starttls_refused: return "starttls_refused";
  case Stage::starttls_injected: return "starttls_injected";
  case Stage::protocol: return "protocol";
  case Stage::transaction: return "transaction";
  }
  return "?";
}

/// Plays the client's side until it ends. Every next() is checked to make progress, so that no dialogue can hang.
class Player {
public:
  Player(const Dialogue &dialogue, Mischief mischief)
      : dialogue_(dialogue), mischief_(std::move(mischief)), session_(dialogue.options) {}

  Played play() {
    for (std::size_t round = 0; round < 1'000'000; ++round) {
      auto action = session_.next();
      if (auto *send = std::get_if<smtp::ClientSend>(&action)) {
        sent_ += send->octets;
      } else if (std::holds_alternative<smtp::ClientStartTls>(action)) {
        sent_ += "<TLS>";
        session_.tls_done();
      } else if (std::holds_alternative<smtp::ClientReady>(action)) {
        begin_or_quit();
      } else if (auto *done = std::get_if<smtp::TransactionDone>(&action)) {
        take(done->outcomes);
        begin_or_quit();
      } else if (std::holds_alternative<smtp::ClientNeedBody>(action)) {
        give_body();
      } else if (auto *failed = std::get_if<smtp::ClientFailed>(&action)) {
        played_.told_when_failed = failed->outcomes.size();
        take(failed->outcomes);
        return finish(to_words(failed->stage), failed->detail, failed->reply);
      } else if (std::holds_alternative<smtp::ClientClosed>(action)) {
        return finish("closed", {}, {});
      } else if (!feed_more()) {
        return finish("stuck", {}, {});
      }
    }
    return finish("endless", {}, {});
  }

private:
  void take(const std::vector<smtp::RecipientOutcome> &outcomes) {
    for (const auto &outcome : outcomes) {
      played_.outcomes.push_back(to_words(outcome));
      played_.raw.push_back(outcome);
    }
  }

  void begin_or_quit() {
    if (begun_ == dialogue_.messages.size()) {
      session_.quit();
      return;
    }
    given_ = 0;
    session_.begin(dialogue_.messages[begun_++].transaction);
  }

  void give_body() {
    const std::string_view body = dialogue_.messages[begun_ - 1].body;
    const auto part = body.substr(given_, mischief_.cut);
    given_ += part.size();
    session_.give_body(part, given_ == body.size());
  }

  /// False when there is nothing left to say and the end was said too.
  bool feed_more() {
    if (pending_.empty()) {
      if (at_end_) return false;
      if (step_ < dialogue_.steps.size() && sent_ != dialogue_.steps[step_].client)
        played_.differences.push_back(
            fmt::format("step {}: sent\n{}\nnot\n{}", step_, sent_, dialogue_.steps[step_].client));
      sent_.clear();
      const bool lost = mischief_.lost_after && step_ >= *mischief_.lost_after;
      if (lost || step_ == dialogue_.steps.size()) {
        if (lost && step_ < dialogue_.steps.size())
          session_.feed(std::string_view(dialogue_.steps[step_].server).substr(0, mischief_.octets_of_next));
        if (!lost && !dialogue_.end_of_input && mischief_.words.empty()) return false;
        at_end_ = true;
        session_.end_of_input();
        return true;
      }
      pending_ = dialogue_.steps[step_].server;
      if (mischief_.replaced_step && step_ == *mischief_.replaced_step) pending_ = mischief_.words;
      ++step_;
    }
    const auto part = pending_.substr(0, mischief_.cut);
    pending_.erase(0, part.size());
    session_.feed(part);
    return true;
  }

  Played finish(std::string end, std::string detail, std::optional<smtp::Reply> reply) {
    played_.end = std::move(end);
    played_.detail = std::move(detail);
    played_.reply = std::move(reply);
    if (!sent_.empty()) played_.differences.push_back("sent at the end: " + sent_);
    // What was given up before its words were fed shows as a step that was not reached.
    if (step_ < dialogue_.steps.size() && !mischief_.lost_after && !mischief_.replaced_step)
      played_.differences.push_back(fmt::format("only {} of {} steps were reached", step_, dialogue_.steps.size()));
    return std::move(played_);
  }

  const Dialogue &dialogue_;
  Mischief mischief_;
  smtp::ClientSession session_;
  std::string sent_;
  std::string pending_;
  std::size_t step_ = 0;
  std::size_t begun_ = 0;
  std::size_t given_ = 0;
  bool at_end_ = false;
  Played played_;
};

} // namespace test
