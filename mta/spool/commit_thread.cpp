#include "mta/spool/commit_thread.hpp"

#include <algorithm>
#include <cassert>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace mta::spool {

using smtp::ErrorCode;
using smtp::Result;

namespace {
/// Updates and removals are held in memory until a sync; beyond this one is done for their sake.
constexpr std::size_t max_kept_octets = 8U << 20U;
constexpr std::size_t max_backlog = 16'384;
/// Under load a slice of compaction comes after so many batches.
constexpr std::uint32_t turns_per_slice = 32;
} // namespace

CommitThread::CommitThread(SegmentSupply &supply, Index &index, IdSource &ids, std::uint64_t segment_size,
                           std::uint64_t last_sequence)
    : supply_(supply), index_(index), log_(supply, index, ids, last_sequence), ids_(ids),
      compactor_(index, log_, segment_size) {}

CommitThread::~CommitThread() {
  stop();
}

Result<void> CommitThread::start() {
  auto started = log_.start();
  if (started) started = log_.sync();
  if (!started && started.error().code != ErrorCode::full) return started;
  if (started) {
    healthy_ = true;
    note_head();
    supply_.keep_reserve();
  } else {
    set_problem(started.error());
    next_probe_ = std::chrono::steady_clock::now() + probe_pause_;
  }
  thread_ = std::thread([this] { run(); });
  return {};
}

bool CommitThread::push(Operation &&operation) {
  bool wake = false;
  {
    const std::scoped_lock lock(queue_mutex_);
    if (closing_) return false;
    queue_.push_back(std::move(operation));
    wake = std::exchange(sleeping_, false);
  }
  if (wake) queue_filled_.notify_one();
  return true;
}

void CommitThread::nudge() {
  {
    const std::scoped_lock lock(queue_mutex_);
    nudged_ = true;
    sleeping_ = false;
  }
  queue_filled_.notify_one();
}

void CommitThread::stop() {
  {
    const std::scoped_lock lock(queue_mutex_);
    closing_ = true;
    sleeping_ = false;
  }
  stopped_ = true;
  queue_filled_.notify_one();
  if (thread_.joinable()) thread_.join();
}

std::optional<smtp::Error> CommitThread::problem() const {
  if (is_healthy()) return std::nullopt;
  return current_error();
}

void CommitThread::set_problem(const smtp::Error &error) {
  const std::scoped_lock lock(problem_mutex_);
  problem_ = {error.code, fmt::format("spool cannot write: {}", error.detail)};
}

void CommitThread::note_head() {
  const bool on_reserve = log_.is_on_reserve();
  if (on_reserve_.exchange(on_reserve, std::memory_order_relaxed) && !on_reserve) supply_.keep_reserve();
  reserve_low_.store(on_reserve && log_.is_half_full(), std::memory_order_relaxed);
}

void CommitThread::run() {
  std::vector<Operation> operations;
  bool more_to_do = true; // what recovery found free is taken back at once
  while (true) {
    bool closing = false;
    {
      std::unique_lock lock(queue_mutex_);
      const auto filled = [this] { return !queue_.empty() || closing_ || nudged_; };
      sleeping_ = !filled();
      if (!healthy_)
        queue_filled_.wait_until(lock, next_probe_, filled);
      else if (!more_to_do)
        queue_filled_.wait(lock, filled);
      sleeping_ = false;
      nudged_ = false;
      operations.swap(queue_);
      closing = closing_;
    }
    if (!healthy_ && std::chrono::steady_clock::now() >= next_probe_) heal();
    const bool idle = operations.empty();
    if (!idle) process(operations);
    note_head();
    operations.clear();
    if (closing && idle) break;
    more_to_do = healthy_ && keep_house(idle);
  }
  if (!healthy_) return;
  // Nothing more can be done about a failure here: the next start recovers as after a crash.
  if (const auto finished = log_.finish(); !finished) fail(finished.error());
}

