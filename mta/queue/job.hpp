// Job and JobResult: what the scheduler hands to delivery and what comes back, so that queue need not know outbound.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mta/queue/message.hpp"
#include "smtp/names/ip_address.hpp"

namespace mta {

/// One transaction to make: one message, those of its recipients that share a destination and are due.
struct Job {
  std::uint64_t number = 0;
  std::string destination; ///< key: recipient domain, "[literal]" or "route:NAME"
  std::size_t slot = 0;    ///< which of the destination's parallel connections; keeps a connection on one thread
  std::optional<std::size_t> worker{};          ///< which of the delivery's workers has a connection or room for it
  bool hurry = false;                           ///< others wait for its place: it waits less for its host
  std::shared_ptr<const QueuedMessage> message; ///< snapshot at hand-out
  std::vector<std::size_t> recipients;          ///< indices into message->recipients
  /// True: what the job began with holds no longer (an operator's act, a reload). It makes no further connection and
  /// begins no further transaction; what is under way ends. Null: that cannot happen.
  std::shared_ptr<const std::atomic<bool>> withdrawn{};

  [[nodiscard]] bool is_withdrawn() const noexcept { return withdrawn && withdrawn->load(std::memory_order_relaxed); }
};

/// Result for one recipient of a job.
struct RecipientResult {
  std::size_t index = 0; ///< into message->recipients
  enum class Kind : std::uint8_t { delivered, temporary, permanent };
  Kind kind = Kind::temporary;
  FailureCause cause = FailureCause::none;
  smtp::Reply reply;
  std::string host;   ///< "mx1.example.org[192.0.2.1]"
  std::string detail; ///< one sentence for people
  bool dsn_passed_on = false;
};

/// What an attempt taught about its destination. What one message demands, or does to its session, says nothing of the
/// others that go there.
enum class DestinationLesson : std::uint8_t {
  reached, ///< a host answered for the message, or showed what it has
  failed,  ///< no host could be reached or greeted us, or the DNS failed
  unknown, ///< nothing was asked of it, or the session broke in the midst of the message
};

struct JobResult {
  std::uint64_t number = 0;
  std::string destination;
  std::vector<RecipientResult> results; ///< one for each of Job::recipients
  bool destination_failed = false;      ///< DestinationLesson::failed: backoff for everything that goes there
  bool nothing_learnt = false;          ///< DestinationLesson::unknown
  /// Only limits of ours kept it from being tried: it is to be tried again soon, and this was no attempt.
  bool put_off = false;
  /// Put off: where there was no room, as the limit counts addresses. Else: where its last connection went, so that its
  /// place, or the kept connection, is another's now.
  std::optional<smtp::IpAddress> address{};
  std::optional<std::size_t> worker{}; ///< that has the kept connection, or an idle one that stands in the way
};

/// Starts a job; `done` is called exactly once, from any thread. Given to the scheduler by mta/app.
using Deliver = std::function<void(Job job, std::function<void(JobResult)> done)>;

} // namespace mta
