// Scheduler: holds the queue in memory, decides what is delivered when, and writes every outcome to the spool.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mta/base/async.hpp"
#include "mta/config/config.hpp"
#include "mta/log/mail_log.hpp"
#include "mta/queue/filter.hpp"
#include "mta/queue/held_mail.hpp"
#include "mta/queue/job.hpp"
#include "mta/spool/spool.hpp"

namespace mta {

struct QueueCounts {
  std::size_t messages = 0;
  std::size_t recipients = 0;
  std::size_t held = 0;
  std::size_t active_jobs = 0;
  std::size_t destinations = 0;
};

/// Called for a recipient that ended or waits long; mta/report builds the DSN and submits it.
struct NotificationRequest {
  enum class Kind : std::uint8_t { failure, delay, success };
  Kind kind = Kind::failure;
  std::shared_ptr<const QueuedMessage> message;
  std::vector<std::size_t> recipients; ///< indices
};
/// Must call `stored(ok)` once, on any thread, when the notice is durable (or not owed): only then the recipient is
/// recorded as finished. With ok false the recipient stays pending and the notice is asked for again later; a message
/// that was delivered or refused for good is not sent again for the sake of its notice.
using Notify = std::function<void(NotificationRequest, std::function<void(bool ok)> stored)>;

/// Which destination key a recipient has under the configuration in force (domain or route).
using DestinationOf = std::function<std::string(const smtp::Mailbox &)>;

/// Owned by one thread: all members but submit() must be called on `executor`, and it is destroyed there or when the
/// executor runs no more. The clock and random source are parameters of the constructor for tests.
class Scheduler {
public:
  struct Options {
    policy::RetrySchedule retry;
    std::size_t connections = 1000;
    std::size_t connections_per_destination = 20;
    // Percent of `connections`: see Agenda.
    unsigned reserved_percent = 0;
    unsigned notices_percent = 100;
    unsigned unreached_percent = 100;
  };
  struct Hooks {
    Deliver deliver;
    Notify notify;
    DestinationOf destination_of;
    std::function<bool(std::string_view)> is_ours{}; ///< of a destination's key; none: no destination is
    std::function<WallTime()> now;
    std::function<double()> random;
    /// Why a message that comes is held from the beginning (a standing hold); empty: it is not. May be empty itself.
    std::function<std::string(const QueuedMessage &)> hold_for{};
    std::function<std::chrono::steady_clock::time_point()> steady{}; ///< none: `now` is steady too
    std::shared_ptr<HeldMail> held{};                                ///< is kept up to date; none: nobody asks
  };
  Scheduler(asio::any_io_executor executor, Spool &spool, MailLog &log, Options options, Hooks hooks);
  ~Scheduler();

  /// Takes the recovered messages, oldest first, then starts.
  void start(std::vector<QueuedMessage> recovered);
  /// A message that the spool has committed; the caller must not change it any more. Any thread.
  void submit(std::shared_ptr<QueuedMessage> message);
  /// New limits, schedule and destinations after a reload. Recipients that the change concerns, and their destinations,
  /// are tried at once; everybody else's wait stays as it is. Without `concerns` the change concerns all.
  void reconfigure(Options options, const std::function<bool(const smtp::Mailbox &)> &concerns = {});

  /// At once: for one id, or a short queue.
  [[nodiscard]] std::vector<std::shared_ptr<const QueuedMessage>> list(const QueueFilter &filter,
                                                                       std::size_t limit) const;
  /// Without a filter from counters, which costs nothing however long the queue is; else at once, as list().
  [[nodiscard]] QueueCounts count(const QueueFilter &filter) const;

  /// How much a step of a look at the queue takes on, in messages and recipients together: some milliseconds.
  static constexpr std::size_t step = 5'000;
  /// Shows messages from the id on, in their order, until `most` messages and recipients were looked at, so that a look
  /// at the whole queue can be taken in steps; each with how long it has waited by the queue's clock, which no setting
  /// of the wall clock moves. The id to go on from; nothing: that was the last.
  using Show = std::function<void(const QueuedMessage &message, std::chrono::seconds waited)>;
  [[nodiscard]] std::optional<std::uint64_t> visit(std::uint64_t from, std::size_t most, const Show &show) const;
  /// A message that fits a filter.
  struct Match {
    const QueuedMessage &message;
    const Reasons &state_of; ///< each recipient as it is shown: with the reason of a destination that it waits for
  };
  /// The same of messages that fit. Ends early when `show` says false: then the result is the id behind that message.
  [[nodiscard]] std::optional<std::uint64_t> visit(const QueueFilter &filter, std::uint64_t from, std::size_t most,
                                                   const std::function<bool(const Match &)> &show) const;

  /// Each tells how many messages it touched; each act is logged with who and why, and durable before `done` is called.
  /// A long queue is gone through in steps, between which others have their turn, and the spool is given no more at
  /// once than it writes: what comes meanwhile is not touched.
  void retry(const QueueFilter &filter, std::function<void(std::size_t)> done);
  /// retry() of what waits at this destination, without a look at the rest of the queue.
  void retry_at(std::string_view destination, const QueueFilter &filter, std::function<void(std::size_t)> done);
  void hold(const QueueFilter &filter, std::string reason, std::string by, std::function<void(std::size_t)> done);
  void release(const QueueFilter &filter, std::string reason, std::string by, std::function<void(std::size_t)> done);
  void remove(const QueueFilter &filter, std::string reason, std::string by, std::function<void(std::size_t)> done);
  /// Ends delivery: the sender is told (by a notice as for any failure), with the reason. What a running job is about
  /// to deliver may still arrive.
  void bounce(const QueueFilter &filter, std::string reason, std::string by, std::function<void(std::size_t)> done);
  /// The waiting recipients of one message (or `only` that one) become the one mailbox `to`; it is tried at once. Not
  /// while a job for the message runs: then nothing is touched.
  struct Redirect {
    std::string only; ///< a mailbox; empty: all
    smtp::Mailbox to;
  };
  void redirect(QueueId id, Redirect redirect, std::string reason, std::string by,
                std::function<void(std::size_t)> done);
  /// For this message only: what its next hops must give (policy::decide_tls), or nothing to clear it. A message that
  /// is held is released, and tried at once; a running attempt ends as it began, and another follows. `reason` and `by`
  /// of the override are what is logged and kept; to clear, `by` says who.
  void override_tls(QueueId id, std::optional<policy::OperatorOverride> given, std::string by,
                    std::function<void(std::size_t)> done);

  /// Starts no further jobs; `idle` is called when the running ones have ended.
  void drain(std::function<void()> idle);
  void resume();
  /// Looks at the clock again and does what is due; the scheduler's own timer calls it. For a clock that was set
  /// forward.
  void wake();

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace mta
