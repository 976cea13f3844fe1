// SMTP commands as values: verbs, MAIL and RCPT with their paths and parameters, BDAT (RFC 5321 section 4.1).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "smtp/names/mailbox.hpp"
#include "smtp/wire/envelope.hpp"
#include "smtp/wire/reply.hpp"

namespace smtp {

enum class Verb : std::uint8_t {
  ehlo,
  helo,
  mail,
  rcpt,
  data,
  bdat,
  rset,
  noop,
  vrfy,
  help,
  quit,
  starttls,
  not_implemented, ///< known to some RFC, not to us: EXPN, ETRN, TURN, ATRN, SEND, SOML, SAML, AUTH
  http,            ///< a browser, or someone who drives one: GET, POST, CONNECT, …
  unknown,
};

/// One command line without CRLF and without white space at its end.
struct CommandLine {
  Verb verb = Verb::unknown;
  std::string_view word;     ///< the verb as written
  std::string_view argument; ///< what follows it, without white space in front
};

/// Cuts a line in verb and argument. Verbs ignore case (RFC 5321 section 2.4). Views of `line`.
[[nodiscard]] CommandLine split_command(std::string_view line) noexcept;

/// A line's limit with CRLF: `base` (512) and what the extensions that we announce add to this verb: MAIL SIZE 26 (RFC
/// 1870), BODY 17 (RFC 6152), SMTPUTF8 10 (RFC 6531), RET and ENVID 116, REQUIRETLS 11 (RFC 8689); RCPT SMTPUTF8 10,
/// NOTIFY and ORCPT 536 (RFC 3461).
[[nodiscard]] std::size_t line_limit(Verb verb, std::size_t base) noexcept;
/// The largest of them.
[[nodiscard]] std::size_t longest_line_limit(std::size_t base) noexcept;

/// A parsed command, or the reply that refuses it.
template <typename T> using Parsed = tl::expected<T, Reply>;

/// The argument of EHLO or HELO: its first word, 1 to 255 graphic ASCII octets. What it names is policy's matter.
[[nodiscard]] Parsed<std::string> parse_hello(std::string_view argument);

/// "FROM:" Reverse-path [SP Mail-parameters]. Tolerated, as most servers do: white space after the colon, and a mailbox
/// without angle brackets. Unknown parameter: 555; repeated or malformed: 501; BODY=BINARYMIME: 504; non-ASCII address
/// without SMTPUTF8: 553. Whether REQUIRETLS may be said now is the session's matter. `origin`: the domain of an
/// address that comes without one (<root>); empty: such an address is refused.
[[nodiscard]] Parsed<Sender> parse_mail(std::string_view argument, std::string_view origin = {});

struct RecipientCommand {
  ForwardPath path;
  RecipientParameters parameters;
};
/// "TO:" Forward-path [SP Rcpt-parameters], with the same tolerance. `utf8`: what MAIL said. <Postmaster> needs no
/// domain.
enum class Utf8 : std::uint8_t { refused, allowed };
[[nodiscard]] Parsed<RecipientCommand> parse_rcpt(std::string_view argument, Utf8 utf8, std::string_view origin = {});

/// RFC 3030 section 2: "BDAT" SP chunk-size [SP "LAST"].
struct ChunkCommand {
  std::uint64_t size = 0;
  bool last = false;
};
/// After an error nobody knows how many octets follow: the connection must close.
[[nodiscard]] Parsed<ChunkCommand> parse_bdat(std::string_view argument);

} // namespace smtp
