// CommitThread: gathers what all sessions have ready, writes it with one fdatasync, then wakes them.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "mta/spool/compactor.hpp"
#include "mta/spool/index.hpp"
#include "mta/spool/log_writer.hpp"
#include "mta/spool/operations.hpp"
#include "mta/spool/segment_supply.hpp"

namespace mta::spool {

/// One thread owns the log. Its loop: take all that is queued, append it, fdatasync once if something in it must be
/// durable, change the index, call back; when idle, move messages out of mostly dead segments.
///
/// Health:
///   healthy --write or sync fails--> unhealthy   the head is given up from its last durable record on; commits that
///   were
///                                                not durable fail; updates and removals are kept to be written again
///   unhealthy --a probe: a new segment takes a checkpoint and what was kept, with a sync--> healthy
/// While unhealthy every commit fails at once, and updates and removals wait in memory.
class CommitThread {
public:
  /// The references must outlive it. `last_sequence` is the highest that recovery saw.
  CommitThread(SegmentSupply &supply, Index &index, IdSource &ids, std::uint64_t segment_size,
               std::uint64_t last_sequence);
  CommitThread(const CommitThread &) = delete;
  CommitThread &operator=(const CommitThread &) = delete;
  ~CommitThread();

  /// Takes the first segment, durably, and starts the thread. On a full disk it starts unhealthy and goes on trying.
  [[nodiscard]] smtp::Result<void> start();
  /// Any thread. False after stop(): the operation was not taken.
  [[nodiscard]] bool push(Operation &&operation);
  /// Writes out what is queued, closes the log and ends the thread. Not from a callback.
  void stop();

  /// What is wrong, while acceptance is stopped. Any thread.
  [[nodiscard]] std::optional<smtp::Error> problem() const;
  [[nodiscard]] bool is_healthy() const noexcept { return healthy_.load(std::memory_order_acquire); }
  /// The head is the file kept for a full disk; more than half of it is used.
  [[nodiscard]] bool is_on_reserve() const noexcept { return on_reserve_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool is_reserve_low() const noexcept { return reserve_low_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool is_stopped() const noexcept { return stopped_.load(std::memory_order_acquire); }
  [[nodiscard]] std::uint64_t syncs() const noexcept { return syncs_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t committed() const noexcept { return committed_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t moved() const noexcept { return compactor_.moved(); }

  /// Octets of bodies in memory: with the sessions and in the queue.
  std::atomic<std::uint64_t> buffered{0};

  /// After a failure the log is probed; the pause doubles from the first to the longest.
  static constexpr std::chrono::milliseconds first_probe_pause{10};
  static constexpr std::chrono::milliseconds longest_probe_pause{1000};

private:
  struct PendingCommit {
    std::shared_ptr<Session> session;
    Index::NewMessage message;
    Done done;
    std::uint64_t sequence = 0;
  };
  struct PendingUpdate {
    std::uint64_t id = 0;
    Extent extent;
    Done done;
    std::uint64_t sequence = 0;
  };
  struct Failure {
    Done done;
    smtp::Error error;
  };
  /// One turn of the loop.
  struct Batch {
    bool must_sync = false;
    std::vector<PendingCommit> commits;
    std::vector<PendingUpdate> updates;
    std::vector<Failure> failures;
    std::vector<std::function<void()>> ready;
    std::optional<std::uint64_t> id_limit;
    std::uint64_t written_octets = 0; ///< of bodies: leave `buffered` when the batch is written
  };
  /// An update or a removal that is not durable yet, to be written again if the segment fails under it.
  struct Kept {
    std::uint64_t id = 0;
    std::optional<std::string> update{}; ///< nothing: a removal
    std::uint32_t crc = 0;
    std::uint64_t sequence = ~std::uint64_t{0}; ///< of its record; until then, above all
    std::vector<std::uint32_t> envelopes_in{};  ///< the removed message's, once the index has forgotten it
  };

  void run();
  /// Has the thread look for segments that are free now.
  void nudge();
  void process(std::vector<Operation> &operations);
  void take(PartOperation &operation, Batch &batch);
  void take(CommitOperation &operation, Batch &batch);
  void take(DiscardOperation &operation, Batch &batch);
  void take(ReadyOperation &operation, Batch &batch);
  void take(UpdateOperation &operation, Batch &batch);
  void take(RemoveOperation &operation, Batch &batch);
  void take(ReserveOperation &operation, Batch &batch);
  void keep_update(UpdateOperation &operation, Batch &batch);
  [[nodiscard]] smtp::Result<LogWriter::Placed> write_update(std::uint64_t id, const std::string &blob,
                                                             std::uint32_t crc);
  [[nodiscard]] bool write_part(Session &session, const PartBuffer &part);
  void fail_commit(Session &session, Done done, Batch &batch);
  void write_batch(Batch &batch);
  void settle(Batch &batch);
  void forget_durable();
  void note_head();
  void set_problem(const smtp::Error &error);
  void fail(const smtp::Error &error);
  void heal();
  [[nodiscard]] smtp::Result<void> write_kept(Kept &kept);
  void thin_backlog();
  /// True when there is more to do.
  bool keep_house(bool idle);
  [[nodiscard]] smtp::Error current_error() const;

  SegmentSupply &supply_;
  Index &index_;
  LogWriter log_;
  IdSource &ids_;
  Compactor compactor_;

  std::mutex queue_mutex_;
  std::condition_variable queue_filled_;
  std::vector<Operation> queue_;
  bool closing_ = false;
  bool sleeping_ = false;
  bool nudged_ = false;

  mutable std::mutex problem_mutex_;
  smtp::Error problem_;
  std::atomic<bool> healthy_{false};
  std::atomic<bool> stopped_{false};
  std::atomic<bool> on_reserve_{false};
  std::atomic<bool> reserve_low_{false};
  std::atomic<std::uint64_t> syncs_{0};
  std::atomic<std::uint64_t> committed_{0};

  // Of the thread alone.
  std::unordered_set<std::shared_ptr<Session>> open_; ///< have parts in the log
  std::vector<Kept> kept_;                            ///< since the last sync; the log's pieces may point into it
  std::size_t kept_octets_ = 0;
  std::vector<Kept> backlog_; ///< while unhealthy, in order
  std::chrono::steady_clock::time_point next_probe_{};
  std::chrono::milliseconds probe_pause_ = first_probe_pause;
  std::uint32_t turns_ = 0;
  std::thread thread_;
};

} // namespace mta::spool
