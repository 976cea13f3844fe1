#include "mta/outbound/session_io.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace mta {

using smtp::ClientAction;
using Waiting = smtp::ClientSession::Waiting;

namespace {

/// So much is gathered before it is written; a small message goes out in one write with its end.
constexpr std::size_t write_size = 65'536;

/// Why a server that closed on us did so stands in what it sent before; it is read as far as it has come.
constexpr std::chrono::seconds last_words_timeout{2};
constexpr std::size_t last_words_limit = 65'536;

/// A message may begin slowly; its rate is looked at from then on.
constexpr std::chrono::seconds rate_grace{60};

void note_error(Connection &connection, smtp::Error error, Waiting waiting) {
  if (connection.wire_error) return;
  connection.wire_error = std::move(error);
  connection.failed_in = waiting;
}

Task<void> read_last_words(SessionIo &io) {
  Connection &connection = io.connection;
  connection.stream.set_deadline(tls::Stream::Clock::now() + last_words_timeout);
  for (std::size_t total = 0; total < last_words_limit;) {
    const auto got = co_await connection.stream.read_some(io.scratch);
    if (!got) break;
    total += *got;
    connection.heard = true;
    connection.session.feed(std::string_view(io.scratch.data(), *got));
  }
}

/// What the session makes of the connection's end.
ClientAction last_action(Connection &connection) {
  connection.session.end_of_input();
  // What the session still wants to write or read is of no use any more.
  for (int turn = 0; turn < 16; ++turn) {
    auto action = connection.session.next();
    if (std::holds_alternative<smtp::ClientFailed>(action) || std::holds_alternative<smtp::TransactionDone>(action) ||
        std::holds_alternative<smtp::ClientClosed>(action))
      return action;
    if (std::holds_alternative<smtp::ClientNeedBody>(action) || std::holds_alternative<smtp::ClientWait>(action)) break;
  }
  smtp::ClientFailed failed;
  failed.stage = smtp::ClientFailed::Stage::protocol;
  failed.detail = "the connection ended";
  return failed;
}

/// Gives the session the next part of the message. False: it cannot be read.
bool give_part(SessionIo &io) {
  io.connection.body_begun = true;
  if (io.body == nullptr) return false;
  const auto part = io.body->read(io.scratch);
  if (!part) {
    io.body_unreadable = true;
    note_error(io.connection, part.error(), Waiting::data_block);
    return false;
  }
  io.connection.session.give_body(std::string_view(io.scratch.data(), part->size), part->last);
  return true;
}

} // namespace

std::chrono::seconds timeout_of(const OutboundConfig &timeouts, Waiting waiting) noexcept {
  switch (waiting) {
  case Waiting::greeting: return timeouts.greeting_timeout;
  case Waiting::hello: return timeouts.hello_timeout;
  case Waiting::starttls: return timeouts.starttls_timeout;
  case Waiting::mail: return timeouts.mail_timeout;
  case Waiting::recipient: return timeouts.recipient_timeout;
  case Waiting::data_start: return timeouts.data_start_timeout;
  case Waiting::data_block: return timeouts.data_block_timeout;
  case Waiting::data_end: return timeouts.data_end_timeout;
  case Waiting::quit: return std::chrono::seconds(5);
  case Waiting::nothing: return timeouts.mail_timeout;
  }
  return timeouts.mail_timeout;
}

namespace {

const char *phase_name(Waiting waiting) {
  switch (waiting) {
  case Waiting::greeting: return "greeting";
  case Waiting::hello: return "reply to EHLO";
  case Waiting::starttls: return "reply to STARTTLS";
  case Waiting::mail: return "reply to MAIL";
  case Waiting::recipient: return "reply to RCPT";
  case Waiting::data_start: return "reply to DATA";
  case Waiting::data_block: return "progress of the message";
  case Waiting::data_end: return "reply to the message";
  case Waiting::quit: return "reply to QUIT";
  case Waiting::nothing: return "reply";
  }
  return "reply";
}

} // namespace

std::string describe_wire_error(const smtp::Error &error, Waiting waiting) {
  if (error.code == smtp::ErrorCode::timed_out) return error.detail;
  if (error.code == smtp::ErrorCode::closed)
    return fmt::format("the connection was closed while we waited for the {}", phase_name(waiting));
  return fmt::format("the connection failed while we waited for the {}: {}", phase_name(waiting), error.detail);
}

void begin_opening(Connection &connection, const OutboundConfig &timeouts) {
  connection.ends_at = Connection::Clock::now() + timeouts.session_timeout;
}

void begin_transaction(Connection &connection, const OutboundConfig &timeouts, std::uint64_t size) {
  auto time = timeouts.session_timeout;
  if (timeouts.minimum_rate > 0) time += std::chrono::seconds(size / timeouts.minimum_rate);
  connection.ends_at = Connection::Clock::now() + time;
  connection.reply_asked_at.reset();
  connection.body_begun_at.reset();
  connection.body_octets = 0;
}

bool is_spent(const Connection &connection, const OutboundConfig &timeouts) noexcept {
  const auto mail_max = connection.session.capabilities().mail_max;
  return connection.messages >= timeouts.messages_per_connection || (mail_max && connection.messages >= *mail_max) ||
         Connection::Clock::now() - connection.opened_at >= timeouts.session_timeout;
}

