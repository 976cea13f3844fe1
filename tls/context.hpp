// Context: certificates, keys, trust and a profile, made ready for handshakes; wraps OpenSSL's SSL_CTX.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "smtp/base/result.hpp"
#include "tls/core/facts.hpp"
#include "tls/profile.hpp"

namespace tls {

/// A PEM certificate chain (leaf first) with its PEM key.
struct KeyPairFiles {
  std::string certificate;
  std::string key;
  friend bool operator==(const KeyPairFiles &, const KeyPairFiles &) = default;
};

/// Revocation lists, PEM or DER: a file, which must be there; or octets that were fetched, where what is missing or
/// damaged counts as no list, so that chains which need it fail.
struct CrlSource {
  std::string path;
  std::optional<std::string> fetched; ///< instead of the file
};

/// CA certificates to trust, and the revocation lists that chains are checked against. Thread-safe after load.
class TrustStore {
public:
  /// `trust` is "system" or the path of a PEM file. With any source of lists, every certificate below the trust anchor
  /// must be covered by a valid list (ChainFault::no_revocation) that does not name it (ChainFault::revoked). Errors
  /// name the file.
  [[nodiscard]] static smtp::Result<std::shared_ptr<const TrustStore>> load(const std::string &trust,
                                                                            const std::vector<CrlSource> &crls);
  /// The CAs of the operating system (OpenSSL's default file and directory).
  [[nodiscard]] static smtp::Result<std::shared_ptr<const TrustStore>> system();
  /// Only the CAs of this PEM file.
  [[nodiscard]] static smtp::Result<std::shared_ptr<const TrustStore>> from_file(const std::string &path);
  ~TrustStore();
  struct Impl;
  [[nodiscard]] const Impl &impl() const noexcept { return *impl_; }
  /// Of the certificates and lists as they were loaded, in whatever order: tells whether another load brought others.
  [[nodiscard]] std::uint64_t digest() const noexcept;
  explicit TrustStore(std::unique_ptr<Impl> impl);

private:
  std::unique_ptr<Impl> impl_;
};

/// The chain that a peer sent, kept to be verified after the handshake.
class PeerChain {
public:
  struct Impl;
  explicit PeerChain(std::unique_ptr<Impl> impl);
  ~PeerChain();
  [[nodiscard]] const Impl &impl() const noexcept { return *impl_; }

private:
  std::unique_ptr<Impl> impl_;
};

/// The purpose that the leaf must be allowed for. `client_or_server`: a partner's `accept_server_auth`.
enum class Purpose { server, client, client_or_server };

/// Builds and checks the chain at time `now`. No network. A null chain is "no certificate was presented".
[[nodiscard]] ChainVerdict verify_chain(const PeerChain *chain, const TrustStore &trust, Purpose purpose,
                                        std::chrono::system_clock::time_point now);

/// Session ticket keys for one process: the newest encrypts, the older ones still decrypt; rotate() is called by a
/// timer (default every 12 hours; two old keys kept). Shared by all server contexts, so a reload does not end
/// resumption. Thread-safe.
class TicketKeys {
public:
  TicketKeys();
  ~TicketKeys();
  void rotate();
  struct Impl;
  [[nodiscard]] Impl &impl() const noexcept { return *impl_; }

private:
  std::unique_ptr<Impl> impl_;
};

struct ServerContextOptions {
  std::string profile = "internet";
  std::vector<KeyPairFiles> certificates; ///< at least one; RSA and ECDSA side by side; SNI chooses by the names in
                                          ///< them, the first is the default
  bool ask_client_certificate = false;    ///< never required by the handshake: policy judges it
  std::string client_ca_hints;            ///< PEM file with CAs to name in the request; empty: none are named
  bool tickets = true;
};

struct ClientContextOptions {
  std::string profile = "internet";
  std::optional<KeyPairFiles> certificate; ///< shown when the server asks (mutual TLS)
};

/// Immutable after creation; shared between threads.
class Context {
public:
  /// Errors name the file: missing, unreadable, key does not match, key or signature too weak for the profile.
  [[nodiscard]] static smtp::Result<std::shared_ptr<const Context>> server(const ServerContextOptions &options,
                                                                           std::shared_ptr<TicketKeys> tickets);
  [[nodiscard]] static smtp::Result<std::shared_ptr<const Context>> client(const ClientContextOptions &options);
  ~Context();
  struct Impl;
  [[nodiscard]] const Impl &impl() const noexcept { return *impl_; }
  explicit Context(std::unique_ptr<Impl> impl);

private:
  std::unique_ptr<Impl> impl_;
};

} // namespace tls
