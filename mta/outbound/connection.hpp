// Connection: one outgoing SMTP session with its socket, and what was proven about the host when it was opened.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mta/net/watchdog.hpp"
#include "mta/outbound/load.hpp"
#include "mta/outbound/plan.hpp"
#include "mta/tally/tls_session.hpp"
#include "policy/requirement.hpp"
#include "smtp/names/ip_address.hpp"
#include "smtp/session/client_session.hpp"
#include "tls/stream.hpp"

namespace mta {

/// Belongs to one worker. Never moves: the watchdog holds its stream.
struct Connection {
  Connection(asio::ip::tcp::socket socket, Watchdog &dog, smtp::ClientOptions options)
      : stream(std::move(socket)), watch(std::in_place, dog, stream), session(std::move(options)) {}
  Connection(const Connection &) = delete;
  Connection &operator=(const Connection &) = delete;

  tls::Stream stream;
  std::optional<Watchdog::Watch> watch;
  smtp::ClientSession session;

  std::string host; ///< its name
  smtp::SocketAddress address;
  std::string address_text; ///< address without port
  std::string key;          ///< pool key: host, port and the requirement that it satisfied
  bool fallback = false;    ///< the planned attempt in clear: never kept for another message
  std::size_t messages = 0; ///< transactions begun
  std::chrono::steady_clock::time_point idle_since{};

  /// What was judged, and for which plan: a connection that two domains share is judged for each.
  std::shared_ptr<const HostPlan> judged_for;
  policy::Verdict verdict;
  std::optional<policy::Verdict> observed;
  /// What each store of CAs said of the chain; each is asked once.
  std::vector<std::pair<std::shared_ptr<const tls::TrustStore>, tls::ChainVerdict>> chain_verdicts;
  tls::Facts judged_facts;                            ///< by which `verdict` was reached
  std::shared_ptr<const TlsSession> observed_session; ///< what it proved when it was opened, for those who count
  std::string tls_problem;                            ///< why it is in clear although TLS was wished for

  /// What went wrong on the wire, when something did; the session knows only that the connection ended.
  std::optional<smtp::Error> wire_error;
  smtp::ClientSession::Waiting failed_in = smtp::ClientSession::Waiting::nothing;
  bool heard = false;      ///< octets came since the transaction began
  bool body_begun = false; ///< since the transaction began

  std::shared_ptr<OutboundLoad> load; ///< null: nobody counts
  OutboundLoad::Hold hold;            ///< of its address
  bool hurry = false;                 ///< others wait for the place of the job that uses it

  // The times of session_io.
  using Clock = std::chrono::steady_clock;
  Clock::time_point opened_at = Clock::now();
  Clock::time_point ends_at = Clock::time_point::max(); ///< of the opening, or of the transaction
  std::optional<Clock::time_point> reply_asked_at;      ///< since when the next reply is waited for
  std::size_t reply_number = 0;                         ///< replies that were there then
  smtp::ClientSession::Waiting reply_waiting = smtp::ClientSession::Waiting::nothing;
  std::optional<Clock::time_point> body_begun_at;
  std::uint64_t body_octets = 0; ///< written since
};

/// Judges what the connection gives against the plan's requirements; no I/O. Idempotent for one plan.
void judge(Connection &connection, std::shared_ptr<const HostPlan> plan, std::chrono::system_clock::time_point now);

/// What this store says of the chain of an encrypted connection.
[[nodiscard]] const tls::ChainVerdict &verify_against(Connection &connection,
                                                      const std::shared_ptr<const tls::TrustStore> &trust,
                                                      std::chrono::system_clock::time_point now);

/// False when the peer has closed a kept connection, or has said something that was not asked for (421).
[[nodiscard]] bool is_alive(Connection &connection);

} // namespace mta
