// Signature: the tags of a DKIM-Signature or ARC-Message-Signature field, vetted (RFC 6376 sections 3.5 and 6.1.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/core/tag_list.hpp"
#include "auth/dkim/canonical.hpp"
#include "auth/dkim/digest.hpp"
#include "auth/dkim/key_record.hpp"
#include "smtp/base/result.hpp"

namespace auth {

/// More names in h= are not computed.
inline constexpr std::size_t max_signed_names = 1000;

/// What says who signed, which all fields of DKIM and ARC have in common.
struct SignatureBase {
  std::string domain;    ///< d=, lower case A-labels
  std::string selector;  ///< s=, lower case A-labels
  std::string algorithm; ///< a=, lower case
  KeyType key_type = KeyType::rsa;
  HashKind hash = HashKind::sha256;
  std::string signature; ///< b=, base64 undone
  std::string start;     ///< the first 8 characters of b=

  /// The name of the key's TXT record.
  [[nodiscard]] std::string key_name() const;
};

struct Signature : SignatureBase {
  Canonical header = Canonical::simple;
  Canonical body = Canonical::simple;
  std::vector<std::string> names;         ///< h=, as sent, without empty ones
  std::string body_hash;                  ///< bh=, base64 undone
  std::optional<std::uint64_t> length;    ///< l=
  std::string identity;                   ///< i= as sent, or "@" and d=
  std::string identity_local;             ///< in front of its last '@', quoted-printable undone
  std::string identity_domain;            ///< behind it, lower case A-labels
  std::optional<std::uint64_t> signed_at; ///< t=
  std::optional<std::uint64_t> expires;   ///< x=
};

/// Reads d=, s=, a= and b=; everything that it could read is in `base` also when it fails. Errors (bad_syntax): a tag
/// is missing, empty or malformed; `a` is none of rsa-sha1, rsa-sha256, ed25519-sha256.
[[nodiscard]] smtp::Result<void> read_base(const TagList &tags, SignatureBase &base);
/// What is read: signatures of RFC 6376 only, or also those of the drafts before RFC 4871, without v= or with v=0.5.
enum class Dialect : std::uint8_t { rfc6376, drafts };

/// The same for a whole DKIM-Signature: v=, c=, h=, bh=, l=, i=, q=, t=, x= too. The time is not looked at.
[[nodiscard]] smtp::Result<void> read_dkim_signature(std::string_view value, Dialect dialect, Signature &signature);
/// What the two kinds of message signature have in common: all but v=, i= and q=.
[[nodiscard]] smtp::Result<void> read_message_signature(const TagList &tags, Signature &signature);
/// A number of seconds: digits only. Errors: anything else.
[[nodiscard]] smtp::Result<std::optional<std::uint64_t>> read_time(const TagList &tags, std::string_view name);

/// `text` with a '?' for each octet that is not printable ASCII: reasons hold words of strangers.
[[nodiscard]] std::string to_printable(std::string text);

/// A field's value with the value of b= taken out, white space around it too (RFC 6376 section 3.5, b=).
[[nodiscard]] std::string without_signature(std::string_view value);

} // namespace auth
