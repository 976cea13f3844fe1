#include "mta/outbound/attempt.hpp"

namespace mta {

const char *to_string(AttemptResult result) noexcept {
  switch (result) {
  case AttemptResult::delivered: return "delivered";
  case AttemptResult::partly: return "partly";
  case AttemptResult::temporary: return "temporary";
  case AttemptResult::permanent: return "permanent";
  case AttemptResult::next_host: return "next_host";
  }
  return "?";
}

std::string label_host(std::string_view name, std::string_view address) {
  std::string label;
  label.reserve(name.size() + address.size() + 2);
  label += name;
  if (!address.empty()) {
    label += '[';
    label += address;
    label += ']';
  }
  return label;
}

std::string Attempt::host_label() const {
  return label_host(host, address);
}

Event to_event(const Attempt &attempt) {
  const bool good = attempt.result == AttemptResult::delivered;
  auto event = Event("delivery", good ? LogLevel::info : LogLevel::warning)
                   .with("id", attempt.id.to_string())
                   .with("from", attempt.sender)
                   .with("to", attempt.to);
  event = std::move(event).with("recipients", static_cast<std::uint64_t>(attempt.recipients));
  if (attempt.result == AttemptResult::partly)
    event = std::move(event)
                .with("delivered", static_cast<std::uint64_t>(attempt.delivered))
                .with("refused", static_cast<std::uint64_t>(attempt.refused));
  event = std::move(event).with_if("host", attempt.host).with_if("ip", attempt.address);
  if (!attempt.address.empty()) event = std::move(event).with("port", static_cast<std::uint64_t>(attempt.port));
  if (attempt.reused) event = std::move(event).with("reused", true);
  event = std::move(event)
              .with("tls_wanted", tls::to_string(attempt.wanted))
              .with("tls_got", tls::to_string(attempt.got()))
              .with("rule", attempt.rule)
              .with("verdict", attempt.verdict ? policy::to_string(attempt.verdict->kind) : "not_judged");
  if (attempt.verdict) event = std::move(event).with_if("verdict_reason", attempt.verdict->reason);
  event = std::move(event).with_if("tls_problem", attempt.tls_problem);
  if (attempt.version)
    event = std::move(event)
                .with("tls_version", tls::to_string(*attempt.version))
                .with("tls_suite", attempt.suite)
                .with_if("certificate", attempt.certificate);
  if (attempt.fallback) event = std::move(event).with("fallback", true);
  if (attempt.wish != policy::Wish::none) event = std::move(event).with("wish", policy::to_string(attempt.wish));
  event = std::move(event).with_if("override_by", attempt.override_by);
  if (!attempt.observed_rule.empty() && attempt.observed) {
    event = std::move(event)
                .with("observed_rule", attempt.observed_rule)
                .with("observed_wanted", tls::to_string(attempt.observed_level))
                .with("would_refuse", !attempt.observed->ok());
    if (!attempt.observed->ok()) event = std::move(event).with("would_refuse_reason", attempt.observed->reason);
  }
  event = std::move(event).with("result", to_string(attempt.result));
  // As the line of one of several recipients has it (recipient_event).
  if (attempt.recipients == 1)
    event = std::move(event).with("status", attempt.result == AttemptResult::delivered   ? "delivered"
                                            : attempt.result == AttemptResult::permanent ? "failed"
                                                                                         : "deferred");
  if (attempt.cause != FailureCause::none) event = std::move(event).with("cause", to_string(attempt.cause));
  if (attempt.reply.code != 0) event = std::move(event).with("reply", attempt.reply.to_line());
  event = std::move(event).with_if("detail", attempt.detail);
  if (attempt.size != 0) event = std::move(event).with("size", attempt.size);
  return std::move(event).with("ms", static_cast<std::int64_t>(attempt.duration.count()));
}

DecisionNote to_note(const Attempt &attempt, const QueuedMessage &message,
                     std::shared_ptr<const std::string> decision) {
  DecisionNote note;
  note.id = attempt.id.value;
  note.time = std::chrono::system_clock::now();
  note.domain = attempt.domain;
  note.host = attempt.host;
  note.address = attempt.address;
  note.decision = std::move(decision);
  if (attempt.verdict) {
    note.verdict = attempt.verdict->kind;
    note.reason = attempt.verdict->reason;
  }
  if (note.reason.empty()) note.reason = attempt.tls_problem.empty() ? attempt.detail : attempt.tls_problem;
  note.result = to_string(attempt.result);
  if (attempt.reply.code != 0) note.reply = attempt.reply.to_line();
  note.sender = attempt.sender;
  note.recipients.reserve(attempt.tried.size());
  for (const TriedRecipient &one : attempt.tried) {
    if (one.index >= message.recipients.size()) continue;
    // The common reply is kept once.
    const bool has_own = one.reply.code != 0 && !(one.reply == attempt.reply);
    note.recipients.push_back({.address = message.recipients[one.index].recipient.mailbox.to_string(),
                               .status = one.status,
                               .reply = has_own ? one.reply.to_line() : std::string()});
  }
  note.certificate = attempt.certificate;
  note.chain_digest = attempt.chain_digest;
  if (attempt.observed) {
    note.observed = attempt.observed->kind;
    if (!attempt.observed->ok()) note.observed_reason = attempt.observed->reason;
  }
  return note;
}

Event to_fallback_event(const Attempt &attempt, std::string_view reason) {
  return Event("tls_fallback", LogLevel::warning)
      .with("id", attempt.id.to_string())
      .with("to", attempt.to)
      .with("host", attempt.host)
      .with("ip", attempt.address)
      .with("tls_wanted", tls::to_string(attempt.wanted))
      .with("rule", attempt.rule)
      .with("reason", reason);
}

} // namespace mta