void CommitThread::process(std::vector<Operation> &operations) {
  Batch batch;
  for (Operation &operation : operations) std::visit([&](auto &each) { take(each, batch); }, operation);
  write_batch(batch);
  operations.clear(); // the chunks are free before the sessions ask for new ones
  buffered.fetch_sub(batch.written_octets, std::memory_order_relaxed);
  note_head(); // before anybody hears of it and begins the next: the half for removals is not to be eaten up
  settle(batch);
}

bool CommitThread::write_part(Session &session, const PartBuffer &part) {
  const auto pieces = part.pieces();
  const auto placed = log_.add({.type = RecordType::body,
                                .length = part.size(),
                                .payload_crc = part.crc(),
                                .id = session.id,
                                .extra = session.body_size},
                               pieces);
  if (!placed) {
    fail(placed.error());
    return false;
  }
  index_.hold(placed->extent);
  session.parts.push_back(placed->extent);
  session.body_size += part.size();
  session.last_sequence = placed->sequence;
  return true;
}

void CommitThread::take(PartOperation &operation, Batch &batch) {
  Session &session = *operation.session;
  session.queued_parts.fetch_sub(1, std::memory_order_relaxed);
  batch.written_octets += operation.part.size();
  if (session.broken) return;
  if (!healthy_ || !write_part(session, operation.part)) session.broken = true;
  open_.insert(std::move(operation.session));
}

void CommitThread::take(CommitOperation &operation, Batch &batch) {
  Session &session = *operation.session;
  open_.erase(operation.session);
  batch.written_octets += operation.last_part.size();
  if (session.broken || !healthy_ || (operation.last_part.size() != 0 && !write_part(session, operation.last_part))) {
    fail_commit(session, std::move(operation.done), batch);
    return;
  }
  const auto placed = log_.add({.type = RecordType::envelope,
                                .length = static_cast<std::uint32_t>(operation.envelope.size()),
                                .payload_crc = operation.envelope_crc,
                                .id = session.id,
                                .extra = session.body_size},
                               operation.envelope);
  if (!placed) {
    fail(placed.error());
    fail_commit(session, std::move(operation.done), batch);
    return;
  }
  Entry entry;
  entry.body_size = session.body_size;
  entry.envelope = placed->extent;
  if (!session.parts.empty()) entry.body = session.parts.front();
  if (session.parts.size() > 1)
    entry.more = std::make_shared<const std::vector<Extent>>(session.parts.begin() + 1, session.parts.end());
  batch.must_sync = true;
  batch.commits.push_back(
      {std::move(operation.session), {session.id, std::move(entry)}, std::move(operation.done), placed->sequence});
}

void CommitThread::fail_commit(Session &session, Done done, Batch &batch) {
  index_.drop(session.parts, log_.sequence());
  session.parts.clear();
  batch.failures.push_back({std::move(done), current_error()});
}

void CommitThread::take(DiscardOperation &operation, Batch &) {
  open_.erase(operation.session);
  index_.drop(operation.session->parts, log_.sequence());
}

void CommitThread::take(ReadyOperation &operation, Batch &batch) {
  batch.ready.push_back(std::move(operation.ready));
}

void CommitThread::take(UpdateOperation &operation, Batch &batch) {
  if (!index_.contains(operation.id)) {
    if (operation.done)
      batch.failures.push_back({std::move(operation.done), {ErrorCode::not_found, "message is not in the spool"}});
    return;
  }
  if (!operation.done) {
    keep_update(operation, batch);
    return;
  }
  if (healthy_) {
    const auto placed = write_update(operation.id, operation.blob, operation.crc);
    if (placed) {
      batch.must_sync = true;
      batch.updates.push_back({operation.id, placed->extent, std::move(operation.done), placed->sequence});
      return;
    }
    fail(placed.error());
  }
  batch.failures.push_back({std::move(operation.done), current_error()});
}

