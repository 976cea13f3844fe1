#include "mta/inbound/session.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include "mta/auth/run_checks.hpp"
#include "mta/inbound/reply.hpp"

namespace mta::inbound {

namespace {

/// A peer that always has octets ready lets the others of its worker in after this many.
constexpr std::size_t yield_after = 262'144;
/// Likewise after so much work: octets differ in what they cost, and everybody behind waits for the sum.
constexpr std::chrono::milliseconds yield_after_work{1};
/// What a parsed certificate and the facts of it take, for each octet of it and beside that.
constexpr std::uint64_t memory_of_certificate_octet = 10;
constexpr std::uint64_t memory_of_certificate = 4'096;
/// How much of a message whose refusal was said too early for the client is read away: all of it, and some more.
std::uint64_t most_listened_to(const LimitConfig &limits) {
  return std::max<std::uint64_t>(2 * std::min<std::uint64_t>(limits.smtp.message_size, UINT64_MAX / 2), 1'048'576);
}

/// The gathered replies of an idle session keep at most this much room.
constexpr std::size_t output_kept = 1'024;

} // namespace

Session::Session(WorkerEdge &edge, Arrival arrival)
    : edge_(edge), ticket_(std::move(arrival.ticket)), in_force_(std::move(arrival.in_force)), client_(arrival.client),
      name_(edge.next_session_name()), stream_(std::move(arrival.socket)), watch_(edge.worker().watchdog, stream_),
      receiver_(edge, in_force_, client_.address, name_), began_(Clock::now()) {
  edge_.add(*this);
  memory_.emplace(edge_.shared().memory, session_memory);
  if (ticket_->is_exempt()) receiver_.trust_client();
}

void Session::look_at_trust() {
  if (ticket_->is_exempt() || !receiver_.is_trusted()) return;
  ticket_->exempt();
  receiver_.trust_client();
}

Session::~Session() {
  if (orphaned_) return;
  log_disconnect();
  stream_.close();
  edge_.remove(*this);
}

void Session::wake_to_stop() {
  stop_asked_ = true;
  if (!waiting_) return;
  boost::system::error_code ignored;
  stream_.socket().cancel(ignored); // the read ends with ErrorCode::stopping and can be repeated
}

void Session::cut() {
  cut_ = true;
  stream_.set_deadline(Clock::now());
  stream_.expire();
}

void Session::orphan() noexcept {
  orphaned_ = true;
  ticket_.reset();
  memory_.reset();
  receiver_.abandon();
}

void Session::stop_if_asked() {
  if (!stop_asked_ || std::exchange(stop_told_, true)) return;
  receiver_.machine().shut_down(in_force_.snapshot->config().server.hostname + " is shutting down, try again later");
}

void Session::set_read_deadline() {
  const auto wait = receiver_.is_receiving() ? limits().data_timeout : limits().command_timeout;
  stream_.set_deadline(std::min(Clock::now() + wait, began_ + limits().session_timeout));
}

smtp::Reply Session::timeout_reply() const {
  // A message that is refused already: that is what the client has to hear.
  if (auto refusal = receiver_.pending_refusal()) return std::move(*refusal);
  std::string text;
  if (Clock::now() >= began_ + limits().session_timeout) {
    text = fmt::format("the session lasted too long, limit is {} s", limits().session_timeout.count());
  } else if (receiver_.is_receiving()) {
    text = fmt::format("no octets of the message came in time, limit is {} s", limits().data_timeout.count());
  } else {
    text = fmt::format("no command came in time, limit is {} s", limits().command_timeout.count());
  }
  return make_reply(421, {4, 4, 2}, std::move(text));
}

smtp::Reply Session::too_slow_reply() const {
  if (auto refusal = receiver_.pending_refusal()) return std::move(*refusal);
  return make_reply(
      421, {4, 4, 2},
      fmt::format("the message comes too slowly, the least is {} octets a second", limits().minimum_rate));
}

bool Session::count_octets(std::size_t octets) {
  octets_since_yield_ += octets;
  if (!receiver_.is_receiving() || limits().minimum_rate == 0) {
    in_window_ = false;
    return true;
  }
  const auto now = Clock::now();
  if (!std::exchange(in_window_, true)) {
    window_start_ = now;
    window_octets_ = 0;
  }
  window_octets_ += octets;
  const auto window = edge_.shared().options.rate_window;
  if (now - window_start_ < window) return true;
  const auto least = static_cast<double>(limits().minimum_rate) * std::chrono::duration<double>(window).count();
  const bool fast_enough = static_cast<double>(window_octets_) >= least;
  window_start_ = now;
  window_octets_ = 0;
  return fast_enough;
}

bool Session::hold_certificates() {
  const std::size_t octets = stream_.certificate_octets();
  if (octets == 0) return true;
  const bool needed = receiver_.judge().needs_certificates();
  const std::size_t count = needed ? stream_.facts().chain.size() : 1;
  if (!needed) {
    receiver_.judge().forget_certificates(std::chrono::system_clock::now());
    stream_.forget_client_certificates();
  }
  // OpenSSL keeps the leaf in any case, which may be nearly all of them.
  const std::uint64_t held = count * memory_of_certificate + (needed ? memory_of_certificate_octet : 3) * octets;
  const std::uint64_t budget = in_force_.snapshot->config().server.memory_budget;
  const MemoryNeed need = receiver_.is_trusted() ? MemoryNeed::message : MemoryNeed::stranger;
  if (!edge_.has_memory(need, budget, held, Clock::now())) {
    const auto reply =
        make_reply(421, {4, 3, 2},
                   fmt::format("{} is out of memory for client certificates, limit is {} octets; try again later",
                               in_force_.snapshot->config().server.hostname, MemoryAccount::share(need, budget)));
    edge_.note_resource_refusal(Resource::memory, client_.address, "STARTTLS", reply,
                                fmt::format("server.memory_budget is {} octets", budget));
    receiver_.machine().refuse(reply);
    return false;
  }
  memory_->set(session_memory + held);
  return true;
}

void Session::end(std::string reason) {
  if (end_reason_.empty()) end_reason_ = std::move(reason);
}

void Session::log_connect() {
  edge_.log().write(Event("connect")
                        .with("session", name_)
                        .with("client", client_.to_string())
                        .with("listener", in_force_.listener->name));
}

void Session::log_tls() {
  const tls::Facts &facts = stream_.facts();
  const auto now = std::chrono::system_clock::now();
  const bool is_relay = in_force_.listener->role == policy::ListenerRole::relay;
  const bool may_relay = receiver_.judge().is_trusted(now);
  const ClientCertificate certificate = receiver_.judge().certificate(now);
  edge_.log().write(Event("tls")
                        .with("session", name_)
                        .with("client", client_.address.to_string())
                        .with("version", tls::to_string(facts.version))
                        .with("suite", facts.suite)
                        .with_if("group", facts.group)
                        .with("resumed", facts.resumed)
                        .with_if("certificate", certificate.name)
                        .with("verified", certificate.verified)
                        .with_if("relay", !is_relay   ? ""
                                          : may_relay ? "yes"
                                                      : "no")
                        .with_if("missing", may_relay ? std::string() : receiver_.judge().certificate_problem()));
}

void Session::log_disconnect() {
  receiver_.sum_up_refusals();
  edge_.log().write(
      Event("disconnect")
          .with("session", name_)
          .with("client", client_.address.to_string())
          .with("accepted", receiver_.accepted())
          .with("refused", receiver_.refused())
          .with("ms", static_cast<std::int64_t>(
                          std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began_).count()))
          .with("reason", end_reason_));
  if (const auto &id = receiver_.unconfirmed()) {
    edge_.log().write(Event("reply_lost", LogLevel::warning)
                          .with("session", name_)
                          .with("id", id->to_string())
                          .with("reason", "the client was gone before it heard that the message is queued"));
  }
}

