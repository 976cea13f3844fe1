#include "tls/peer.hpp"

#include <algorithm>

#include <openssl/objects.h>

namespace tls {
namespace {

/// RFC 6066 section 3: SNI carries DNS names without trailing dot, never addresses.
std::string sni_name(const std::string &name) {
  std::string text = name;
  if (!text.empty() && text.back() == '.') text.pop_back();
  const std::size_t last_dot = text.rfind('.');
  const std::string last = last_dot == std::string::npos ? text : text.substr(last_dot + 1);
  const bool is_name =
      !last.empty() && text.size() <= max_name_octets &&
      !std::all_of(last.begin(), last.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
      std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f && c != ':' && c != '['; });
  return is_name ? text : std::string();
}

Version version_of(const SSL &ssl) noexcept {
  switch (SSL_version(&ssl)) {
  case TLS1_VERSION: return Version::tls1_0;
  case TLS1_1_VERSION: return Version::tls1_1;
  case TLS1_3_VERSION: return Version::tls1_3;
  default: return Version::tls1_2;
  }
}

/// "X25519", "prime256v1"; the finite-field group ("ffdhe3072") when DHE was used; empty for static RSA.
std::string group_of(SSL &ssl) {
  const int group = static_cast<int>(SSL_get_negotiated_group(&ssl));
  if (group != NID_undef) {
    if ((group & TLSEXT_nid_unknown) == 0) {
      if (const char *name = OBJ_nid2sn(group); name != nullptr) return name;
    }
    const char *name = SSL_group_to_name(&ssl, group);
    return name == nullptr ? std::string() : std::string(name);
  }
  const SSL_CIPHER *suite = SSL_get_current_cipher(&ssl);
  if (suite == nullptr || SSL_CIPHER_get_kx_nid(suite) != NID_kx_dhe) return {};
  // A server's own parameters are gone by now, but they are always its profile's.
  if (SSL_is_server(&ssl) != 0) {
    return static_cast<const Context::Impl *>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(&ssl)))->profile->dh_group;
  }
  EVP_PKEY *exchanged = nullptr;
  const long got = SSL_get_peer_tmp_key(&ssl, &exchanged);
  const KeyPtr key(exchanged);
  std::array<char, 64> name{};
  if (got == 1 && key && EVP_PKEY_get_group_name(key.get(), name.data(), name.size(), nullptr) == 1) return name.data();
  return {};
}

} // namespace

smtp::Result<SslPtr> begin_handshake(const Context &context, Role role, const std::string &server_name,
                                     int descriptor) {
  const Context::Impl &impl = context.impl();
  if (impl.role != role) {
    return smtp::fail(smtp::ErrorCode::tls, "handshake failed: the TLS context is for the other side of a connection");
  }
  ERR_clear_error();
  SslPtr ssl(SSL_new(impl.contexts.front().get()));
  BioPtr bio = make_socket_bio(*impl.socket_method, descriptor);
  if (!ssl || !bio) return smtp::fail(smtp::ErrorCode::tls, "handshake failed: " + take_error_text("out of memory"));
  BIO *const both = bio.release();
  SSL_set_bio(ssl.get(), both, both);
  if (role == Role::server) {
    SSL_set_accept_state(ssl.get());
    return ssl;
  }
  SSL_set_connect_state(ssl.get());
  const std::string name = sni_name(server_name);
  if (!name.empty() && SSL_set_tlsext_host_name(ssl.get(), name.c_str()) != 1) {
    return smtp::fail(smtp::ErrorCode::tls, "handshake failed: " + take_error_text("the server name is refused"));
  }
  return ssl;
}

Facts facts_of(SSL &ssl) {
  Facts facts;
  facts.encrypted = true;
  facts.version = version_of(ssl);
  if (const SSL_CIPHER *cipher = SSL_get_current_cipher(&ssl); cipher != nullptr) {
    facts.suite = SSL_CIPHER_get_name(cipher);
    facts.bits = SSL_CIPHER_get_bits(cipher, nullptr);
  }
  facts.group = group_of(ssl);
  facts.resumed = SSL_session_reused(&ssl) == 1;
  if (X509 *leaf = SSL_get0_peer_certificate(&ssl); leaf != nullptr) {
    facts.chain.push_back(certificate_facts(*leaf));
    // The server sees the chain without the leaf, the client with it.
    STACK_OF(X509) *sent = SSL_get_peer_cert_chain(&ssl);
    for (int i = SSL_is_server(&ssl) != 0 ? 0 : 1; i < sk_X509_num(sent); ++i) {
      if (facts.chain.size() >= max_chain_certificates) break;
      facts.chain.push_back(certificate_facts(*sk_X509_value(sent, i)));
    }
  }
  ERR_clear_error();
  return facts;
}

std::shared_ptr<const PeerChain> peer_chain_of(SSL &ssl) {
  X509Ptr leaf(SSL_get1_peer_certificate(&ssl));
  if (!leaf) return nullptr;
  auto impl = std::make_unique<PeerChain::Impl>();
  impl->leaf = std::move(leaf);
  impl->others.reset(sk_X509_new_null());
  STACK_OF(X509) *sent = SSL_get_peer_cert_chain(&ssl);
  for (int i = SSL_is_server(&ssl) != 0 ? 0 : 1; i < sk_X509_num(sent); ++i) {
    if (static_cast<std::size_t>(sk_X509_num(impl->others.get())) + 1 >= max_chain_certificates) break;
    X509 *certificate = sk_X509_value(sent, i);
    if (sk_X509_push(impl->others.get(), certificate) > 0) X509_up_ref(certificate);
  }
  return std::make_shared<const PeerChain>(std::move(impl));
}

std::size_t certificate_octets_of(SSL &ssl) {
  std::size_t sum = 0;
  const auto add = [&](X509 *certificate) {
    const int octets = i2d_X509(certificate, nullptr);
    if (octets > 0) sum += static_cast<std::size_t>(octets);
  };
  if (X509 *leaf = SSL_get0_peer_certificate(&ssl); leaf != nullptr) add(leaf);
  STACK_OF(X509) *sent = SSL_get_peer_cert_chain(&ssl);
  for (int i = SSL_is_server(&ssl) != 0 ? 0 : 1; i < sk_X509_num(sent); ++i) add(sk_X509_value(sent, i));
  ERR_clear_error();
  return sum;
}

void forget_client_chain(SSL &ssl) {
  // The stack is the session's own, which nobody shares: with a client certificate it is neither cached nor resumed.
  STACK_OF(X509) *sent = SSL_is_server(&ssl) != 0 ? SSL_get_peer_cert_chain(&ssl) : nullptr;
  while (sent != nullptr && sk_X509_num(sent) > 0) X509_free(sk_X509_pop(sent));
}

} // namespace tls
