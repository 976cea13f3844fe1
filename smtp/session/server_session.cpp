// ServerSession's loop: octets in, lines cut, actions out. The commands are in server_commands.cpp, bodies in
// server_body.cpp.
#include "smtp/session/server_session.hpp"

#include "smtp/base/text.hpp"
#include "smtp/session/server_impl.hpp"

#include <fmt/core.h>

#include <utility>

namespace smtp {

namespace {

/// Replies to pipelined commands are gathered up to this, so that a flood of commands cannot make one huge write.
constexpr std::size_t most_gathered = 8192;
/// Recipients over the limit of one message, and others that are put off, are answered this many times the limit: a
/// client may send a long list in one go, and hears what it is to send again (RFC 5321 section 4.5.3.1.10).
constexpr std::size_t deferred_factor = 4;
/// Of a refused command line, for the log.
constexpr std::size_t most_shown = 300;
/// A buffer that a body has made larger than this is given back when the message is done.
constexpr std::size_t idle_buffer = 4096;

/// What the log may show of a command line: nothing that could be a secret, as in AUTH and in what clients send behind
/// it.
std::string shown_line(std::string_view line) {
  const CommandLine command = split_command(line);
  switch (command.verb) {
  case Verb::unknown:
  case Verb::http: return {}; // the reply has as much of it as is of use
  case Verb::not_implemented: return std::string(command.word);
  default: return std::string(line.substr(0, most_shown));
  }
}

} // namespace

ServerSession::Impl::Impl(ServerOptions given) : options_(std::move(given)), in_tls_(options_.tls_from_start) {}

void ServerSession::Impl::reply(const Reply &reply) {
  auto octets = format_reply(reply);
  if (actions_.size() > next_action_) {
    if (auto *send = std::get_if<Send>(&actions_.back())) {
      note_own_refusal(*send, reply);
      send->octets += octets;
      return;
    }
  }
  Send send;
  note_own_refusal(send, reply);
  send.octets = std::move(octets);
  actions_.emplace_back(std::move(send));
}

void ServerSession::Impl::note_own_refusal(Send &send, const Reply &refusal) const {
  // 421 is about the session, and what led to it was said before.
  if (refusal.code < 400 || refusal.code == 421 || (about_line_.empty() && !about_message_)) return;
  send.refusals.push_back({.at = send.octets.size(),
                           .line = about_message_ ? std::string() : shown_line(about_line_),
                           .message = about_message_});
}

void ServerSession::Impl::reply(std::uint16_t code, EnhancedCode enhanced, std::string_view text) {
  reply(Reply{code, enhanced, std::string(text)});
}

void ServerSession::Impl::refuse(const Reply &refusal) {
  reply(refusal);
  // Temporary refusals are no sign of a bad client; but it is not to ask for ever.
  if (!refusal.is_permanent()) {
    if (refusal.code != 421) (void)count_idle();
    return;
  }
  ++errors_;
  if (options_.limits.errors == 0 || errors_ < options_.limits.errors) return;
  reply(421, {4, 7, 0},
        fmt::format("too many errors, limit is {} without an accepted message", options_.limits.errors));
  close("too many errors");
}

void ServerSession::Impl::refuse_recipient(const Reply &refusal) {
  reply(refusal);
  if (trusted_) return;
  const auto &limits = options_.limits;
  if (!refusal.is_permanent()) {
    const auto most = deferred_factor * limits.recipients;
    if (++deferred_recipients_ <= most) return;
    reply(421, {4, 7, 0}, fmt::format("too many recipients that are put off, limit is {}", most));
    return close("too many recipients that are put off");
  }
  if (limits.refused_recipients == 0 || ++refused_recipients_ < limits.refused_recipients) return;
  reply(421, {4, 7, 0},
        fmt::format("too many refused recipients, limit is {} without an accepted message", limits.refused_recipients));
  close("too many refused recipients");
}

bool ServerSession::Impl::count_idle() {
  const auto most = options_.limits.idle_commands;
  if (trusted_ || most == 0 || ++idle_commands_ <= most) return true;
  reply(421, {4, 7, 0},
        fmt::format("too many commands that bring no mail, limit is {} without an accepted message", most));
  close("too many commands that bring no mail");
  return false;
}

void ServerSession::Impl::forgive() noexcept {
  errors_ = 0;
  idle_commands_ = 0;
  refused_recipients_ = 0;
  deferred_recipients_ = 0;
}

void ServerSession::Impl::refuse(std::uint16_t code, EnhancedCode enhanced, std::string_view text) {
  refuse(Reply{code, enhanced, std::string(text)});
}

void ServerSession::Impl::abort_body() {
  if (!std::exchange(body_open_, false)) return;
  actions_.emplace_back(AbortBody{});
}

void ServerSession::Impl::close(std::string reason, bool at_clients_wish) {
  if (std::holds_alternative<Closed>(state_)) return;
  abort_body();
  actions_.emplace_back(Close{std::move(reason), at_clients_wish});
  state_ = Closed{};
  question_ = {};
  swallow_.reset();
  input_.clear();
  consumed_ = 0;
}

ServerAction ServerSession::Impl::next() {
  for (;;) {
    const bool waiting = has_question() || std::holds_alternative<AwaitingTls>(state_);
    const bool queued = next_action_ < actions_.size();
    const auto *send = queued ? std::get_if<Send>(&actions_.back()) : nullptr;
    // A piece of a body is a view of the input: it must not wait in the queue.
    const bool gathering = !queued || (send != nullptr && send->octets.size() < most_gathered && !is_reading_body());
    if (gathering && !waiting && step()) continue;
    // step() may have queued something although it needs more input.
    if (next_action_ == actions_.size()) return Wait{};
    auto action = std::move(actions_[next_action_++]);
    if (next_action_ == actions_.size()) {
      actions_.clear();
      next_action_ = 0;
    }
    return action;
  }
}

bool ServerSession::Impl::step() {
  if (std::holds_alternative<Closed>(state_)) return false;
  bool done = false;
  if (swallow_) {
    done = step_swallow();
  } else if (is_reading_body()) {
    about_message_ = true;
    done = step_body();
    about_message_ = false;
  } else {
    done = step_command();
  }
  if (!done && peer_closed_)
    close(body_open_ ? "the client closed the connection within a message" : "the client closed the connection", true);
  return done;
}

bool ServerSession::Impl::step_command() {
  if (shut_down_ && !std::holds_alternative<ReceivingBody>(state_)) {
    reply(421, {4, 3, 2}, *shut_down_);
    close("shut down: " + *shut_down_);
    return true;
  }
  const auto input = unread();
  const auto most = longest_line_limit(options_.limits.command_line);
  const auto lf = input.substr(0, most).find('\n');
  if (lf == std::string_view::npos) {
    if (input.size() < most) return false;
    reply(500, {5, 5, 2}, fmt::format("the line is over its limit of {} octets; the connection closes", most));
    close("command line too long");
    return true;
  }
  auto line = input.substr(0, lf + 1);
  consumed_ += line.size();
  if (line.find('\r') != lf - 1 || lf == 0) {
    reply(500, {5, 5, 2}, "bare CR or LF: lines end in CRLF; the connection closes");
    close("bare CR or LF in a command");
    return true;
  }
  line.remove_suffix(2);
  line = line.substr(0, line.find_last_not_of(" \t") + 1); // RFC 5321 section 4.1.1: tolerate white space at the end
  const auto command = split_command(line);
  about_line_ = line;
  if (const auto limit = line_limit(command.verb, options_.limits.command_line); lf + 1 > limit) {
    refuse(500, {5, 5, 2}, fmt::format("the line is {} octets, limit is {}", lf + 1, limit));
  } else {
    run(command);
  }
  about_line_ = {};
  return true;
}

void ServerSession::Impl::answer(const Reply &given) {
  const auto question = std::exchange(question_, Question{});
  const bool positive = given.is_positive();
  if (const auto *body = std::get_if<BodyQuestion>(&question)) {
    if (positive) {
      begin_body(*body);
    } else {
      state_ = Greeted{};
      if (body->chunk) {
        refuse_chunk(*body->chunk, given);
      } else {
        refuse(given);
      }
    }
  } else if (const auto *sender = std::get_if<SenderQuestion>(&question)) {
    if (positive) state_ = InTransaction{sender->utf8, 0};
    positive ? reply(given) : refuse(given);
  } else if (std::holds_alternative<RecipientQuestion>(question)) {
    if (auto *transaction = std::get_if<InTransaction>(&state_); transaction != nullptr && positive)
      ++transaction->recipients;
    positive ? reply(given) : refuse_recipient(given);
  } else if (std::holds_alternative<MessageQuestion>(question)) {
    body_open_ = false;
    state_ = Greeted{};
    if (consumed_ == input_.size() && input_.capacity() > idle_buffer) {
      std::string().swap(input_);
      consumed_ = 0;
    }
    if (positive) forgive();
    positive ? reply(given) : refuse(given);
  } else {
    return; // nothing was asked: the session was closed in between
  }
  if (given.code == 421 && !swallow_) close("421 was the answer");
}

ServerSession::ServerSession(ServerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
ServerSession::~ServerSession() = default;
ServerSession::ServerSession(ServerSession &&) noexcept = default;
ServerSession &ServerSession::operator=(ServerSession &&) noexcept = default;

void ServerSession::greet() {
  if (std::holds_alternative<Impl::Closed>(impl_->state_)) return; // refused before it began
  impl_->reply(Reply{220, std::nullopt, impl_->options_.hostname + " ESMTP"});
}

void ServerSession::refuse(const Reply &reply) {
  if (std::holds_alternative<Impl::Closed>(impl_->state_)) return;
  impl_->abort_body();
  impl_->reply(reply);
  impl_->close(reply.to_line());
}

void ServerSession::feed(std::string_view octets) {
  auto &impl = *impl_;
  if (octets.empty() || std::holds_alternative<Impl::Closed>(impl.state_)) return;
  // RFC 3207 section 4: after the 220 nothing in clear is ours to read.
  if (std::holds_alternative<Impl::AwaitingTls>(impl.state_)) {
    impl.close("octets in clear after STARTTLS");
    return;
  }
  impl.input_.erase(0, std::exchange(impl.consumed_, 0));
  impl.input_.append(octets);
}

void ServerSession::end_of_input() {
  impl_->peer_closed_ = true;
}

ServerAction ServerSession::next() {
  return impl_->next();
}

void ServerSession::answer(Reply reply) {
  impl_->answer(reply);
}

void ServerSession::tls_done() {
  auto &impl = *impl_;
  if (!std::holds_alternative<Impl::AwaitingTls>(impl.state_)) return;
  impl.state_ = Impl::Start{};
  impl.in_tls_ = true;
  impl.helo_.clear();
  impl.extended_ = false;
}

void ServerSession::shut_down(std::string text) {
  if (!impl_->shut_down_) impl_->shut_down_ = std::move(text);
}

void ServerSession::trust_client() noexcept {
  impl_->trusted_ = true;
}

std::optional<Reply> ServerSession::pending_refusal() const {
  const auto *body = std::get_if<Impl::ReceivingBody>(&impl_->state_);
  return body != nullptr ? body->refusal : std::nullopt;
}

bool ServerSession::is_reading_refused_message() const noexcept {
  const auto *body = std::get_if<Impl::ReceivingBody>(&impl_->state_);
  return body != nullptr && body->refusal.has_value();
}

bool ServerSession::is_idle() const noexcept {
  const auto &impl = *impl_;
  const bool in_transaction = std::holds_alternative<Impl::InTransaction>(impl.state_) ||
                              std::holds_alternative<Impl::ReceivingBody>(impl.state_);
  return !in_transaction && !impl.has_question() && !impl.swallow_ && impl.unread().empty() &&
         impl.next_action_ == impl.actions_.size();
}

ServerFacts ServerSession::facts() const {
  const auto &impl = *impl_;
  ServerFacts facts;
  facts.helo = impl.helo_;
  facts.extended = impl.extended_;
  facts.in_tls = impl.in_tls_;
  facts.errors = impl.errors_;
  facts.refused_recipients = impl.refused_recipients_;
  facts.in_transaction = std::holds_alternative<Impl::InTransaction>(impl.state_) ||
                         std::holds_alternative<Impl::ReceivingBody>(impl.state_) ||
                         std::holds_alternative<Impl::SenderQuestion>(impl.question_);
  return facts;
}

} // namespace smtp
