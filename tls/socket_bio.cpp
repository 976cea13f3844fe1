// The BIO that sends without SIGPIPE: OpenSSL on a socket.
#include <cerrno>
#include <utility>

#include <sys/socket.h>

#include "tls/openssl.hpp"

namespace tls {
namespace {

/// RFC 5321 section 4.2: a reply begins so; a TLS record, with 20 to 23 (RFC 8446 section 5.1).
bool begins_reply(char first) noexcept {
  return first >= '2' && first <= '5';
}

int write_socket(BIO *bio, const char *data, std::size_t size, std::size_t *written) {
  SocketState &state = socket_state(*bio);
  BIO_clear_retry_flags(bio);
  if (state.renegotiations > max_renegotiations) return 0;
  const int hold = state.hold_next ? MSG_MORE : 0;
  ssize_t sent = 0;
  do {
    sent = ::send(state.descriptor, data, size, MSG_NOSIGNAL | MSG_DONTWAIT | hold);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) {
    if (would_block(errno)) {
      BIO_set_retry_write(bio);
    } else {
      state.error = errno;
    }
    return 0;
  }
  if (static_cast<std::size_t>(sent) == size) state.hold_next = false;
  state.held = hold != 0;
  *written = static_cast<std::size_t>(sent);
  return 1;
}

int read_socket(BIO *bio, char *data, std::size_t size, std::size_t *read) {
  SocketState &state = socket_state(*bio);
  BIO_clear_retry_flags(bio);
  if (state.renegotiations > max_renegotiations) return 0;
  if (state.records > max_records_without_data || state.messages > max_messages_after_handshake) {
    state.flooded = true;
    return 0;
  }
  if (state.allowance <= 0) {
    state.withheld = true;
    BIO_set_retry_read(bio);
    return 0;
  }
  --state.allowance;
  ssize_t got = 0;
  do {
    got = ::recv(state.descriptor, data, size, MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got > 0) {
    state.drained = static_cast<std::size_t>(got) < size;
    if (!std::exchange(state.heard, true)) state.is_reply = begins_reply(*data);
    *read = static_cast<std::size_t>(got);
    return 1;
  }
  if (got == 0) {
    state.ended = true;
  } else if (would_block(errno)) {
    state.drained = true;
    BIO_set_retry_read(bio);
  } else {
    state.error = errno;
  }
  return 0;
}

long control_socket(BIO *bio, int command, long, void *) {
  switch (command) {
  case BIO_CTRL_FLUSH: return 1;
  case BIO_CTRL_EOF: return socket_state(*bio).ended ? 1 : 0;
  default: return 0;
  }
}

int destroy_socket(BIO *bio) {
  delete static_cast<SocketState *>(BIO_get_data(bio));
  BIO_set_data(bio, nullptr);
  return 1;
}

} // namespace

BioMethodPtr make_socket_method() {
  BioMethodPtr method(BIO_meth_new(BIO_TYPE_SOURCE_SINK, "socket without signals"));
  if (!method || BIO_meth_set_write_ex(method.get(), write_socket) != 1 ||
      BIO_meth_set_read_ex(method.get(), read_socket) != 1 || BIO_meth_set_ctrl(method.get(), control_socket) != 1 ||
      BIO_meth_set_destroy(method.get(), destroy_socket) != 1) {
    return nullptr;
  }
  return method;
}

BioPtr make_socket_bio(const BIO_METHOD &method, int descriptor) {
  BioPtr bio(BIO_new(&method));
  if (!bio) return nullptr;
  auto state = std::make_unique<SocketState>();
  state->descriptor = descriptor;
  BIO_set_data(bio.get(), state.release());
  BIO_set_init(bio.get(), 1);
  return bio;
}

SocketState &socket_state(BIO &bio) noexcept {
  return *static_cast<SocketState *>(BIO_get_data(&bio));
}

} // namespace tls
