// ClientSession: the client's side of one SMTP connection, without I/O; octets go in, actions come out.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "smtp/base/result.hpp"
#include "smtp/wire/envelope.hpp"
#include "smtp/wire/reply.hpp"

namespace smtp {

/// Whether the session asks for STARTTLS. The verdict over what TLS gave is not the session's: the edge judges it.
enum class StartTlsUse : std::uint8_t {
  never,      ///< the planned attempt in clear, level none, or implicit TLS
  if_offered, ///< opportunistic
  required,   ///< absent or refused is a failure of the session
};

struct ClientOptions {
  std::string hostname; ///< the EHLO argument
  StartTlsUse starttls = StartTlsUse::if_offered;
  bool inside_tls = false; ///< implicit TLS: the session begins inside TLS
  /// A host that greets or answers EHLO with `hostname` is ourselves, and the session fails (RFC 5321 section 5.1).
  bool own_name_is_loop = false;
};

/// What the server offered in its (last) EHLO reply.
struct Capabilities {
  bool extended = false; ///< false: only HELO worked
  bool starttls = false;
  bool pipelining = false;
  bool eight_bit_mime = false;
  bool smtputf8 = false;
  bool chunking = false;
  bool dsn = false;
  bool enhanced_status_codes = false;
  bool requiretls = false; ///< RFC 8689; the session passes over one that was said in clear
  bool size = false;
  std::uint64_t size_limit = 0;          ///< 0: offered without a limit, or not offered
  std::optional<std::size_t> rcpt_max{}; ///< LIMITS RCPTMAX (RFC 9422)
  std::optional<std::size_t> mail_max{}; ///< LIMITS MAILMAX
  friend bool operator==(const Capabilities &, const Capabilities &) = default;
};

/// One message for the open session. The body follows through give_body().
struct Transaction {
  Sender sender;
  std::vector<Recipient> recipients; ///< at least one
  std::uint64_t size = 0;            ///< octets of the message as it will be sent, before dot-stuffing
  bool has_8bit = false;             ///< the message holds octets above 127
  bool needs_smtputf8 = false;       ///< an address or a header field needs RFC 6531
};

/// What became of one recipient.
struct RecipientOutcome {
  enum class Kind : std::uint8_t { delivered, temporary, permanent };
  Kind kind = Kind::temporary;
  Reply reply;             ///< the server's, or one of ours (then `local`)
  bool local = false;      ///< the reply text is ours: the hop lacks what the message needs (5.6.3, 5.6.7, 5.3.4, …)
  bool dsn_passed = false; ///< the hop offered DSN and was given the parameters, so it owes the success notice
  bool lacking = false;    ///< nothing was asked: this hop lacks an extension, or takes no such size; another may do
};

// ---- actions --------------------------------------------------------------------------------------------------------

struct ClientWait {}; ///< read more octets, feed() them
struct ClientSend {
  std::string octets;
};                        ///< write these
struct ClientStartTls {}; ///< perform the handshake, then tls_done()
/// The session is greeted (again, after TLS) and can take a transaction, be reset, or quit.
struct ClientReady {};
/// Give the next part of the message with give_body(); called until the part marked last.
struct ClientNeedBody {};
/// The transaction is over; one outcome for each recipient, in order. The session is Ready again unless it then Closes.
struct TransactionDone {
  std::vector<RecipientOutcome> outcomes;
};
/// The session cannot go on; close the connection. The stage says what it means for a retry.
struct ClientFailed {
  enum class Stage : std::uint8_t {
    greeting,          ///< the server did not greet or refused us
    loop,              ///< it has our own name
    hello,             ///< EHLO and HELO were refused
    starttls_absent,   ///< required, but not offered
    starttls_refused,  ///< offered, but the command was answered 4xx or 5xx
    starttls_injected, ///< octets followed the 220 reply in clear (RFC 3207): an attack; never fall back on it
    protocol,          ///< the server sent what no SMTP server may
    transaction,       ///< lost or 421 in a transaction: every undecided recipient is temporary
  };
  Stage stage = Stage::protocol;
  std::optional<Reply> reply; ///< the reply that ended it, if there was one
  std::string detail;
  /// When a transaction was open: what is known of its recipients (delivered only if the final reply said so).
  std::vector<RecipientOutcome> outcomes;
  /// The message was sent whole, and no answer came that says what became of it: it may have been delivered.
  bool unsure = false;
};
struct ClientClosed {}; ///< QUIT was answered

using ClientAction = std::variant<ClientWait, ClientSend, ClientStartTls, ClientReady, ClientNeedBody, TransactionDone,
                                  ClientFailed, ClientClosed>;

/// One outgoing connection. Sequence: next()/feed() until ClientReady; begin(); next() … ClientNeedBody → give_body() …
/// TransactionDone; begin() again, or quit(). MAIL, RCPT… and DATA go out together where PIPELINING is offered; BDAT
/// where CHUNKING is (then nothing is dot-stuffed). Message data is checked on its way: bare CR, bare LF and NUL never
/// leave (one in stored data ends the transaction as a local permanent failure: after DATA with ClientFailed, for the
/// connection can then only be closed), leading dots are stuffed.
class ClientSession {
public:
  explicit ClientSession(ClientOptions options);
  ~ClientSession();
  ClientSession(ClientSession &&) noexcept;
  ClientSession &operator=(ClientSession &&) noexcept;

  void feed(std::string_view octets);
  /// The server closed the connection.
  void end_of_input();
  [[nodiscard]] ClientAction next();
  /// The handshake is done; capabilities are forgotten and EHLO is sent anew (RFC 3207 section 4.2).
  void tls_done();
  /// Allowed only after ClientReady or TransactionDone. A message that needs what the server does not offer ends
  /// without a word said: each recipient with a local outcome, 5.7.30 for REQUIRETLS (RFC 8689 section 4.2.1).
  void begin(Transaction transaction);
  /// The next part of the message; any cut. `last` ends it; the message must end in CRLF (one is added when missing).
  void give_body(std::string_view octets, bool last);
  /// Sends QUIT; ClientClosed follows.
  void quit();
  [[nodiscard]] const Capabilities &capabilities() const noexcept;
  /// Deadline for the next reply by the stage it is in (RFC 5321 section 4.5.3.2): greeting, mail, rcpt, data, block,
  /// final.
  enum class Waiting : std::uint8_t {
    greeting,
    hello,
    starttls,
    mail,
    recipient,
    data_start,
    data_block,
    data_end,
    quit,
    nothing
  };
  [[nodiscard]] Waiting waiting() const noexcept;
  /// Replies that were read whole so far. RFC 5321 section 4.5.3.2 gives a time to each reply: while this stays the
  /// same, further octets are no reason to wait longer.
  [[nodiscard]] std::size_t replies() const noexcept;

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace smtp
