#include "mta/report/submit_report.hpp"

#include <utility>

#include "smtp/message/header_scan.hpp"

namespace mta {

namespace {

/// RFC 3461 section 6: from <>, and with NOTIFY=NEVER, so that no hop answers it.
QueuedMessage envelope_of(std::string_view mail, ReportKind kind, const smtp::Mailbox &to,
                          const SubmitServices &services) {
  smtp::HeaderScanner scanner(mail.size(), 50);
  const bool scanned = scanner.feed(mail).has_value();
  const smtp::MessageFacts &facts = scanner.facts();
  QueuedMessage message;
  Envelope &envelope = message.envelope;
  envelope.arrival = services.now();
  envelope.body_size = mail.size();
  envelope.header_size = facts.header_size;
  envelope.has_8bit = !scanned || facts.has_8bit;
  envelope.needs_smtputf8 = facts.header_has_8bit || to.needs_smtputf8();
  envelope.message_id = facts.message_id;
  envelope.client = "local";
  envelope.is_notification = true;
  envelope.is_report = true;
  envelope.is_tls_report = kind == ReportKind::tls;
  envelope.sender.parameters.smtputf8 = envelope.needs_smtputf8;
  envelope.sender.parameters.body = envelope.has_8bit ? smtp::BodyType::eight_bit_mime : smtp::BodyType::seven_bit;
  message.expires = envelope.arrival + services.lifetime();
  smtp::RecipientParameters parameters;
  parameters.notify.given = true;
  parameters.notify.never = true;
  message.recipients.push_back(RecipientState{smtp::Recipient{to, std::move(parameters)}});
  return message;
}

} // namespace

void submit_report(const SubmitServices &services, ReportKind kind, const smtp::Mailbox &to, std::string mail,
                   std::function<void(smtp::Result<QueueId>)> done) {
  auto writer = services.spool.begin();
  if (!writer) return done(tl::unexpected(writer.error()));
  if (auto appended = (*writer)->append(mail); !appended) return done(tl::unexpected(appended.error()));
  auto message = std::make_shared<QueuedMessage>(envelope_of(mail, kind, to, services));
  message->id = (*writer)->id();
  if (services.sign) message->envelope.trace = services.sign(mail);
  std::string blob = encode_envelope(*message);
  // The writer lives until its commit is done.
  std::shared_ptr<MessageWriter> kept = std::move(*writer);
  kept->commit(std::move(blob), [&services, kept, message, done = std::move(done)](smtp::Result<void> committed) {
    if (!committed) return done(tl::unexpected(committed.error()));
    services.submit(message);
    done(message->id);
  });
}

} // namespace mta