/// Writes what is gathered; false ends the session.
Task<bool> write_output(Session &session) {
  std::string &output = session.receiver_.output();
  if (output.empty()) co_return true;
  session.stream_.set_deadline(Session::Clock::now() + session.limits().command_timeout);
  const auto written = co_await session.stream_.write(output);
  output.clear();
  if (output.capacity() > output_kept) output.shrink_to_fit();
  if (!written) {
    session.end("write: " + written.error().detail);
    co_return false;
  }
  session.receiver_.confirmed();
  session.stream_.set_deadline(std::nullopt); // what follows may take our time, which is not the client's
  co_return true;
}

Task<> listen_on(Session &session);

/// A last reply, as far as it goes.
Task<> say_farewell(Session &session, smtp::Reply reply) {
  session.end(reply.to_line());
  const std::string octets = session.receiver_.output() + smtp::format_reply(reply);
  session.stream_.resume_after_expiry();
  session.stream_.set_deadline(Session::Clock::now() + session.edge_.shared().options.farewell_timeout);
  const auto written = co_await session.stream_.write(octets);
  if (!written) co_return;
  session.receiver_.confirmed();
  co_await listen_on(session);
}

/// After a last reply that the client did not ask for: it may still be sending. Its octets are read away until it has
/// heard and closes, within limits; else the kernel would answer them with RST, which destroys the reply.
Task<> listen_on(Session &session) {
  const InboundOptions &options = session.edge_.shared().options;
  session.receiver_.let_go();
  session.stream_.finish_writing();
  const auto end = Session::Clock::now() + options.listen_on_timeout;
  const std::uint64_t most = most_listened_to(session.limits());
  for (std::uint64_t sum = 0; sum < most;) {
    if (session.cut_ || session.edge_.is_stopping()) co_return;
    session.stream_.set_deadline(std::min(end, Session::Clock::now() + options.listen_on_silence));
    session.waiting_ = true;
    const auto octets = co_await session.stream_.read_some(session.edge_.worker().scratch);
    session.waiting_ = false;
    if (!octets) co_return;
    sum += *octets;
  }
}

