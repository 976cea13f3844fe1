//
//   envelope = 'E' version sender arrival expires trace sizes flags texts hold-reason count *( recipient )
//              ; version 1 lacks the hold-reason; empty: not held
//              ; versions 1 and 2 lack the last four flags: is_tls_report, tls_optional, requiretls, from_outside;
//              ; version 3 lacks the last of them
//              ; versions 1 to 4 lack what follows them: standing, failures_only, is_report
//   update   = 'U' version held hold-reason override held_since passes_holds expires count *( %x00 / %x01 state )
//              ; %x00: never tried, as the envelope left it
//              ; versions 1 and 2 lack held_since and passes_holds behind the override, and redirected_from in a state
//   override = %x00 / %x01 level reason by when   ; version 1 lacks it
//   expires                                       ; versions 1 and 2 lack it: as the envelope says
#include "mta/queue/message.hpp"

#include <algorithm>
#include <unordered_map>

#include "mta/queue/octets.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

constexpr std::uint8_t envelope_version = 5;
constexpr std::uint8_t update_version = 3;
/// The most that a decoder takes of each field. Texts for people are cut to it when they are written; all else has
/// passed tighter limits before it came here.
constexpr std::size_t address_limit = 1024;
constexpr std::size_t line_limit = 4096;
constexpr std::size_t reply_limit = 65'536; // as ReplyParser
constexpr std::size_t trace_limit = 1'048'576;
/// What the texts of an update may take together: the spool takes blobs up to 64 MiB.
constexpr std::size_t all_texts_limit = 48U << 20U;

enum NotifyBit : std::uint8_t { given = 1, never = 2, success = 4, failure = 8, delay = 16 };

std::uint8_t pack(const smtp::Notify &notify) {
  return static_cast<std::uint8_t>((notify.given ? given : 0) | (notify.never ? never : 0) |
                                   (notify.success ? success : 0) | (notify.failure ? failure : 0) |
                                   (notify.delay ? delay : 0));
}

smtp::Notify unpack_notify(OctetReader &reader) {
  const auto bits = reader.number<std::uint8_t>("notify");
  if (bits > 31) reader.set_error(fmt::format("field notify is {}, limit is 31", bits));
  return {.given = (bits & given) != 0,
          .never = (bits & never) != 0,
          .success = (bits & success) != 0,
          .failure = (bits & failure) != 0,
          .delay = (bits & delay) != 0};
}

std::string_view cut(std::string_view text, std::size_t limit) {
  return text.substr(0, limit);
}

/// An initial state need not be written: most recipients are delivered at the first attempt.
bool is_untouched(const RecipientState &state) {
  return state.status == RecipientStatus::pending && state.attempts == 0 && state.next_attempt == WallTime{} &&
         state.last_attempt == WallTime{} && state.cause == FailureCause::none &&
         state.before_expiry == FailureCause::none && state.last_reply == smtp::Reply{} && state.last_host.empty() &&
         state.detail.empty() && !state.delay_notified && !state.dsn_passed_on && state.redirected_from.empty();
}

void write_state(OctetWriter &out, const RecipientState &state, std::size_t text_limit) {
  out.number(static_cast<std::uint8_t>(state.status));
  out.number(state.attempts);
  out.time(state.next_attempt);
  out.time(state.last_attempt);
  out.number(static_cast<std::uint8_t>(state.cause));
  out.number(static_cast<std::uint8_t>(state.before_expiry));
  out.number(state.last_reply.code);
  out.truth(state.last_reply.enhanced.has_value());
  if (const auto &enhanced = state.last_reply.enhanced) {
    out.number(enhanced->status_class);
    out.number(enhanced->subject);
    out.number(enhanced->detail);
  }
  out.text(cut(state.last_reply.text, std::min(reply_limit, text_limit)));
  out.text(cut(state.last_host, std::min(line_limit, text_limit)));
  out.text(cut(state.detail, std::min(line_limit, text_limit)));
  out.truth(state.delay_notified);
  out.truth(state.dsn_passed_on);
  // The mailbox stands in the envelope, which is written once: a later one stands here.
  out.text(state.redirected_from);
  if (!state.redirected_from.empty()) out.text(state.recipient.mailbox.to_string());
}

std::optional<smtp::Mailbox> read_mailbox(OctetReader &in, std::string_view field);

