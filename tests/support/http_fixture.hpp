// HttpFixture: an HTTP server on loopback, plain or TLS, whose replies are octets that a test writes down, good or
// hostile.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "tls/context.hpp"

namespace test {

struct HttpSeen {
  std::string method;
  std::string target;
  std::string head; ///< the request line and all fields, as they came
  std::string body;
};

struct HttpReply {
  enum class Then : std::uint8_t {
    close,
    cut,    ///< the connection ends without close_notify
    silent, ///< nothing more, and no close, until the client closes
    endless ///< `repeated` again and again, until the client closes
  };
  std::string octets; ///< sent as they are
  Then then = Then::close;
  std::string repeated = {};
  bool held = false; ///< only once release() was called
};

/// A whole answer with Content-Length.
[[nodiscard]] HttpReply http_reply(unsigned status, const std::string &content_type, const std::string &body);

class HttpFixture {
public:
  using Handler = std::function<HttpReply(const HttpSeen &)>;
  /// A null context: no TLS. The handler runs on the server's thread.
  HttpFixture(std::shared_ptr<const tls::Context> context, Handler handler, const std::string &address = "127.0.0.1");
  ~HttpFixture();
  HttpFixture(const HttpFixture &) = delete;
  HttpFixture &operator=(const HttpFixture &) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] std::vector<HttpSeen> seen() const;
  [[nodiscard]] std::size_t connections() const;
  void set_handler(Handler handler);
  /// Blocks until so many requests have come.
  void wait_for(std::size_t requests);
  /// Lets all held replies go, now and later.
  void release();

private:
  boost::asio::awaitable<void> listen();
  boost::asio::awaitable<void> serve(boost::asio::ip::tcp::socket socket);

  std::shared_ptr<const tls::Context> context_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Handler handler_;
  std::vector<HttpSeen> seen_;
  std::size_t connections_ = 0;
  bool released_ = false;
  std::uint16_t port_ = 0;
  boost::asio::io_context io_{1};
  boost::asio::ip::tcp::acceptor acceptor_{io_};
  std::thread thread_;
};

} // namespace test
