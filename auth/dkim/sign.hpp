// DkimSigner: makes the DKIM-Signature fields of one message while its body streams by (RFC 6376 section 5).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/core/header_fields.hpp"
#include "auth/dkim/canonical.hpp"
#include "auth/dkim/signing_key.hpp"
#include "smtp/base/result.hpp"

namespace auth {

/// From, Subject, Date, To, Cc, Reply-To, Message-ID, MIME-Version, Content-Type: signed as often as they occur and
/// once more, so that none can be added (RFC 6376 section 5.4 and 8.15).
[[nodiscard]] const std::vector<std::string> &oversigned_headers();
/// Signed where they occur: the other fields of RFC 6376 section 5.4.1, and List-Unsubscribe(-Post) (RFC 8058 section
/// 4).
[[nodiscard]] const std::vector<std::string> &signed_headers();

struct SignOptions {
  std::string domain;   ///< d=
  std::string selector; ///< s=
  std::int64_t now = 0; ///< t=, Unix seconds
  std::vector<std::string> oversigned = oversigned_headers();
  std::vector<std::string> headers = signed_headers();
  std::string identity;                  ///< i=; empty: not written, which means "@" and d=
  std::optional<std::int64_t> valid_for; ///< seconds from now to x=
  Canonical header = Canonical::relaxed;
  Canonical body = Canonical::relaxed;
};

struct SigningIdentity {
  std::shared_ptr<const SigningKey> key;
  SignOptions options;
};

/// Several keys at once, RSA and Ed25519 together: one body hash for all with the same canonicalisation.
class DkimSigner {
public:
  /// `fields` is not kept.
  DkimSigner(const HeaderFields &fields, std::vector<SigningIdentity> identities);
  ~DkimSigner();
  DkimSigner(DkimSigner &&) noexcept;
  DkimSigner &operator=(DkimSigner &&) noexcept;

  /// CRLF lines, any cut; nothing of it is kept.
  void body(std::string_view octets);
  /// The body is complete: one DKIM-Signature field for each key in the order given, folded, each with its final CRLF,
  /// to be put in front of the message. Call once. Errors: bad_syntax when the message has no From field or a domain,
  /// selector or identity cannot stand in a signature; protocol when the library cannot sign.
  [[nodiscard]] smtp::Result<std::string> end();

private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

} // namespace auth