void read_state(OctetReader &in, RecipientState &state, std::uint8_t version) {
  state.status = in.word("status", RecipientStatus::failed);
  state.attempts = in.number<std::uint32_t>("attempts");
  state.next_attempt = in.time("next_attempt");
  state.last_attempt = in.time("last_attempt");
  state.cause = in.word("cause", FailureCause::operator_act);
  state.before_expiry = in.word("before_expiry", FailureCause::operator_act);
  state.last_reply.code = in.number<std::uint16_t>("reply code");
  if (in.truth("reply has enhanced code")) {
    smtp::EnhancedCode enhanced;
    enhanced.status_class = in.number<std::uint8_t>("enhanced class");
    enhanced.subject = in.number<std::uint16_t>("enhanced subject");
    enhanced.detail = in.number<std::uint16_t>("enhanced detail");
    state.last_reply.enhanced = enhanced;
  }
  state.last_reply.text = in.text("reply text", reply_limit);
  state.last_host = in.text("last_host", line_limit);
  state.detail = in.text("detail", line_limit);
  state.delay_notified = in.truth("delay_notified");
  state.dsn_passed_on = in.truth("dsn_passed_on");
  if (version < 3) return;
  state.redirected_from = in.text("redirected_from", address_limit);
  if (state.redirected_from.empty()) return;
  if (auto mailbox = read_mailbox(in, "redirected_to")) state.recipient.mailbox = std::move(*mailbox);
}

std::optional<smtp::Mailbox> read_mailbox(OctetReader &in, std::string_view field) {
  const auto text = in.text(field, address_limit);
  if (in.has_failed()) return std::nullopt;
  auto mailbox = smtp::Mailbox::parse(text);
  if (!mailbox) {
    in.set_error(fmt::format("field {} is not a mailbox: {}", field, smtp::escape(text)));
    return std::nullopt;
  }
  return std::move(*mailbox);
}

void write_recipient(OctetWriter &out, const smtp::Recipient &recipient) {
  out.text(recipient.mailbox.to_string());
  out.number(pack(recipient.parameters.notify));
  out.truth(recipient.parameters.orcpt.has_value());
  if (const auto &original = recipient.parameters.orcpt) {
    out.text(original->type);
    out.text(original->address);
  }
}

void read_recipient(OctetReader &in, QueuedMessage &message) {
  auto mailbox = read_mailbox(in, "recipient");
  if (!mailbox) return;
  smtp::RecipientParameters parameters;
  parameters.notify = unpack_notify(in);
  if (in.truth("has orcpt")) {
    smtp::OriginalRecipient original;
    original.type = in.text("orcpt type", address_limit);
    original.address = in.text("orcpt address", address_limit);
    parameters.orcpt = std::move(original);
  }
  message.recipients.push_back(RecipientState{smtp::Recipient{std::move(*mailbox), std::move(parameters)}});
}

void read_envelope(OctetReader &in, QueuedMessage &message, std::uint8_t version) {
  Envelope &envelope = message.envelope;
  if (in.truth("has sender")) {
    auto mailbox = read_mailbox(in, "sender");
    if (!mailbox) return;
    envelope.sender.path = smtp::ReversePath(std::move(*mailbox));
  }
  smtp::MailParameters &parameters = envelope.sender.parameters;
  if (in.truth("has size")) parameters.size = in.number<std::uint64_t>("size");
  parameters.body = in.word("body", smtp::BodyType::eight_bit_mime);
  parameters.smtputf8 = in.truth("smtputf8");
  parameters.ret = in.word("ret", smtp::DsnReturn::headers);
  parameters.envid = in.text("envid", line_limit);
  envelope.arrival = in.time("arrival");
  message.expires = in.time("expires");
  envelope.trace = in.text("trace", trace_limit);
  envelope.body_size = in.number<std::uint64_t>("body_size");
  envelope.header_size = in.number<std::uint64_t>("header_size");
  envelope.has_8bit = in.truth("has_8bit");
  envelope.needs_smtputf8 = in.truth("needs_smtputf8");
  envelope.is_notification = in.truth("is_notification");
  if (version >= 3) {
    envelope.is_tls_report = in.truth("is_tls_report");
    envelope.tls_optional = in.truth("tls_optional");
    parameters.requiretls = in.truth("requiretls");
    // Whose it was is not known of old ones: the wish of a stranger may do less.
    envelope.from_outside = version >= 4 ? in.truth("from_outside") : envelope.tls_optional;
  }
  if (version >= 5) {
    envelope.standing = in.word("standing", SenderStanding::failed);
    envelope.failures_only = in.truth("failures_only");
    envelope.is_report = in.truth("is_report");
  }
  envelope.message_id = in.text("message_id", line_limit);
  envelope.client = in.text("client", line_limit);
  envelope.tls_in = in.text("tls_in", line_limit);
  if (version >= 2) message.hold_reason = in.text("hold_reason", line_limit);
  message.held = !message.hold_reason.empty();
  if (message.held) message.held_since = envelope.arrival;
  const auto count = in.number<std::uint32_t>("recipient count");
  if (count > most_queued_recipients)
    return in.set_error(fmt::format("field recipient count is {}, limit is {}", count, most_queued_recipients));
  if (count > in.remaining() / 6) // a recipient is at least 4 + 1 + 1 octets: no room is made for a false count
    return in.set_error(fmt::format("field recipient count is {}, but {} octets follow", count, in.remaining()));
  message.recipients.reserve(count);
  for (std::uint32_t i = 0; i < count && !in.has_failed(); ++i) read_recipient(in, message);
}

