#include "smtp/session/client_transaction.hpp"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "smtp/base/text.hpp"
#include "smtp/session/client_commands.hpp"

namespace smtp {

namespace {

using Kind = RecipientOutcome::Kind;

/// Unanswered commands at a time. RFC 2920 section 3.1: a client that writes more than both sides' buffers take,
/// without reading, may wait for ever; replies to this many commands fit.
constexpr std::size_t pipeline_window = 100;
/// Message octets gathered for one write of DATA, and for one chunk of BDAT.
constexpr std::size_t block_size = 65'536;
constexpr std::size_t chunk_size = 262'144;
/// Chunks on their way unanswered, so that a refusal stops a large message soon.
constexpr std::size_t chunk_window = 2;

Kind kind_of(const Reply &reply) noexcept {
  if (reply.code >= 500) return Kind::permanent;
  return reply.code >= 400 ? Kind::temporary : Kind::delivered;
}

tl::unexpected<Error> out_of_sequence(std::string_view command, const Reply &reply) {
  return fail(ErrorCode::protocol,
              fmt::format("{} cannot be answered with \"{}\"", command, escape(reply.to_line(), 100)));
}

/// RFC 5321 section 4.2.1: the first digit decides. But 220 greets and 221 says good-bye: they never answer a
/// transaction's command, and taking one for the reply to a message would call it delivered.
bool is_completion_or_refusal(const Reply &reply) noexcept {
  return (reply.code < 300 && reply.code != 220 && reply.code != 221) || reply.code >= 400;
}

/// RFC 5321 section 4.5.3.1.10: 552 to RCPT means too many recipients, and is to be treated as 452. With 5.2.2 it is a
/// full mailbox, which the queue waits for a time of its own (policy::RetrySchedule). Another enhanced code (no such
/// user, too big, forbidden) is believed: waiting would not change it. One of class 4 does not fit the reply, and is
/// not read as one.
bool is_passing_552(const Reply &reply) noexcept {
  if (reply.code != 552) return false;
  return !reply.enhanced || *reply.enhanced == EnhancedCode{5, 2, 2} || *reply.enhanced == EnhancedCode{5, 5, 3};
}

} // namespace

ClientTransaction::ClientTransaction(Transaction transaction, const Capabilities &offered, bool reset_first)
    : transaction_(std::move(transaction)), offered_(&offered), smtputf8_(needs_smtputf8(transaction_)),
      reset_pending_(reset_first), taken_(transaction_.recipients.size()), sent_(reset_first ? reset_step : mail_step),
      answered_(sent_), outcomes_(transaction_.recipients.size()),
      standings_(transaction_.recipients.size(), Standing::undecided),
      encoder_(offered.chunking ? DataForm::counted : DataForm::dot_stuffed) {
  if (!offered.rcpt_max || *offered.rcpt_max >= taken_) return;
  taken_ = *offered.rcpt_max;
  // RFC 9422 section 4.2: more would be refused; the rest goes with another transaction.
  const Reply later{452, EnhancedCode{4, 5, 3}, fmt::format("the server takes {} recipients in a transaction", taken_)};
  for (std::size_t i = taken_; i < outcomes_.size(); ++i)
    decide(i, {.kind = Kind::temporary, .reply = later, .local = true, .dsn_passed = false});
}

ClientTransaction ClientTransaction::refused(Transaction transaction, const Capabilities &offered, bool reset_first,
                                             const RecipientOutcome &refusal) {
  ClientTransaction over(std::move(transaction), offered, reset_first);
  std::fill(over.outcomes_.begin(), over.outcomes_.end(), refusal);
  over.phase_ = Phase::done;
  return over;
}

bool ClientTransaction::expects_reply() const noexcept {
  switch (phase_) {
  case Phase::commands: return sent_ > answered_;
  case Phase::data_end: return true;
  case Phase::empty_end: return block_.empty();
  case Phase::chunks: return chunks_sent_ > chunks_answered_;
  case Phase::body:
  case Phase::done: return false;
  }
  return false;
}

bool ClientTransaction::awaits_final_reply() const noexcept {
  return phase_ == Phase::data_end || (phase_ == Phase::chunks && last_chunk_sent_ && !chunk_refusal_);
}

std::optional<std::variant<ClientSend, ClientNeedBody>> ClientTransaction::next() {
  switch (phase_) {
  case Phase::commands: return next_commands();
  case Phase::body: return next_body();
  case Phase::chunks: return next_chunk();
  case Phase::empty_end:
    if (!block_.empty()) return ClientSend{std::exchange(block_, {})};
    return std::nullopt;
  case Phase::data_end:
  case Phase::done: return std::nullopt;
  }
  return std::nullopt;
}

std::optional<ClientSend> ClientTransaction::next_commands() {
  const std::size_t outstanding = sent_ - answered_;
  const std::size_t behind = data_step() + (offered_->chunking ? 0 : 1); // the step after the last one
  std::size_t group = 1;
  if (offered_->pipelining) {
    if (outstanding > pipeline_window / 2) return std::nullopt;
    group = pipeline_window - outstanding;
  } else if (outstanding > 0) {
    return std::nullopt;
  }
  std::string commands;
  for (; group > 0 && sent_ < behind && !mail_refused_; --group) {
    // DATA is worth sending while somebody may still be accepted.
    if (sent_ == data_step() && answered_ == sent_ && accepted_ == 0) break;
    append_command(commands, sent_++);
  }
  if (!commands.empty()) return ClientSend{std::move(commands)};
  return std::nullopt;
}

void ClientTransaction::append_command(std::string &out, std::size_t step) {
  if (step == reset_step)
    out += "RSET\r\n";
  else if (step == mail_step)
    append_mail_command(out, transaction_, *offered_);
  else if (step < data_step())
    append_recipient_command(out, transaction_.recipients[step - first_recipient_step], *offered_, smtputf8_);
  else
    out += "DATA\r\n";
}

Result<void> ClientTransaction::on_reply(Reply reply) {
  switch (phase_) {
  case Phase::commands: return on_command_reply(answered_++, std::move(reply));
  case Phase::data_end:
    if (!is_completion_or_refusal(reply) || reply.mixed) return out_of_sequence("the message", reply);
    ended_by_data_ = true;
    decide_accepted(reply);
    phase_ = Phase::done;
    return {};
  case Phase::empty_end: // RFC 2920 section 3.1: nobody was accepted, whatever this reply says
    ended_by_data_ = true;
    phase_ = Phase::done;
    return {};
  case Phase::chunks:
    if (!is_completion_or_refusal(reply) || reply.mixed) return out_of_sequence("BDAT", reply);
    on_chunk_reply(std::move(reply));
    return {};
  case Phase::body:
  case Phase::done: break;
  }
  return out_of_sequence("nothing", reply);
}

Result<void> ClientTransaction::on_command_reply(std::size_t step, Reply reply) {
  if (step == data_step()) {
    if (reply.code == 354) {
      phase_ = accepted_ > 0 ? Phase::body : Phase::empty_end;
      if (accepted_ == 0) block_ = ".\r\n";
      return {};
    }
    if (reply.is_positive()) return out_of_sequence("DATA", reply);
    decide_accepted(reply);
    phase_ = Phase::done;
    return {};
  }
  if (!is_completion_or_refusal(reply))
    return out_of_sequence(step == reset_step ? "RSET" : step == mail_step ? "MAIL" : "RCPT", reply);
  if (step == reset_step) {
    if (!reply.is_positive()) return out_of_sequence("RSET", reply);
    reset_pending_ = false;
  } else if (step == mail_step) {
    mail_accepted_ = reply.is_positive();
    mail_refused_ = !mail_accepted_;
    if (mail_refused_)
      decide_all(Standing::undecided,
                 {.kind = kind_of(reply), .reply = std::move(reply), .local = false, .dsn_passed = false});
  } else {
    on_recipient_reply(step - first_recipient_step, std::move(reply));
  }
  if (answered_ < sent_) return {};
  // Every command so far is answered. Done, when nobody is left to send to; RCPT may still be outstanding otherwise.
  const bool recipients_answered = answered_ >= data_step();
  if (mail_refused_ || (recipients_answered && accepted_ == 0))
    phase_ = Phase::done;
  else if (recipients_answered && offered_->chunking)
    phase_ = Phase::chunks;
  return {};
}

void ClientTransaction::on_recipient_reply(std::size_t recipient, Reply reply) {
  if (mail_refused_) return; // the MAIL reply is the reason; this one only follows from it
  if (reply.is_positive()) {
    // 250, 251 (will forward) and 252 (cannot verify, will try) all take the recipient: RFC 5321 section 3.4.
    standings_[recipient] = Standing::accepted;
    ++accepted_;
    return;
  }
  const auto kind = is_passing_552(reply) ? Kind::temporary : kind_of(reply);
  decide(recipient, {.kind = kind, .reply = std::move(reply), .local = false, .dsn_passed = false});
}

void ClientTransaction::decide(std::size_t recipient, RecipientOutcome outcome) {
  outcomes_[recipient] = std::move(outcome);
  standings_[recipient] = Standing::decided;
}

void ClientTransaction::decide_all(Standing standing, const RecipientOutcome &outcome) {
  for (std::size_t i = 0; i < outcomes_.size(); ++i)
    if (standings_[i] == standing) decide(i, outcome);
}

void ClientTransaction::decide_accepted(const Reply &reply) {
  RecipientOutcome outcome{.kind = kind_of(reply), .reply = reply, .local = false, .dsn_passed = false};
  for (std::size_t i = 0; i < taken_; ++i) {
    if (standings_[i] != Standing::accepted) continue;
    const auto &parameters = transaction_.recipients[i].parameters;
    // RFC 3461 section 5.2.2: who was given NOTIFY answers for the success notice.
    outcome.dsn_passed =
        outcome.kind == Kind::delivered && offered_->dsn && (parameters.notify.given || parameters.orcpt.has_value());
    decide(i, outcome);
  }
}

void ClientTransaction::abandon(const Reply &reply, bool local) {
  const RecipientOutcome outcome{.kind = Kind::temporary, .reply = reply, .local = local, .dsn_passed = false};
  decide_all(Standing::undecided, outcome);
  decide_all(Standing::accepted, outcome);
}

ClientSession::Waiting ClientTransaction::waiting() const noexcept {
  using Waiting = ClientSession::Waiting;
  switch (phase_) {
  case Phase::commands:
    if (answered_ <= mail_step) return Waiting::mail;
    return answered_ < data_step() ? Waiting::recipient : Waiting::data_start;
  case Phase::body: return Waiting::data_block;
  case Phase::chunks: return last_chunk_sent_ ? Waiting::data_end : Waiting::data_block;
  case Phase::data_end:
  case Phase::empty_end: return Waiting::data_end;
  case Phase::done: return Waiting::nothing;
  }
  return Waiting::nothing;
}

// ---- the message ----------------------------------------------------------------------------------------------------

void ClientTransaction::begin_block() {
  // The BDAT command stands in front of its octets; when the guess of their number is right, it need not be moved.
  if (block_command_ != 0 || phase_ != Phase::chunks) return;
  const auto left = transaction_.size - std::min(transaction_.size, encoder_.size());
  block_ = left <= chunk_size ? fmt::format("BDAT {} LAST\r\n", left) : fmt::format("BDAT {}\r\n", chunk_size);
  block_command_ = block_.size();
}

void ClientTransaction::give_body(std::string_view octets, bool last) {
  if ((phase_ != Phase::body && phase_ != Phase::chunks) || body_complete_ || body_error_ || chunk_refusal_) return;
  begin_block();
  // One allocation for the common case; stuffed dots are few.
  if (block_.capacity() < block_.size() + octets.size())
    block_.reserve(block_.size() + octets.size() + octets.size() / 64 + 16);
  auto encoded = encoder_.encode(octets, block_);
  if (encoded && last) {
    encoded = encoder_.finish(block_);
    body_complete_ = encoded.has_value();
  }
  if (encoded) return;
  body_error_ = std::move(encoded.error());
  decide_all(Standing::accepted,
             {.kind = Kind::permanent,
              .reply = Reply{554, EnhancedCode{5, 6, 0}, body_error_->detail + ", which may not be sent"},
              .local = true,
              .dsn_passed = false});
}

std::optional<std::variant<ClientSend, ClientNeedBody>> ClientTransaction::next_body() {
  if (body_error_) return std::nullopt;
  if (!body_complete_ && block_.size() < block_size) return ClientNeedBody{};
  if (body_complete_) phase_ = Phase::data_end;
  return ClientSend{std::exchange(block_, {})};
}

std::optional<std::variant<ClientSend, ClientNeedBody>> ClientTransaction::next_chunk() {
  const std::size_t outstanding = chunks_sent_ - chunks_answered_;
  if (last_chunk_sent_) return std::nullopt;
  if (body_error_ || chunk_refusal_) {
    if (outstanding == 0) phase_ = Phase::done;
    return std::nullopt;
  }
  if (outstanding >= (offered_->pipelining ? chunk_window : 1)) return std::nullopt;
  if (!body_complete_ && block_.size() < chunk_size + block_command_) return ClientNeedBody{};
  // RFC 3030 section 2: BDAT SP chunk-size [SP "LAST"] CRLF, then exactly that many octets.
  const auto command = fmt::format("BDAT {}{}\r\n", block_.size() - block_command_, body_complete_ ? " LAST" : "");
  block_.replace(0, block_command_, command);
  block_command_ = 0;
  ++chunks_sent_;
  last_chunk_sent_ = body_complete_;
  return ClientSend{std::exchange(block_, {})};
}

void ClientTransaction::on_chunk_reply(Reply reply) {
  const bool all_answered = ++chunks_answered_ == chunks_sent_;
  if (!reply.is_positive() && !chunk_refusal_) chunk_refusal_ = reply;
  if (!all_answered) return;
  if (chunk_refusal_) {
    // RFC 3030 section 2: a chunk that failed spoils the transaction, whatever the later ones were answered; RSET
    // follows.
    decide_accepted(*chunk_refusal_);
    phase_ = Phase::done;
  } else if (last_chunk_sent_) {
    ended_by_data_ = true;
    decide_accepted(reply);
    phase_ = Phase::done;
  }
}

} // namespace smtp