void CommitThread::keep_update(UpdateOperation &operation, Batch &batch) {
  Kept kept{.id = operation.id, .update = std::move(operation.blob), .crc = operation.crc};
  if (!healthy_) {
    backlog_.push_back(std::move(kept));
    return;
  }
  kept_.push_back(std::move(kept));
  const std::string &blob = *kept_.back().update;
  kept_octets_ += blob.size() + sizeof(Kept);
  const auto placed = write_update(operation.id, blob, operation.crc);
  if (!placed) {
    fail(placed.error()); // moves what was kept to the backlog
    return;
  }
  kept_.back().sequence = placed->sequence;
  batch.updates.push_back({operation.id, placed->extent, nullptr, placed->sequence});
}

Result<LogWriter::Placed> CommitThread::write_update(std::uint64_t id, const std::string &blob, std::uint32_t crc) {
  return log_.add(
      {.type = RecordType::update, .length = static_cast<std::uint32_t>(blob.size()), .payload_crc = crc, .id = id},
      blob);
}

void CommitThread::take(RemoveOperation &operation, Batch &) {
  if (!index_.contains(operation.id)) return;
  Kept kept{.id = operation.id};
  if (!healthy_) {
    backlog_.push_back(std::move(kept));
    return;
  }
  const auto placed = log_.add({.type = RecordType::done, .id = operation.id}, std::string_view());
  if (!placed) {
    fail(placed.error());
    backlog_.push_back(std::move(kept));
    return;
  }
  kept.sequence = placed->sequence;
  kept.envelopes_in = index_.remove(operation.id, placed->extent.segment, placed->sequence);
  kept_octets_ += sizeof(Kept);
  kept_.push_back(std::move(kept));
}

void CommitThread::take(ReserveOperation &, Batch &batch) {
  if (!healthy_ || !ids_.runs_low()) return;
  const std::uint64_t limit = ids_.wanted_limit();
  if (const auto placed = log_.add({.type = RecordType::checkpoint, .extra = limit}, std::string_view()); !placed) {
    fail(placed.error());
    return;
  }
  batch.must_sync = true;
  batch.id_limit = limit;
}

void CommitThread::write_batch(Batch &batch) {
  if (!healthy_) return;
  if (kept_octets_ > max_kept_octets) batch.must_sync = true;
  const auto written = batch.must_sync ? log_.sync() : log_.flush();
  if (!written) {
    fail(written.error());
    return;
  }
  if (batch.must_sync) forget_durable();
}

// The compactor also works without a sync: what is kept goes by what is durable, not by who calls.
void CommitThread::forget_durable() {
  if (kept_.empty() || kept_.back().sequence <= log_.durable()) {
    kept_.clear();
    kept_octets_ = 0;
  }
  syncs_.store(log_.syncs(), std::memory_order_relaxed);
}

// After the write, whether it went well or not: what is durable is answered with success, and nothing else.
void CommitThread::settle(Batch &batch) {
  const std::uint64_t durable = log_.durable();
  std::vector<Index::NewMessage> inserted;
  inserted.reserve(batch.commits.size());
  for (PendingCommit &commit : batch.commits) {
    if (commit.sequence <= durable)
      inserted.push_back(std::move(commit.message));
    else
      fail_commit(*commit.session, std::exchange(commit.done, nullptr), batch);
  }
  committed_.fetch_add(inserted.size(), std::memory_order_relaxed);
  if (!inserted.empty()) index_.insert(inserted);
  for (PendingUpdate &update : batch.updates) {
    if (healthy_ || update.sequence <= durable)
      index_.set_update(update.id, update.extent, update.sequence);
    else if (update.done)
      batch.failures.push_back({std::exchange(update.done, nullptr), current_error()});
  }
  if (batch.id_limit && healthy_) ids_.raise(*batch.id_limit);

  for (PendingCommit &commit : batch.commits)
    if (commit.done) commit.done({});
  for (PendingUpdate &update : batch.updates)
    if (update.done) update.done({});
  for (Failure &failure : batch.failures) failure.done(tl::unexpected(std::move(failure.error)));
  for (const auto &ready : batch.ready) ready();
}

