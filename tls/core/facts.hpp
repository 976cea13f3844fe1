// Facts: what one TLS handshake gave, as plain values that policy can judge; no OpenSSL here.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tls {

enum class Version : std::uint8_t { tls1_0, tls1_1, tls1_2, tls1_3 };
[[nodiscard]] const char *to_string(Version version) noexcept; ///< "TLSv1.2"

/// One certificate, as far as policy needs it.
struct CertificateFacts {
  std::string subject; ///< RFC 2253 text, for people
  std::string issuer;
  std::vector<std::string>
      dns_names;           ///< every subjectAltName dNSName, lower case; a common name is none (RFC 9525 section 2)
  std::string spki_sha256; ///< base64 of SHA-256 over the SubjectPublicKeyInfo, as in pins "sha256//…"
  std::string fingerprint_sha256; ///< lower-case hex over the certificate
  std::string key_type;           ///< "RSA" or "EC" or OpenSSL's name
  int key_bits = 0;
  std::chrono::system_clock::time_point not_before;
  std::chrono::system_clock::time_point not_after;
  friend bool operator==(const CertificateFacts &, const CertificateFacts &) = default;
};

/// What kind of failure a chain had, for those who count.
enum class ChainFault : std::uint8_t {
  none,
  expired,       ///< a certificate of the chain is past its end, or not yet valid
  untrusted,     ///< unknown CA, self-signed, bad signature, wrong purpose, a weak key
  revoked,       ///< a CRL lists it
  no_revocation, ///< CRLs are demanded, and there is none that is valid for it
};

/// The result of building a chain from the peer's certificate to a trust store.
struct ChainVerdict {
  bool trusted = false;
  std::string reason; ///< when not trusted: "certificate has expired", "self-signed certificate", …; else empty
  ChainFault fault = ChainFault::none;
  /// When trusted: the keys of the chain that was verified, from the leaf to the anchor, as CertificateFacts has them.
  /// What the peer sent beside it is not among them, and an anchor that it did not send is.
  std::vector<std::string> keys{};
  friend bool operator==(const ChainVerdict &, const ChainVerdict &) = default;
};

/// What one store of CAs said of the chain, under a name that finds it again (policy::trust_key).
struct StoreVerdict {
  std::string store;
  ChainVerdict verdict;
  friend bool operator==(const StoreVerdict &, const StoreVerdict &) = default;
};

/// Why a TLSA set was not matched, for those who count.
enum class DaneFault : std::uint8_t {
  none,
  no_match,   ///< no record is of this certificate, or of a CA above it
  wrong_name, ///< usage 2: the chain is right, the names are not
  expired,    ///< usage 2: a certificate of the chain is past its end, or not yet valid
};

/// The peer's chain against a TLSA set (RFC 7671, RFC 7672 section 3).
struct DaneVerdict {
  bool matched = false;
  std::string reason; ///< when not matched: what was wrong; else which record matched: "3 1 1 at depth 0"
  std::string name;   ///< usage 2: the certificate name that satisfied a reference
  DaneFault fault = DaneFault::none;
  friend bool operator==(const DaneVerdict &, const DaneVerdict &) = default;
};

/// What the handshake gave. `encrypted` false: no TLS; everything else is then empty.
struct Facts {
  bool encrypted = false;
  Version version = Version::tls1_2;
  std::string suite; ///< "TLS_AES_256_GCM_SHA384", "ECDHE-RSA-AES128-GCM-SHA256"
  int bits = 0;
  std::string group; ///< key exchange group when known: "X25519", "prime256v1"
  bool resumed = false;
  std::vector<CertificateFacts> chain; ///< as the peer sent it, leaf first; empty: no certificate
  /// The chain judged against the trust store that the requirement names; nothing when it was not asked for.
  std::optional<ChainVerdict> verdict;
  /// The same against the stores of demands that hold beside it.
  std::vector<StoreVerdict> others{};
  /// The chain judged against the TLSA records of the requirement; nothing when there are none.
  std::optional<DaneVerdict> dane;
  friend bool operator==(const Facts &, const Facts &) = default;
};

} // namespace tls
