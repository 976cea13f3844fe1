#include "mta/inbound/server.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "mta/inbound/edge.hpp"
#include "mta/inbound/session.hpp"

namespace mta {

namespace {

using asio::ip::tcp;
using inbound::Edge;
using inbound::WorkerEdge;

/// Files of the spool, listeners, the resolver's sockets and the like.
constexpr std::size_t own_descriptors = 256;
constexpr int send_buffer = 16'384; ///< the kernel doubles it for its own needs
/// After the grace time and the cut: how long sessions that wait for the spool may still take.
constexpr std::chrono::seconds after_cut{5};

smtp::SocketAddress from_endpoint(const tcp::endpoint &endpoint) {
  if (endpoint.address().is_v4()) return {smtp::IpAddress::v4(endpoint.address().to_v4().to_bytes()), endpoint.port()};
  return {smtp::IpAddress::v6(endpoint.address().to_v6().to_bytes()), endpoint.port()};
}

void set_option(int socket, int level, int name) {
  const int on = 1;
  ::setsockopt(socket, level, name, &on, sizeof on);
}

/// One socket of one listener on one worker.
struct Acceptor {
  Acceptor(WorkerEdge &on, std::string listener_name)
      : edge(on), listener(std::move(listener_name)), socket(on.worker().context) {}

  WorkerEdge &edge;
  std::string listener;
  tcp::acceptor socket;
  inbound::ListenerInForce in_force; ///< of the last accepted connection; kept when a reload drops the listener

