// session_io: see session_io.hpp.
#include "mta/outbound/session_io.hpp"

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

std::string describe_wire_error(const OutboundConfig &timeouts, const smtp::Error &error, Waiting waiting) {
  if (error.code == smtp::ErrorCode::timed_out)
    return fmt::format("no {} in {} s", phase_name(waiting), timeout_of(timeouts, waiting).count());
  if (error.code == smtp::ErrorCode::closed)
    return fmt::format("the connection was closed while we waited for the {}", phase_name(waiting));
  return fmt::format("the connection failed while we waited for the {}: {}", phase_name(waiting), error.detail);
}

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
      stream.set_deadline(tls::Stream::Clock::now() + timeout_of(io.timeouts, waiting));
      auto written = co_await stream.write(out);
      out.clear();
      if (!written) {
        note_error(connection, std::move(written.error()), waiting);
        co_await read_last_words(io);
        co_return last_action(connection);
      }
    }
    if (std::holds_alternative<smtp::ClientSend>(action)) continue;
    if (!std::holds_alternative<smtp::ClientWait>(action)) co_return action;

    const auto waiting = connection.session.waiting();
    stream.set_deadline(tls::Stream::Clock::now() + timeout_of(io.timeouts, waiting));
    auto got = co_await stream.read_some(io.scratch);
    if (!got) {
      note_error(connection, std::move(got.error()), waiting);
      co_return last_action(connection);
    }
    connection.heard = true;
    connection.session.feed(std::string_view(io.scratch.data(), *got));
  }
}

Task<void> say_goodbye(std::unique_ptr<Connection> connection, std::span<char> scratch) {
  // The timeouts of the configuration do not matter here: waiting() is quit, whose time is fixed.
  const OutboundConfig timeouts;
  connection->session.quit();
  SessionIo io{*connection, timeouts, nullptr, scratch};
  co_await run_session(io);
  connection->stream.close();
}

} // namespace mta
