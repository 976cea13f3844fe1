// What a handshake begins with and what it leaves: the SSL object for a socket, Facts and the peer's chain; only for
// tls/*.cpp.
#pragma once

#include <memory>
#include <string>

#include "tls/openssl.hpp"

namespace tls {

/// Ready for SSL_do_handshake. `server_name` becomes SNI when it is a DNS name. The context must outlive the SSL.
[[nodiscard]] smtp::Result<SslPtr> begin_handshake(const Context &context, Role role, const std::string &server_name,
                                                   int descriptor);
/// After the handshake.
[[nodiscard]] Facts facts_of(SSL &ssl);
/// Null when the peer showed no certificate.
[[nodiscard]] std::shared_ptr<const PeerChain> peer_chain_of(SSL &ssl);
/// DER octets of the certificates that the peer showed.
[[nodiscard]] std::size_t certificate_octets_of(SSL &ssl);
/// Frees what OpenSSL keeps of a client's certificates beside the leaf, which it needs. At the server's side only.
void forget_client_chain(SSL &ssl);

} // namespace tls
