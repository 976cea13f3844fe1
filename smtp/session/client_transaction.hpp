// ClientTransaction: one message on an open client session, from MAIL to the final reply, with an outcome per
// recipient.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "smtp/session/client_session.hpp"
#include "smtp/wire/data_encoder.hpp"

namespace smtp {

/// Part of ClientSession, which reads the replies and owns the connection's state.
///
///   commands --354--> body --last part--> data_end --reply--> done
///   commands --354, nobody accepted--> empty_end --reply--> done
///   commands --all RCPT answered, CHUNKING--> chunks --reply to LAST--> done
///   commands --nobody to send to, or DATA refused--> done
class ClientTransaction {
public:
  /// `reset_first`: the transaction before ended midway, so RSET goes in front. `offered` must outlive this.
  ClientTransaction(Transaction transaction, const Capabilities &offered, bool reset_first);
  /// A transaction that is over before a word is said: every recipient gets `refusal`.
  static ClientTransaction refused(Transaction transaction, const Capabilities &offered, bool reset_first,
                                   const RecipientOutcome &refusal);

  /// A command or the message's end is unanswered.
  [[nodiscard]] bool expects_reply() const noexcept;
  /// Takes the reply to the oldest unanswered command. Errors: protocol, for a code that its command cannot have.
  [[nodiscard]] Result<void> on_reply(Reply reply);
  /// What to write, a request for a part of the message, or nothing: a reply must come first, or it is done or broken.
  [[nodiscard]] std::optional<std::variant<ClientSend, ClientNeedBody>> next();
  void give_body(std::string_view octets, bool last);

  [[nodiscard]] bool is_done() const noexcept { return phase_ == Phase::done; }
  /// Message data that must not leave was found after DATA began: the connection can only be closed.
  [[nodiscard]] const std::optional<Error> &body_error() const noexcept { return body_error_; }
  [[nodiscard]] bool is_broken() const noexcept { return body_error_ && phase_ == Phase::body; }
  /// The server still has the transaction open.
  [[nodiscard]] bool needs_reset() const noexcept { return reset_pending_ || (mail_accepted_ && !ended_by_data_); }
  /// All octets of the message were written and no reply came: it may have been delivered.
  [[nodiscard]] bool awaits_final_reply() const noexcept;
  /// Gives every undecided recipient a temporary outcome.
  void abandon(const Reply &reply, bool local);
  [[nodiscard]] std::vector<RecipientOutcome> take_outcomes() { return std::move(outcomes_); }
  [[nodiscard]] ClientSession::Waiting waiting() const noexcept;

private:
  enum class Phase : std::uint8_t { commands, body, data_end, empty_end, chunks, done };
  enum class Standing : std::uint8_t { undecided, accepted, decided };
  /// Commands by number: RSET, MAIL, then a RCPT for each recipient, then DATA.
  static constexpr std::size_t reset_step = 0;
  static constexpr std::size_t mail_step = 1;
  static constexpr std::size_t first_recipient_step = 2;
  [[nodiscard]] std::size_t data_step() const noexcept { return first_recipient_step + taken_; }

  [[nodiscard]] std::optional<ClientSend> next_commands();
  [[nodiscard]] std::optional<std::variant<ClientSend, ClientNeedBody>> next_body();
  [[nodiscard]] std::optional<std::variant<ClientSend, ClientNeedBody>> next_chunk();
  void append_command(std::string &out, std::size_t step);
  [[nodiscard]] Result<void> on_command_reply(std::size_t step, Reply reply);
  void on_recipient_reply(std::size_t recipient, Reply reply);
  void on_chunk_reply(Reply reply);
  void decide(std::size_t recipient, RecipientOutcome outcome);
  /// The same outcome for every recipient that is `standing`.
  void decide_all(Standing standing, const RecipientOutcome &outcome);
  void decide_accepted(const Reply &reply);
  void begin_block();

  Transaction transaction_;
  const Capabilities *offered_;
  bool smtputf8_ = false;
  bool reset_pending_ = false;
  bool mail_accepted_ = false;
  bool mail_refused_ = false;
  bool ended_by_data_ = false;
  Phase phase_ = Phase::commands;
  std::size_t taken_ = 0; ///< recipients of this transaction; the server's limit may be lower than what is asked
  std::size_t accepted_ = 0;
  std::size_t sent_ = 0;     ///< steps sent
  std::size_t answered_ = 0; ///< steps answered
  std::vector<RecipientOutcome> outcomes_;
  std::vector<Standing> standings_;

  DataEncoder encoder_;
  std::string block_;             ///< the encoded octets that are not written yet; a chunk begins with its command
  std::size_t block_command_ = 0; ///< length of the provisional BDAT command in front of block_
  bool body_complete_ = false;
  std::optional<Error> body_error_;
  std::size_t chunks_sent_ = 0;
  std::size_t chunks_answered_ = 0;
  bool last_chunk_sent_ = false;
  std::optional<Reply> chunk_refusal_;
};

} // namespace smtp