namespace {

/// The end of a wait, and what is said when it passes.
struct WaitEnd {
  Connection::Clock::time_point at;
  std::string text;
};

std::chrono::seconds hurried(const SessionIo &io, Waiting waiting, std::chrono::seconds timeout) {
  const Connection &connection = io.connection;
  // To give up after the last octet risks a second copy: that wait stays.
  const bool pressed =
      connection.hurry || (connection.load && connection.load->is_nearly_full(io.timeouts.connections));
  if (waiting == Waiting::data_end || !pressed) return timeout;
  return std::min(timeout, hurried_timeout);
}

WaitEnd earlier(WaitEnd wait, const SessionIo &io) {
  if (wait.at <= io.connection.ends_at) return wait;
  return {io.connection.ends_at,
          fmt::format("the session did not end in its time ({} s, and {} octets a second for the message)",
                      io.timeouts.session_timeout.count(), io.timeouts.minimum_rate)};
}

WaitEnd reply_end(SessionIo &io) {
  Connection &connection = io.connection;
  const auto waiting = connection.session.waiting();
  const auto replies = connection.session.replies();
  if (!connection.reply_asked_at || connection.reply_number != replies || connection.reply_waiting != waiting) {
    connection.reply_asked_at = Connection::Clock::now();
    connection.reply_number = replies;
    connection.reply_waiting = waiting;
  }
  const auto timeout = hurried(io, waiting, timeout_of(io.timeouts, waiting));
  return earlier(
      {*connection.reply_asked_at + timeout, fmt::format("no {} in {} s", phase_name(waiting), timeout.count())}, io);
}

/// Commands are small; the octets of a message have the time of a block (section 4.5.3.2.5) and the least rate.
WaitEnd write_end(SessionIo &io) {
  Connection &connection = io.connection;
  const auto now = Connection::Clock::now();
  auto waiting = connection.session.waiting();
  if (waiting == Waiting::data_end) waiting = Waiting::data_block;
  const auto timeout = hurried(io, waiting, timeout_of(io.timeouts, waiting));
  WaitEnd wait{now + timeout, fmt::format("no {} in {} s", phase_name(waiting), timeout.count())};
  if (waiting == Waiting::data_block && io.timeouts.minimum_rate > 0) {
    if (!connection.body_begun_at) connection.body_begun_at = now;
    const auto rate_end = *connection.body_begun_at + std::min(rate_grace, io.timeouts.data_block_timeout) +
                          std::chrono::seconds(connection.body_octets / io.timeouts.minimum_rate);
    if (rate_end < wait.at)
      wait = {rate_end, fmt::format("the message went at less than {} octets a second", io.timeouts.minimum_rate)};
  }
  return earlier(std::move(wait), io);
}

/// The stream knows only that its time was over.
smtp::Error named(smtp::Error error, const WaitEnd &wait) {
  if (error.code == smtp::ErrorCode::timed_out) error.detail = wait.text;
  return error;
}

} // namespace

Task<ClientAction> run_session(SessionIo &io) {
  Connection &connection = io.connection;
  tls::Stream &stream = connection.stream;
  std::string out;
  for (;;) {
    auto action = connection.session.next();
    if (auto *send = std::get_if<smtp::ClientSend>(&action)) {
      if (out.empty())
        out = std::move(send->octets);
      else
        out += send->octets;
      if (out.size() < write_size) continue;
    }
    if (std::holds_alternative<smtp::ClientNeedBody>(action)) {
      if (!give_part(io)) co_return last_action(connection);
      continue;
    }
    if (!out.empty()) {
      const auto waiting = connection.session.waiting();
      const auto wait = write_end(io);
      stream.set_deadline(wait.at);
      auto written = co_await stream.write(out);
      if (connection.body_begun) connection.body_octets += out.size();
      out.clear();
      if (!written) {
        note_error(connection, named(std::move(written.error()), wait), waiting);
        co_await read_last_words(io);
        co_return last_action(connection);
      }
      connection.reply_asked_at.reset();
    }
    if (std::holds_alternative<smtp::ClientSend>(action)) continue;
    if (!std::holds_alternative<smtp::ClientWait>(action)) co_return action;

    const auto wait = reply_end(io);
    stream.set_deadline(wait.at);
    auto got = co_await stream.read_some(io.scratch);
    if (!got) {
      note_error(connection, named(std::move(got.error()), wait), connection.session.waiting());
      co_return last_action(connection);
    }
    connection.heard = true;
    connection.session.feed(std::string_view(io.scratch.data(), *got));
  }
}

Task<void> say_goodbye(std::unique_ptr<Connection> connection, std::span<char> scratch) {
  // The timeouts of the configuration do not matter here: waiting() is quit, whose time is fixed, and its reply is the
  // only one.
  const OutboundConfig timeouts;
  connection->ends_at = Connection::Clock::now() + timeout_of(timeouts, Waiting::quit);
  connection->session.quit();
  SessionIo io{*connection, timeouts, nullptr, scratch};
  co_await run_session(io);
  connection->stream.close();
}

} // namespace mta
