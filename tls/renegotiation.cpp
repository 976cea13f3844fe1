// Renegotiation of TLS 1.2 is refused (SSL_OP_NO_RENEGOTIATION); who asks again and again is cut off.
#include <cerrno>

#include "tls/openssl.hpp"

namespace tls {
namespace {

/// OpenSSL answers each request with a warning inside one SSL_read() and reads on, so that a peer which sends nothing
/// else would keep a thread for as long as it likes. The socket fails for it instead.
void count_refused(const SSL *ssl, int where, int alert) {
  constexpr int refusal = (SSL3_AL_WARNING << 8) | SSL_AD_NO_RENEGOTIATION;
  if (where != SSL_CB_WRITE_ALERT || alert != refusal) return;
  BIO *bio = SSL_get_rbio(ssl);
  if (bio == nullptr) return;
  SocketState &socket = socket_state(*bio);
  if (++socket.renegotiations > max_renegotiations && socket.error == 0) socket.error = ECONNABORTED;
}

} // namespace

void limit_renegotiations(SSL_CTX &context) {
  SSL_CTX_set_info_callback(&context, count_refused);
}

} // namespace tls
