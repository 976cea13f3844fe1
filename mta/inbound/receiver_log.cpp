// What the log is told of a session's refusals and of the mail that it took: by whom, for whom, and with which reply.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "mta/inbound/receiver.hpp"
#include "mta/inbound/reply.hpp"
#include "mta/queue/recipient_event.hpp"
#include "smtp/base/text.hpp"

namespace mta::inbound {

namespace {

/// Refusals of a session that have a line of their own between two accepted messages, where limits.errors does not say.
constexpr std::uint64_t refusal_lines = 10;
/// Of a client of ours: what became of its mail is asked for.
constexpr std::uint64_t refusal_lines_of_ours = 1'000;

/// "<a@x.example>,<b@x.example>", cut where the log would cut it.
std::string list_recipients(const QueuedMessage &message) {
  std::string text;
  for (const RecipientState &state : message.recipients) {
    if (text.size() > 1500) return text + ",...";
    if (!text.empty()) text += ',';
    text += state.recipient.mailbox.to_string();
  }
  return text;
}

} // namespace

/// One Send may hold the replies to many commands. Those that refuse() gave are logged already.
void Receiver::note_refusals(const smtp::Send &sent) {
  const std::string_view replies = sent.octets;
  std::size_t next = 0; // of the session's own
  for (std::size_t at = 0; at < replies.size();) {
    const std::string_view line = replies.substr(at, replies.find('\r', at) - at);
    const bool is_refusal = line.size() > 3 && (line[0] == '4' || line[0] == '5') && line[3] == ' ';
    const bool is_own = is_refusal && next < sent.refusals.size() && sent.refusals[next].at <= at;
    at += line.size() + 2;
    if (!is_refusal) continue;
    if (is_own || refusals_ahead_ == 0) {
      note_own_refusal(line, is_own ? &sent.refusals[next++] : nullptr);
    } else {
      --refusals_ahead_;
    }
  }
}

void Receiver::note_own_refusal(std::string_view reply, const smtp::OwnRefusal *own) {
  Refused about{.command = {}, .reason = {}, .sender = {}, .recipient = {}};
  // A listener that demands TLS: a policy, as that for certificates is.
  if (reply.starts_with("530 ")) about.level = LogLevel::warning;
  std::string verb;
  if (own != nullptr && own->message) {
    about.command = "message";
    if (message_) about.recipient = list_recipients(*message_);
  } else if (own != nullptr) {
    about.line = own->line;
    verb = smtp::to_upper(about.line.substr(0, about.line.find_first_of(" :")));
    about.command = verb;
    if (verb == "MAIL") about.sender = fmt::format("<{}>", named_path(about.line));
    if (verb == "RCPT") about.recipient = named_path(about.line);
  }
  log_refusal(reply, about);
}

void Receiver::refuse(smtp::Reply reply, const Refused &about) {
  if (about.command == "message" || about.command == "DATA")
    edge_.shared().messages_refused.fetch_add(1, std::memory_order_relaxed);
  log_refusal(reply.to_line(), about);
  ++refusals_ahead_;
  machine_.answer(std::move(reply));
}

smtp::Reply Receiver::note_storage_failure(std::string_view command, const smtp::Error &error) {
  const SpoolStatus status = edge_.shared().services.spool.status();
  smtp::Reply reply = storage_reply(error, status, in_force_.snapshot->config().spool);
  edge_.note_resource_refusal(resource_of(error, status), client_, command, reply, error.detail);
  return reply;
}

void Receiver::log_refusal(std::string_view reply, const Refused &about) {
  std::string sender = about.sender, recipient = about.recipient;
  if (sender.empty() && message_) sender = message_->envelope.sender.path.to_string();
  const bool is_message = about.command == "message" || about.command == "DATA";
  if (recipient.empty() && is_message && message_) recipient = list_recipients(*message_);
  const std::uint64_t errors = in_force_.snapshot->config().limits.smtp.errors;
  // As many lines as a session may make errors: a thousand unknown recipients make no thousand lines.
  const std::uint64_t most = trusted_ ? refusal_lines_of_ours : errors != 0 ? errors : refusal_lines;
  if (!refusals_.takes(most, about.level, recipient)) return;
  edge_.log().write(Event("refused", about.level)
                        .with("session", session_)
                        .with("client", client_.to_string())
                        .with_if("helo", machine_.facts().helo)
                        .with_if("from", sender)
                        .with_if("to", recipient)
                        .with_if("command", about.command)
                        .with_if("line", about.line)
                        .with("reply", reply)
                        .with_if("reason", about.reason));
}

void Receiver::sum_up_refusals() {
  const auto rest = refusals_.close();
  if (!rest) return;
  edge_.log().write(Event("refused_more", rest->level)
                        .with("session", session_)
                        .with("client", client_.to_string())
                        .with_if("helo", machine_.facts().helo)
                        .with_if("to", rest->recipients)
                        .with("count", rest->count)
                        .with("reason", fmt::format("{} more refusals, which have no line of their own", rest->count)));
}

void Receiver::log_policy(const smtp::ReversePath &sender, const policy::SenderVerdict &verdict) {
  // Of refusals some between two accepted messages, as of their own lines. Else not for every message of a long
  // session: each accepted message's own line says the same.
  if ((verdict.refusal ? policy_refusals_ : policy_lines_)++ >= refusal_lines) return;
  edge_.log().write(Event("inbound_policy", verdict.refusal ? LogLevel::warning : LogLevel::info)
                        .with("session", session_)
                        .with("client", client_.to_string())
                        .with_if("helo", machine_.facts().helo)
                        .with("from", sender.to_string())
                        .with("mode", policy::to_string(verdict.mode))
                        .with("would", "refuse")
                        .with("tls_wanted", tls::to_string(verdict.wanted))
                        .with("rule", verdict.rule)
                        .with("reason", verdict.reason));
}

void Receiver::log_accepted(const smtp::Reply &reply) {
  const Envelope &envelope = message_->envelope;
  const bool has_one = message_->recipients.size() == 1;
  edge_.log().write(Event("accepted")
                        .with("session", session_)
                        .with("id", message_->id.to_string())
                        .with("client", client_.to_string())
                        .with_if("helo", machine_.facts().helo)
                        .with("from", envelope.sender.path.to_string())
                        .with_if("to", has_one ? message_->recipients[0].recipient.mailbox.to_string() : std::string())
                        .with("to_count", static_cast<std::uint64_t>(message_->recipients.size()))
                        .with("size", envelope.body_size)
                        .with("tls", envelope.tls_in.empty() ? "none" : envelope.tls_in)
                        .with_if("rule", rule_)
                        .with_if("policy", rule_.empty()       ? ""
                                           : observed_failure_ ? "observed_failure"
                                                               : "satisfied")
                        .with_if("held", message_->held ? message_->hold_reason : std::string())
                        .with_if("message_id", envelope.message_id)
                        .with_if("status", has_one ? "queued" : "")
                        .with("reply", reply.to_line()));
  if (has_one) return;
  for (const RecipientState &state : message_->recipients)
    edge_.log().write(recipient_event(message_->id, state, "queued").with("reply", reply.to_line()));
}

} // namespace mta::inbound
