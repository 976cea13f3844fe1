// This file is the connection's life around its transactions:
//
//   Greeting --220--> Hello --250--> Idle <--> InTransaction      Idle --quit--> Quitting --> Ended
//                       |   ^
//              STARTTLS v   | tls_done
//                     AskedTls --220--> Handshake                 any --violation, 421, end of input--> Failed
#include "smtp/session/client_session.hpp"

#include <utility>

#include <fmt/core.h>

#include "smtp/base/text.hpp"
#include "smtp/session/client_capabilities.hpp"
#include "smtp/session/client_commands.hpp"
#include "smtp/session/client_transaction.hpp"

namespace smtp {

namespace {

using Stage = ClientFailed::Stage;

struct Greeting {};
struct Hello {
  bool extended = true;
  bool sent = false;
};
struct AskedTls {
  bool sent = false;
};
struct Handshake {
  bool announced = false;
};
struct Idle {
  bool announced = false;
};
struct InTransaction {
  ClientTransaction transaction;
};
struct Quitting {
  bool sent = false;
};
struct Ended {};
struct Failed {
  ClientFailed failure;
};
using State = std::variant<Greeting, Hello, AskedTls, Handshake, Idle, InTransaction, Quitting, Ended, Failed>;

/// RFC 5321 section 4.2.1: 421 may answer any command; the server is about to close.
bool is_closing(const Reply &reply) noexcept {
  return reply.code == 421;
}

/// The first word of a greeting or of the answer to EHLO: the server's name (RFC 5321 section 4.2).
std::string_view first_word(const Reply &reply) noexcept {
  std::string_view text = reply.text;
  text = text.substr(0, text.find_first_of(" \t\n"));
  if (text.ends_with('.')) text.remove_suffix(1);
  return text;
}

/// What a message needs and the hop lacks, judged before a word is said.
std::optional<Reply> missing_for(const Transaction &transaction, const Capabilities &offered, std::size_t begun) {
  // RFC 8689 section 4.2.1: no MAIL to a server that does not promise to pass the requirement on. Section 5: from <> it
  // "SHOULD NOT cause a bounce message to be discarded even if the next-hop relay does not advertise REQUIRETLS".
  if (transaction.sender.parameters.requiretls && !offered.requiretls && !transaction.sender.path.is_null())
    return Reply{550, EnhancedCode{5, 7, 30}, "REQUIRETLS support required"};
  if (offered.mail_max && begun >= *offered.mail_max)
    return Reply{452, EnhancedCode{4, 5, 3},
                 fmt::format("the server takes {} messages on a connection", *offered.mail_max)};
  if (offered.size_limit > 0 && transaction.size > offered.size_limit)
    return Reply{552, EnhancedCode{5, 3, 4},
                 fmt::format("message is {} octets, the server's limit is {}", transaction.size, offered.size_limit)};
  if (needs_smtputf8(transaction) && !offered.smtputf8)
    return Reply{553, EnhancedCode{5, 6, 7},
                 "an address or header field is in UTF-8, and the server does not offer SMTPUTF8"};
  if (transaction.has_8bit && !offered.eight_bit_mime)
    return Reply{554, EnhancedCode{5, 6, 3}, "message has 8-bit octets, and the server does not offer 8BITMIME"};
  return std::nullopt;
}

} // namespace

struct ClientSession::Impl {
  explicit Impl(ClientOptions given) : options(std::move(given)), in_tls(options.inside_tls) {}

  /// Nothing: go round again, the state has changed.
  using Step = std::optional<ClientAction>;
  Step step(Greeting &state);
  Step step(Hello &state);
  Step step(AskedTls &state);
  Step step(Handshake &state);
  Step step(Idle &state);
  Step step(InTransaction &state);
  Step step(Quitting &state);
  Step step(Ended &state);
  Step step(Failed &state);

  /// The next reply, if it is complete; a failed Result has already changed the state.
  std::optional<Reply> read(Stage stage_at_end);
  Step after_hello(const Reply &reply);
  /// True, and the session has failed, when the server has our own name.
  bool is_loop(const Reply &reply);
  Step unasked(Stage closing_stage);
  void fail_with(Stage stage, std::optional<Reply> reply, std::string detail);
  [[nodiscard]] bool has_failed() const noexcept { return std::holds_alternative<Failed>(state); }