void write_override(OctetWriter &out, const std::optional<policy::OperatorOverride> &given) {
  out.truth(given.has_value());
  if (!given) return;
  out.number(static_cast<std::uint8_t>(given->level));
  out.text(cut(given->reason, line_limit));
  out.text(cut(given->by, line_limit));
  out.time(given->when);
}

std::optional<policy::OperatorOverride> read_override(OctetReader &in) {
  if (!in.truth("has tls_override")) return std::nullopt;
  policy::OperatorOverride given;
  given.level = in.word("override level", tls::Level::dane);
  given.reason = in.text("override reason", line_limit);
  given.by = in.text("override by", line_limit);
  given.when = in.time("override when");
  return given;
}

void read_update(OctetReader &in, QueuedMessage &message, std::uint8_t version) {
  message.held = in.truth("held");
  message.hold_reason = in.text("hold_reason", line_limit);
  if (version >= 2) message.tls_override = read_override(in);
  if (version >= 3) {
    message.held_since = in.time("held_since");
    message.passes_holds = in.truth("passes_holds");
    message.expires = in.time("expires");
  } else {
    message.held_since = message.held ? message.envelope.arrival : WallTime{};
  }
  const auto count = in.number<std::uint32_t>("state count");
  if (!in.has_failed() && count != message.recipients.size())
    return in.set_error(fmt::format("field state count is {}, the envelope has {}", count, message.recipients.size()));
  for (RecipientState &state : message.recipients) {
    if (in.has_failed()) return;
    if (in.truth("state is present")) read_state(in, state, version);
  }
}

/// Reads kind, version and what `read` reads of a blob that must end there.
template <typename Read>
smtp::Result<void> read_blob(std::string_view blob, char kind, std::uint8_t newest, std::string_view name,
                             QueuedMessage &message, Read read) {
  OctetReader in(blob);
  if (in.number<std::uint8_t>("kind") != static_cast<std::uint8_t>(kind)) in.set_error("field kind is wrong");
  const auto version = in.number<std::uint8_t>("version");
  if (!in.has_failed() && (version < 1 || version > newest))
    in.set_error(fmt::format("field version is {}, known are 1 to {}", version, newest));
  if (!in.has_failed()) read(in, message, version);
  if (!in.has_failed() && in.remaining() > 0)
    in.set_error(fmt::format("{} octets follow the last field", in.remaining()));
  if (in.has_failed())
    return smtp::fail(smtp::ErrorCode::bad_syntax,
                      fmt::format("{} of {}: {}", name, message.id.to_string(), in.error()));
  return {};
}

} // namespace

const char *to_string(FailureCause cause) noexcept {
  switch (cause) {
  case FailureCause::none: return "none";
  case FailureCause::reply: return "reply";
  case FailureCause::connect: return "connect";
  case FailureCause::dns: return "dns";
  case FailureCause::tls: return "tls";
  case FailureCause::local: return "local";
  case FailureCause::expired: return "expired";
  case FailureCause::operator_act: return "operator_act";
  }
  return "none";
}

namespace {

/// RFC 3461 section 4.1: without NOTIFY the sender hears of failures and delays.
void merge_notify(smtp::Notify &kept, const smtp::Notify &other) noexcept {
  if (kept == other) return;
  const bool failure = !kept.given || !other.given || kept.failure || other.failure;
  const bool delay = !kept.given || !other.given || kept.delay || other.delay;
  kept = {.given = true, .never = false, .success = kept.success || other.success, .failure = failure, .delay = delay};
  kept.never = !kept.success && !kept.failure && !kept.delay;
}

} // namespace

