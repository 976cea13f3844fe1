#include "mta/report/notifier.hpp"

#include <algorithm>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "mta/auth/sign_message.hpp"
#include "mta/report/automatic_mail.hpp"
#include "mta/report/hold_reminder.hpp"
#include "mta/report/notice_text.hpp"
#include "smtp/message/header_scan.hpp"
#include "smtp/message/notification.hpp"

namespace mta {

namespace {

using Kind = NotificationRequest::Kind;

/// The header section that is quoted back; build_notification() may show less.
constexpr std::uint64_t header_limit = 262'144;

const char *to_string(Kind kind) noexcept {
  switch (kind) {
  case Kind::failure: return "failure";
  case Kind::delay: return "delay";
  case Kind::success: return "success";
  }
  return "failure";
}

/// RFC 3461 section 4.1; without NOTIFY we tell of failures and of delays.
bool is_wanted(const smtp::Notify &notify, Kind kind) noexcept {
  if (notify.never) return false;
  switch (kind) {
  case Kind::failure: return !notify.given || notify.failure;
  case Kind::delay: return !notify.given || notify.delay;
  case Kind::success: return notify.success;
  }
  return false;
}

/// In place of a header section that cannot be read.
constexpr std::string_view unreadable_header = "Comments: the header of this message can no longer be read\r\n\r\n";

/// `trace` and the first `size` octets of the stored body.
smtp::Result<std::string> read_message(BodyReader &reader, std::string_view trace, std::uint64_t size) {
  std::string text(trace);
  const std::size_t start = text.size();
  text.resize(start + static_cast<std::size_t>(std::min(size, reader.size())));
  std::size_t at = start;
  while (at < text.size()) {
    auto count = reader.read(at - start, std::span<char>(text.data() + at, text.size() - at));
    if (!count) return tl::unexpected(count.error());
    if (*count == 0) break;
    at += *count;
  }
  text.resize(at);
  return text;
}

smtp::NotificationAction action_of(Kind kind) noexcept {
  switch (kind) {
  case Kind::failure: return smtp::NotificationAction::failed;
  case Kind::delay: return smtp::NotificationAction::delayed;
  case Kind::success:
    return smtp::NotificationAction::relayed; // RFC 3461 section 5.2.7.1: the next hop does not report
  }
  return smtp::NotificationAction::failed;
}

/// Whom to ask: the partner's contact, else the postmaster that every domain has (RFC 5321 section 4.5.1).
std::string contact_of(const Config &config, const smtp::Mailbox &recipient) {
  if (const smtp::Domain *domain = recipient.domain())
    if (const policy::Partner *partner = config.partners.find(*domain); partner != nullptr && !partner->contact.empty())
      return partner->contact;
  return "postmaster@" + recipient.host();
}

smtp::NotifiedRecipient describe(const QueuedMessage &message, const RecipientState &state, Kind kind,
                                 const Config &config, WallTime now) {
  const std::string contact = contact_of(config, state.recipient.mailbox);
  const NoticeContext context{.kind = kind,
                              .contact = contact,
                              .tried_for =
                                  std::chrono::duration_cast<std::chrono::seconds>(now - message.envelope.arrival)};
  smtp::NotifiedRecipient notified{.final_recipient = state.recipient.mailbox,
                                   .original = state.recipient.parameters.orcpt,
                                   .action = action_of(kind),
                                   .status = status_of(state, kind),
                                   .remote_reply = std::nullopt,
                                   .remote_host = state.last_host,
                                   .explanation = explain_recipient(state, context),
                                   .last_attempt = std::nullopt,
                                   .will_retry_until = std::nullopt};
  if (is_remote_reply(state)) notified.remote_reply = state.last_reply;
  if (state.attempts > 0) notified.last_attempt = state.last_attempt;
  if (kind == Kind::delay) notified.will_retry_until = message.expires;
  return notified;
}

} // namespace

Notifier::Notifier(Services services) : services_(std::move(services)) {}

std::string_view Notifier::find_obstacle(const NotificationRequest &request, const RecipientState &state) const {
  const Envelope &envelope = request.message->envelope;
  // The address was forged: its owner has nothing to do with the message, whatever it asks for.
  if (envelope.standing == SenderStanding::failed) return "spf_fail";
  if (!is_wanted(state.recipient.parameters.notify, request.kind)) return "notify_parameter";
  if (request.kind == Kind::failure) return {};
  if (envelope.failures_only) return "listener_without_dsn";
  if (envelope.standing == SenderStanding::unknown) return "sender_not_shown";
  return {};
}

std::string_view Notifier::find_postmaster_obstacle(const NotificationRequest &request, const RecipientState &state,
                                                    const Config &config) const {
  if (request.kind != Kind::failure || request.message->envelope.is_report) return "null_sender";
  // What the postmaster cannot be told of is in the log only: else it would go round for ever.
  if (!config.queue.postmaster || state.recipient.mailbox == *config.queue.postmaster) return "postmaster";
  return {};
}

bool Notifier::is_automatic(const QueuedMessage &message) const {
  const auto reader = services_.spool.read_body(message.id);
  if (!reader) return false; // build() meets it again, and says so
  auto header = read_message(**reader, {}, std::min(message.envelope.header_size, header_limit));
  return header && is_automatic_mail(std::move(*header));
}

/// A stranger who sends mail from <> to addresses that fail must not fill the postmaster's mailbox.
bool Notifier::take_postmaster_turn() {
  const std::lock_guard lock(turns_mutex_);
  const WallTime now = services_.now();
  if (now < turns_since_ || now - turns_since_ >= std::chrono::hours(1)) {
    turns_since_ = now;
    turns_ = 0;
  }
  return turns_++ < postmaster_limit;
}

/// A full queue is full of late mail, each of which asks again and again: one line for all of an hour.
void Notifier::put_off(const smtp::Error &error) {
  const std::lock_guard lock(turns_mutex_);
  ++put_off_;
  const WallTime now = services_.now();
  if (put_off_told_ && now >= *put_off_told_ && now - *put_off_told_ < std::chrono::hours(1)) return;
  services_.log.write(
      Event("delay_notices_put_off", LogLevel::warning).with("count", put_off_).with("detail", error.detail));
  put_off_told_ = now;
  put_off_ = 0;
}

void Notifier::notify(NotificationRequest request, std::function<void(bool ok)> stored) {
  const QueuedMessage &message = *request.message;
  const auto snapshot = services_.snapshot.get();
  const smtp::Mailbox *sender = message.envelope.sender.path.mailbox();
  // RFC 5321 section 6.1: never a notice about a notice, nor to <>.
  const bool is_notice = message.envelope.is_notification || sender == nullptr;
  std::vector<std::string_view> obstacles;
  for (const std::size_t index : request.recipients)
    obstacles.push_back(is_notice ? find_postmaster_obstacle(request, message.recipients[index], snapshot->config())
                                  : find_obstacle(request, message.recipients[index]));
  const auto forbid_rest = [&](std::string_view why) {
    for (auto &obstacle : obstacles)
      if (obstacle.empty()) obstacle = why;
  };
  const auto is_anyone_told = [&] {
    return std::any_of(obstacles.begin(), obstacles.end(), [](std::string_view why) { return why.empty(); });
  };
  // The header is read only where it decides.
  if (!is_notice && request.kind != Kind::failure && is_anyone_told() && is_automatic(message))
    forbid_rest("automatic_mail");
  if (is_notice && is_anyone_told() && !take_postmaster_turn()) forbid_rest("postmaster_limit");

  std::vector<std::size_t> wanted;
  for (std::size_t i = 0; i < obstacles.size(); ++i) {
    const std::size_t index = request.recipients[i];
    if (obstacles[i].empty()) {
      wanted.push_back(index);
      continue;
    }
    // An event of its own, so that it is counted: so much backscatter was not sent.
    const bool forged = obstacles[i] == "spf_fail";
    services_.log.write(Event(forged ? "backscatter_avoided" : "bounce_suppressed")
                            .with("id", message.id.to_string())
                            .with("kind", to_string(request.kind))
                            .with_if("sender", forged ? sender->to_string() : std::string())
                            .with("recipient", message.recipients[index].recipient.mailbox.to_string())
                            .with("why", obstacles[i]));
  }
  if (wanted.empty()) return stored(true);
  request.recipients = std::move(wanted);
  store(request, is_notice ? *snapshot->config().queue.postmaster : *sender, std::move(stored));
}

smtp::Result<std::string> Notifier::build(const NotificationRequest &request, const smtp::Mailbox &to,
                                          const Config &config, QueueId id) const {
  const QueuedMessage &message = *request.message;
  const Envelope &envelope = message.envelope;
  const WallTime now = services_.now();
  auto domain = smtp::Domain::parse(config.server.hostname);
  if (!domain) return tl::unexpected(domain.error());
  auto from = smtp::Mailbox::create("mailer-daemon", std::move(*domain));
  if (!from) return tl::unexpected(from.error());
  auto reader = services_.spool.read_body(message.id);

  // RFC 3461 section 4.3: RET is about failures only; all other notices show the header section. RFC 8689 section 5:
  // "If a REQUIRETLS message is bounced, the server MUST behave as if RET=HDRS was present".
  const smtp::MailParameters &asked = envelope.sender.parameters;
  bool whole = request.kind == Kind::failure && asked.ret == smtp::DsnReturn::full && !asked.requiretls &&
               envelope.trace.size() + envelope.body_size <= config.queue.bounce_full_limit;
  // What a damaged disk lost is left out: the sender has to be told all the same, or the message would never end.
  auto headers = reader ? read_message(**reader, envelope.trace, std::min(envelope.header_size, header_limit))
                        : smtp::Result<std::string>(tl::unexpected(reader.error()));
  if (!headers) {
    services_.log.write(
        Event("bounce", LogLevel::warning)
            .with("id", message.id.to_string())
            .with("kind", to_string(request.kind))
            .with("problem", "the notice goes without the message's header: " + headers.error().detail));
    headers = envelope.trace + std::string(unreadable_header);
    whole = false;
  }
  smtp::NotificationFacts facts{
      .reporting_mta = config.server.hostname,
      .from = std::move(*from),
      .from_name = config.queue.bounce_sender_name,
      .to = to,
      .message_id =
          fmt::format("{}.{}@{}", id.to_string(),
                      std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count(), config.server.hostname),
      .envid = envelope.sender.parameters.envid,
      .queue_id = message.id.to_string(),
      .arrival = envelope.arrival,
      .now = now,
      .recipients = {},
      .original_headers = std::move(*headers),
      .original_needs_utf8 = envelope.needs_smtputf8,
      .original_message = std::nullopt,
      .tls_optional = envelope.tls_optional,
      .to_postmaster = envelope.is_notification || envelope.sender.path.is_null()};
  if (whole) {
    if (auto text = read_message(**reader, envelope.trace, envelope.body_size))
      facts.original_message = std::move(*text);
  }
  facts.recipients.reserve(request.recipients.size());
  for (const std::size_t index : request.recipients)
    facts.recipients.push_back(describe(message, message.recipients[index], request.kind, config, now));
  return smtp::build_notification(facts);
}

void Notifier::store(const NotificationRequest &request, const smtp::Mailbox &to, std::function<void(bool ok)> stored) {
  const auto snapshot = services_.snapshot.get();
  const Config &config = snapshot->config();
  const auto refuse = [&](const smtp::Error &error) {
    if (request.kind == Kind::delay && error.code == smtp::ErrorCode::full) {
      put_off(error);
      return stored(false);
    }
    services_.log.write(Event("bounce_failed", LogLevel::error)
                            .with("id", request.message->id.to_string())
                            .with("kind", to_string(request.kind))
                            .with("detail", error.detail));
    stored(false);
  };
  // What ends a message takes its place, and may pass over the limits that are meant for strangers. A word about a
  // delay takes nothing's place: a queue full of late mail would use up the reserve that failures need, so it waits for
  // room.
  auto writer = services_.spool.begin(request.kind == Kind::delay ? Admission::ordinary : Admission::own);
  if (!writer) return refuse(writer.error());
  const QueueId id = (*writer)->id();
  const auto text = build(request, to, config, id);
  if (!text) return refuse(text.error());
  if (auto appended = (*writer)->append(*text); !appended) return refuse(appended.error());

  auto notice = std::make_shared<QueuedMessage>(envelope_of(*text, to, config));
  notice->id = id;
  // RFC 8689 section 5: notices "MUST be protected in the same manner as the original message", and say REQUIRETLS too.
  notice->envelope.sender.parameters.requiretls = request.message->envelope.sender.parameters.requiretls;
  auto signatures = sign_message(config, *text, notice->envelope.arrival);
  if (!signatures) return refuse(signatures.error());
  notice->envelope.trace = std::move(*signatures);
  std::string blob = encode_envelope(*notice);
  // The writer lives until its commit is done; the log line is one for each notice.
  std::shared_ptr<MessageWriter> kept = std::move(*writer);
  kept->commit(std::move(blob), [this, kept, notice, kind = request.kind, about = request.message->id,
                                 stored = std::move(stored)](smtp::Result<void> committed) {
    if (!committed && kind == Kind::delay && committed.error().code == smtp::ErrorCode::full) {
      put_off(committed.error());
      return stored(false);
    }
    if (!committed) {
      services_.log.write(Event("bounce_failed", LogLevel::error)
                              .with("id", about.to_string())
                              .with("kind", to_string(kind))
                              .with("detail", committed.error().detail));
      return stored(false);
    }
    services_.log.write(Event("bounce")
                            .with("id", about.to_string())
                            .with("kind", to_string(kind))
                            .with("notice", notice->id.to_string())
                            .with("to", notice->recipients.front().recipient.mailbox.to_string()));
    services_.submit(notice);
    stored(true);
  });
}

void Notifier::remind_of_holds(std::vector<std::shared_ptr<const QueuedMessage>> held, std::size_t total) {
  const auto snapshot = services_.snapshot.get();
  const Config &config = snapshot->config();
  const auto refuse = [&](const smtp::Error &error) {
    services_.log.write(Event("hold_reminder", LogLevel::error).with("detail", error.detail));
  };
  if (!config.queue.postmaster) return;
  auto domain = smtp::Domain::parse(config.server.hostname);
  if (!domain) return refuse(domain.error());
  auto from = smtp::Mailbox::create("mailer-daemon", std::move(*domain));
  if (!from) return refuse(from.error());
  auto writer = services_.spool.begin(Admission::own);
  if (!writer) return refuse(writer.error());
  const QueueId id = (*writer)->id();
  const HoldReminder reminder{.hostname = config.server.hostname,
                              .from_name = config.queue.bounce_sender_name,
                              .from = std::move(*from),
                              .to = *config.queue.postmaster,
                              .message_id = fmt::format("{}.hold@{}", id.to_string(), config.server.hostname),
                              .now = services_.now(),
                              .held = std::move(held),
                              .total = total};
  const std::string text = build_hold_reminder(reminder);
  if (auto appended = (*writer)->append(text); !appended) return refuse(appended.error());
  auto notice = std::make_shared<QueuedMessage>(envelope_of(text, *config.queue.postmaster, config));
  notice->id = id;
  notice->passes_holds = true; // or a hold on everything would keep the word of it too
  if (auto signatures = sign_message(config, text, notice->envelope.arrival))
    notice->envelope.trace = std::move(*signatures);
  std::string blob = encode_envelope(*notice);
  std::shared_ptr<MessageWriter> kept = std::move(*writer);
  kept->commit(std::move(blob), [this, kept, notice](smtp::Result<void> committed) {
    if (!committed) {
      services_.log.write(Event("hold_reminder", LogLevel::error).with("detail", committed.error().detail));
      return;
    }
    services_.log.write(Event("hold_reminder").with("notice", notice->id.to_string()));
    services_.submit(notice);
  });
}

/// RFC 3461 section 6: from <>, without RET and ENVID, and with NOTIFY=NEVER, so that no hop answers it.
QueuedMessage Notifier::envelope_of(std::string_view text, const smtp::Mailbox &to, const Config &config) const {
  smtp::HeaderScanner scanner(text.size(), 50);
  const bool scanned = scanner.feed(text).has_value();
  const smtp::MessageFacts &facts = scanner.facts();
  QueuedMessage notice;
  notice.envelope.arrival = services_.now();
  notice.envelope.body_size = text.size();
  notice.envelope.header_size = facts.header_size;
  notice.envelope.has_8bit = !scanned || facts.has_8bit;
  notice.envelope.needs_smtputf8 = facts.header_has_8bit || to.needs_smtputf8();
  notice.envelope.message_id = facts.message_id;
  notice.envelope.tls_optional = facts.tls_optional;
  notice.envelope.from_outside = facts.tls_optional; // as the message had it, and anybody may have sent that
  notice.envelope.client = "local";
  notice.envelope.is_notification = true;
  notice.envelope.sender.parameters.smtputf8 = notice.envelope.needs_smtputf8;
  notice.envelope.sender.parameters.body =
      notice.envelope.has_8bit ? smtp::BodyType::eight_bit_mime : smtp::BodyType::seven_bit;
  notice.expires = notice.envelope.arrival + config.queue.retry.give_up_after;
  smtp::RecipientParameters parameters;
  parameters.notify.given = true;
  parameters.notify.never = true;
  notice.recipients.push_back(RecipientState{smtp::Recipient{to, std::move(parameters)}});
  return notice;
}

} // namespace mta