  ClientOptions options;
  Capabilities capabilities;
  ReplyParser parser;
  State state = Greeting{};
  bool in_tls;
  bool at_end = false;
  bool needs_reset = false;
  std::size_t transactions = 0;
  std::size_t replies = 0;
};

/// Ends the session. Of an open transaction's recipients, those without a final reply become temporary.
void ClientSession::Impl::fail_with(Stage stage, std::optional<Reply> reply, std::string detail) {
  ClientFailed failure{.stage = stage, .reply = std::move(reply), .detail = std::move(detail), .outcomes = {}};
  if (auto *open = std::get_if<InTransaction>(&state)) {
    auto &transaction = open->transaction;
    failure.unsure = transaction.awaits_final_reply() && !failure.reply;
    if (failure.reply && failure.reply->code >= 400 && stage == Stage::transaction)
      transaction.abandon(*failure.reply, false);
    else
      transaction.abandon(Reply{451,
                                EnhancedCode{4, stage == Stage::protocol ? std::uint16_t{5} : std::uint16_t{4},
                                             stage == Stage::protocol ? std::uint16_t{0} : std::uint16_t{2}},
                                failure.detail},
                          true);
    failure.outcomes = transaction.take_outcomes();
  }
  state = Failed{std::move(failure)};
}

std::optional<Reply> ClientSession::Impl::read(Stage stage_at_end) {
  auto parsed = parser.next();
  if (!parsed) {
    fail_with(Stage::protocol, std::nullopt, std::move(parsed.error().detail));
    return std::nullopt;
  }
  if (*parsed) {
    ++replies;
    return std::move(*parsed);
  }
  if (at_end) {
    const auto *open = std::get_if<InTransaction>(&state);
    fail_with(stage_at_end, std::nullopt,
              open && open->transaction.awaits_final_reply()
                  ? "connection lost after the whole message was sent and before it was answered; it may arrive twice"
                  : "server closed the connection");
  }
  return std::nullopt;
}

/// Octets came that answer nothing. 421 is the server's good-bye; all else is no SMTP.
ClientSession::Impl::Step ClientSession::Impl::unasked(Stage closing_stage) {
  auto parsed = parser.next();
  if (parsed && !*parsed && !at_end) return ClientWait{}; // whatever it is, it is not complete
  if (parsed && *parsed && !(*parsed)->is_positive()) {
    auto detail = fmt::format("server ended the session: {}", escape((*parsed)->to_line()));
    fail_with(closing_stage, std::move(**parsed), std::move(detail));
  } else {
    fail_with(Stage::protocol, std::nullopt,
              parsed ? "server sent octets that answer no command" : std::move(parsed.error().detail));
  }
  return std::nullopt;
}

ClientSession::Impl::Step ClientSession::Impl::step(Greeting &) {
  auto reply = read(Stage::greeting);
  if (!reply) return has_failed() ? Step{} : Step{ClientWait{}};
  if (reply->code == 220) {
    if (!is_loop(*reply)) state = Hello{};
  } else {
    const auto stage = reply->is_positive() ? Stage::protocol : Stage::greeting;
    auto detail = fmt::format("greeting is \"{}\"", escape(reply->to_line()));
    fail_with(stage, std::move(*reply), std::move(detail));
  }
  return std::nullopt;
}

bool ClientSession::Impl::is_loop(const Reply &reply) {
  if (!options.own_name_is_loop || !equals_ignoring_case(first_word(reply), options.hostname)) return false;
  fail_with(Stage::loop, std::nullopt,
            fmt::format("mail loops back to us: the host has our own name {}", options.hostname));
  return true;
}

ClientSession::Impl::Step ClientSession::Impl::step(Hello &hello) {
  if (!hello.sent) {
    if (parser.has_pending_octets()) return unasked(Stage::hello);
    hello.sent = true;
    return ClientSend{fmt::format("{} {}\r\n", hello.extended ? "EHLO" : "HELO", options.hostname)};
  }
  auto reply = read(Stage::hello);
  if (!reply) return has_failed() ? Step{} : Step{ClientWait{}};
  if (reply->code == 250) return after_hello(*reply);
  // RFC 5321 section 3.2: a server that does not know EHLO gets HELO, which offers no STARTTLS.
  const bool try_helo = reply->is_permanent() && hello.extended;
  if (try_helo && (in_tls || options.starttls != StartTlsUse::required)) {
    state = Hello{.extended = false, .sent = false};
  } else {
    auto detail = fmt::format("{} was answered \"{}\"", hello.extended ? "EHLO" : "HELO", escape(reply->to_line()));
    const auto stage = try_helo ? Stage::starttls_absent : reply->is_positive() ? Stage::protocol : Stage::hello;
    fail_with(stage, std::move(*reply), std::move(detail));
  }
  return std::nullopt;
}

ClientSession::Impl::Step ClientSession::Impl::after_hello(const Reply &reply) {
  if (is_loop(reply)) return std::nullopt;
  capabilities = std::get<Hello>(state).extended ? parse_capabilities(reply) : Capabilities{};
  // RFC 8689 section 4.2.1, step 5: what counts is "the response to the subsequent EHLO following establishment of the
  // TLS protection"; in clear anybody may have written it.
  if (!in_tls) capabilities.requiretls = false;
  if (in_tls || options.starttls == StartTlsUse::never) {
    state = Idle{};
  } else if (capabilities.starttls) {
    state = AskedTls{};
  } else if (options.starttls == StartTlsUse::required) {
    fail_with(Stage::starttls_absent, std::nullopt, "STARTTLS is required and was not offered");
  } else {
    state = Idle{};
  }
  return std::nullopt;
}

ClientSession::Impl::Step ClientSession::Impl::step(AskedTls &asked) {
  // RFC 3207 section 4.2 and the command injection of CVE-2011-0411, seen from the client: what came in clear before or
  // behind the answer would be taken for what the server said inside TLS.
  const auto injected = [this] {
    fail_with(Stage::starttls_injected, std::nullopt, "server sent octets in clear around its answer to STARTTLS");
    return Step{};
  };
  if (!asked.sent) {
    if (parser.has_pending_octets()) return injected();
    asked.sent = true;
    return ClientSend{"STARTTLS\r\n"};
  }
  auto reply = read(Stage::starttls_refused);
  if (!reply) return has_failed() ? Step{} : Step{ClientWait{}};
  if (reply->code == 220) {
    if (parser.has_pending_octets()) return injected();
    state = Handshake{};
  } else {
    const auto stage = reply->is_positive() ? Stage::protocol : Stage::starttls_refused;
    auto detail = fmt::format("STARTTLS was answered \"{}\"", escape(reply->to_line()));
    fail_with(stage, std::move(*reply), std::move(detail));
  }
  return std::nullopt;
}

ClientSession::Impl::Step ClientSession::Impl::step(Handshake &handshake) {
  if (parser.has_pending_octets()) {
    fail_with(Stage::starttls_injected, std::nullopt, "server sent octets in clear after its answer to STARTTLS");
    return std::nullopt;
  }
  if (at_end) {
    fail_with(Stage::starttls_refused, std::nullopt, "server closed the connection before the handshake");
    return std::nullopt;
  }
  if (std::exchange(handshake.announced, true)) return ClientWait{};
  return ClientStartTls{};
}

ClientSession::Impl::Step ClientSession::Impl::step(Idle &idle) {
  if (parser.has_pending_octets()) return unasked(Stage::transaction);
  if (at_end) {
    fail_with(Stage::transaction, std::nullopt, "server closed the connection between transactions");
    return std::nullopt;
  }
  if (std::exchange(idle.announced, true)) return ClientWait{};
  return ClientReady{};
}

ClientSession::Impl::Step ClientSession::Impl::step(InTransaction &open) {
  auto &transaction = open.transaction;
  while (transaction.expects_reply()) {
    auto reply = read(Stage::transaction);
    if (has_failed()) return std::nullopt;
    if (!reply) break;
    if (is_closing(*reply)) {
      auto detail = fmt::format("server ended the session: {}", escape(reply->to_line()));
      fail_with(Stage::transaction, std::move(*reply), std::move(detail));
      return std::nullopt;
    }
    if (auto taken = transaction.on_reply(std::move(*reply)); !taken) {
      fail_with(Stage::protocol, std::nullopt, std::move(taken.error().detail));
      return std::nullopt;
    }
  }
  if (!transaction.is_done() && !transaction.expects_reply()) {
    if (parser.has_pending_octets()) return unasked(Stage::transaction);
    if (at_end) {
      fail_with(Stage::transaction, std::nullopt, "server closed the connection");
      return std::nullopt;
    }
  }
  if (auto action = transaction.next()) {
    if (auto *send = std::get_if<ClientSend>(&*action)) return ClientAction{std::move(*send)};
    return ClientAction{ClientNeedBody{}};
  }
  if (transaction.is_broken()) {
    // Inside DATA there is no way to take a message back but to close (RFC 5321 section 4.1.1.4).
    fail_with(Stage::transaction, std::nullopt, transaction.body_error()->detail);
    return std::nullopt;
  }
  if (!transaction.is_done()) return ClientWait{};
  needs_reset = transaction.needs_reset();
  TransactionDone done{transaction.take_outcomes()};
  state = Idle{.announced = true};
  return ClientAction{std::move(done)};
}

ClientSession::Impl::Step ClientSession::Impl::step(Quitting &quitting) {
  if (!quitting.sent) {
    parser.clear();
    quitting.sent = true;
    if (!at_end) return ClientSend{"QUIT\r\n"};
  }
  // The answer and the connection's end say the same.
  const auto parsed = parser.next();
  if (parsed && !*parsed && !at_end) return ClientWait{};
  state = Ended{};
  return std::nullopt;
}

ClientSession::Impl::Step ClientSession::Impl::step(Ended &) {
  return ClientClosed{};
}

ClientSession::Impl::Step ClientSession::Impl::step(Failed &failed) {
  auto failure = failed.failure;
  failed.failure.outcomes.clear(); // an outcome is told once
  return ClientAction{std::move(failure)};
}

ClientSession::ClientSession(ClientOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
ClientSession::~ClientSession() = default;
ClientSession::ClientSession(ClientSession &&) noexcept = default;
ClientSession &ClientSession::operator=(ClientSession &&) noexcept = default;

void ClientSession::feed(std::string_view octets) {
  if (!std::holds_alternative<Ended>(impl_->state) && !impl_->has_failed()) impl_->parser.feed(octets);
}

void ClientSession::end_of_input() {
  impl_->at_end = true;
}

ClientAction ClientSession::next() {
  for (;;)
    if (auto action = std::visit([this](auto &state) { return impl_->step(state); }, impl_->state))
      return std::move(*action);
}

void ClientSession::tls_done() {
  if (!std::holds_alternative<Handshake>(impl_->state)) return;
  if (impl_->parser.has_pending_octets()) return; // next() reports what was injected
  impl_->in_tls = true;
  impl_->capabilities = {};
  impl_->state = Hello{};
}

void ClientSession::begin(Transaction transaction) {
  auto missing = missing_for(transaction, impl_->capabilities, impl_->transactions);
  const bool reset_first = std::exchange(impl_->needs_reset, false);
  if (auto *failed = std::get_if<Failed>(&impl_->state)) {
    const Reply reply{451, EnhancedCode{4, 4, 2}, failed->failure.detail};
    failed->failure.outcomes.assign(transaction.recipients.size(),
                                    {RecipientOutcome::Kind::temporary, reply, true, false});
    return;
  }
  if (!std::holds_alternative<Idle>(impl_->state)) return; // the caller's contract
  if (missing) {
    const auto kind = missing->is_temporary() ? RecipientOutcome::Kind::temporary : RecipientOutcome::Kind::permanent;
    const bool lacking = missing->is_permanent();
    impl_->state = InTransaction{ClientTransaction::refused(std::move(transaction), impl_->capabilities, reset_first,
                                                            {kind, std::move(*missing), true, false, lacking})};
    return;
  }
  ++impl_->transactions;
  impl_->state = InTransaction{ClientTransaction(std::move(transaction), impl_->capabilities, reset_first)};
}

void ClientSession::give_body(std::string_view octets, bool last) {
  if (auto *open = std::get_if<InTransaction>(&impl_->state)) open->transaction.give_body(octets, last);
}

void ClientSession::quit() {
  if (impl_->has_failed())
    impl_->state = Ended{};
  else if (!std::holds_alternative<Ended>(impl_->state))
    impl_->state = Quitting{};
}

const Capabilities &ClientSession::capabilities() const noexcept {
  return impl_->capabilities;
}

std::size_t ClientSession::replies() const noexcept {
  return impl_->replies;
}

ClientSession::Waiting ClientSession::waiting() const noexcept {
  struct Name {
    Waiting operator()(const Greeting &) const noexcept { return Waiting::greeting; }
    Waiting operator()(const Hello &) const noexcept { return Waiting::hello; }
    Waiting operator()(const AskedTls &) const noexcept { return Waiting::starttls; }
    Waiting operator()(const Handshake &) const noexcept { return Waiting::starttls; }
    Waiting operator()(const Idle &) const noexcept { return Waiting::nothing; }
    Waiting operator()(const InTransaction &open) const noexcept { return open.transaction.waiting(); }
    Waiting operator()(const Quitting &) const noexcept { return Waiting::quit; }
    Waiting operator()(const Ended &) const noexcept { return Waiting::nothing; }
    Waiting operator()(const Failed &) const noexcept { return Waiting::nothing; }
  };
  return std::visit(Name{}, impl_->state);
}

} // namespace smtp
