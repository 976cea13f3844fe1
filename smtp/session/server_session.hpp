// ServerSession: the server's side of one SMTP connection, without I/O; octets and answers go in, actions come out.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "smtp/names/mailbox.hpp"
#include "smtp/wire/data_decoder.hpp"
#include "smtp/wire/envelope.hpp"
#include "smtp/wire/limits.hpp"
#include "smtp/wire/reply.hpp"

namespace smtp {

struct ServerOptions {
  std::string hostname; ///< our name in the greeting and the EHLO reply
  Limits limits;
  bool offer_starttls = true;
  bool offer_requiretls = true; ///< REQUIRETLS (RFC 8689), inside TLS only
  bool offer_dsn = true;        ///< DSN (RFC 3461)
  BareLf bare_lf = BareLf::refuse;
  bool require_tls = false;       ///< before TLS only EHLO, NOOP, QUIT and STARTTLS are done (RFC 3207 section 4)
  bool tls_from_start = false;    ///< implicit TLS: the session begins inside TLS
  std::string sender_origin{};    ///< the domain of a sender that comes without one; empty: 501
  std::string recipient_origin{}; ///< the same of a recipient
};

// ---- actions: what the edge does next -------------------------------------------------------------------------------

/// Read more octets and feed() them, or answer() the question that is open.
struct Wait {
  friend bool operator==(const Wait &, const Wait &) = default;
};
/// What the session refused by itself, without a question, for the log.
struct OwnRefusal {
  std::size_t at = 0;   ///< where its reply begins in Send::octets
  std::string line;     ///< the command line, cut at 300 octets; empty: no command of ours. Of AUTH the verb alone
  bool message = false; ///< it is about the message that was being received, not about a command
};
/// Write these octets. The edge may gather several and write them at the next Wait, question or Close.
struct Send {
  std::string octets;
  std::vector<OwnRefusal> refusals = {}; ///< in the order of their replies
  friend bool operator==(const Send &left, const Send &right) { return left.octets == right.octets; }
};
/// The 220 reply was sent as the action before; perform the handshake now, then call tls_done(), or drop the
/// connection.
struct StartTls {
  friend bool operator==(const StartTls &, const StartTls &) = default;
};
/// MAIL: judge the sender and answer().
struct AskSender {
  Sender sender;
  friend bool operator==(const AskSender &, const AskSender &) = default;
};
/// RCPT: judge the recipient and answer().
struct AskRecipient {
  ForwardPath path;
  RecipientParameters parameters;
  friend bool operator==(const AskRecipient &, const AskRecipient &) = default;
};
/// DATA or the first BDAT: open a place for the message. answer() with a negative reply refuses it (DATA: at once;
/// BDAT: the chunk is read and discarded first); answer() with any positive reply goes on.
struct BeginBody {
  friend bool operator==(const BeginBody &, const BeginBody &) = default;
};
/// Message octets: dot-stuffing undone, CRLF line ends. Valid only until the next call of feed() or next().
struct Body {
  std::string_view octets;
  friend bool operator==(const Body &, const Body &) = default;
};
/// The message is complete: commit it, then answer() with 250 and the queue id, or a refusal.
struct AskMessage {
  std::uint64_t size = 0; ///< octets of body handed out
  friend bool operator==(const AskMessage &, const AskMessage &) = default;
};
/// The message is not to be kept (limit passed, bare line end, client reset): throw away what was written since
/// BeginBody.
struct AbortBody {
  friend bool operator==(const AbortBody &, const AbortBody &) = default;
};
/// Write what is gathered, close the connection. `reason` is for the log.
struct Close {
  std::string reason;
  bool at_clients_wish = false; ///< QUIT, or the client has closed: it sends nothing more that would have to be heard
  friend bool operator==(const Close &, const Close &) = default;
};

using ServerAction =
    std::variant<Wait, Send, StartTls, AskSender, AskRecipient, BeginBody, Body, AskMessage, AbortBody, Close>;

/// What the session knows of itself, for the Received field and the log.
struct ServerFacts {
  std::string helo;      ///< the argument of the last EHLO or HELO, as sent (printable)
  bool extended = false; ///< EHLO, not HELO
  bool in_tls = false;
  std::size_t errors = 0;
  std::size_t refused_recipients = 0; ///< for good, since the last accepted message
  bool in_transaction = false;
};

/// One connection. The order of calls: greet() once (or refuse()), then loop: next() until Wait, feed() what was read.
///
///   Start --EHLO/HELO--> Greeted --MAIL--> InTransaction --DATA/BDAT--> ReceivingBody --end--> Greeted
///     any --STARTTLS--> Start (inside TLS)      any --QUIT, limit, bare CR or LF--> Closed
///
/// A bare CR or LF within a message refuses it: it is read on to what may be its end, so that the client listens when
/// the reply comes, and the session closes without having run anything behind it.
///
/// Pipelining (RFC 2920) is native: one feed may hold many commands. While a question is open next() returns Wait.
/// Memory: the unread rest of what was fed, bounded by the edge's read size plus one line.
class ServerSession {
public:
  explicit ServerSession(ServerOptions options);
  ~ServerSession();
  ServerSession(ServerSession &&) noexcept;
  ServerSession &operator=(ServerSession &&) noexcept;

  /// Queues the 220 greeting.
  void greet();
  /// Queues `reply` (e.g. 554 or 421) and Close, at any moment; a message that is being received is aborted, an open
  /// question is void.
  void refuse(const Reply &reply);
  /// Octets read from the peer, any cut.
  void feed(std::string_view octets);
  /// The peer closed its side; an unfinished message is aborted.
  void end_of_input();
  [[nodiscard]] ServerAction next();
  /// Answers the last Ask… or BeginBody; a positive reply advances the state. After a reply with code 421 the session
  /// closes.
  void answer(Reply reply);
  /// The handshake that StartTls asked for is done: all earlier state is forgotten (RFC 3207 section 4.2).
  void tls_done();
  /// The client is one of ours: Limits::idle_commands and refused_recipients do not hold.
  void trust_client() noexcept;
  /// What a message that is only read to its end will be answered with; nothing while none is refused.
  [[nodiscard]] std::optional<Reply> pending_refusal() const;
  [[nodiscard]] bool is_reading_refused_message() const noexcept;
  /// Says 421 with `text` at the next point where no message is at stake, then Close (shutdown, timeouts).
  void shut_down(std::string text);
  /// True when no transaction is open and nothing is buffered: the session can be ended without loss.
  [[nodiscard]] bool is_idle() const noexcept;
  [[nodiscard]] ServerFacts facts() const;

private:
  struct Impl; ///< smtp/session/server_impl.hpp
  std::unique_ptr<Impl> impl_;
};

} // namespace smtp
