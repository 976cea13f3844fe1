#include "mta/spool/writer.hpp"

#include <utility>

#include <fmt/format.h>

#include "mta/spool/crc32c.hpp"

namespace mta::spool {

using smtp::ErrorCode;
using smtp::Result;

namespace {
/// Parts of one writer that may wait for the log before it asks for a pause.
constexpr std::uint32_t max_queued_parts = 2;
} // namespace

Writer::Writer(std::shared_ptr<Acceptance> acceptance, std::uint64_t id, std::size_t part_size, Admission admission)
    : acceptance_(std::move(acceptance)), session_(std::make_shared<Session>(id)), part_size_(part_size),
      admission_(admission) {
  acceptance_->open_writers.fetch_add(1, std::memory_order_relaxed);
}

Writer::~Writer() {
  acceptance_->open_writers.fetch_sub(1, std::memory_order_relaxed);
  if (committed_) return;
  CommitThread &thread = acceptance_->commit_thread();
  thread.buffered.fetch_sub(part_.size(), std::memory_order_relaxed);
  if (in_log_) static_cast<void>(thread.push(DiscardOperation{std::move(session_)}));
}

Result<void> Writer::append(std::string_view octets) {
  CommitThread &thread = acceptance_->commit_thread();
  while (!octets.empty()) {
    const std::size_t taken = part_.append(octets, part_size_);
    octets.remove_prefix(taken);
    const std::uint64_t buffered = thread.buffered.fetch_add(taken, std::memory_order_relaxed) + taken;
    const bool early = buffered > buffer_budget && part_.size() >= PartBuffer::first_chunk;
    if (part_.size() >= part_size_ || early) {
      if (auto handed = hand_over(); !handed) return handed;
    }
  }
  return {};
}

Result<void> Writer::hand_over() {
  if (auto room = acceptance_->check(admission_); !room) return room;
  session_->queued_parts.fetch_add(1, std::memory_order_relaxed);
  in_log_ = true;
  const std::uint32_t size = part_.size();
  if (acceptance_->commit_thread().push(PartOperation{session_, std::exchange(part_, PartBuffer())})) return {};
  acceptance_->commit_thread().buffered.fetch_sub(size, std::memory_order_relaxed);
  return smtp::fail(ErrorCode::stopping, "the spool is closing");
}

bool Writer::wants_pause() const noexcept {
  const std::uint32_t queued = session_->queued_parts.load(std::memory_order_relaxed);
  if (queued >= max_queued_parts) return true;
  return queued > 0 && acceptance_->commit_thread().buffered.load(std::memory_order_relaxed) > buffer_budget;
}

void Writer::when_ready(std::function<void()> ready) {
  // The queue is in order: when this comes up, all parts before it are written.
  ReadyOperation operation{std::move(ready)};
  Operation queued = std::move(operation);
  if (!acceptance_->commit_thread().push(std::move(queued))) std::get<ReadyOperation>(queued).ready();
}

void Writer::commit(std::string envelope, std::function<void(Result<void>)> done) {
  if (envelope.size() > max_blob_size) {
    done(smtp::fail(ErrorCode::too_long,
                    fmt::format("envelope is {} octets, limit is {}", envelope.size(), max_blob_size)));
    return;
  }
  committed_ = true;
  CommitOperation operation;
  operation.session = session_;
  operation.last_part = std::move(part_);
  operation.envelope_crc = crc32c(envelope);
  operation.envelope = std::move(envelope);
  operation.done = std::move(done);
  const std::uint32_t size = operation.last_part.size();
  Operation queued = std::move(operation);
  if (acceptance_->commit_thread().push(std::move(queued))) return;
  acceptance_->commit_thread().buffered.fetch_sub(size, std::memory_order_relaxed);
  std::get<CommitOperation>(queued).done(smtp::fail(ErrorCode::stopping, "the spool is closing"));
}

} // namespace mta::spool