/// The next recipient is answered a little later: who guesses at names gets few of them, and mail with a few wrong ones
/// is not hurt.
Task<> slow_down(Session &session) {
  asio::steady_timer timer(session.stream_.get_executor(), session.edge_.shared().options.recipient_delay);
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

Task<bool> shake_hands(Session &session) {
  const auto limit = session.edge_.shared().options.handshake_timeout;
  session.stream_.set_deadline(Session::Clock::now() + limit);
  const auto done = co_await session.stream_.handshake(session.in_force_.context, tls::Role::server, std::string());
  if (!done) {
    session.edge_.shared().handshake_failures.fetch_add(1, std::memory_order_relaxed);
    session.edge_.log().write(Event("tls_failed")
                                  .with("session", session.name_)
                                  .with("client", session.client_.address.to_string())
                                  .with("reason", done.error().detail));
    session.end("tls handshake: " + done.error().detail);
    co_return false;
  }
  session.receiver_.tls_done(session.stream_.facts(), session.stream_.peer_chain());
  session.look_at_trust();
  session.log_tls();
  (void)session.hold_certificates(); // where it cannot, the machine has its last reply
  co_return true;
}

/// Implicit TLS, early talkers, banner; false ends the session.
Task<bool> begin(Session &session) {
  const ListenerConfig &listener = *session.in_force_.listener;
  session.log_connect();
  if (listener.tls == ListenerTls::implicit) {
    const bool encrypted = co_await shake_hands(session);
    if (!encrypted) co_return false;
  }
  if (listener.refuse_early_talkers) {
    bool early = session.stream_.readable_now();
    if (!early && listener.greeting_delay.count() > 0) {
      session.stream_.set_deadline(Session::Clock::now() + listener.greeting_delay);
      const auto readable = co_await session.stream_.wait_readable();
      if (session.cut_) co_return false;
      if (!readable && readable.error().code != smtp::ErrorCode::timed_out) {
        session.end("left before the greeting: " + readable.error().detail);
        co_return false;
      }
      session.stream_.resume_after_expiry();
      early = readable && session.stream_.readable_now();
    }
    if (early) {
      session.receiver_.machine().refuse(make_reply(554, {5, 5, 1}, "you talked before the greeting"));
      co_return true;
    }
  }
  session.receiver_.machine().greet();
  co_return true;
}

/// Why nothing could be read, or `error` empty: the peer is too slow.
Task<> end_reading(Session &session, std::optional<smtp::Error> error) {
  const bool timed_out = error && error->code == smtp::ErrorCode::timed_out && !session.cut_;
  if (!error || timed_out) {
    smtp::Reply reply = error ? session.timeout_reply() : session.too_slow_reply();
    co_await say_farewell(session, std::move(reply));
  } else {
    session.end(session.cut_ ? "cut at shutdown" : error->detail);
  }
}

Task<> wait_for_room(Session &session) {
  Receiver &receiver = session.receiver_;
  auto start = [&receiver](auto ready) { receiver.when_room([ready]() mutable { ready(true); }); };
  const auto before = Session::Clock::now();
  session.stream_.set_deadline(std::nullopt);
  co_await await_callback<bool>(start);
  session.window_start_ += Session::Clock::now() - before; // our own slowness is not the client's
}

/// Settles the checks of a complete message; true when it is to be committed.
Task<bool> check_message(Session &session) {
  Receiver &receiver = session.receiver_;
  Edge &edge = session.edge_.shared();
  session.stream_.set_deadline(std::nullopt); // the DNS is slow, not the client
  const auto deadline = Session::Clock::now() + session.in_force_.snapshot->config().authentication.timeout;
  MessageCheck &check = *receiver.intake().check();
  // A stranger chooses the names: he gets his share of the questions.
  const auto resolver = receiver.make_resolver(deadline);
  Resolver *const asked = resolver ? resolver.get() : edge.resolver;
  const bool settled =
      co_await run_checks(check, receiver.intake().facts(), asked, deadline, &session.edge_.facts(), resolver);
  co_return receiver.checked(settled);
}

Task<> commit_message(Session &session) {
  Receiver &receiver = session.receiver_;
  auto start = [&receiver](auto done) { receiver.commit(done); };
  const auto result = co_await await_callback<smtp::Result<void>>(start);
  receiver.committed(result);
}

Task<> serve(WorkerEdge &edge, Arrival arrival) {
  Session session(edge, std::move(arrival));
  bool open = co_await begin(session);
  while (open) {
    if (session.cut_) {
      session.end("cut at shutdown");
      break;
    }
    session.stop_if_asked();
    const auto began = Session::Clock::now();
    const Need need = session.receiver_.advance();
    session.worked_since_yield_ += Session::Clock::now() - began;
    switch (need) {
    case Need::octets: {
      open = co_await write_output(session);
      if (!open) break;
      if (session.stop_asked_ && !session.stop_told_) break;
      session.set_read_deadline();
      session.waiting_ = true;
      // Awaited here and not deeper: an idle session is this frame and the stream's. All sessions of a worker read into
      // the same buffer; the stream fills it in the step that ends the wait, and it is used up before the next.
      auto octets = co_await session.stream_.read_some(edge.worker().scratch);
      session.waiting_ = false;
      session.stream_.set_deadline(std::nullopt);
      if (!octets) {
        if (octets.error().code == smtp::ErrorCode::stopping && session.stop_asked_) break;
        open = false;
        co_await end_reading(session, std::move(octets.error()));
        break;
      }
      session.receiver_.machine().feed(std::string_view(edge.worker().scratch.data(), *octets));
      if (!session.count_octets(*octets)) {
        open = false;
        co_await end_reading(session, std::nullopt);
      } else if (session.octets_since_yield_ >= yield_after || session.worked_since_yield_ >= yield_after_work) {
        session.octets_since_yield_ = 0;
        session.worked_since_yield_ = {};
        co_await asio::post(session.stream_.get_executor(), asio::use_awaitable);
      }
      break;
    }
    case Need::write:
      open = co_await write_output(session);
      // Many commands were done for this; others have waited.
      if (open) co_await asio::post(session.stream_.get_executor(), asio::use_awaitable);
      break;
    case Need::pause:
      open = co_await write_output(session);
      if (open) co_await slow_down(session);
      break;
    case Need::room: co_await wait_for_room(session); break;
    case Need::turn: co_await asio::post(session.stream_.get_executor(), asio::use_awaitable); break;
    case Need::checks: {
      const bool wanted = co_await check_message(session);
      if (wanted) co_await commit_message(session);
      break;
    }
    case Need::commit: co_await commit_message(session); break;
    case Need::handshake:
      open = co_await write_output(session);
      if (open) open = co_await shake_hands(session);
      if (open) session.receiver_.machine().tls_done();
      break;
    case Need::close:
      open = co_await write_output(session);
      session.end(session.receiver_.close_reason());
      if (open && !session.receiver_.closes_at_clients_wish()) co_await listen_on(session);
      open = false;
      break;
    }
  }
}

} // namespace mta::inbound
