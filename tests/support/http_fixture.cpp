#include "tests/support/http_fixture.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "tls/stream.hpp"

namespace test {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

/// More octets into the text; false at the end.
awaitable<bool> fill(tls::Stream &stream, std::string &text) {
  std::vector<char> part(16'384);
  const std::span<char> room(part);
  auto got = co_await stream.read_some(room);
  if (!got) co_return false;
  text.append(part.data(), *got);
  co_return true;
}

std::size_t content_length(const std::string &head) {
  const auto at = head.find("Content-Length: ");
  return at == std::string::npos ? 0 : std::stoul(head.substr(at + 16));
}

} // namespace

HttpReply http_reply(unsigned status, const std::string &content_type, const std::string &body) {
  return {"HTTP/1.1 " + std::to_string(status) + " Words\r\nContent-Type: " + content_type +
          "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body};
}

HttpFixture::HttpFixture(std::shared_ptr<const tls::Context> context, Handler handler, const std::string &address)
    : context_(std::move(context)), handler_(std::move(handler)) {
  const asio::ip::tcp::endpoint endpoint(asio::ip::make_address(address), 0);
  acceptor_.open(endpoint.protocol());
  acceptor_.bind(endpoint);
  acceptor_.listen();
  port_ = acceptor_.local_endpoint().port();
  asio::co_spawn(io_, listen(), asio::detached);
  thread_ = std::thread([this] { io_.run(); });
}

HttpFixture::~HttpFixture() {
  io_.stop();
  thread_.join();
}

std::vector<HttpSeen> HttpFixture::seen() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}
std::size_t HttpFixture::connections() const {
  const std::lock_guard lock(mutex_);
  return connections_;
}
void HttpFixture::set_handler(Handler handler) {
  const std::lock_guard lock(mutex_);
  handler_ = std::move(handler);
}
void HttpFixture::wait_for(std::size_t requests) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return seen_.size() >= requests; });
}
void HttpFixture::release() {
  const std::lock_guard lock(mutex_);
  released_ = true;
}

awaitable<void> HttpFixture::listen() {
  for (;;) {
    auto accepted = acceptor_.async_accept(asio::as_tuple(asio::use_awaitable));
    auto [error, socket] = co_await std::move(accepted);
    if (error) co_return;
    {
      const std::lock_guard lock(mutex_);
      ++connections_;
    }
    asio::co_spawn(io_, serve(std::move(socket)), asio::detached);
  }
}

awaitable<void> HttpFixture::serve(asio::ip::tcp::socket socket) {
  tls::Stream stream(std::move(socket));
  if (context_) {
    std::string none;
    auto done = co_await stream.handshake(context_, tls::Role::server, none);
    if (!done) co_return;
  }
  std::string text;
  std::size_t end = std::string::npos;
  while ((end = text.find("\r\n\r\n")) == std::string::npos) {
    const bool more = co_await fill(stream, text);
    if (!more) co_return;
  }
  HttpSeen seen;
  seen.head = text.substr(0, end + 2);
  seen.method = text.substr(0, text.find(' '));
  const auto target = seen.method.size() + 1;
  seen.target = text.substr(target, text.find(' ', target) - target);
  seen.body = text.substr(end + 4);
  while (seen.body.size() < content_length(seen.head)) {
    const bool more = co_await fill(stream, seen.body);
    if (!more) break;
  }
  HttpReply reply;
  bool free = false;
  {
    const std::lock_guard lock(mutex_);
    seen_.push_back(seen);
    reply = handler_(seen);
    free = released_ || !reply.held;
    changed_.notify_all();
  }
  while (!free) {
    asio::steady_timer timer(io_, std::chrono::milliseconds(5));
    auto waiting = timer.async_wait(asio::as_tuple(asio::use_awaitable));
    co_await std::move(waiting);
    const std::lock_guard lock(mutex_);
    free = released_;
  }
  auto written = co_await stream.write(reply.octets);
  while (written && reply.then == HttpReply::Then::endless) written = co_await stream.write(reply.repeated);
  bool open = written && reply.then == HttpReply::Then::silent;
  while (open) open = co_await fill(stream, text);
  if (reply.then == HttpReply::Then::cut) {
    boost::system::error_code ignored;
    stream.socket().shutdown(asio::socket_base::shutdown_both, ignored); // what close() says is not heard any more
  }
  stream.close();
}

} // namespace test