smtp::Error CommitThread::current_error() const {
  const std::scoped_lock lock(problem_mutex_);
  return {problem_.code == ErrorCode::full ? ErrorCode::full : ErrorCode::io, problem_.detail};
}

void CommitThread::fail(const smtp::Error &error) {
  if (!healthy_) return;
  set_problem(error);
  healthy_.store(false, std::memory_order_release);
  probe_pause_ = first_probe_pause;
  next_probe_ = std::chrono::steady_clock::now() + probe_pause_;
  for (const auto &session : open_) session->broken = session->broken || session->last_sequence > log_.durable();
  // What a roll has made durable is not written again: a durable update may have come after it.
  for (Kept &kept : kept_)
    if (kept.sequence > log_.durable()) backlog_.push_back(std::move(kept));
  kept_.clear();
  kept_octets_ = 0;
  compactor_.reset();
}

// The probe is the real thing: a segment that was filled and synced, a checkpoint, all that was kept, and a sync.
void CommitThread::heal() {
  thin_backlog();
  Result<void> result = log_.start();
  for (std::size_t i = 0; result && i < backlog_.size(); ++i) result = write_kept(backlog_[i]);
  if (result) result = log_.sync();
  if (!result) {
    set_problem(result.error());
    probe_pause_ = std::min(2 * probe_pause_, longest_probe_pause);
    next_probe_ = std::chrono::steady_clock::now() + probe_pause_;
    return;
  }
  backlog_.clear();
  forget_durable();
  supply_.keep_reserve();
  healthy_.store(true, std::memory_order_release);
}

Result<void> CommitThread::write_kept(Kept &kept) {
  if (kept.update) {
    if (!index_.contains(kept.id)) return {};
    const auto placed = write_update(kept.id, *kept.update, kept.crc);
    if (!placed) return tl::unexpected(placed.error());
    index_.set_update(kept.id, placed->extent, placed->sequence);
    return {};
  }
  const auto placed = log_.add({.type = RecordType::done, .id = kept.id}, std::string_view());
  if (!placed) return tl::unexpected(placed.error());
  for (const std::uint32_t segment : kept.envelopes_in) index_.bury(placed->extent.segment, segment, kept.id);
  if (kept.envelopes_in.empty()) kept.envelopes_in = index_.remove(kept.id, placed->extent.segment, placed->sequence);
  return {};
}

// Of several updates of a message only the last is needed, and none before a removal.
void CommitThread::thin_backlog() {
  if (backlog_.size() < max_backlog) return;
  std::unordered_set<std::uint64_t> seen;
  std::vector<Kept> thinned;
  for (auto kept = backlog_.rbegin(); kept != backlog_.rend(); ++kept)
    if (seen.insert(kept->id).second) thinned.push_back(std::move(*kept));
  std::reverse(thinned.begin(), thinned.end());
  backlog_ = std::move(thinned);
}

bool CommitThread::keep_house(bool idle) {
  ++turns_;
  if (idle && index_.waits_for_sync(log_.durable())) {
    if (const auto synced = log_.sync(); !synced) {
      fail(synced.error());
      return false;
    }
    forget_durable();
  }
  if (auto free = index_.take_free(log_.durable()); !free.empty())
    supply_.release(std::move(free), [this] { nudge(); });
  if (!idle && turns_ % turns_per_slice != 0) return true; // look again when the queue is empty
  if (log_.is_on_reserve()) return false;                  // what it moves would eat the room that removals need
  const auto worked = compactor_.step();
  if (!worked) {
    fail(worked.error());
    return false;
  }
  if (*worked) forget_durable();
  return *worked;
}

} // namespace mta::spool
