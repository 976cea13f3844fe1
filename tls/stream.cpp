#include "tls/stream.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "smtp/base/text.hpp"
#include "tls/openssl.hpp"
#include "tls/peer.hpp"

namespace tls {
namespace asio = boost::asio;
using asio::awaitable;
using smtp::ErrorCode;
using smtp::Result;

namespace {

/// After so many operations that never had to wait, a stream lets the others on its thread run.
constexpr unsigned char max_immediate = 64;
/// What close() takes out of the socket, so that the kernel ends it with FIN and not with RST, which would destroy the
/// last reply on its way. More than that the peer sends at its own risk.
constexpr std::size_t max_discarded = 256 * 1024;

smtp::Error socket_error(int error) {
  switch (error) {
  case EPIPE:
  case ECONNRESET:
  case ECONNABORTED: return {ErrorCode::closed, "connection reset by the peer"};
  case ETIMEDOUT: return {ErrorCode::timed_out, "the connection timed out"};
  default: return {ErrorCode::io, smtp::to_lower(std::strerror(error))};
  }
}

smtp::Error closed_by_peer() {
  return {ErrorCode::closed, "the peer closed the connection"};
}

/// Counts what comes after the handshake: OpenSSL's message callback.
void count_record(int sent, int, int type, const void *, std::size_t, SSL *, void *argument) {
  SocketState &state = *static_cast<SocketState *>(argument);
  if (type == SSL3_RT_HEADER && sent == 0) ++state.records;
  // Our own alerts answer renegotiations, which OpenSSL does not show.
  if (type == SSL3_RT_ALERT || (type == SSL3_RT_HANDSHAKE && sent == 0)) ++state.messages;
}

bool wants(SSL *ssl, int result, int &error) noexcept {
  error = SSL_get_error(ssl, result);
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

} // namespace

Stream::Stream(asio::ip::tcp::socket socket) : socket_(std::move(socket)) {
  boost::system::error_code ignored; // not a TCP socket, or gone already: the first operation will tell
  if (socket_.is_open()) socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
}

Stream::Stream(Stream &&other) noexcept
    : socket_(std::move(other.socket_)), ssl_(std::exchange(other.ssl_, nullptr)), context_(std::move(other.context_)),
      facts_(std::move(other.facts_)), peer_chain_(std::move(other.peer_chain_)),
      certificate_octets_(other.certificate_octets_), deadline_(std::exchange(other.deadline_, std::nullopt)),
      state_(std::exchange(other.state_, State::closed)), drained_(other.drained_), finished_(other.finished_),
      ended_in_order_(other.ended_in_order_), ticket_due_(other.ticket_due_), immediate_(other.immediate_) {}

Stream &Stream::operator=(Stream &&other) noexcept {
  if (this == &other) return *this;
  drop_tls();
  socket_ = std::move(other.socket_); // closes the old one
  ssl_ = std::exchange(other.ssl_, nullptr);
  context_ = std::move(other.context_);
  facts_ = std::move(other.facts_);
  peer_chain_ = std::move(other.peer_chain_);
  certificate_octets_ = other.certificate_octets_;
  deadline_ = std::exchange(other.deadline_, std::nullopt);
  state_ = std::exchange(other.state_, State::closed);
  drained_ = other.drained_;
  finished_ = other.finished_;
  ended_in_order_ = other.ended_in_order_;
  ticket_due_ = other.ticket_due_;
  immediate_ = other.immediate_;
  return *this;
}

Stream::~Stream() {
  drop_tls();
}

void Stream::drop_tls() noexcept {
  SSL_free(std::exchange(ssl_, nullptr));
}

bool Stream::is_open() const noexcept {
  return state_ != State::closed && socket_.is_open();
}

const Facts &Stream::facts() const noexcept {
  static const Facts clear;
  return facts_ ? *facts_ : clear;
}

std::optional<smtp::Error> Stream::refusal() const {
  switch (state_) {
  case State::open: break;
  case State::expired: return smtp::Error{ErrorCode::timed_out, "the deadline passed"};
  case State::broken: return smtp::Error{ErrorCode::tls, "TLS failed on this connection before"};
  case State::closed: return smtp::Error{ErrorCode::closed, "the connection is closed"};
  }
  if (!socket_.is_open()) return smtp::Error{ErrorCode::closed, "the connection is closed"};
  return std::nullopt;
}

awaitable<Result<void>> Stream::wait(Wish wish) {
  const auto event = wish == Wish::read ? asio::socket_base::wait_read : asio::socket_base::wait_write;
  const auto [error] = co_await socket_.async_wait(event, asio::as_tuple(asio::use_awaitable));
  immediate_ = 0;
  if (auto refused = refusal()) co_return tl::unexpected(std::move(*refused));
  if (error == asio::error::operation_aborted) co_return smtp::fail(ErrorCode::stopping, "the operation was cancelled");
  if (error) co_return tl::unexpected(socket_error(error.value()));
  co_return Result<void>();
}

/// Called before each operation: refuses on a stream that has ended, and suspends once in a while.
awaitable<Result<void>> Stream::give_way() {
  if (++immediate_ >= max_immediate) co_return co_await let_others_run();
  if (auto refused = refusal()) co_return tl::unexpected(std::move(*refused));
  co_return Result<void>();
}

/// The watchdog runs meanwhile, too: the stream may have expired.
awaitable<Result<void>> Stream::let_others_run() {
  immediate_ = 0;
  co_await asio::post(socket_.get_executor(), asio::use_awaitable);
  if (auto refused = refusal()) co_return tl::unexpected(std::move(*refused));
  co_return Result<void>();
}

void Stream::grant_reads(SSL &ssl) noexcept {
  SocketState &state = socket_state(*SSL_get_rbio(&ssl));
  state.allowance = reads_per_call;
  state.withheld = false;
}

bool Stream::had_its_reads(SSL &ssl) noexcept {
  return std::exchange(socket_state(*SSL_get_rbio(&ssl)).withheld, false);
}

/// True when an attempt to read would only learn that nothing is there.
bool Stream::likely_empty() const noexcept {
  if (ssl_ == nullptr) return drained_;
  return socket_state(*SSL_get_rbio(ssl_)).drained && SSL_has_pending(ssl_) == 0 && SSL_in_init(ssl_) == 0;
}

smtp::Error Stream::tls_failure(SSL *ssl, int result, std::string_view what) {
  const int error = SSL_get_error(ssl, result);
  const SocketState &socket = socket_state(*SSL_get_rbio(ssl));
  const int system_error = std::max(socket.error, socket_state(*SSL_get_wbio(ssl)).error);
  if (error == SSL_ERROR_ZERO_RETURN) { // close_notify: the connection has ended in order
    ERR_clear_error();
    ended_in_order_ = true;
    return closed_by_peer();
  }
  state_ = State::broken;
  if (socket.flooded) {
    ERR_clear_error();
    return {ErrorCode::tls, fmt::format("{}: too many TLS records without data, limit is {} in a row and {} in all",
                                        what, max_records_without_data, max_messages_after_handshake)};
  }
  const bool cut = socket.ended && (error == SSL_ERROR_SYSCALL ||
                                    ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING);
  // No TLS record where one must be, behind those of the peer: somebody else put octets in between.
  const bool injected = ERR_GET_REASON(ERR_peek_error()) == SSL_R_WRONG_VERSION_NUMBER && SSL_is_server(ssl) == 0 &&
                        SSL_get_state(ssl) != TLS_ST_BEFORE && SSL_get_state(ssl) != TLS_ST_CW_CLNT_HELLO;
  const bool excessive = ERR_GET_REASON(ERR_peek_error()) == SSL_R_EXCESSIVE_MESSAGE_SIZE;
  std::string text = take_error_text("no reason given");
  if (SSL_is_server(ssl) != 0 && SSL_get_verify_result(ssl) == X509_V_ERR_CERT_CHAIN_TOO_LONG)
    text = fmt::format("the client showed too many certificates, limit is {}", max_chain_certificates);
  else if (SSL_is_server(ssl) != 0 && excessive)
    text += fmt::format(" (of a client's certificates at most {} octets are taken)", max_client_chain_octets);
  if (injected) return {ErrorCode::protocol, fmt::format("{}: octets in clear stand between the records of TLS", what)};
  if (socket.renegotiations > max_renegotiations)
    return {ErrorCode::protocol, fmt::format("{}: the peer asked to renegotiate TLS more than {} times, the limit",
                                             what, max_renegotiations)};
  if (cut) return {ErrorCode::closed, fmt::format("{}: the peer closed the connection without close_notify", what)};
  if (error == SSL_ERROR_SYSCALL && system_error != 0) {
    smtp::Error failure = socket_error(system_error);
    failure.detail = fmt::format("{}: {}", what, failure.detail);
    return failure;
  }
  return {ErrorCode::tls, fmt::format("{}: {}", what, text)};
}

awaitable<Result<std::size_t>> Stream::read_some(std::span<char> buffer) {
  assert(!buffer.empty());
  auto ready = co_await give_way();
  if (!ready) co_return tl::unexpected(std::move(ready.error()));
  Wish wish = Wish::read;
  bool attempt = !likely_empty();
  while (true) {
    if (!attempt) {
      auto waited = co_await wait(wish);
      if (!waited) co_return tl::unexpected(std::move(waited.error()));
    }
    attempt = false;
    if (ssl_ == nullptr) {
      const ssize_t got = ::recv(socket_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got > 0) {
        drained_ = static_cast<std::size_t>(got) < buffer.size();
        co_return static_cast<std::size_t>(got);
      }
      if (got == 0) co_return tl::unexpected(closed_by_peer());
      if (errno == EINTR)
        attempt = true;
      else if (!would_block(errno))
        co_return tl::unexpected(socket_error(errno));
      continue;
    }
    ERR_clear_error();
    std::size_t got = 0;
    grant_reads(*ssl_);
    const int result = SSL_read_ex(ssl_, buffer.data(), buffer.size(), &got);
    if (result == 1) {
      socket_state(*SSL_get_rbio(ssl_)).records = 0;
      co_return got;
    }
    int error = 0;
    if (!wants(ssl_, result, error)) co_return tl::unexpected(tls_failure(ssl_, result, "reading failed"));
    wish = error == SSL_ERROR_WANT_READ ? Wish::read : Wish::write;
    attempt = had_its_reads(*ssl_);
    if (attempt) {
      auto others_ran = co_await let_others_run();
      if (!others_ran) co_return tl::unexpected(std::move(others_ran.error()));
    }
  }
}

awaitable<Result<void>> Stream::wait_readable() {
  auto ready = co_await give_way();
  if (!ready) co_return ready;
  if (ssl_ == nullptr) co_return co_await wait(Wish::read);
  // Octets in the socket need not be mail: key updates and session tickets are taken in here, and waiting goes on.
  Wish wish = Wish::read;
  bool attempt = !likely_empty();
  while (true) {
    if (!attempt) {
      auto waited = co_await wait(wish);
      if (!waited) co_return waited;
    }
    attempt = false;
    ERR_clear_error();
    char octet = 0;
    std::size_t got = 0;
    grant_reads(*ssl_);
    const int result = SSL_peek_ex(ssl_, &octet, 1, &got);
    if (result == 1) co_return Result<void>();
    int error = 0;
    if (!wants(ssl_, result, error)) co_return tl::unexpected(tls_failure(ssl_, result, "reading failed"));
    wish = error == SSL_ERROR_WANT_READ ? Wish::read : Wish::write;
    attempt = had_its_reads(*ssl_);
    if (attempt) {
      auto others_ran = co_await let_others_run();
      if (!others_ran) co_return others_ran;
    }
  }
}

bool Stream::readable_now() {
  if (refusal()) return false;
  if (ssl_ == nullptr) {
    int waiting = 0;
    return ::ioctl(socket_.native_handle(), FIONREAD, &waiting) == 0 && waiting > 0;
  }
  ERR_clear_error();
  char octet = 0;
  std::size_t got = 0;
  grant_reads(*ssl_);
  const bool readable = SSL_peek_ex(ssl_, &octet, 1, &got) == 1;
  ERR_clear_error();
  return readable;
}

awaitable<Result<void>> Stream::write(std::string_view octets) {
  if (finished_) co_return smtp::fail(ErrorCode::closed, "nothing can be written: our side has ended");
  if (ssl_ != nullptr) co_return co_await write_tls(octets);
  while (!octets.empty()) {
    auto ready = co_await give_way();
    if (!ready) co_return ready;
    const ssize_t sent = ::send(socket_.native_handle(), octets.data(), octets.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      octets.remove_prefix(static_cast<std::size_t>(sent));
    } else if (would_block(errno)) {
      auto waited = co_await wait(Wish::write);
      if (!waited) co_return waited;
    } else if (errno != EINTR) {
      co_return tl::unexpected(socket_error(errno));
    }
  }
  co_return Result<void>();
}

awaitable<Result<void>> Stream::write_tls(std::string_view octets) {
  while (!octets.empty()) {
    auto ready = co_await give_way();
    if (!ready) co_return ready;
    ERR_clear_error();
    if (std::exchange(ticket_due_, false) && SSL_new_session_ticket(ssl_) == 1) {
      // RFC 8446 section 4.6.1 lets the ticket come at any time; the kernel holds it for the record behind it.
      SocketState &socket = socket_state(*SSL_get_wbio(ssl_));
      socket.hold_next = true;
      // OpenSSL sets up a read buffer of 16 KiB for this, too; only an attempt to read lets go of it again.
      socket.drained = false;
    }
    std::size_t sent = 0;
    grant_reads(*ssl_);
    const int result = SSL_write_ex(ssl_, octets.data(), octets.size(), &sent);
    if (result == 1) {
      octets.remove_prefix(sent);
      push_held_octets();
      continue;
    }
    int error = 0;
    if (!wants(ssl_, result, error)) co_return tl::unexpected(tls_failure(ssl_, result, "writing failed"));
    if (had_its_reads(*ssl_)) {
      auto others_ran = co_await let_others_run();
      if (!others_ran) co_return others_ran;
      continue;
    }
    auto waited = co_await wait(error == SSL_ERROR_WANT_READ ? Wish::read : Wish::write);
    if (!waited) co_return waited;
  }
  co_return Result<void>();
}

/// Should the ticket not have been sent by itself, the mail octets were held in its place: setting TCP_NODELAY again
/// sends them.
void Stream::push_held_octets() noexcept {
  SocketState &state = socket_state(*SSL_get_wbio(ssl_));
  state.hold_next = false;
  if (!std::exchange(state.held, false)) return;
  boost::system::error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
}

awaitable<Result<void>> Stream::handshake(std::shared_ptr<const Context> context, Role role, std::string server_name) {
  auto ready = co_await give_way();
  if (!ready) co_return ready;
  if (finished_) co_return smtp::fail(ErrorCode::closed, "no handshake: our side has ended");
  if (ssl_ != nullptr) co_return smtp::fail(ErrorCode::protocol, "TLS is already in use on this connection");
  auto begun = begin_handshake(*context, role, server_name, socket_.native_handle());
  if (!begun) co_return tl::unexpected(std::move(begun.error()));
  const SslPtr ssl = std::move(*begun);
  // A reply that somebody put behind the one to STARTTLS, in a packet of its own: RFC 3207 has nothing in clear here.
  const auto is_injected = [&] { return role == Role::client && socket_state(*SSL_get_rbio(ssl.get())).is_reply; };
  const auto injected = [&] {
    ERR_clear_error();
    if (state_ == State::open) state_ = State::broken;
    return smtp::fail(ErrorCode::protocol, "the peer sent a reply in clear where TLS begins");
  };
  while (true) {
    ERR_clear_error();
    grant_reads(*ssl);
    const int result = SSL_do_handshake(ssl.get());
    if (result == 1) break;
    int error = 0;
    if (!wants(ssl.get(), result, error)) {
      if (is_injected()) co_return injected();
      co_return tl::unexpected(tls_failure(ssl.get(), result, "handshake failed"));
    }
    Result<void> waited;
    if (had_its_reads(*ssl)) {
      waited = co_await let_others_run();
    } else {
      waited = co_await wait(error == SSL_ERROR_WANT_READ ? Wish::read : Wish::write);
    }
    if (!waited) {
      if (is_injected()) co_return injected();
      if (state_ == State::open) state_ = State::broken;
      co_return waited;
    }
  }
  SSL_up_ref(ssl.get());
  note_handshake(std::move(context), ssl.get(), role);
  co_return Result<void>();
}

void Stream::note_handshake(std::shared_ptr<const Context> context, SSL *ssl, Role role) {
  ssl_ = ssl;
  facts_ = std::make_unique<Facts>(facts_of(*ssl));
  peer_chain_ = peer_chain_of(*ssl);
  certificate_octets_ = certificate_octets_of(*ssl);
  ticket_due_ =
      role == Role::server && context->impl().tickets && facts_->version == Version::tls1_3 && peer_chain_ == nullptr;
  context_ = std::move(context);
  SSL_set_msg_callback(ssl, count_record);
  SSL_set_msg_callback_arg(ssl, &socket_state(*SSL_get_rbio(ssl)));
}

void Stream::forget_client_certificates() noexcept {
  peer_chain_.reset();
  if (facts_) std::vector<CertificateFacts>().swap(facts_->chain);
  if (ssl_ != nullptr) forget_client_chain(*ssl_);
}

void Stream::finish_writing() noexcept {
  if (state_ == State::closed || std::exchange(finished_, true)) return;
  if (ssl_ != nullptr && state_ == State::open) {
    ERR_clear_error();
    SSL_shutdown(ssl_);
    ERR_clear_error();
  }
  drop_tls();
  drained_ = false;
  boost::system::error_code ignored;
  if (socket_.is_open()) socket_.shutdown(asio::socket_base::shutdown_send, ignored);
}

void Stream::close() noexcept {
  if (state_ == State::closed) return;
  if (ssl_ != nullptr && state_ != State::broken) {
    ERR_clear_error();
    SSL_shutdown(ssl_);
    ERR_clear_error();
  }
  state_ = State::closed;
  drop_tls();
  if (!socket_.is_open()) return;
  boost::system::error_code ignored;
  socket_.shutdown(asio::socket_base::shutdown_send, ignored);
  std::array<char, 4096> scrap;
  for (std::size_t discarded = 0; discarded < max_discarded;) {
    const ssize_t got = ::recv(socket_.native_handle(), scrap.data(), scrap.size(), MSG_DONTWAIT);
    if (got <= 0) break;
    discarded += static_cast<std::size_t>(got);
  }
  socket_.close(ignored);
}

void Stream::expire() noexcept {
  if (state_ == State::closed) return;
  state_ = State::expired;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

} // namespace tls
