// The envelope's parameters: MAIL and RCPT with SIZE, BODY, SMTPUTF8, DSN and REQUIRETLS (RFC 1870, 6152, 6531, 3461,
// 8689).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "smtp/names/mailbox.hpp"

namespace smtp {

enum class BodyType : std::uint8_t { seven_bit, eight_bit_mime };

/// RFC 3461 section 4.3: RET=FULL or RET=HDRS.
enum class DsnReturn : std::uint8_t { unspecified, full, headers };

/// RFC 3461 section 4.1. `given` false: no NOTIFY parameter came, which means failure (and, by choice, delay).
struct Notify {
  bool given = false;
  bool never = false;
  bool success = false;
  bool failure = false;
  bool delay = false;
  friend bool operator==(const Notify &, const Notify &) = default;
};

struct MailParameters {
  std::optional<std::uint64_t> size; ///< octets, as the client announced (RFC 1870)
  BodyType body = BodyType::seven_bit;
  bool smtputf8 = false;
  bool requiretls = false; ///< RFC 8689 section 2: every hop must give TLS that it can trust, and promise the same
  DsnReturn ret = DsnReturn::unspecified;
  std::string envid; ///< decoded xtext, at most 100 octets on the wire; empty: not given
  friend bool operator==(const MailParameters &, const MailParameters &) = default;
};

/// RFC 3461 section 4.2: ORCPT=type;address, the address decoded.
struct OriginalRecipient {
  std::string type;    ///< "rfc822" or "utf-8"
  std::string address; ///< decoded
  friend bool operator==(const OriginalRecipient &, const OriginalRecipient &) = default;
};

struct RecipientParameters {
  Notify notify;
  std::optional<OriginalRecipient> orcpt;
  friend bool operator==(const RecipientParameters &, const RecipientParameters &) = default;
};

/// What MAIL said.
struct Sender {
  ReversePath path;
  MailParameters parameters;
  friend bool operator==(const Sender &, const Sender &) = default;
};

/// What RCPT said, once the daemon has turned <Postmaster> into a mailbox.
struct Recipient {
  Mailbox mailbox;
  RecipientParameters parameters;
  friend bool operator==(const Recipient &, const Recipient &) = default;
};

/// xtext (RFC 3461 section 4): decoding refuses octets outside 33-126; encoding covers '+', '=' and those. Many clients
/// write addresses as they are: a '+' without two hexadecimal digits behind it, and '=', stand for themselves.
[[nodiscard]] Result<std::string> decode_xtext(std::string_view text);
[[nodiscard]] std::string encode_xtext(std::string_view text);

/// The value of ORCPT, which utf8_address.hpp and encode_xtext write: "rfc822;" with xtext, "utf-8;" with \x{HEX}
/// escapes (RFC 6533 section 3). At most 500 octets; the decoded address is printable, so that it can stand in a
/// notification. What means no text when it is decoded is taken as written ("rfc822;bob+ff@example.org").
[[nodiscard]] Result<OriginalRecipient> parse_original_recipient(std::string_view text);

} // namespace smtp
