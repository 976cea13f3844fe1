// The commands of a server session: what each does in each state, and the replies of RFC 5321 section 4.3.2.
#include "smtp/session/server_impl.hpp"

#include "smtp/base/text.hpp"

#include <fmt/core.h>

#include <utility>

namespace smtp {

namespace {

/// Chunks under this that are not the last count as commands that bring no mail on.
constexpr std::uint64_t least_chunk = 64;

/// RFC 5321 section 4.1.1: these take no argument. STARTTLS: RFC 3207 section 4.
bool takes_no_argument(Verb verb) noexcept {
  return verb == Verb::data || verb == Verb::rset || verb == Verb::quit || verb == Verb::starttls;
}

/// RFC 3207 section 4: a server that requires TLS answers 530 "to every command other than NOOP, EHLO, STARTTLS, or
/// QUIT". What is not a command of ours hears so instead.
bool needs_required_tls(Verb verb) noexcept {
  switch (verb) {
  case Verb::ehlo:
  case Verb::helo:
  case Verb::noop:
  case Verb::quit:
  case Verb::starttls:
  case Verb::http:
  case Verb::not_implemented:
  case Verb::unknown: return false;
  case Verb::mail:
  case Verb::rcpt:
  case Verb::data:
  case Verb::bdat:
  case Verb::rset:
  case Verb::vrfy:
  case Verb::help: break;
  }
  return true;
}

} // namespace

void ServerSession::Impl::run(const CommandLine &command) {
  if (takes_no_argument(command.verb) && !command.argument.empty())
    return refuse(501, {5, 5, 4}, fmt::format("{} takes no parameter", to_upper(command.word)));
  switch (command.verb) {
  case Verb::ehlo:
  case Verb::helo:
  case Verb::rset:
  case Verb::noop:
  case Verb::vrfy:
  case Verb::help:
    if (!count_idle()) return;
    break;
  default: break;
  }
  // BDAT has its own: RFC 3030 section 2, the octets of a refused chunk are no commands.
  if (options_.require_tls && !in_tls_ && needs_required_tls(command.verb) && command.verb != Verb::bdat)
    return refuse(530, {5, 7, 0}, "this server demands TLS: say STARTTLS first");
  switch (command.verb) {
  case Verb::ehlo:
  case Verb::helo: return run_hello(command);
  case Verb::mail: return run_mail(command.argument);
  case Verb::rcpt: return run_rcpt(command.argument);
  case Verb::data: return run_data();
  case Verb::bdat: return run_bdat(command.argument);
  case Verb::rset:
    abort_body();
    if (!std::holds_alternative<Start>(state_)) state_ = Greeted{};
    return reply(250, {2, 0, 0}, "forgotten");
  case Verb::noop: return reply(250, {2, 0, 0}, "nothing done");
  case Verb::vrfy: return run_vrfy(command.argument);
  case Verb::help:
    return reply(214, {2, 0, 0},
                 "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT STARTTLS\nSee RFC 5321 for what they mean");
  case Verb::quit:
    abort_body();
    reply(221, {2, 0, 0}, options_.hostname + " says goodbye");
    return close("the client said QUIT", true);
  case Verb::starttls: return run_starttls();
  case Verb::not_implemented:
    return refuse(502, {5, 5, 1}, fmt::format("{} is not implemented here", to_upper(command.word)));
  case Verb::http:
    abort_body();
    reply(554, {5, 5, 1}, "this is an SMTP server; the connection closes");
    return close("the client speaks HTTP");
  case Verb::unknown: break;
  }
  if (command.word.empty()) return refuse(500, {5, 5, 2}, "the line is empty");
  refuse(500, {5, 5, 2}, fmt::format("command \"{}\" is not known", escape(command.word, 40)));
}

void ServerSession::Impl::run_hello(const CommandLine &command) {
  auto name = parse_hello(command.argument);
  if (!name) return refuse(name.error());
  // RFC 5321 section 4.1.4: a second EHLO is as good as RSET.
  abort_body();
  state_ = Greeted{};
  helo_ = std::move(*name);
  extended_ = command.verb == Verb::ehlo;
  if (!extended_) return reply(Reply{250, std::nullopt, options_.hostname});
  const auto &limits = options_.limits;
  std::string text = options_.hostname;
  text += "\nPIPELINING";
  text += fmt::format("\nSIZE {}", limits.message_size);
  text += "\n8BITMIME\nSMTPUTF8\nENHANCEDSTATUSCODES\nCHUNKING";
  if (options_.offer_dsn) text += "\nDSN";
  text += fmt::format("\nLIMITS RCPTMAX={}", limits.recipients);
  if (limits.transactions > 0) text += fmt::format(" MAILMAX={}", limits.transactions);
  if (options_.offer_starttls && !in_tls_) text += "\nSTARTTLS";
  if (takes_requiretls()) text += "\nREQUIRETLS";
  text += "\nHELP";
  reply(Reply{250, std::nullopt, std::move(text)});
}

void ServerSession::Impl::run_mail(std::string_view argument) {
  if (std::holds_alternative<Start>(state_)) return refuse(503, {5, 5, 1}, "say EHLO first");
  if (!std::holds_alternative<Greeted>(state_)) return refuse(503, {5, 5, 1}, "a transaction is open; RSET ends it");
  const auto &limits = options_.limits;
  if (limits.transactions > 0 && transactions_ >= limits.transactions)
    return refuse(452, {4, 5, 3}, fmt::format("too many messages, limit is {} in one session", limits.transactions));
  auto sender = parse_mail(argument, options_.sender_origin);
  if (!sender) return refuse(sender.error());
  // RFC 8689 section 2: the option "MUST only be specified in the context of an SMTP session meeting the security
  // requirements of REQUIRETLS". Where it was not offered it is a parameter that we do not have (RFC 5321 section
  // 4.1.1.11): taking it would be a promise over a line that is open to all.
  if (sender->parameters.requiretls && !takes_requiretls())
    return refuse(555, {5, 5, 4},
                  in_tls_ ? "REQUIRETLS is not offered in this session"
                          : "REQUIRETLS is not offered in clear text: it belongs inside TLS");
  const MailParameters &asked = sender->parameters;
  if (!options_.offer_dsn && (asked.ret != DsnReturn::unspecified || !asked.envid.empty())) return refuse_dsn();
  if (limits.message_size > 0 && sender->parameters.size.value_or(0) > limits.message_size) return refuse(too_big());
  ++transactions_;
  question_ = SenderQuestion{sender->parameters.smtputf8 ? Utf8::allowed : Utf8::refused};
  actions_.emplace_back(AskSender{std::move(*sender)});
}

void ServerSession::Impl::refuse_dsn() {
  refuse(555, {5, 5, 4}, "DSN is not offered here: RET, ENVID, NOTIFY and ORCPT are not known");
}

void ServerSession::Impl::run_rcpt(std::string_view argument) {
  const auto *transaction = std::get_if<InTransaction>(&state_);
  if (transaction == nullptr) {
    const bool in_body = std::holds_alternative<ReceivingBody>(state_);
    return refuse(503, {5, 5, 1}, in_body ? "a message is being sent with BDAT" : "say MAIL first");
  }
  auto recipient = parse_rcpt(argument, transaction->utf8, options_.recipient_origin);
  if (!recipient) return refuse_recipient(recipient.error());
  if (!options_.offer_dsn && (recipient->parameters.notify.given || recipient->parameters.orcpt)) return refuse_dsn();
  const auto limit = options_.limits.recipients;
  if (transaction->recipients >= limit)
    return refuse_recipient(
        Reply{452, EnhancedCode{4, 5, 3}, fmt::format("too many recipients, limit is {} for one message", limit)});
  question_ = RecipientQuestion{};
  actions_.emplace_back(AskRecipient{std::move(recipient->path), std::move(recipient->parameters)});
}

void ServerSession::Impl::run_data() {
  const auto *transaction = std::get_if<InTransaction>(&state_);
  if (transaction == nullptr) {
    // RFC 3030 section 2: BDAT and DATA must not be mixed in one transaction.
    const bool in_body = std::holds_alternative<ReceivingBody>(state_);
    return refuse(503, {5, 5, 1}, in_body ? "a message is being sent with BDAT" : "say MAIL and RCPT first");
  }
  if (transaction->recipients == 0) return refuse(554, {5, 5, 1}, "no valid recipients");
  question_ = BodyQuestion{};
  actions_.emplace_back(BeginBody{});
}

void ServerSession::Impl::run_bdat(std::string_view argument) {
  const auto chunk = parse_bdat(argument);
  if (!chunk) {
    reply(chunk.error());
    return close("BDAT without a size");
  }
  auto *body = std::get_if<ReceivingBody>(&state_);
  const auto *transaction = std::get_if<InTransaction>(&state_);
  if (options_.require_tls && !in_tls_)
    return refuse_chunk(*chunk, Reply{530, EnhancedCode{5, 7, 0}, "this server demands TLS: say STARTTLS first"});
  if (body == nullptr && transaction == nullptr)
    return refuse_chunk(*chunk, Reply{503, EnhancedCode{5, 5, 1}, "say MAIL and RCPT first"});
  if (transaction != nullptr && transaction->recipients == 0)
    return refuse_chunk(*chunk, Reply{554, EnhancedCode{5, 5, 1}, "no valid recipients"});
  const auto limit = options_.limits.message_size;
  const auto size = body != nullptr ? body->size : 0;
  if (limit > 0 && (chunk->size > limit || size > limit - chunk->size)) {
    abort_body();
    state_ = Greeted{};
    return refuse_chunk(*chunk, too_big());
  }
  // Each chunk costs a reply, be it of no octet.
  if (!chunk->last && chunk->size < least_chunk && !count_idle()) return;
  if (body != nullptr) {
    body->reading = true;
    body->chunk = *chunk;
    body->chunk_left = chunk->size;
    return;
  }
  question_ = BodyQuestion{*chunk};
  actions_.emplace_back(BeginBody{});
}

void ServerSession::Impl::run_starttls() {
  if (in_tls_) return refuse(503, {5, 5, 1}, "TLS is active already");
  if (!options_.offer_starttls) return refuse(502, {5, 5, 1}, "STARTTLS is not offered here");
  if (std::holds_alternative<ReceivingBody>(state_)) return refuse(503, {5, 5, 1}, "a message is being sent with BDAT");
  if (!unread().empty()) {
    // RFC 3207 section 4.2, and the command injection that comes of reading on: nothing sent in clear is ever run
    // inside TLS.
    reply(554, {5, 5, 1}, "octets follow STARTTLS in clear; the connection closes");
    return close("octets in clear after STARTTLS");
  }
  reply(220, {2, 0, 0}, "ready to start TLS");
  state_ = AwaitingTls{};
  actions_.emplace_back(StartTls{});
}

void ServerSession::Impl::run_vrfy(std::string_view argument) {
  if (argument.empty()) return refuse(501, {5, 5, 4}, "syntax: VRFY address");
  // RFC 5321 section 3.5.3: an honest "cannot say".
  reply(252, {2, 5, 2}, "cannot verify; send it mail, and we shall try");
}

} // namespace smtp
