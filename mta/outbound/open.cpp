#include "mta/outbound/open.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "mta/config/own_addresses.hpp"
#include "mta/outbound/observe.hpp"
#include "mta/outbound/session_io.hpp"
#include "smtp/base/text.hpp"

namespace mta {

using Stage = smtp::ClientFailed::Stage;

namespace {

constexpr smtp::EnhancedCode tls_missing{4, 7, 4};  ///< RFC 5248 registry, X.7.4: a security feature is not there
constexpr smtp::EnhancedCode tls_unproven{4, 7, 5}; ///< X.7.5: cryptographic failure

/// The steps of one open_connection(), which share what they found out.
struct Opening {
  const OpenRequest &request;
  ActiveConnection &active;
  Attempt &attempt;
  Opened opened;
  std::unique_ptr<Connection> connection;
  std::string label;

  [[nodiscard]] const HostPlan &plan() const noexcept { return *request.plan; }
  [[nodiscard]] const OutboundConfig &timeouts() const noexcept { return plan().config().outbound; }
};

void fail_with(Opening &opening, HostFailure failure) {
  opening.attempt.cause = failure.cause;
  opening.attempt.reply = failure.reply;
  opening.attempt.detail = failure.detail;
  opening.opened.failure = std::move(failure);
}

/// TLS did not come about. An opportunistic requirement may plan an attempt in clear, unless something was injected.
/// `passing`: a fault of the moment, for which even a message that demands REQUIRETLS waits.
void fail_tls(Opening &opening, std::string reason, smtp::EnhancedCode code,
              policy::TlsFault fault = policy::TlsFault::validation_failure, bool passing = false) {
  opening.opened.session =
      make_session(opening.plan(), *opening.connection,
                   {.tls_problem = reason, .fault = fault, .refused = !opening.plan().may_fall_back()},
                   std::chrono::system_clock::now());
  opening.attempt.tls_problem = reason;
  opening.attempt.verdict = policy::judge_tls(opening.plan().required(), tls::Facts{});
  opening.attempt.observed = policy::judge_observed(opening.plan().decision, tls::Facts{});
  if (opening.plan().may_fall_back() && !opening.opened.injected && !opening.request.in_clear) {
    opening.opened.fallback_reason = reason;
    opening.opened.fallback_address = opening.connection->address;
  }
  const policy::Requirement &required = opening.plan().required();
  fail_with(opening,
            tls_failure(required, tls::Level::none, opening.label, reason, code, required.requiretls && !passing));
}

void fail_connection(Opening &opening, std::optional<smtp::Reply> reply, const std::string &detail) {
  HostFailure failure;
  failure.host = opening.label;
  failure.detail = smtp::escape(detail, 500);
  failure.cause = reply ? FailureCause::reply : FailureCause::connect;
  failure.refused_for_good = reply && reply->is_permanent();
  failure.reply = reply ? std::move(*reply) : smtp::Reply{451, smtp::EnhancedCode{4, 4, 2}, failure.detail};
  fail_with(opening, std::move(failure));
}

/// The session could not become ready.
void fail_session(Opening &opening, const smtp::ClientFailed &failed) {
  const Connection &connection = *opening.connection;
  std::string detail = failed.detail;
  if (connection.wire_error && !failed.reply)
    detail = describe_wire_error(*connection.wire_error, connection.failed_in);
  const bool closing = failed.reply && failed.reply->code == 421; // RFC 5321 section 3.8: it closes, whatever was asked
  switch (failed.stage) {
  case Stage::starttls_absent:
    return fail_tls(opening, "STARTTLS was not offered", tls_missing, policy::TlsFault::starttls_not_supported);
  case Stage::starttls_refused: {
    if (closing) break;
    // RFC 3207 section 4: 454 is "TLS not available due to temporary reason". No answer, or a reset, passes too.
    const bool passing = connection.wire_error || !failed.reply || failed.reply->is_temporary();
    // RFC 8460 section 4.3.1: it was offered, and then refused or cut off, so "not supported" would be wrong.
    return fail_tls(opening, smtp::escape(detail, 500), tls_missing, policy::TlsFault::validation_failure, passing);
  }
  case Stage::loop: opening.opened.is_us = true; break;
  case Stage::starttls_injected: opening.opened.injected = true; return fail_tls(opening, failed.detail, tls_unproven);
  case Stage::hello:
    // With TLS 1.3 the server's refusal of our side of the handshake comes only now.
    if (connection.stream.is_tls() && connection.wire_error && connection.wire_error->code == smtp::ErrorCode::tls)
      return fail_tls(opening, smtp::escape(detail, 500), tls_unproven);
    if (connection.stream.is_tls() && connection.wire_error &&
        connection.wire_error->code == smtp::ErrorCode::protocol) {
      opening.opened.injected = true;
      return fail_tls(opening, smtp::escape(detail, 500), tls_unproven);
    }
    opening.opened.put_off = closing;
    break;
  case Stage::greeting: opening.opened.put_off = failed.reply && failed.reply->is_temporary(); break;
  case Stage::protocol:
  case Stage::transaction: break;
  }
  fail_connection(opening, failed.reply, detail);
}

Task<bool> shake_hands(Opening &opening) {
  Connection &connection = *opening.connection;
  // RFC 3207 and its injection attacks: until we begin, a server has nothing to say.
  if (!opening.plan().required().implicit_tls && connection.stream.readable_now()) {
    opening.opened.injected = true;
    fail_tls(opening, "server sent octets in clear after its answer to STARTTLS", tls_unproven);
    co_return false;
  }
  connection.stream.set_deadline(tls::Stream::Clock::now() + opening.timeouts().starttls_timeout);
  const HostPlan &plan = opening.plan();
  // RFC 7672 section 8.1: with DANE the TLSA base domain.
  std::string server_name = plan.host.address                     ? std::string()
                            : plan.required().server_name.empty() ? plan.host.name
                                                                  : plan.required().server_name;
  auto done = co_await connection.stream.handshake(opening.plan().context, tls::Role::client, std::move(server_name));
  if (!done) {
    const bool late = done.error().code == smtp::ErrorCode::timed_out;
    // As in one packet with the answer to STARTTLS: whoever does that shall not get the mail in clear for it.
    if (done.error().code == smtp::ErrorCode::protocol) opening.opened.injected = true;
    // What is not TLS's own verdict (no answer, the end of the connection, a reset) passes.
    const bool passing = done.error().code != smtp::ErrorCode::tls && !opening.opened.injected;
    fail_tls(opening,
             late ? fmt::format("the TLS handshake took longer than {} s", opening.timeouts().starttls_timeout.count())
                  : fmt::format("the TLS handshake failed: {}", smtp::escape(done.error().detail, 300)),
             tls_unproven, policy::TlsFault::validation_failure, passing);
    co_return false;
  }
  co_return true;
}

/// Greeting, EHLO, STARTTLS, EHLO: until the session is ready. False: failed.
Task<bool> greet(Opening &opening, std::span<char> scratch) {
  SessionIo io{*opening.connection, opening.timeouts(), nullptr, scratch};
  for (;;) {
    auto action = co_await run_session(io);
    if (std::holds_alternative<smtp::ClientReady>(action)) co_return true;
    if (std::holds_alternative<smtp::ClientStartTls>(action)) {
      const bool done = co_await shake_hands(opening);
      if (!done) co_return false;
      opening.connection->session.tls_done();
      continue;
    }
    if (const auto *failed = std::get_if<smtp::ClientFailed>(&action))
      fail_session(opening, *failed);
    else
      fail_connection(opening, std::nullopt, "the session ended before it was ready");
    co_return false;
  }
}

/// Before MAIL: does the connection give what the requirement demands?
bool pass_judgement(Opening &opening) {
  Connection &connection = *opening.connection;
  judge(connection, opening.request.plan, std::chrono::system_clock::now());
  if (!connection.stream.is_tls() && opening.plan().may_fall_back() && !opening.request.in_clear)
    connection.tls_problem = "STARTTLS was not offered";
  const auto now = std::chrono::system_clock::now();
  const policy::Requirement &required = opening.plan().required();
  connection.verdict =
      policy::judge_requiretls(required, std::move(connection.verdict), connection.session.capabilities().requiretls);
  note_connection(opening.attempt, connection);
  opening.opened.session =
      make_session(opening.plan(), connection,
                   {.tls_problem = connection.tls_problem,
                    .fault = connection.tls_problem.empty()               ? policy::TlsFault::none
                             : connection.session.capabilities().starttls ? policy::TlsFault::validation_failure
                                                                          : policy::TlsFault::starttls_not_supported,
                    .refused = !connection.verdict.ok()},
                   now);
  connection.observed_session = opening.opened.session;
  opening.attempt.chain_digest = opening.opened.session->chain_digest;
  if (connection.verdict.ok()) return true;
  if (connection.verdict.kind == policy::VerdictKind::no_requiretls) {
    fail_with(opening, requiretls_failure(opening.label, connection.verdict.reason));
    return false;
  }
  const bool for_good = policy::is_final(required, connection.verdict);
  fail_with(opening, tls_failure(required, connection.verdict.got, opening.label, connection.verdict.reason,
                                 tls_unproven, for_good));
  return false;
}

std::unique_ptr<Connection> make_connection(Worker &worker, const OpenRequest &request, ConnectResult &connected) {
  const HostPlan &plan = *request.plan;
  smtp::ClientOptions options;
  options.hostname = plan.config().server.hostname;
  options.starttls = request.in_clear ? smtp::StartTlsUse::never : plan.starttls;
  options.inside_tls = !request.in_clear && request.plan->required().implicit_tls;
  // RFC 5321 section 5.1. A route says what the operator wants: at another port than ours an inner server on this
  // machine may well have our name.
  options.own_name_is_loop = !plan.host.configured || is_port_of_ours(plan.config(), plan.host.port);
  auto connection = std::make_unique<Connection>(std::move(*connected.socket), worker.watchdog, std::move(options));
  connection->host = plan.host.name;
  connection->address = connected.address;
  connection->address_text = connected.address.address.to_string();
  connection->key = plan.connection_key;
  connection->fallback = request.in_clear;
  connection->load = request.load;
  connection->hurry = request.hurry;
  begin_opening(*connection, plan.config().outbound);
  return connection;
}

} // namespace

void note_connection(Attempt &attempt, const Connection &connection) {
  attempt.host = connection.host;
  attempt.address = connection.address_text;
  attempt.port = connection.address.port;
  attempt.fallback = connection.fallback;
  attempt.tls_problem = connection.tls_problem;
  attempt.verdict = connection.verdict;
  attempt.observed = connection.observed;
  if (connection.observed_session) attempt.chain_digest = connection.observed_session->chain_digest;
  const tls::Facts &facts = connection.stream.facts();
  if (!facts.encrypted) return;
  attempt.version = facts.version;
  attempt.suite = facts.suite;
  attempt.certificate = connection.verdict.matched_name;
  if (attempt.certificate.empty() && !facts.chain.empty() && !facts.chain.front().dns_names.empty())
    attempt.certificate = facts.chain.front().dns_names.front();
}

Task<Opened> open_connection(Worker &worker, ActiveConnection &active, OpenRequest request, Attempt &attempt) {
  Opening opening{request, active, attempt, {}, nullptr, request.plan->host.name};
  attempt.host = request.plan->host.name;
  const OutboundConfig &outbound = request.plan->config().outbound;
  // Each address that may be connected to counts for it, from before the first packet.
  std::vector<OutboundLoad::Hold> holds;
  if (request.load)
    for (const auto &address : request.addresses) holds.emplace_back(request.load, address.address);
  ConnectOptions options;
  options.timeout = outbound.connect_timeout;
  if (request.hurry || (request.load && request.load->is_nearly_full(outbound.connections)))
    options.timeout = std::min<std::chrono::milliseconds>(options.timeout, hurried_timeout / 3);
  options.head_start = outbound.ipv6_head_start;
  options.source_addresses = outbound.source_addresses;
  auto connected = co_await connect_to(request.addresses, std::move(options));
  for (const auto &failure : connected.failures) opening.opened.tried.push_back(failure.address);
  if (!connected.socket) {
    fail_connection(opening, std::nullopt, format_failures(connected.failures));
    co_return std::move(opening.opened);
  }
  opening.opened.tried.push_back(connected.address);
  opening.connection = make_connection(worker, request, connected);
  for (auto &hold : holds)
    if (hold.address() == connected.address.address) opening.connection->hold = std::move(hold);
  holds.clear();
  attempt.address = opening.connection->address_text;
  attempt.port = connected.address.port;
  attempt.fallback = request.in_clear;
  opening.label = attempt.host_label();
  active.connection = opening.connection.get();

  bool good = true;
  if (request.plan->required().implicit_tls) good = co_await shake_hands(opening);
  if (good) good = co_await greet(opening, worker.scratch);
  active.connection = nullptr;
  if (good && pass_judgement(opening)) {
    opening.opened.connection = std::move(opening.connection);
  } else {
    // Nothing of the message has been said; the connection ends without a word more.
    opening.connection->stream.close();
  }
  co_return std::move(opening.opened);
}

} // namespace mta
