#include "mta/inbound/receiver.hpp"

#include "mta/inbound/header_senders.hpp"
#include "mta/inbound/observe.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "mta/auth/client_resolver.hpp"
#include "mta/inbound/reply.hpp"
#include "mta/queue/recipient_event.hpp"
#include "smtp/base/text.hpp"
#include "smtp/message/received.hpp"

namespace mta::inbound {

namespace {

/// Replies beyond this are written before more commands are read: a peer that pipelines without reading costs no
/// memory.
constexpr std::size_t output_limit = 16'384;
/// So many unknown recipients cost no time: mistakes, and mailing lists.
constexpr std::size_t refused_without_delay = 10;
/// A header section up to this is no large one: most have less than half of it.
constexpr std::uint64_t usual_header = 32'768;
/// What one octet of a header section costs until the end of the message: the text, and the fields that checks look at.
constexpr std::uint64_t memory_of_header_octet = 2;
/// What a recipient holds until the end of the transaction: itself, in a vector that may have grown to twice its need,
/// its strings, and once more what the spool is given of it.
std::uint64_t memory_of(const smtp::Recipient &recipient) {
  std::uint64_t text = recipient.mailbox.to_string().size();
  if (recipient.parameters.orcpt) text += recipient.parameters.orcpt->address.size();
  return 2 * sizeof(RecipientState) + 2 * text;
}

smtp::Reply no_memory(std::uint64_t budget, std::string_view said = "memory for messages is used up, limit is") {
  return make_reply(452, {4, 3, 1}, fmt::format("{} {} octets; try again later", said, budget));
}

smtp::ServerOptions options_for(const ListenerInForce &in_force) {
  const Config &config = in_force.snapshot->config();
  const ListenerConfig &listener = *in_force.listener;
  smtp::ServerOptions options;
  options.hostname = config.server.hostname;
  options.limits = config.limits.smtp;
  options.offer_starttls = listener.tls == ListenerTls::starttls && in_force.context != nullptr;
  options.bare_lf = listener.bare_lf;
  // Strangers write to our domains only: where none of these keeps the promise it is not made.
  options.offer_requiretls = config.outbound.requiretls &&
                             (listener.role == policy::ListenerRole::relay || config.some_domain_keeps_requiretls);
  options.offer_dsn = listener.dsn;
  options.require_tls = listener.require_tls;
  options.tls_from_start = listener.tls == ListenerTls::implicit;
  if (listener.role == policy::ListenerRole::relay) {
    options.sender_origin = config.server.origin_in_force();
    // Where our own name is not a domain that we take mail for, such a recipient leads nowhere.
    if (config.domains.contains(options.sender_origin)) options.recipient_origin = options.sender_origin;
  }
  return options;
}

/// "TLSv1.3 TLS_AES_256_GCM_SHA384 authenticated"; empty without TLS.
std::string describe_tls(const tls::Facts *facts, bool authenticated) {
  if (facts == nullptr) return {};
  return fmt::format("{} {}{}", tls::to_string(facts->version), facts->suite, authenticated ? " authenticated" : "");
}

/// RFC 3461's wishes of a sender who is not shown to be it go no further than to us: the next hop would trust our word,
/// and tell who was forged. Mail that SPF says is not from there makes no notice at all, here or behind us; of the
/// others' wishes failures are left.
void limit_notices(QueuedMessage &message) {
  if (message.envelope.standing == SenderStanding::passed) return;
  for (RecipientState &state : message.recipients) {
    smtp::Notify &notify = state.recipient.parameters.notify;
    if (message.envelope.standing == SenderStanding::failed) {
      notify = {.given = true, .never = true};
    } else if (notify.given) {
      notify.success = notify.delay = false;
      notify.never = !notify.failure;
    }
  }
}

} // namespace

Receiver::Receiver(WorkerEdge &edge, const ListenerInForce &in_force, const smtp::IpAddress &client,
                   std::string_view session)
    : edge_(edge), in_force_(in_force), client_(client), session_(session), machine_(options_for(in_force)),
      judge_(*in_force.snapshot, *in_force.listener, client) {}

Need Receiver::advance() {
  if (const auto need = go_on()) return *need;
  for (;;) {
    smtp::ServerAction action = machine_.next();
    const std::optional<Need> need = std::visit([this](auto &taken) { return take(taken); }, action);
    if (need) return *need;
    if (output_.size() >= output_limit) return Need::write;
  }
}

std::optional<Need> Receiver::take(smtp::Wait & /*action*/) {
  // After RSET or EHLO nothing says that the transaction is gone but this.
  if (message_ && !receiving_ && machine_.is_idle()) drop_message();
  return Need::octets;
}

std::optional<Need> Receiver::take(smtp::Send &action) {
  note_refusals(action);
  if (output_.empty()) {
    output_ = std::move(action.octets);
  } else {
    output_ += action.octets;
  }
  return std::nullopt;
}

std::optional<Need> Receiver::take(smtp::StartTls & /*action*/) {
  drop_message();
  return Need::handshake;
}

std::optional<Need> Receiver::take(smtp::AskSender &action) {
  drop_message();
  rule_.clear();
  sender_proven_ = false;
  spf_passed_ = false;
  observed_failure_ = false;
  const Config &config = in_force_.snapshot->config();
  if (auto refusal = judge_.judge_listener(std::chrono::system_clock::now())) {
    std::string reason = refusal->text;
    refuse(std::move(*refusal), {.command = "MAIL",
                                 .reason = std::move(reason),
                                 .level = LogLevel::warning,
                                 .sender = action.sender.path.to_string(),
                                 .recipient = {}});
    return std::nullopt;
  }
  if (!edge_.shared().accepting.load(std::memory_order_relaxed)) {
    refuse(make_reply(451, {4, 3, 2}, "no new mail is accepted at the moment, try again later"),
           {.command = "MAIL", .reason = "draining", .sender = action.sender.path.to_string(), .recipient = {}});
    return std::nullopt;
  }
  if (!edge_.has_memory(MemoryNeed::message, config.server.memory_budget, 0, std::chrono::steady_clock::now())) {
    refuse(no_memory(config.server.memory_budget),
           {.command = "MAIL", .reason = "memory", .sender = action.sender.path.to_string(), .recipient = {}});
    return std::nullopt;
  }
  const std::uint64_t announced = action.sender.parameters.size.value_or(0);
  if (auto refusal = edge_.storage_refusal(config.spool, announced, std::chrono::steady_clock::now())) {
    edge_.note_resource_refusal(refusal->resource, client_, "MAIL", refusal->reply, refusal->detail);
    refuse(std::move(refusal->reply),
           {.command = "MAIL", .reason = "storage", .sender = action.sender.path.to_string(), .recipient = {}});
    return std::nullopt;
  }
  if (is_limited() && !from_client_of_ours()) {
    const auto spent =
        edge_.shared().questions->refusal(client_, question_limits(config), std::chrono::steady_clock::now());
    if (spent) {
      refuse(make_reply(451, {4, 7, 1}, *spent), {.command = "MAIL",
                                                  .reason = "unanswered DNS questions",
                                                  .sender = action.sender.path.to_string(),
                                                  .recipient = {}});
      return std::nullopt;
    }
  }
  policy::SenderVerdict verdict = judge_.judge_sender(action.sender.path, std::chrono::system_clock::now());
  if (verdict.refusal || !verdict.satisfied) log_policy(action.sender.path, verdict);
  observe(action.sender.path, verdict);
  if (verdict.refusal) {
    refuse(std::move(*verdict.refusal), {.command = "MAIL",
                                         .reason = verdict.reason,
                                         .level = LogLevel::warning,
                                         .sender = action.sender.path.to_string(),
                                         .recipient = {}});
    return std::nullopt;
  }
  if (const smtp::Mailbox *mailbox = action.sender.path.mailbox(); mailbox != nullptr && !may_use(*mailbox)) {
    refuse(refuse_envelope_sender(action.sender.path.to_string()), {.command = "MAIL",
                                                                    .reason = "allowed_senders",
                                                                    .level = LogLevel::warning,
                                                                    .sender = action.sender.path.to_string(),
                                                                    .recipient = {}});
    return std::nullopt;
  }
  sender_proven_ = !verdict.rule.empty() && verdict.satisfied && verdict.wanted >= tls::Level::authenticated;
  rule_ = std::move(verdict.rule);
  observed_failure_ = !verdict.satisfied;
  message_ = std::make_shared<QueuedMessage>();
  message_->envelope.sender = std::move(action.sender);
  machine_.answer(make_reply(250, {2, 1, 0}, "sender ok"));
  return std::nullopt;
}

std::optional<Need> Receiver::take(smtp::AskRecipient &action) {
  if (auto refusal = judge_.judge_recipient(action.path, std::chrono::system_clock::now())) {
    const bool slow = !trusted_ && machine_.facts().refused_recipients >= refused_without_delay;
    refuse(std::move(*refusal), {.command = "RCPT", .reason = {}, .sender = {}, .recipient = action.path.to_string()});
    if (slow) return Need::pause;
    return std::nullopt;
  }
  const Config &config = in_force_.snapshot->config();
  smtp::Recipient recipient{.mailbox = config.resolve_recipient(action.path),
                            .parameters = std::move(action.parameters)};
  // RFC 8689 section 4.2.1: said now, and to who is connected; later it would be a bounce, to whoever was named as
  // sender. From <> it is taken: "REQUIRETLS SHOULD NOT cause a bounce message to be discarded" (section 5).
  const smtp::Sender &sender = message_->envelope.sender;
  if (sender.parameters.requiretls && !sender.path.is_null() && !config.keeps_requiretls(recipient.mailbox)) {
    refuse(
        make_reply(550, {5, 7, 30}, "REQUIRETLS cannot be kept for this recipient: the next hop does not promise it"),
        {.command = "RCPT", .reason = "requiretls", .sender = {}, .recipient = action.path.to_string()});
    return std::nullopt;
  }
  if (!trusted_) {
    const auto taken = edge_.shared().limits.take_recipient(client_, config.limits, std::chrono::steady_clock::now());
    if (!taken) {
      refuse(make_reply(450, {4, 7, 1}, taken.error().detail),
             {.command = "RCPT", .reason = "recipient_rate", .sender = {}, .recipient = action.path.to_string()});
      return std::nullopt;
    }
  }
  if (!hold_recipient(recipient, action.path)) return std::nullopt;
  message_->recipients.emplace_back(std::move(recipient));
  machine_.answer(make_reply(250, {2, 1, 5}, "recipient ok"));
  return std::nullopt;
}

bool Receiver::hold_recipient(const smtp::Recipient &recipient, const smtp::ForwardPath &path) {
  const std::uint64_t more = memory_of(recipient);
  const std::uint64_t budget = in_force_.snapshot->config().server.memory_budget;
  const MemoryNeed need = trusted_ ? MemoryNeed::message : MemoryNeed::stranger;
  if (!edge_.has_memory(need, budget, more, std::chrono::steady_clock::now())) {
    auto reply = no_memory(MemoryAccount::share(need, budget), "memory for recipients is used up, limit is");
    edge_.note_resource_refusal(Resource::memory, client_, "RCPT", reply,
                                fmt::format("server.memory_budget is {} octets", budget));
    refuse(std::move(reply), {.command = "RCPT", .reason = "memory", .sender = {}, .recipient = path.to_string()});
    return false;
  }
  if (!recipient_memory_) recipient_memory_.emplace(edge_.shared().memory);
  recipient_memory_->set(recipient_memory_->octets() + more);
  return true;
}

std::optional<Need> Receiver::take(smtp::BeginBody & /*action*/) {
  auto writer = edge_.shared().services.spool.begin();
  if (!writer) {
    refuse(note_storage_failure("DATA", writer.error()),
           {.command = "DATA", .reason = writer.error().detail, .sender = {}, .recipient = {}});
    return std::nullopt;
  }
  writer_ = std::move(*writer);
  const smtp::Limits &limits = in_force_.snapshot->config().limits.smtp;
  scanner_ = std::make_unique<smtp::HeaderScanner>(limits.header_size, limits.received_hops);
  begin_gate();
  begin_intake();
  header_memory_.emplace(edge_.shared().memory);
  arrived_ = 0;
  failure_.reset();
  policy_says_so_ = false;
  receiving_ = true;
  machine_.answer(smtp::Reply{.code = 354, .enhanced = std::nullopt, .text = "end data with <CRLF>.<CRLF>"});
  return std::nullopt;
}

std::optional<Need> Receiver::go_on() {
  if (!intake_ || !intake_->has_work()) return std::nullopt;
  if (const auto worked = intake_->work(*writer_); !worked) {
    failure_ = note_storage_failure("message", worked.error());
    if (!ending_) {
      writer_.reset();
      intake_.reset();
    }
  } else if (intake_->has_work()) {
    return Need::turn;
  }
  if (ending_) return end_of_message();
  return std::nullopt;
}

std::optional<Need> Receiver::take(smtp::Body &action) {
  if (failure_) return std::nullopt; // read to its end and thrown away: the reply comes after the final dot
  take_octets(gate_->feed(action.octets));
  if (failure_) {
    writer_.reset();
    intake_.reset();
    header_memory_.reset();
    unfinished_.reset();
    return std::nullopt;
  }
  if (intake_ && intake_->has_work()) return Need::turn;
  if (writer_->wants_pause()) return Need::room;
  return std::nullopt;
}

void Receiver::take_octets(std::string_view octets) {
  judge_header_form();
  if (failure_ || octets.empty()) return;
  if (!hold_header(octets.size())) {
    failure_ = no_memory(in_force_.snapshot->config().server.memory_budget);
    return;
  }
  if (!hold_octets(octets.size())) return;
  if (const auto scanned = scanner_->feed(octets); !scanned) {
    if (scanned.error().code == smtp::ErrorCode::protocol) {
      failure_ = make_reply(554, {5, 4, 6},
                            fmt::format("mail loop: too many Received fields, limit is {}",
                                        in_force_.snapshot->config().limits.smtp.received_hops));
    } else {
      failure_ = make_reply(552, {5, 3, 4}, scanned.error().detail);
    }
    return;
  }
  if (scanner_->is_header_complete()) add_missing_fields();
  const auto kept = intake_ ? intake_->feed(octets, *scanner_, *writer_) : writer_->append(octets);
  if (!kept) {
    failure_ = note_storage_failure("message", kept.error());
  }
}

std::optional<Need> Receiver::take(smtp::AskMessage & /*action*/) {
  if (!failure_) take_octets(gate_->end());
  if (!failure_) {
    add_missing_fields();
    if (intake_)
      if (const auto ended = intake_->end_of_octets(*writer_); !ended) {
        failure_ = note_storage_failure("message", ended.error());
      }
  }
  if (!failure_ && intake_ && intake_->has_work()) {
    ending_ = true;
    return Need::turn;
  }
  return end_of_message();
}

std::optional<Need> Receiver::end_of_message() {
  ending_ = false;
  if (!failure_ && intake_ && intake_->refusal()) {
    failure_ = intake_->refusal();
    policy_says_so_ = true;
  }
  if (!failure_ && intake_ && intake_->check() == nullptr && (failure_ = judge_authors())) policy_says_so_ = true;
  if (!failure_ && intake_)
    if (const auto ended = intake_->end(*writer_); !ended) {
      failure_ = note_storage_failure("message", ended.error());
    }
  if (failure_) {
    end_message();
    const std::string reason = failure_->text;
    const LogLevel level = policy_says_so_ ? LogLevel::warning : LogLevel::info;
    refuse(std::move(*std::exchange(failure_, std::nullopt)),
           {.command = "message", .reason = reason, .level = level, .sender = {}, .recipient = {}});
    drop_message();
    return std::nullopt;
  }
  if (intake_ && intake_->check() != nullptr) return Need::checks;
  complete_envelope();
  return Need::commit;
}

bool Receiver::hold_header(std::size_t more) {
  if (!intake_ || !header_memory_ || scanner_->is_header_complete())
    return true; // nothing is held, or no more than was
  const std::uint64_t header = scanner_->facts().size + more;
  const std::uint64_t wanted =
      memory_of_header_octet * std::min<std::uint64_t>(header, in_force_.snapshot->config().limits.smtp.header_size);
  if (wanted <= header_memory_->octets()) return true;
  const auto need = wanted > memory_of_header_octet * usual_header ? MemoryNeed::large_header : MemoryNeed::message;
  const auto budget = in_force_.snapshot->config().server.memory_budget;
  // In steps, so that not every piece of a header is a question.
  const std::uint64_t step = memory_of_header_octet * usual_header / 4;
  const std::uint64_t next = (wanted + step - 1) / step * step;
  if (!edge_.has_memory(need, budget, next - header_memory_->octets(), std::chrono::steady_clock::now())) return false;
  header_memory_->set(next);
  return true;
}

bool Receiver::hold_octets(std::size_t more) {
  using Unfinished = ConnectionLimits::Unfinished;
  const std::uint64_t before = std::exchange(arrived_, arrived_ + more);
  if (trusted_ || arrived_ / Unfinished::step == before / Unfinished::step) return true;
  if (!unfinished_) unfinished_.emplace(edge_.shared().limits, client_);
  const auto now = std::chrono::steady_clock::now();
  const auto held = unfinished_->hold(arrived_, edge_.unfinished_limit(in_force_.snapshot->config(), now));
  if (held) return true;
  failure_ = make_reply(452, {4, 3, 1}, held.error().detail + "; try again later");
  edge_.note_resource_refusal(Resource::disk, client_, "message", *failure_, held.error().detail);
  return false;
}

void Receiver::drop_message() noexcept {
  message_.reset();
  recipient_memory_.reset();
}

void Receiver::end_message() {
  receiving_ = false;
  ending_ = false;
  header_memory_.reset();
  unfinished_.reset();
  writer_.reset();
  gate_.reset();
  scanner_.reset();
  intake_.reset();
}

std::optional<Need> Receiver::take(smtp::AbortBody & /*action*/) {
  if (std::exchange(receiving_, false)) edge_.shared().messages_refused.fetch_add(1, std::memory_order_relaxed);
  end_message();
  failure_.reset();
  return std::nullopt;
}

std::optional<Need> Receiver::take(smtp::Close &action) {
  close_reason_ = std::move(action.reason);
  closes_at_clients_wish_ = action.at_clients_wish;
  return Need::close;
}

/// One session for each partner whose mail is judged in it; a refusal is counted each time.
void Receiver::observe(const smtp::ReversePath &sender, const policy::SenderVerdict &verdict) {
  if (edge_.shared().observer == nullptr) return;
  const smtp::Mailbox *mailbox = sender.mailbox();
  const smtp::Domain *domain = mailbox != nullptr ? mailbox->domain() : nullptr;
  if (domain == nullptr || in_force_.snapshot->config().partners.find(*domain) == nullptr) {
    observed_session_.reset();
    return;
  }
  if (observed_session_ && observed_session_->domain == domain->ascii() && !verdict.refusal) return;
  proven_session_.reset();
  observed_session_ =
      make_session(judge_, in_force_.snapshot->config(), sender, {verdict, client_.to_string(), machine_.facts().helo},
                   std::chrono::system_clock::now());
  edge_.shared().observer->session(observed_session_);
}

/// SPF is known only at a message's end: what it proved is counted with the message.
void Receiver::note_observed_message() {
  if (!observed_session_) return;
  if (spf_passed_ && !observed_session_->is_proven && !proven_session_) {
    auto proven = std::make_shared<TlsSession>(*observed_session_);
    proven->is_proven = true;
    proven_session_ = std::move(proven);
  }
  const auto &session = spf_passed_ && proven_session_ ? proven_session_ : observed_session_;
  edge_.shared().observer->messages(session, session->domain, 1);
}

/// [received_reports] copy_to: who gets such mail as well.
void Receiver::add_report_copies() {
  const Config &config = in_force_.snapshot->config();
  if (config.received_reports.copy_to.empty()) return;
  const auto is_report = [&](const RecipientState &state) { return config.is_report_mailbox(state.recipient.mailbox); };
  if (std::none_of(message_->recipients.begin(), message_->recipients.end(), is_report)) return;
  for (const smtp::Mailbox &copy : config.received_reports.copy_to) {
    const bool there = std::any_of(message_->recipients.begin(), message_->recipients.end(),
                                   [&](const RecipientState &state) { return state.recipient.mailbox == copy; });
    if (there) continue;
    smtp::Recipient recipient{.mailbox = copy, .parameters = {}};
    recipient.parameters.notify.given = recipient.parameters.notify.never = true; // it was not the sender who asked
    message_->recipients.emplace_back(std::move(recipient));
  }
}

SenderStanding Receiver::standing() {
  if (from_client_of_ours()) return SenderStanding::ours;
  if (sender_proven_) return SenderStanding::passed;
  if (!intake_ || intake_->check() == nullptr) return SenderStanding::unknown;
  const auth::SpfResult spf = intake_->check()->results().spf.mail_from.result;
  return spf == auth::SpfResult::pass   ? SenderStanding::passed
         : spf == auth::SpfResult::fail ? SenderStanding::failed
                                        : SenderStanding::unknown;
}

void Receiver::complete_envelope() {
  merge_recipients(*message_);
  add_report_copies();
  const auto now = std::chrono::system_clock::now();
  const Config &config = in_force_.snapshot->config();
  const smtp::MessageFacts &seen = scanner_->facts();
  const smtp::ServerFacts session = machine_.facts();
  const ClientCertificate certificate = judge_.certificate(now);
  const tls::Facts *tls_facts = judge_.facts();
  QueuedMessage &message = *message_;
  Envelope &envelope = message.envelope;
  message.id = writer_->id();
  message.expires = now + config.queue.retry.give_up_after;
  const std::string id = message.id.to_string();

  smtp::ReceivedFacts received;
  received.helo = session.helo;
  received.client = client_;
  received.by = config.server.hostname;
  received.id = id;
  received.extended = session.extended;
  received.hide_client = in_force_.listener->hide_clients && from_client_of_ours();
  received.smtputf8 = envelope.sender.parameters.smtputf8;
  received.now = now;
  if (tls_facts != nullptr) {
    received.tls = true;
    received.tls_version = tls::to_string(tls_facts->version);
    received.tls_suite = tls_facts->suite;
    received.tls_bits = tls_facts->bits;
    received.client_certificate = certificate.name;
    received.client_certificate_verified = certificate.verified;
  }
  if (message.recipients.size() == 1) received.only_recipient = message.recipients.front().recipient.mailbox;
  if (intake_) envelope.trace += intake_->signatures();
  envelope.trace += smtp::format_received(received) + added_fields_;
  envelope.message_id = added_message_id_.empty() ? seen.message_id : added_message_id_;
  envelope.arrival = now;
  if (message.held) message.held_since = now;
  envelope.body_size = intake_ ? intake_->stored() : seen.size;
  envelope.header_size = intake_ ? intake_->stored_header() : seen.header_size;
  envelope.has_8bit = intake_ ? intake_->converted_8bit().value_or(seen.has_8bit) : seen.has_8bit;
  // RFC 6531 section 3: the client says so, or an address needs it (the sender's, which asks for it; a recipient's is
  // seen where it is sent). An octet above 127 in a header field of other mail goes on as it came.
  envelope.needs_smtputf8 = envelope.sender.parameters.smtputf8 && seen.header_has_8bit;
  // RFC 8689 section 4.1: with REQUIRETLS "the TLS-Required header field MUST be ignored".
  envelope.tls_optional = seen.tls_optional && !envelope.sender.parameters.requiretls;
  envelope.from_outside = !from_client_of_ours();
  envelope.client = fmt::format("{} ({})", client_.to_string(), session.helo);
  envelope.standing = standing();
  envelope.failures_only = !in_force_.listener->dsn;
  if (envelope.standing != SenderStanding::ours) limit_notices(message);
  envelope.tls_in = describe_tls(tls_facts, certificate.verified);
  for (RecipientState &recipient : message.recipients) recipient.next_attempt = now;
}

void Receiver::commit(std::function<void(smtp::Result<void>)> done) {
  writer_->commit(encode_envelope(*message_), std::move(done));
}

void Receiver::committed(const smtp::Result<void> &result) {
  end_message();
  if (!result) {
    refuse(note_storage_failure("message", result.error()),
           {.command = "message", .reason = result.error().detail, .sender = {}, .recipient = {}});
    drop_message();
    return;
  }
  const QueueId id = message_->id;
  smtp::Reply reply = make_reply(250, {2, 0, 0}, "queued as " + id.to_string());
  sum_up_refusals();
  policy_refusals_ = 0;
  log_accepted(reply);
  note_observed_message();
  ++accepted_;
  edge_.shared().messages_accepted.fetch_add(1, std::memory_order_relaxed);
  unconfirmed_ = id;
  edge_.shared().services.submit(std::move(message_));
  drop_message();
  machine_.answer(std::move(reply));
}

void Receiver::let_go() noexcept {
  end_message();
  drop_message();
}

void Receiver::trust_client() noexcept {
  trusted_ = true;
  machine_.trust_client();
}

std::optional<smtp::Reply> Receiver::pending_refusal() const {
  return failure_ ? failure_ : machine_.pending_refusal();
}

void Receiver::tls_done(const tls::Facts &facts, std::shared_ptr<const tls::PeerChain> chain) {
  judge_.tls_done(facts, std::move(chain));
}

} // namespace mta::inbound