  void refresh();
};

void Acceptor::refresh() {
  auto snapshot = edge.shared().services.snapshot.get();
  if (snapshot == in_force.snapshot) return;
  const auto &listeners = snapshot->config().listeners;
  const auto found = std::find_if(listeners.begin(), listeners.end(),
                                  [this](const ListenerConfig &config) { return config.name == listener; });
  if (found == listeners.end()) return;
  in_force.context = found->tls == ListenerTls::none ? nullptr : snapshot->listener_context(listener);
  in_force.listener = &*found;
  in_force.snapshot = std::move(snapshot);
}

/// Says the reply, as far as the socket takes it at once, and closes.
void turn_away(Acceptor &acceptor, tcp::socket socket, const smtp::SocketAddress &client, const smtp::Reply &reply) {
  std::uint64_t suppressed = 0;
  if (acceptor.edge.may_log_refused_connection(std::chrono::steady_clock::now(), suppressed)) {
    acceptor.edge.log().write(Event("connection_refused", LogLevel::warning)
                                  .with("client", client.to_string())
                                  .with("listener", acceptor.listener)
                                  .with("reply", reply.to_line())
                                  .with("suppressed", suppressed));
  }
  if (acceptor.in_force.listener->tls == ListenerTls::implicit) return; // nothing can be said before the handshake
  const std::string octets = smtp::format_reply(reply);
  const int descriptor = socket.native_handle();
  (void)::send(descriptor, octets.data(), octets.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  // What the client has said already is read away, or the kernel would send RST, which destroys the reply.
  (void)::shutdown(descriptor, SHUT_WR);
  std::array<char, 4096> scrap;
  for (int reads = 0; reads < 16 && ::recv(descriptor, scrap.data(), scrap.size(), MSG_DONTWAIT) > 0; ++reads) {
  }
}

/// False: descriptors are short, and the next connection is to wait.
bool take(Acceptor &acceptor, tcp::socket socket, const tcp::endpoint &peer) {
  acceptor.refresh();
  const smtp::SocketAddress client = from_endpoint(peer);
  if (acceptor.in_force.snapshot == nullptr) return true; // the configuration in force never had this listener
  auto verdict =
      inbound::judge_connection(acceptor.edge, acceptor.in_force.snapshot->config(), *acceptor.in_force.listener,
                                client.address, socket.native_handle(), std::chrono::steady_clock::now());
  if (!verdict.ticket) {
    turn_away(acceptor, std::move(socket), client, verdict.refusal);
    return !verdict.short_of_descriptors;
  }
  set_option(socket.native_handle(), SOL_SOCKET, SO_KEEPALIVE);
  // Replies are small. Without this the kernel would keep megabytes of them for a client that asks and never reads.
  (void)::setsockopt(socket.native_handle(), SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
  acceptor.edge.shared().sessions_total.fetch_add(1, std::memory_order_relaxed);
  inbound::Arrival arrival{std::move(socket), client, acceptor.in_force, std::move(*verdict.ticket)};
  asio::co_spawn(acceptor.edge.worker().context, inbound::serve(acceptor.edge, std::move(arrival)),
                 [&edge = acceptor.edge](const std::exception_ptr &thrown) {
                   if (!thrown) return;
                   try {
                     std::rethrow_exception(thrown);
                   } catch (const std::exception &error) {
                     edge.log().write(Event("session_failed", LogLevel::error).with("reason", error.what()));
                   }
                 });
  return true;
}

/// Accepts until the acceptor is closed. Want of descriptors or memory passes: it waits a little and tries again. The
/// last descriptors are never a client's (DescriptorReserve), so that accept() hardly ever fails for want of them.
Task<> accept_connections(Acceptor &acceptor) {
  asio::steady_timer pause(acceptor.edge.worker().context);
  while (acceptor.socket.is_open()) {
    tcp::endpoint peer;
    auto [error, socket] = co_await acceptor.socket.async_accept(peer, asio::as_tuple(asio::use_awaitable));
    if (!error) {
      if (take(acceptor, std::move(socket), peer)) continue;
      pause.expires_after(acceptor.edge.shared().options.accept_backoff);
      co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
      continue;
    }
    if (error == asio::error::operation_aborted) break;
    if (error == asio::error::connection_aborted) continue; // the peer was gone before we took it
    std::uint64_t suppressed = 0;
    if (acceptor.edge.may_log_refused_connection(std::chrono::steady_clock::now(), suppressed)) {
      acceptor.edge.log().write(Event("accept_failed", LogLevel::error)
                                    .with("listener", acceptor.listener)
                                    .with("reason", error.message())
                                    .with("suppressed", suppressed));
    }
    pause.expires_after(acceptor.edge.shared().options.accept_backoff);
    co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

/// The end of a shutdown, shared by the workers: `done` is called once, by the last of them.
struct Ending {
  std::atomic<std::size_t> workers_left;
  std::function<void()> done;
  void worker_ended() {
    if (workers_left.fetch_sub(1) == 1) done();
  }
};

/// One worker's part of a shutdown.
struct WorkerEnding : std::enable_shared_from_this<WorkerEnding> {
  WorkerEnding(WorkerEdge &on, std::shared_ptr<Ending> shared)
      : edge(on), timer(on.worker().context), ending(std::move(shared)) {}

  void begin(std::chrono::seconds grace);
  void end();

  WorkerEdge &edge;
  asio::steady_timer timer;
  std::shared_ptr<Ending> ending;
  bool ended = false;
};

void WorkerEnding::begin(std::chrono::seconds grace) {
  timer.expires_after(grace);
  timer.async_wait([self = shared_from_this()](const boost::system::error_code &error) {
    if (error || self->ended) return;
    self->edge.cut_sessions();
    self->timer.expires_after(after_cut);
    self->timer.async_wait([self](const boost::system::error_code &cancelled) {
      if (!cancelled) self->end();
    });
  });
  edge.when_empty = [self = shared_from_this()] { self->end(); };
  edge.stop_sessions();
}

void WorkerEnding::end() {
  if (std::exchange(ended, true)) return;
  timer.cancel();
  // Not from within the last session's destructor.
  asio::post(edge.worker().context, [shared = ending] { shared->worker_ended(); });
}

} // namespace

struct InboundServer::Impl {
  Impl(Services services, InboundOptions options) : edge(std::move(services), options) {
    Workers &workers = edge.services.workers;
    for (std::size_t i = 0; i < workers.size(); ++i) {
      worker_edges.push_back(std::make_unique<WorkerEdge>(edge, workers[i], i));
    }
  }

  Edge edge;
  std::vector<std::unique_ptr<WorkerEdge>> worker_edges;
  std::vector<std::unique_ptr<Acceptor>> acceptors;
  std::vector<InboundStatus::Bound> bound;
  bool is_stopping = false;
};

InboundServer::InboundServer(Services services, InboundOptions options)
    : impl_(std::make_unique<Impl>(std::move(services), options)) {}

InboundServer::~InboundServer() {
  for (auto &worker_edge : impl_->worker_edges) worker_edge->orphan_sessions();
}

smtp::Result<void> InboundServer::bind(const Config &config) {
  auto sockets = ListenSockets::bind(config, impl_->worker_edges.size());
  if (!sockets) return tl::unexpected(sockets.error());
  adopt(std::move(*sockets));
  return {};
}

void InboundServer::adopt(ListenSockets sockets) {
  for (ListenSockets::Bound &bound : std::move(sockets).take()) {
    for (std::size_t i = 0; i < bound.sockets.size(); ++i) {
      auto acceptor = std::make_unique<Acceptor>(*impl_->worker_edges[i % impl_->worker_edges.size()], bound.listener);
      acceptor->socket.assign(bound.address.address.is_v6() ? tcp::v6() : tcp::v4(), bound.sockets[i].release());
      acceptor->socket.non_blocking(true);
      impl_->acceptors.push_back(std::move(acceptor));
    }
    impl_->bound.push_back({.listener = bound.listener, .address = bound.address.to_string()});
  }
}

namespace {

/// RLIMIT_NOFILE against what the configuration allows: told at start, not when mail is refused.
void report_descriptors(MailLog &log, const DescriptorReserve &reserve, const Config &config) {
  const std::size_t sessions = reserve.room_for(DescriptorUse::session);
  const std::size_t deliveries = reserve.room_for(DescriptorUse::delivery) - sessions;
  // Two contexts of libunbound (mta/dns) have a socket for each packet under way; as many connections say QUIT.
  const std::size_t resolver = std::min(2 * std::max<std::size_t>(2 * config.dns.questions, 64), reserve.limit() / 4);
  const std::size_t own = own_descriptors + resolver;
  const std::size_t wanted = config.limits.connections + config.outbound.connections + own;
  const bool enough = wanted <= reserve.limit() && config.limits.connections + own <= sessions;
  std::string note;
  if (!enough)
    note = fmt::format("limits.connections = {} and outbound.connections = {} may need {} descriptors; raise the limit "
                       "of open files (LimitNOFILE=) or lower them: clients beyond {} hear 421",
                       config.limits.connections, config.outbound.connections, wanted, sessions);
  log.write(Event("descriptors", enough ? LogLevel::info : LogLevel::warning)
                .with("limit", static_cast<std::uint64_t>(reserve.limit()))
                .with("sessions", static_cast<std::uint64_t>(sessions))
                .with("delivery", static_cast<std::uint64_t>(deliveries))
                .with_if("note", note));
}

} // namespace

void InboundServer::start(Resolver *resolver, DmarcTally *tally, TlsObserver *observer) {
  report_descriptors(impl_->edge.services.log, impl_->edge.descriptors, impl_->edge.services.snapshot.get()->config());
  impl_->edge.resolver = resolver;
  impl_->edge.tally = tally;
  impl_->edge.observer = observer;
  for (auto &acceptor : impl_->acceptors) {
    asio::co_spawn(acceptor->edge.worker().context, accept_connections(*acceptor), asio::detached);
  }
}

void InboundServer::shut_down(std::chrono::seconds grace, std::function<void()> done) {
  if (std::exchange(impl_->is_stopping, true)) return;
  auto ending = std::make_shared<Ending>();
  ending->workers_left = impl_->worker_edges.size();
  ending->done = std::move(done);
  for (auto &worker_edge : impl_->worker_edges) {
    asio::post(worker_edge->worker().context, [impl = impl_.get(), edge = worker_edge.get(), ending, grace] {
      for (auto &acceptor : impl->acceptors) {
        if (&acceptor->edge != edge) continue;
        boost::system::error_code ignored;
        acceptor->socket.close(ignored);
      }
      std::make_shared<WorkerEnding>(*edge, ending)->begin(grace);
    });
  }
}

void InboundServer::set_accepting(bool accepting) {
  impl_->edge.accepting.store(accepting, std::memory_order_relaxed);
}

bool InboundServer::is_short_of_memory() const {
  const std::uint64_t budget = impl_->edge.services.snapshot.get()->config().server.memory_budget;
  return budget != 0 && impl_->edge.memory.used(std::chrono::steady_clock::now()) > budget / 8 * 5;
}

InboundStatus InboundServer::status() const {
  InboundStatus status;
  status.sessions = impl_->edge.limits.connections();
  status.sessions_total = impl_->edge.sessions_total.load(std::memory_order_relaxed);
  status.messages_accepted = impl_->edge.messages_accepted.load(std::memory_order_relaxed);
  status.messages_refused = impl_->edge.messages_refused.load(std::memory_order_relaxed);
  status.memory_used = impl_->edge.memory.used(std::chrono::steady_clock::now());
  status.memory_budget = impl_->edge.services.snapshot.get()->config().server.memory_budget;
  for (std::size_t i = 0; i < inbound::resource_count; ++i) {
    const auto resource = static_cast<inbound::Resource>(i);
    status.resource_refusals.emplace_back(inbound::to_string(resource), impl_->edge.resources.count(resource));
  }
  status.bound = impl_->bound;
  return status;
}

} // namespace mta
