// SmtpClient: a blocking client for tests, that says exactly what it is told, in clear or inside TLS.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls/context.hpp"

namespace support {

class SmtpClient {
public:
  /// Connects from `source`, any address of 127.0.0.0/8.
  explicit SmtpClient(std::uint16_t port, const std::string &source = "127.0.0.1")
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in from{};
    from.sin_family = AF_INET;
    ::inet_pton(AF_INET, source.c_str(), &from.sin_addr);
    sockaddr_in to = from;
    ::inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    to.sin_port = htons(port);
    const timeval patience{30, 0}; // a test that waits longer is stuck
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::bind(socket_, reinterpret_cast<const sockaddr *>(&from), sizeof from) != 0 ||
        ::connect(socket_, reinterpret_cast<const sockaddr *>(&to), sizeof to) != 0) {
      ::close(socket_);
      throw std::runtime_error("cannot connect to port " + std::to_string(port));
    }
  }
  SmtpClient(SmtpClient &&other) noexcept
      : socket_(std::exchange(other.socket_, -1)), context_(std::exchange(other.context_, nullptr)),
        tls_(std::exchange(other.tls_, nullptr)), input_(std::move(other.input_)) {}
  SmtpClient &operator=(SmtpClient &&) = delete;
  ~SmtpClient() { hang_up(); }

  /// False when the server is gone.
  bool send(std::string_view octets) {
    while (!octets.empty()) {
      const long sent = tls_ != nullptr ? SSL_write(tls_, octets.data(), static_cast<int>(octets.size()))
                                        : ::send(socket_, octets.data(), octets.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      octets.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  /// One reply with all its lines and CRLFs; empty when the server has closed (or stays silent for 30 seconds).
  std::string reply() {
    std::size_t line = 0;
    for (;;) {
      const std::size_t end = input_.find("\r\n", line);
      if (end == std::string::npos) {
        if (!receive()) return {};
        continue;
      }
      const bool last = end - line < 4 || input_[line + 3] != '-';
      line = end + 2;
      if (!last) continue;
      std::string reply = input_.substr(0, line);
      input_.erase(0, line);
      return reply;
    }
  }

  /// send() and reply().
  std::string ask(std::string_view octets) { return send(octets) ? reply() : std::string(); }

  /// True when the server has closed and said nothing more.
  bool is_closed() { return !receive() && input_.empty(); }

  /// True when something has come that was not read yet.
  bool has_octets() {
    char octet = 0;
    return !input_.empty() || ::recv(socket_, &octet, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
  }

  /// False when the handshake fails. `certificate` may be null.
  bool start_tls(const tls::KeyPairFiles *certificate = nullptr, int highest = TLS1_3_VERSION) {
    context_ = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(context_, SSL_VERIFY_NONE, nullptr);
    SSL_CTX_set_max_proto_version(context_, highest);
    if (certificate != nullptr) {
      SSL_CTX_use_certificate_chain_file(context_, certificate->certificate.c_str());
      SSL_CTX_use_PrivateKey_file(context_, certificate->key.c_str(), SSL_FILETYPE_PEM);
    }
    tls_ = SSL_new(context_);
    SSL_set_fd(tls_, socket_);
    return SSL_connect(tls_) == 1;
  }

  void hang_up() {
    if (tls_ != nullptr) SSL_free(std::exchange(tls_, nullptr));
    if (context_ != nullptr) SSL_CTX_free(std::exchange(context_, nullptr));
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }
  /// Closes our direction only.
  void end_sending() { ::shutdown(socket_, SHUT_WR); }
  /// Ends the connection with RST.
  void reset() {
    const linger at_once{1, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    hang_up();
  }

private:
  bool receive() {
    std::array<char, 4096> buffer;
    const long got = tls_ != nullptr ? SSL_read(tls_, buffer.data(), static_cast<int>(buffer.size()))
                                     : ::recv(socket_, buffer.data(), buffer.size(), 0);
    if (got <= 0) return false;
    input_.append(buffer.data(), static_cast<std::size_t>(got));
    return true;
  }

  int socket_ = -1;
  SSL_CTX *context_ = nullptr;
  SSL *tls_ = nullptr;
  std::string input_;
};

} // namespace support
