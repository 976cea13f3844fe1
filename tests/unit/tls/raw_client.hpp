// RawClient: a plain OpenSSL client for a tls::Stream under test; it can do what our own client never does (resume, old
// versions).
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <openssl/ssl.h>
#include <poll.h>

#include "tests/support/stream_pair.hpp"

namespace test {

struct RawOptions {
  int lowest = TLS1_2_VERSION;
  int highest = TLS1_3_VERSION;
  std::string certificate; ///< chain file, with `key`; empty: none is shown
  std::string key;
  std::string name = "mx.example.org";
  std::string suites = "ALL:@SECLEVEL=0"; ///< up to TLS 1.2
};

class RawClient {
public:
  RawClient(asio::io_context &io, int descriptor, const RawOptions &options, SSL_SESSION *session = nullptr)
      : io_(io), descriptor_(descriptor), context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free),
        ssl_(nullptr, SSL_free) {
    SSL_CTX_set_min_proto_version(context_.get(), options.lowest);
    SSL_CTX_set_max_proto_version(context_.get(), options.highest);
    SSL_CTX_set_cipher_list(context_.get(), options.suites.c_str());
    SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_app_data(context_.get(), this);
    SSL_CTX_sess_set_new_cb(context_.get(), keep_session);
    if (!options.certificate.empty()) {
      SSL_CTX_use_certificate_chain_file(context_.get(), options.certificate.c_str());
      SSL_CTX_use_PrivateKey_file(context_.get(), options.key.c_str(), SSL_FILETYPE_PEM);
    }
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), descriptor);
    SSL_set_tlsext_host_name(ssl_.get(), options.name.c_str());
    if (session != nullptr) SSL_set_session(ssl_.get(), session);
    SSL_set_connect_state(ssl_.get());
  }
  ~RawClient() {
    // A connection that was not shut down would make OpenSSL mark its session as not resumable.
    SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    for (SSL_SESSION *session : sessions_) SSL_SESSION_free(session);
  }
  RawClient(const RawClient &) = delete;
  RawClient &operator=(const RawClient &) = delete;

  [[nodiscard]] bool handshake() { return pump(SSL_do_handshake); }
  [[nodiscard]] std::string read() {
    text_.assign(65536, '\0');
    if (!pump([](SSL *ssl) { return SSL_read(ssl, text_of(ssl).data(), 65536); })) return {};
    return text_.substr(0, static_cast<std::size_t>(last_));
  }
  void write(const std::string &text) {
    if (SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) <= 0) throw std::runtime_error("raw write");
  }
  [[nodiscard]] SSL *ssl() { return ssl_.get(); }
  [[nodiscard]] bool resumed() const { return SSL_session_reused(ssl_.get()) == 1; }
  /// Sessions that the server sent tickets for.
  [[nodiscard]] const std::vector<SSL_SESSION *> &sessions() const { return sessions_; }

private:
  static int keep_session(SSL *ssl, SSL_SESSION *session) {
    static_cast<RawClient *>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)))->sessions_.push_back(session);
    return 1;
  }
  static std::string &text_of(SSL *ssl) {
    return static_cast<RawClient *>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)))->text_;
  }
  /// Tries again while the other side, which lives on `io_`, does its part.
  bool pump(int (*step)(SSL *)) {
    for (int tries = 0; tries < 20000; ++tries) {
      last_ = step(ssl_.get());
      if (last_ > 0) return true;
      const int error = SSL_get_error(ssl_.get(), last_);
      if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return false;
      settle(io_);
      pollfd event = {.fd = descriptor_, .events = POLLIN, .revents = 0};
      ::poll(&event, 1, 1);
    }
    throw std::runtime_error("the raw client waited in vain");
  }

  asio::io_context &io_;
  int descriptor_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
  std::vector<SSL_SESSION *> sessions_;
  std::string text_;
  int last_ = 0;
};

/// A raw client against a Stream as server.
struct RawPair {
  asio::io_context io{1};
  std::optional<tcp::socket> socket;
  std::optional<tls::Stream> server;
  std::unique_ptr<RawClient> client;
  smtp::Result<void> at_server = smtp::fail(smtp::ErrorCode::tls, "not tried");
  bool at_client = false;

  RawPair(std::shared_ptr<const tls::Context> context, const RawOptions &options, SSL_SESSION *session = nullptr) {
    auto [first, second] = socket_pair(io);
    socket.emplace(std::move(first));
    socket->non_blocking(true);
    server.emplace(std::move(second));
    client = std::make_unique<RawClient>(io, socket->native_handle(), options, session);
    auto pending = start(io, server->handshake(std::move(context), tls::Role::server, ""));
    at_client = client->handshake();
    if (!at_client) socket->shutdown(tcp::socket::shutdown_both);
    at_server = finish(io, pending);
  }
  [[nodiscard]] bool ok() const { return at_client && at_server.has_value(); }
};

} // namespace test
