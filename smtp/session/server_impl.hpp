// ServerSession::Impl: the state of one server session; private to smtp/session/server_*.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "smtp/session/server_session.hpp"
#include "smtp/wire/command.hpp"
#include "smtp/wire/data_decoder.hpp"

namespace smtp {

/// One session. step() does one thing at a time: a command, or a piece of a body; what comes of it is queued in
/// `actions_`.
struct ServerSession::Impl {
  // ---- states: each holds what is legal in it
  // ------------------------------------------------------------------------
  struct Start {}; ///< before EHLO or HELO
  struct Greeted {};
  struct InTransaction {
    Utf8 utf8 = Utf8::refused;
    std::size_t recipients = 0; ///< accepted ones
  };
  /// From the positive answer to BeginBody until the message is complete or refused; with BDAT also between the chunks.
  struct ReceivingBody {
    explicit ReceivingBody(DataDecoder given) noexcept : decoder(std::move(given)) {}
    DataDecoder decoder;
    std::uint64_t size = 0;       ///< handed out
    std::uint64_t drained = 0;    ///< read and thrown away since the refusal
    std::optional<Reply> refusal; ///< set: AbortBody was said, the rest is read only to find its end
    std::string closing;          ///< not empty: the reason for closing after the refusal, which is a bare CR or LF
    bool at_line_start = true;    ///< while closing: the octet before was CR or LF
    bool lone_dot = false;        ///< while closing: the line so far is a dot
    bool chunked = false;         ///< BDAT, not DATA
    bool reading = true;          ///< false between two chunks: commands are read
    ChunkCommand chunk;           ///< the chunk that is being read, its size as given
    std::uint64_t chunk_left = 0; ///< octets of it that are still to come
  };
  struct AwaitingTls {}; ///< StartTls was said
  struct Closed {};
  using State = std::variant<Start, Greeted, InTransaction, ReceivingBody, AwaitingTls, Closed>;

  /// The question that the edge has to answer.
  struct SenderQuestion {
    Utf8 utf8 = Utf8::refused;
  };
  struct RecipientQuestion {};
  struct BodyQuestion {
    std::optional<ChunkCommand> chunk;
  };
  struct MessageQuestion {};
  using Question = std::variant<std::monostate, SenderQuestion, RecipientQuestion, BodyQuestion, MessageQuestion>;

  /// Octets of a refused chunk that are still to come, and the reply that waits for them.
  struct Swallow {
    std::uint64_t octets = 0;
    Reply reply;
    std::string line; ///< for the log, where the session itself refuses it
  };

  explicit Impl(ServerOptions given);

  // ---- server_session.cpp: the loop
  // ----------------------------------------------------------------------------------
  [[nodiscard]] ServerAction next();
  /// True when something was done; false when octets are missing.
  bool step();
  bool step_command();
  [[nodiscard]] std::string_view unread() const noexcept { return std::string_view(input_).substr(consumed_); }
  [[nodiscard]] bool has_question() const noexcept { return !std::holds_alternative<std::monostate>(question_); }
  [[nodiscard]] bool is_reading_body() const noexcept {
    const auto *body = std::get_if<ReceivingBody>(&state_);
    return body != nullptr && body->reading;
  }
  void reply(const Reply &reply);
  void reply(std::uint16_t code, EnhancedCode enhanced, std::string_view text);
  /// Says in `send`, which `refusal` is about to be added to, what it is about.
  void note_own_refusal(Send &send, const Reply &refusal) const;
  /// A refusal that counts against Limits::errors.
  void refuse(const Reply &reply);
  void refuse(std::uint16_t code, EnhancedCode enhanced, std::string_view text);
  /// A refusal of a recipient: no error of the client's, and counted apart.
  void refuse_recipient(const Reply &reply);
  /// Counts a command that brings no mail on; false: it was one too many, and the session has been closed.
  [[nodiscard]] bool count_idle();
  /// A message was accepted: whatever went wrong before it is forgiven.
  void forgive() noexcept;
  /// AbortBody if a body is open, then Close.
  void close(std::string reason, bool at_clients_wish = false);
  void abort_body();
  void answer(const Reply &reply);

  // ---- server_commands.cpp
  // -------------------------------------------------------------------------------------------
  void run(const CommandLine &command);
  void run_hello(const CommandLine &command);
  void run_mail(std::string_view argument);
  void run_rcpt(std::string_view argument);
  void refuse_dsn();
  void run_data();
  void run_bdat(std::string_view argument);
  void run_starttls();
  void run_vrfy(std::string_view argument);
  /// RFC 8689 section 2: "Following the negotiation of STARTTLS, the SMTP server MUST advertise in the subsequent EHLO
  /// response that it supports REQUIRETLS"; before TLS it means nothing, and after HELO nothing was advertised.
  [[nodiscard]] bool takes_requiretls() const noexcept { return options_.offer_requiretls && in_tls_ && extended_; }

  // ---- server_body.cpp
  // -----------------------------------------------------------------------------------------------
  bool step_body();
  bool step_closing_body(ReceivingBody &body);
  bool step_swallow();
  void begin_body(const BodyQuestion &question);
  void refuse_chunk(const ChunkCommand &chunk, const Reply &reply);
  void refuse_body(ReceivingBody &body, Reply reply);
  /// One step of the decoder; false when it has used up `input`.
  bool take(ReceivingBody &body, const DataStep &step);
  void refuse_bare_line_end(ReceivingBody &body, bool cr);
  void end_chunk(ReceivingBody &body);
  void end_message(ReceivingBody &body);
  [[nodiscard]] Reply too_big() const;
  /// How much of a refused body is read before the connection is closed instead.
  [[nodiscard]] std::uint64_t drain_limit() const noexcept;

  ServerOptions options_;
  State state_;
  Question question_;
  std::optional<Swallow> swallow_;
  std::string input_;
  std::size_t consumed_ = 0; ///< octets of input_ that are done with
  std::vector<ServerAction> actions_;
  std::size_t next_action_ = 0;
  std::string helo_;
  bool extended_ = false;
  bool in_tls_ = false;
  bool body_open_ = false; ///< the edge holds something that AbortBody would throw away
  bool peer_closed_ = false;
  bool trusted_ = false;
  std::size_t errors_ = 0;
  std::size_t idle_commands_ = 0;
  std::size_t refused_recipients_ = 0;
  std::size_t deferred_recipients_ = 0;
  std::size_t transactions_ = 0;
  std::optional<std::string> shut_down_;
  std::string_view about_line_; ///< the command that is being run
  bool about_message_ = false;  ///< octets of a message are being read
};

} // namespace smtp
