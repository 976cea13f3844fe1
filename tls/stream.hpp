// Stream: one TCP connection that can become TLS in its middle (STARTTLS); OpenSSL on the file descriptor, Asio for
// waiting.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "smtp/base/result.hpp"
#include "tls/context.hpp"
#include "tls/core/facts.hpp"

struct ssl_st;

namespace tls {

/// Reads and writes try the system call first and wait only when it would block. Sets TCP_NODELAY. One reader and one
/// writer at a time, all on the socket's executor. Idle memory: no buffer of its own; OpenSSL's are released
/// (SSL_MODE_RELEASE_BUFFERS). TLS records without data are bounded (tls/openssl.hpp): a peer that sends nothing else
/// is an error of code tls, and never keeps the thread. Expiry: set_deadline() is checked by the caller's watchdog,
/// which calls expire(); the pending operation then fails with ErrorCode::timed_out.
class Stream {
public:
  using Clock = std::chrono::steady_clock;

  explicit Stream(boost::asio::ip::tcp::socket socket);
  Stream(Stream &&other) noexcept;
  Stream &operator=(Stream &&other) noexcept;
  ~Stream();

  /// At least one octet, or an error: closed at end of stream. A TLS stream that ends without close_notify is closed
  /// too.
  [[nodiscard]] boost::asio::awaitable<smtp::Result<std::size_t>> read_some(std::span<char> buffer);
  /// Waits until octets can be read without blocking, holding no buffer (idle sessions).
  [[nodiscard]] boost::asio::awaitable<smtp::Result<void>> wait_readable();
  /// Without suspending: how many octets read_some would hand out now, or 0 (used to see early talkers and injection).
  [[nodiscard]] bool readable_now();
  [[nodiscard]] boost::asio::awaitable<smtp::Result<void>> write(std::string_view octets);

  /// Server handshake. With TLS 1.3 the session ticket is not sent by itself but with the first write that follows.
  [[nodiscard]] boost::asio::awaitable<smtp::Result<void>> handshake(std::shared_ptr<const Context> context, Role role,
                                                                     std::string server_name);
  /// Ends our side: close_notify if TLS, then FIN. From now on read_some() gives the peer's raw octets, which are to be
  /// thrown away, and nothing can be written. So a last reply is heard by a peer that is still sending: were its octets
  /// left unread, the kernel would answer with RST, and that destroys the reply on its way (RFC 1122 section 4.2.2.13).
  void finish_writing() noexcept;
  /// close_notify if TLS, then the socket; never waits for the peer.
  void close() noexcept;

  [[nodiscard]] bool is_tls() const noexcept { return ssl_ != nullptr; }
  [[nodiscard]] bool is_open() const noexcept;
  /// After the handshake; `encrypted` false before. `verdict` is not filled: see peer_chain() and verify_chain().
  [[nodiscard]] const Facts &facts() const noexcept;
  /// The peer's chain, or null.
  [[nodiscard]] std::shared_ptr<const PeerChain> peer_chain() const noexcept { return peer_chain_; }

  /// DER octets of the peer's certificates, as they came; they stay in memory with the session, several times over.
  [[nodiscard]] std::size_t certificate_octets() const noexcept { return certificate_octets_; }
  /// A server that has seen all it wanted of the client's certificates keeps nothing of them: neither facts().chain nor
  /// peer_chain(), and of what OpenSSL holds the leaf alone.
  void forget_client_certificates() noexcept;

  /// The peer ended its side with close_notify: what was read before it is whole. Never without TLS.
  [[nodiscard]] bool ended_in_order() const noexcept { return ended_in_order_; }

  void set_deadline(std::optional<Clock::time_point> deadline) noexcept { deadline_ = deadline; }
  [[nodiscard]] std::optional<Clock::time_point> deadline() const noexcept { return deadline_; }
  /// Makes the pending operation, if any, fail with timed_out.
  void expire() noexcept;
  /// Makes a stream usable again for a last reply after a wait for octets has timed out. Not after a write: half of a
  /// record may be out.
  void resume_after_expiry() noexcept {
    if (state_ == State::expired) state_ = State::open;
  }

  [[nodiscard]] boost::asio::ip::tcp::socket &socket() noexcept { return socket_; }
  [[nodiscard]] boost::asio::any_io_executor get_executor() { return socket_.get_executor(); }

private:
  /// open → expired | broken (a TLS failure; nothing may follow in clear) → closed. Nothing leads back.
  enum class State : unsigned char { open, expired, broken, closed };
  enum class Wish : unsigned char { read, write };

  [[nodiscard]] boost::asio::awaitable<smtp::Result<void>> wait(Wish wish);
  [[nodiscard]] boost::asio::awaitable<smtp::Result<void>> give_way();
  [[nodiscard]] boost::asio::awaitable<smtp::Result<void>> let_others_run();
  /// Allows OpenSSL its reads of the socket for one call.
  void grant_reads(ssl_st &ssl) noexcept;
  /// After a call that wants to read: true when it was stopped only for having had its reads.
  [[nodiscard]] bool had_its_reads(ssl_st &ssl) noexcept;
  [[nodiscard]] boost::asio::awaitable<smtp::Result<void>> write_tls(std::string_view octets);
  [[nodiscard]] std::optional<smtp::Error> refusal() const;
  [[nodiscard]] bool likely_empty() const noexcept;
  [[nodiscard]] smtp::Error tls_failure(ssl_st *ssl, int result, std::string_view what);
  void push_held_octets() noexcept;
  void note_handshake(std::shared_ptr<const Context> context, ssl_st *ssl, Role role);
  void drop_tls() noexcept;

  boost::asio::ip::tcp::socket socket_;
  ssl_st *ssl_ = nullptr;
  std::shared_ptr<const Context> context_;
  std::unique_ptr<Facts> facts_;
  std::shared_ptr<const PeerChain> peer_chain_;
  std::size_t certificate_octets_ = 0;
  std::optional<Clock::time_point> deadline_;
  State state_ = State::open;
  bool drained_ = false;        ///< the last plain read emptied the socket: wait before the next one
  bool finished_ = false;       ///< our side has ended: octets are only thrown away
  bool ended_in_order_ = false; ///< the peer's close_notify came
  bool ticket_due_ = false;     ///< a TLS 1.3 session ticket goes out with the next write
  unsigned char immediate_ = 0; ///< operations since the last suspension
};

} // namespace tls
