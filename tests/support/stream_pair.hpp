// StreamPair: two tls::Streams joined over loopback, and run(), which drives coroutines to their end with a time limit.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "tls/stream.hpp"

namespace test {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

/// Connected client and server sockets on loopback.
inline std::pair<tcp::socket, tcp::socket> socket_pair(asio::io_context &io) {
  tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  tcp::socket client(io);
  client.connect(acceptor.local_endpoint());
  tcp::socket server = acceptor.accept();
  return {std::move(client), std::move(server)};
}

/// The outcome of a coroutine that was started; empty until it has ended.
template <typename T> using Pending = std::shared_ptr<std::optional<smtp::Result<T>>>;

template <typename T> Pending<T> start(asio::io_context &io, asio::awaitable<smtp::Result<T>> operation) {
  auto pending = std::make_shared<std::optional<smtp::Result<T>>>();
  asio::co_spawn(io, std::move(operation), [pending](std::exception_ptr thrown, smtp::Result<T> result) {
    if (thrown) std::rethrow_exception(thrown);
    *pending = std::move(result);
  });
  return pending;
}

/// Runs what is ready now, without waiting for anything.
inline void settle(asio::io_context &io) {
  io.restart();
  while (io.poll() > 0) {
  }
}

/// Runs until the operation has ended; a hang becomes an exception.
template <typename T> smtp::Result<T> finish(asio::io_context &io, const Pending<T> &pending) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  io.restart();
  while (!pending->has_value()) {
    if (io.run_one_until(end) == 0) throw std::runtime_error("a stream operation never ended");
  }
  return std::move(**pending);
}

template <typename T> smtp::Result<T> run(asio::io_context &io, asio::awaitable<smtp::Result<T>> operation) {
  return finish(io, start(io, std::move(operation)));
}

struct StreamPair {
  asio::io_context io{1};
  std::optional<tls::Stream> client;
  std::optional<tls::Stream> server;

  StreamPair() {
    auto [first, second] = socket_pair(io);
    client.emplace(std::move(first));
    server.emplace(std::move(second));
  }
  StreamPair(const StreamPair &) = delete;
  StreamPair &operator=(const StreamPair &) = delete;

  struct Handshakes {
    smtp::Result<void> client;
    smtp::Result<void> server;
    [[nodiscard]] bool ok() const { return client.has_value() && server.has_value(); }
    [[nodiscard]] std::string text() const {
      return "client: " + (client ? "ok" : client.error().detail) +
             "; server: " + (server ? "ok" : server.error().detail);
    }
  };
  /// Both sides at once; a side that fails is closed, so that the other sees it.
  Handshakes handshake(std::shared_ptr<const tls::Context> client_context,
                       std::shared_ptr<const tls::Context> server_context, const std::string &name = "mx.example.org") {
    auto at_client = start(io, close_on_failure(*client, client->handshake(client_context, tls::Role::client, name)));
    auto at_server = start(io, close_on_failure(*server, server->handshake(server_context, tls::Role::server, "")));
    smtp::Result<void> first = finish(io, at_client);
    return {std::move(first), finish(io, at_server)};
  }

private:
  static asio::awaitable<smtp::Result<void>> close_on_failure(tls::Stream &stream,
                                                              asio::awaitable<smtp::Result<void>> operation) {
    smtp::Result<void> result = co_await std::move(operation);
    if (!result) stream.close();
    co_return result;
  }
};

/// Exactly `size` octets.
inline asio::awaitable<smtp::Result<std::string>> read_exactly(tls::Stream &stream, std::size_t size) {
  std::string text(size, '\0');
  std::size_t got = 0;
  while (got < size) {
    const std::span<char> rest(text.data() + got, size - got);
    smtp::Result<std::size_t> part = co_await stream.read_some(rest);
    if (!part) co_return tl::unexpected(part.error());
    got += *part;
  }
  co_return text;
}

} // namespace test
