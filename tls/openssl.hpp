// The one header with OpenSSL's names: owners, error texts, PEM files and the insides of tls/context.hpp; only for
// tls/*.cpp.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "smtp/base/result.hpp"
#include "tls/context.hpp"
#include "tls/core/facts.hpp"
#include "tls/profile.hpp"

namespace tls {

/// unique_ptr<T, Free<function>> without a stored function pointer.
template <auto function> struct Free {
  template <typename T> void operator()(T *object) const noexcept { function(object); }
};
inline void free_certificates(STACK_OF(X509) * stack) noexcept {
  sk_X509_pop_free(stack, X509_free);
}
inline void free_names(STACK_OF(X509_NAME) * stack) noexcept {
  sk_X509_NAME_pop_free(stack, X509_NAME_free);
}
inline void free_suites(STACK_OF(SSL_CIPHER) * stack) noexcept {
  sk_SSL_CIPHER_free(stack);
}
inline void free_extensions(STACK_OF(X509_EXTENSION) * stack) noexcept {
  sk_X509_EXTENSION_pop_free(stack, X509_EXTENSION_free);
}

using BioPtr = std::unique_ptr<BIO, Free<BIO_free_all>>;
using BioMethodPtr = std::unique_ptr<BIO_METHOD, Free<BIO_meth_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, Free<X509_free>>;
using RequestPtr = std::unique_ptr<X509_REQ, Free<X509_REQ_free>>;
using X509StackPtr = std::unique_ptr<STACK_OF(X509), Free<free_certificates>>;
using CrlPtr = std::unique_ptr<X509_CRL, Free<X509_CRL_free>>;
using NameStackPtr = std::unique_ptr<STACK_OF(X509_NAME), Free<free_names>>;
using CipherStackPtr = std::unique_ptr<STACK_OF(SSL_CIPHER), Free<free_suites>>;
using ExtensionStackPtr = std::unique_ptr<STACK_OF(X509_EXTENSION), Free<free_extensions>>;
using GeneralNamesPtr = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;
using StorePtr = std::unique_ptr<X509_STORE, Free<X509_STORE_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, Free<X509_STORE_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Free<SSL_free>>;
using SslCtxPtr = std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>>;
using CipherPtr = std::unique_ptr<EVP_CIPHER, Free<EVP_CIPHER_free>>;

/// The reason of the oldest error in this thread's queue, which is then emptied; `otherwise` when there is none.
[[nodiscard]] std::string take_error_text(std::string_view otherwise);

/// A whole file of at most `limit` octets. Errors: not_found, not_permitted, too_long, io; each names the file.
[[nodiscard]] smtp::Result<std::string> read_small_file(const std::string &path, std::size_t limit);
/// All certificates of PEM text; `path` is for the error texts. At least one.
[[nodiscard]] smtp::Result<std::vector<X509Ptr>> parse_pem_certificates(const std::string &text,
                                                                        const std::string &path);
[[nodiscard]] smtp::Result<std::vector<X509Ptr>> load_pem_certificates(const std::string &path);
/// True when the newest error only says that no further PEM block follows.
[[nodiscard]] bool is_end_of_pem() noexcept;
/// Revocation lists, PEM or DER; limits and errors as read_crl() (tls/crl.hpp).
[[nodiscard]] smtp::Result<std::vector<CrlPtr>> parse_crls(std::string_view octets);
/// The first private key of a PEM file; a key behind a passphrase is refused, nobody is there to type it.
[[nodiscard]] smtp::Result<KeyPtr> load_pem_key(const std::string &path);

inline constexpr std::size_t max_chain_certificates = 10; ///< of a peer, in Facts and in PeerChain
inline constexpr std::size_t max_certificate_names = 100; ///< that we put into one of our own
inline constexpr std::size_t max_name_octets = 255;
/// Of a client's certificates, which any stranger may show: names cost us many times their octets. A server's chain has
/// OpenSSL's own limit, 100 KiB.
inline constexpr long max_client_chain_octets = 32 * 1024;
inline constexpr std::size_t max_pem_octets = 4 * 1024 * 1024;

/// OpenSSL's security level 2 for chains: 112 bits, so RSA 2048 and SHA-2 signatures (roots excepted).
inline constexpr int chain_security_level = 2;
/// What kind of failure an X509_V_ERR_… is.
[[nodiscard]] ChainFault chain_fault(int error) noexcept;
/// Why X509_verify_cert() said no, with the place in the chain.
[[nodiscard]] std::string failure_text(X509_STORE_CTX &context);

/// What a certificate may be compared by: CertificateFacts::dns_names. All of them: the handshake's own limit of octets
/// (OpenSSL's, 100 KiB) bounds what a peer may send.
[[nodiscard]] std::vector<std::string> names_of(X509 &certificate);
/// With the common name where there is no dNSName: RFC 7672 section 3.2.3 has it so for DANE's usage 2, and nobody
/// else.
[[nodiscard]] std::vector<std::string> names_for_dane(X509 &certificate);
/// Base64 of SHA-256 over the SubjectPublicKeyInfo; empty when it cannot be read.
[[nodiscard]] std::string key_digest(X509 &certificate);
[[nodiscard]] CertificateFacts certificate_facts(X509 &certificate);
/// RFC 2253 text, at most 1024 octets of it; empty for null.
[[nodiscard]] std::string text_of(const X509_NAME *name);
/// Held within what the clock's type can say: certificates may run to the year 9999.
[[nodiscard]] std::chrono::system_clock::time_point time_of(const ASN1_TIME *time);
/// The subject as RFC 2253 text.
[[nodiscard]] std::string subject_of(const X509 &certificate);

/// Versions, suites, groups, signatures, level and the options that hold everywhere; also for contexts without a
/// certificate.
[[nodiscard]] smtp::Result<void> apply_profile(SSL_CTX &context, const Profile &profile);

/// Requests to renegotiate that are refused before the connection ends.
inline constexpr unsigned max_renegotiations = 3;
/// Counts them in SocketState; over the limit the socket fails.
void limit_renegotiations(SSL_CTX &context);

/// Sockets without SIGPIPE and without blocking, whatever the descriptor's flags say (MSG_NOSIGNAL, MSG_DONTWAIT).
[[nodiscard]] BioMethodPtr make_socket_method();
/// Reads of the socket within one call of OpenSSL. It goes on by itself while its buffer holds the beginning of a
/// further record (also without SSL_MODE_AUTO_RETRY), so that a peer that sends fast enough could keep it for ever.
inline constexpr int reads_per_call = 4;
/// TLS records in a row that carry none of the peer's octets: tickets, key updates, alerts, refused renegotiations. An
/// honest peer sends two or three.
inline constexpr std::size_t max_records_without_data = 64;
/// Handshake messages and alerts in one connection after its handshake, however much data comes between them. Honest
/// peers change keys after thousands of millions of octets (RFC 8446 section 5.5).
inline constexpr std::size_t max_messages_after_handshake = 1024;

/// What the stream must know of its socket BIO; owned by the BIO.
struct SocketState {
  int descriptor = -1;
  int error = 0;            ///< errno of the last failure that was not "would block"
  bool ended = false;       ///< the peer closed its side
  bool drained = false;     ///< the last read got less than it asked for: nothing is left in the socket
  bool hold_next = false;   ///< the next write waits in the kernel for the one behind it (MSG_MORE)
  bool held = false;        ///< such a write is waiting
  int allowance = 0;        ///< reads that the BIO may still do in this call of OpenSSL
  bool withheld = false;    ///< the last read was not done for want of allowance: call again, after letting others run
  bool flooded = false;     ///< reading was ended because of one of the next two
  std::size_t records = 0;  ///< received after the handshake since the last that carried data
  std::size_t messages = 0; ///< of the handshake protocol and alerts, received after the handshake
  bool heard = false;       ///< something was read
  bool is_reply = false;    ///< and it began as a reply of SMTP does, not as a TLS record
  unsigned renegotiations = 0; ///< refused so far
};
[[nodiscard]] BioPtr make_socket_bio(const BIO_METHOD &method, int descriptor);
/// What errno says when a socket has nothing to read, or no room.
[[nodiscard]] inline bool would_block(int error) noexcept {
  return error == EAGAIN || error == EWOULDBLOCK;
}

[[nodiscard]] SocketState &socket_state(BIO &bio) noexcept;

struct TrustStore::Impl {
  StorePtr store;
  bool revocation = false; ///< chains are checked against the store's lists
  bool named = false;      ///< of a file of the operator's: each certificate in it is an anchor
  std::uint64_t digest = 0;
};

struct PeerChain::Impl {
  X509Ptr leaf;
  X509StackPtr others; ///< as sent, without the leaf
};

struct TicketKeys::Impl {
  struct Key {
    std::array<unsigned char, 16> name{};
    std::array<unsigned char, 32> cipher{};
    std::array<unsigned char, 32> mac{};
  };
  static constexpr std::size_t kept = 3; ///< the newest and two old ones

  Impl();
  ~Impl();
  Impl(const Impl &) = delete;
  Impl &operator=(const Impl &) = delete;
  void rotate();
  /// OpenSSL's contract: 1 fine, 2 fine but renew the ticket, 0 no such key, negative on failure.
  int use(unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher_context, EVP_MAC_CTX *mac_context,
          int encrypt);

private:
  std::mutex mutex_;
  std::array<Key, kept> keys_; ///< newest first
  std::size_t count_ = 0;
  CipherPtr cipher_;
};

struct Context::Impl {
  Role role = Role::client;
  const Profile *profile = nullptr;
  bool tickets = false;
  std::shared_ptr<TicketKeys> ticket_keys;
  BioMethodPtr socket_method;
  std::vector<SslCtxPtr> contexts; ///< the first is the default
  /// SNI: lower-case certificate names, "*.example.org" among them.
  std::unordered_map<std::string, SSL_CTX *> by_name;
};

} // namespace tls