void merge_recipients(QueuedMessage &message) {
  std::vector<RecipientState> &all = message.recipients;
  if (all.size() < 2) return;
  std::unordered_map<std::string, std::size_t> seen;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto [at, is_new] = seen.try_emplace(all[i].recipient.mailbox.to_string(), kept);
    if (!is_new) {
      smtp::RecipientParameters &parameters = all[at->second].recipient.parameters;
      merge_notify(parameters.notify, all[i].recipient.parameters.notify);
      if (!parameters.orcpt) parameters.orcpt = std::move(all[i].recipient.parameters.orcpt);
      continue;
    }
    if (kept != i) all[kept] = std::move(all[i]);
    ++kept;
  }
  all.erase(all.begin() + static_cast<std::ptrdiff_t>(kept), all.end());
}

const char *to_string(SenderStanding standing) noexcept {
  switch (standing) {
  case SenderStanding::unknown: return "unknown";
  case SenderStanding::ours: return "ours";
  case SenderStanding::passed: return "passed";
  case SenderStanding::failed: return "failed";
  }
  return "unknown";
}

bool QueuedMessage::is_finished() const noexcept {
  return std::none_of(recipients.begin(), recipients.end(),
                      [](const RecipientState &state) { return state.status == RecipientStatus::pending; });
}

std::string encode_envelope(const QueuedMessage &message) {
  const Envelope &envelope = message.envelope;
  OctetWriter out(256 + envelope.trace.size() + 64 * message.recipients.size());
  out.number(static_cast<std::uint8_t>('E'));
  out.number(envelope_version);
  const smtp::Mailbox *sender = envelope.sender.path.mailbox();
  out.truth(sender != nullptr);
  if (sender != nullptr) out.text(sender->to_string());
  const smtp::MailParameters &parameters = envelope.sender.parameters;
  out.truth(parameters.size.has_value());
  if (parameters.size) out.number(*parameters.size);
  out.number(static_cast<std::uint8_t>(parameters.body));
  out.truth(parameters.smtputf8);
  out.number(static_cast<std::uint8_t>(parameters.ret));
  out.text(parameters.envid);
  out.time(envelope.arrival);
  out.time(message.expires);
  out.text(envelope.trace);
  out.number(envelope.body_size);
  out.number(envelope.header_size);
  out.truth(envelope.has_8bit);
  out.truth(envelope.needs_smtputf8);
  out.truth(envelope.is_notification);
  out.truth(envelope.is_tls_report);
  out.truth(envelope.tls_optional);
  out.truth(parameters.requiretls);
  out.truth(envelope.from_outside);
  out.number(static_cast<std::uint8_t>(envelope.standing));
  out.truth(envelope.failures_only);
  out.truth(envelope.is_report);
  out.text(cut(envelope.message_id, line_limit));
  out.text(cut(envelope.client, line_limit));
  out.text(cut(envelope.tls_in, line_limit));
  out.text(message.held ? cut(message.hold_reason, line_limit) : std::string_view());
  out.number(static_cast<std::uint32_t>(message.recipients.size()));
  for (const RecipientState &state : message.recipients) write_recipient(out, state.recipient);
  return std::move(out).take();
}

std::string encode_update(const QueuedMessage &message) {
  OctetWriter out(64 + 128 * message.recipients.size());
  out.number(static_cast<std::uint8_t>('U'));
  out.number(update_version);
  out.truth(message.held);
  out.text(cut(message.hold_reason, line_limit));
  write_override(out, message.tls_override);
  out.time(message.held_since);
  out.truth(message.passes_holds);
  out.time(message.expires);
  out.number(static_cast<std::uint32_t>(message.recipients.size()));
  const std::size_t text_limit = all_texts_limit / 3 / std::max<std::size_t>(1, message.recipients.size());
  for (const RecipientState &state : message.recipients) {
    const bool present = !is_untouched(state);
    out.truth(present);
    if (present) write_state(out, state, text_limit);
  }
  return std::move(out).take();
}

smtp::Result<QueuedMessage> decode_message(QueueId id, std::string_view envelope, std::string_view update) {
  QueuedMessage message;
  message.id = id;
  if (auto read = read_blob(envelope, 'E', envelope_version, "envelope", message, read_envelope); !read)
    return tl::unexpected(read.error());
  if (update.empty()) return message;
  if (auto read = read_blob(update, 'U', update_version, "update", message, read_update); !read)
    return tl::unexpected(read.error());
  return message;
}

} // namespace mta
