#include "tests/support/smtp_fixture.hpp"

#include <algorithm>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "tls/stream.hpp"

namespace test {

namespace asio = boost::asio;
using asio::awaitable;

struct SmtpFixture::Session {
  Session(asio::ip::tcp::socket socket, std::size_t the_number) : stream(std::move(socket)), number(the_number) {}
  tls::Stream stream;
  std::size_t number;
  std::string buffer;
  std::map<std::string, std::size_t> counts;
  Message message;
  std::size_t recipients = 0; ///< accepted in this transaction
  std::size_t messages = 0;
  bool accepted = false; ///< the last answer was positive
  bool over = false;

  /// More octets into the buffer; false at the end.
  awaitable<bool> fill() {
    std::vector<char> part(16'384);
    const std::span<char> room(part);
    auto got = co_await stream.read_some(room);
    if (!got) co_return false;
    buffer.append(part.data(), *got);
    co_return true;
  }
  awaitable<bool> write(std::string text) {
    auto written = co_await stream.write(text);
    co_return written.has_value();
  }
};

SmtpFixture::SmtpFixture(SmtpScript script) : script_(std::move(script)) {
  const asio::ip::tcp::endpoint endpoint(asio::ip::make_address(script_.address), script_.port);
  acceptor_.open(endpoint.protocol());
  acceptor_.set_option(asio::socket_base::reuse_address(true));
  acceptor_.bind(endpoint);
  acceptor_.listen();
  port_ = acceptor_.local_endpoint().port();
  asio::co_spawn(context_, listen(), asio::detached);
  thread_ = std::thread([this] { context_.run(); });
}

SmtpFixture::~SmtpFixture() {
  context_.stop();
  thread_.join();
}

std::size_t SmtpFixture::connections() const {
  const std::lock_guard lock(mutex_);
  return connections_;
}
std::vector<SmtpFixture::Command> SmtpFixture::commands() const {
  const std::lock_guard lock(mutex_);
  return commands_;
}
std::vector<SmtpFixture::Message> SmtpFixture::messages() const {
  const std::lock_guard lock(mutex_);
  return messages_;
}
std::size_t SmtpFixture::message_octets() const {
  const std::lock_guard lock(mutex_);
  return message_octets_;
}
std::size_t SmtpFixture::count(const std::string &verb) const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::count_if(commands_.begin(), commands_.end(),
                                                [&](const auto &command) { return command.line.starts_with(verb); }));
}
std::vector<std::string> SmtpFixture::client_names() const {
  const std::lock_guard lock(mutex_);
  return client_names_;
}
void SmtpFixture::wait_until_ended(std::size_t connections) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return ended_ >= connections; });
}
void SmtpFixture::wait_for(const std::string &verb) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    return std::any_of(commands_.begin(), commands_.end(), [&](const auto &c) { return c.line.starts_with(verb); });
  });
}
void SmtpFixture::set_replies(std::map<std::string, std::string> replies) {
  const std::lock_guard lock(mutex_);
  script_.replies = std::move(replies);
}

awaitable<void> SmtpFixture::listen() {
  for (;;) {
    auto accepted = acceptor_.async_accept(asio::as_tuple(asio::use_awaitable));
    auto [error, socket] = co_await std::move(accepted);
    if (error) co_return;
    std::size_t number = 0;
    {
      const std::lock_guard lock(mutex_);
      number = ++connections_;
    }
    asio::co_spawn(context_, serve(std::move(socket), number), asio::detached);
  }
}

std::string SmtpFixture::reply_for(Session &session, const std::string &step, const std::string &argument,
                                   const std::string &usual) {
  const std::size_t count = ++session.counts[step];
  const std::lock_guard lock(mutex_);
  for (const auto &[key, reply] : script_.replies)
    if (key.starts_with(step + " ") && argument.find(key.substr(step.size() + 1)) != std::string::npos) return reply;
  if (const auto found = script_.replies.find(step + "#" + std::to_string(count)); found != script_.replies.end())
    return found->second;
  if (const auto found = script_.replies.find(step); found != script_.replies.end()) return found->second;
  return usual;
}

awaitable<bool> SmtpFixture::answer(Session &session, std::string step, std::string argument, std::string usual) {
  const std::string reply = reply_for(session, step, argument, usual);
  if (reply == "<close>") co_return false;
  if (reply == "<silent>") {
    asio::steady_timer never(context_, asio::steady_timer::time_point::max());
    co_await never.async_wait(asio::as_tuple(asio::use_awaitable));
    co_return false;
  }
  session.accepted = reply.starts_with("2");
  const bool written = co_await session.write(reply + "\r\n");
  co_return written && !reply.starts_with("421");
}

awaitable<void> SmtpFixture::serve(asio::ip::tcp::socket socket, std::size_t number) {
  Session session(std::move(socket), number);
  bool going = true;
  if (script_.tls == ScriptedTls::implicit) going = co_await start_tls(session);
  if (going) going = co_await answer(session, "CONNECT", "", "220 mx.test ESMTP");
  while (going && !session.over) {
    const auto end = session.buffer.find("\r\n");
    if (end == std::string::npos) {
      going = co_await session.fill();
      continue;
    }
    std::string line = session.buffer.substr(0, end);
    session.buffer.erase(0, end + 2);
    going = co_await command(session, std::move(line));
  }
  session.stream.close();
  const std::lock_guard lock(mutex_);
  ++ended_;
  changed_.notify_all();
}

