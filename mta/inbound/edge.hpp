// Edge: what the sessions of the inbound server share, for all workers and for each worker.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "auth/dkim/key_cache.hpp"
#include "mta/auth/fact_cache.hpp"
#include "mta/auth/question_gate.hpp"
#include "mta/base/descriptor_reserve.hpp"
#include "mta/base/memory_account.hpp"
#include "mta/inbound/connection_limits.hpp"
#include "mta/inbound/resource_refusals.hpp"
#include "mta/inbound/server.hpp"
#include "mta/tally/dmarc_tally.hpp"
#include "mta/tally/tls_session.hpp"
#include "smtp/wire/reply.hpp"

namespace mta::inbound {

class Session;

/// Shared by all workers; every member is thread-safe.
struct Edge {
  Edge(InboundServer::Services given, InboundOptions chosen) : services(std::move(given)), options(chosen) {}

  InboundServer::Services services;
  InboundOptions options;
  Resolver *resolver = nullptr;    ///< of the checks; set before the first session
  DmarcTally *tally = nullptr;     ///< null: nothing is counted
  TlsObserver *observer = nullptr; ///< of partners' sessions; null: nobody
  ConnectionLimits limits;
  MemoryAccount memory;
  DescriptorReserve descriptors = DescriptorReserve::of_process();
  /// Of the checks, to the DNS. Questions may outlive the server.
  std::shared_ptr<QuestionGate> questions = std::make_shared<QuestionGate>();
  ~Edge() { questions->close(); }
  ResourceRefusals resources;
  std::atomic<bool> accepting{true};
  std::atomic<std::uint64_t> sessions_total{0};
  std::atomic<std::uint64_t> messages_accepted{0};
  std::atomic<std::uint64_t> messages_refused{0};
  std::atomic<std::uint64_t> handshake_failures{0};
};

/// One worker's share; used on that worker only.
class WorkerEdge {
public:
  WorkerEdge(Edge &shared, Worker &worker, std::size_t number) : shared_(shared), worker_(worker), number_(number) {}

  [[nodiscard]] Edge &shared() noexcept { return shared_; }
  [[nodiscard]] MailLog &log() noexcept { return shared_.services.log; }
  [[nodiscard]] Worker &worker() noexcept { return worker_; }
  [[nodiscard]] bool is_stopping() const noexcept { return stopping_; }
  /// DNS answers of the checks on this worker.
  [[nodiscard]] FactCache &facts() noexcept { return facts_; }
  /// Keys of signatures on this worker.
  [[nodiscard]] auth::KeyCache &keys() noexcept { return keys_; }
  /// "1-00002f": unique while the process lives.
  [[nodiscard]] std::string next_session_name();

  /// The refusal that MAIL gets while the spool cannot take a message of `announced` octets; asked at most every 100
  /// ms.
  struct StorageRefusal {
    smtp::Reply reply;
    Resource resource;
    std::string detail;
  };
  [[nodiscard]] std::optional<StorageRefusal> storage_refusal(const SpoolConfig &config, std::uint64_t announced,
                                                              std::chrono::steady_clock::time_point now);
  /// Why no more mail from outside may be held in the queue: it may have a quarter of its messages and of the disk.
  [[nodiscard]] std::optional<StorageRefusal> quarantine_refusal(const SpoolConfig &config,
                                                                 std::chrono::steady_clock::time_point now);
  /// What strangers may hold of the disk in messages that they have not finished: an address an eighth of the room that
  /// is left, and two whole messages on any disk; all together half of the room, so that mail that is finished finds
  /// the other half.
  [[nodiscard]] ConnectionLimits::Room unfinished_room(const Config &config, std::chrono::steady_clock::time_point now);
  /// Counts a refusal for want of `resource`, and warns (event=resource_refusal) when a line is due.
  void note_resource_refusal(Resource resource, const smtp::IpAddress &client, std::string_view command,
                             const smtp::Reply &reply, std::string_view detail);

  /// False, and told in the log now and then: server.memory_budget leaves no room for `more` octets for this need.
  [[nodiscard]] bool has_memory(MemoryNeed need, std::uint64_t budget, std::uint64_t more,
                                std::chrono::steady_clock::time_point now);

  /// False when this second's share of such lines is used up; `suppressed` counts what was left out since the last
  /// line.
  [[nodiscard]] bool may_log_refused_connection(std::chrono::steady_clock::time_point now, std::uint64_t &suppressed);

  void add(Session &session) noexcept;
  void remove(Session &session) noexcept;
  [[nodiscard]] std::size_t sessions() const noexcept { return sessions_; }
  /// Every session says 421 at its next safe point; those that wait for a command do it now.
  void stop_sessions();
  /// Closes what is left.
  void cut_sessions();
  /// For sessions that are still there when the server is destroyed; the worker's thread has ended.
  void orphan_sessions() noexcept;
  /// Called when no session is left after stop_sessions().
  std::function<void()> when_empty;

private:
  /// Octets above spool.min_free, as of a look at most 100 ms ago.
  [[nodiscard]] std::uint64_t room_left(const SpoolConfig &config, std::chrono::steady_clock::time_point now);
  void look_at_storage(std::chrono::steady_clock::time_point now);

  Edge &shared_;
  Worker &worker_;
  std::size_t number_;
  FactCache facts_;
  auth::KeyCache keys_;
  std::uint64_t named_ = 0;
  Session *first_ = nullptr;
  std::size_t sessions_ = 0;
  bool stopping_ = false;
  SpoolStatus storage_;
  std::chrono::steady_clock::time_point storage_look_{};
  std::chrono::steady_clock::time_point log_second_{};
  std::uint64_t logged_in_second_ = 0;
  std::uint64_t suppressed_ = 0;
  std::chrono::steady_clock::time_point memory_told_{};
};

/// What a session is taken to hold, with TLS and what the kernel does not count.
inline constexpr std::uint64_t session_memory = 32'768;

/// What judge_connection() says: either a ticket that the session keeps, or the refusal.
struct ConnectionVerdict {
  std::optional<ConnectionLimits::Ticket> ticket;
  smtp::Reply refusal;
  bool short_of_descriptors = false; ///< the acceptor is to wait a little before it takes the next one
};
/// `descriptor` is the connection's.
[[nodiscard]] ConnectionVerdict judge_connection(WorkerEdge &edge, const Config &config, const ListenerConfig &listener,
                                                 const smtp::IpAddress &client, int descriptor,
                                                 std::chrono::steady_clock::time_point now);

/// The reply for a failure of the spool: 452 when there is no room, else 451. `status`: the spool's.
[[nodiscard]] smtp::Reply storage_reply(const smtp::Error &error, const SpoolStatus &status, const SpoolConfig &config);

} // namespace mta::inbound