awaitable<bool> SmtpFixture::start_tls(Session &session) {
  auto done = co_await session.stream.handshake(script_.context, tls::Role::server, "");
  if (!done) co_return false;
  session.buffer.clear();
  session.counts.clear();
  const auto &chain = session.stream.facts().chain;
  const std::lock_guard lock(mutex_);
  client_names_.push_back(chain.empty() || chain.front().dns_names.empty() ? "" : chain.front().dns_names.front());
  co_return true;
}

awaitable<bool> SmtpFixture::command(Session &session, std::string line) {
  const bool tls = session.stream.is_tls();
  {
    const std::lock_guard lock(mutex_);
    commands_.push_back({session.number, tls, line});
    changed_.notify_all();
  }
  const std::string verb = line.substr(0, line.find(' '));
  const std::string argument = line.substr(std::min(line.size(), verb.size() + 1));
  if (verb == "EHLO") {
    std::string reply = "250-mx.test";
    auto extensions = script_.extensions;
    if (!tls && script_.tls != ScriptedTls::absent && script_.tls != ScriptedTls::implicit)
      extensions.push_back("STARTTLS");
    for (const auto &extension : extensions) reply += "\r\n250-" + extension;
    reply += "\r\n250 HELP";
    co_return co_await answer(session, verb, argument, reply);
  }
  if (verb == "STARTTLS") {
    switch (script_.tls) {
    case ScriptedTls::refused: co_return co_await answer(session, verb, argument, "454 4.7.0 TLS not available");
    case ScriptedTls::injecting: co_return co_await session.write("220 go\r\n250 injected\r\n");
    case ScriptedTls::broken: {
      const bool written = co_await session.write("220 go\r\n");
      if (!written) co_return false;
      const bool hello = co_await session.fill();
      if (hello) co_await session.write("this is not TLS\r\n");
      co_return false;
    }
    case ScriptedTls::injecting_later: {
      const bool written = co_await session.write("220 go\r\n");
      if (!written) co_return false;
      const bool hello = co_await session.fill();
      if (hello) co_await session.write("250 injected\r\n");
      co_return false;
    }
    case ScriptedTls::absent:
    case ScriptedTls::implicit: co_return co_await answer(session, verb, argument, "502 5.5.1 no");
    case ScriptedTls::good: break;
    }
    const bool answered = co_await answer(session, verb, argument, "220 go");
    if (!answered) co_return false;
    co_return co_await start_tls(session);
  }
  if (verb == "MAIL" || verb == "RCPT") {
    if (verb == "MAIL") {
      session.message = Message{session.number, tls, {}, {}};
      session.recipients = 0;
    }
    session.accepted = false;
    const bool in_order = verb == "MAIL" || !session.message.commands.empty();
    const bool going = co_await answer(session, verb, argument, in_order ? "250 2.1.0 ok" : "503 5.5.1 MAIL first");
    if (session.accepted) session.message.commands.push_back(line);
    if (session.accepted && verb == "RCPT") ++session.recipients;
    co_return going;
  }
  if (verb == "DATA") co_return co_await take_data(session);
  if (verb == "BDAT") co_return co_await take_chunk(session, argument);
  if (verb == "QUIT") {
    session.over = true;
    co_return co_await answer(session, verb, argument, "221 2.0.0 bye");
  }
  co_return co_await answer(session, verb, argument, "250 2.0.0 ok");
}

awaitable<bool> SmtpFixture::finish_message(Session &session) {
  session.message.connection = session.number;
  session.message.tls = session.stream.is_tls();
  {
    const std::lock_guard lock(mutex_);
    messages_.push_back(session.message);
  }
  bool going = co_await answer(session, ".", "", "250 2.0.0 taken");
  if (++session.messages == script_.messages_per_connection) going = false;
  co_return going;
}

awaitable<bool> SmtpFixture::take_data(Session &session) {
  const std::string reply =
      reply_for(session, "DATA", "", session.recipients > 0 ? "354 go on" : "554 5.5.1 no valid recipients");
  if (reply == "<close>") co_return false;
  const bool written = co_await session.write(reply + "\r\n");
  if (!written || reply.starts_with("421")) co_return false;
  if (!reply.starts_with("354")) co_return true;
  std::size_t counted = 0;
  bool at_start = true;
  session.message.body.clear();
  for (;;) {
    const auto end = session.buffer.find("\r\n");
    if (end == std::string::npos) {
      {
        const std::lock_guard lock(mutex_);
        message_octets_ += session.buffer.size() - counted;
      }
      counted = session.buffer.size();
      const bool more = co_await session.fill();
      if (!more) co_return false;
      if (at_start) {
        at_start = false;
        if (script_.replies.contains("BODY")) co_return false;
      }
      continue;
    }
    std::string line = session.buffer.substr(0, end);
    session.buffer.erase(0, end + 2);
    {
      const std::lock_guard lock(mutex_);
      message_octets_ += line.size() + 2 - std::min(counted, line.size() + 2);
    }
    counted -= std::min(counted, line.size() + 2);
    if (line == ".") co_return co_await finish_message(session);
    session.message.body += (line.starts_with('.') ? line.substr(1) : line) + "\r\n";
  }
}

awaitable<bool> SmtpFixture::take_chunk(Session &session, std::string argument) {
  const std::size_t size = std::stoul(argument);
  const bool last = argument.find("LAST") != std::string::npos;
  while (session.buffer.size() < size) {
    const bool more = co_await session.fill();
    if (!more) co_return false;
  }
  session.message.body += session.buffer.substr(0, size);
  session.buffer.erase(0, size);
  {
    const std::lock_guard lock(mutex_);
    message_octets_ += size;
  }
  if (last) co_return co_await finish_message(session);
  co_return co_await answer(session, "BDAT", argument, "250 2.0.0 go on");
}

} // namespace test
