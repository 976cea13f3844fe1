#include "mta/spool/spool.hpp"

#include <algorithm>
#include <mutex>
#include <random>
#include <utility>

#include <fmt/format.h>

#include "mta/spool/commit_thread.hpp"
#include "mta/spool/crc32c.hpp"
#include "mta/spool/file_system.hpp"
#include "mta/spool/reader.hpp"
#include "mta/spool/recovery.hpp"
#include "mta/spool/writer.hpp"

namespace mta {

using smtp::ErrorCode;
using smtp::Result;

namespace {

using namespace spool; // of the same module

constexpr std::uint64_t smallest_segment = 32U << 10U;
constexpr std::size_t smallest_part = 1U << 10U;
constexpr std::chrono::milliseconds free_space_age{100};

std::uint64_t draw_random() {
  std::random_device source;
  return std::uint64_t{source()} << 32U | source();
}

/// Everything behind the spool's interface. Writers share it, so that it lives until the last of them is gone.
class Core final : public Acceptance {
public:
  Core(const SpoolOptions &options, std::shared_ptr<FileSystem> files, std::unique_ptr<File> lock,
       std::uint64_t segment_size)
      : options_(options), files_(std::move(files)), lock_(std::move(lock)), segment_size_(segment_size) {}
  Core(const Core &) = delete;
  Core &operator=(const Core &) = delete;
  ~Core() override { close(); }

  [[nodiscard]] Result<void> start(Recovery &report) {
    auto end = recover(*files_, options_.path, index, report);
    if (!end) return tl::unexpected(end.error());
    if (options_.first_id != 0)
      end->next_id = std::max(end->next_id, options_.first_id);
    else if (end->next_id < least_drawn_id)
      end->next_id = draw_first_id(std::chrono::system_clock::now(), draw_random());
    ids_.emplace(end->next_id);
    supply_.emplace(*files_, index, *ids_,
                    SegmentSupply::Options{.folder = options_.path,
                                           .segment_size = segment_size_,
                                           .min_free = options_.min_free,
                                           .next_number = end->next_number,
                                           .spares = std::move(end->spares),
                                           .reserve_size = std::min(options_.reserve_size, segment_size_),
                                           .has_reserve = end->has_reserve});
    thread_.emplace(*supply_, index, *ids_, segment_size_, end->last_sequence);
    return thread_->start();
  }

  void close() {
    const std::scoped_lock lock(close_mutex_);
    if (thread_) thread_->stop(); // first: it may wait for the supply
    if (supply_) supply_->stop();
    lock_.reset(); // a writer that is still there keeps the rest alive, and must not keep the next process out
  }

  [[nodiscard]] Result<void> check(Admission admission) override {
    if (thread_->is_stopped()) return smtp::fail(ErrorCode::stopping, "the spool is closing");
    if (const auto problem = thread_->problem()) return tl::unexpected(*problem);
    if (admission == Admission::own) {
      // The blocks of the segment in hand are there already. Of the reserve the second half is for removals alone.
      if (!thread_->is_reserve_low() || free_space() >= options_.min_free) return {};
      return smtp::fail(ErrorCode::full, "the disk is full, and what is left of the reserve is for removals");
    }
    const std::uint64_t free = free_space();
    if (free < options_.min_free)
      return smtp::fail(ErrorCode::full, fmt::format("disk has {} octets free, limit is {}", free, options_.min_free));
    return {};
  }

  CommitThread &commit_thread() noexcept override { return *thread_; }

  [[nodiscard]] Result<std::uint64_t> take_id(Admission admission) {
    if (auto room = check(admission); !room) return tl::unexpected(room.error());
    const std::uint64_t messages = index.messages() + open_writers.load(std::memory_order_relaxed);
    const std::uint64_t reserve = admission == Admission::own ? own_message_reserve(options_.max_messages) : 0;
    if (messages >= options_.max_messages + reserve)
      return smtp::fail(ErrorCode::full,
                        fmt::format("spool holds {} messages, limit is {}", messages, options_.max_messages + reserve));
    if (!ids_->runs_low()) {
      reserve_asked_.store(false, std::memory_order_relaxed);
    } else if (!reserve_asked_.exchange(true, std::memory_order_relaxed)) {
      static_cast<void>(thread_->push(ReserveOperation{}));
    }
    const auto id = ids_->take();
    if (!id) {
      reserve_asked_.store(false, std::memory_order_relaxed);
      return smtp::fail(ErrorCode::full, "no queue id is reserved: the log is behind");
    }
    return *id;
  }

  /// At most free_space_age old; when it cannot be read, none.
  [[nodiscard]] std::uint64_t free_space() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
    auto due = free_due_.load(std::memory_order_relaxed);
    const auto next = now + std::chrono::steady_clock::duration(free_space_age).count();
    if (now >= due && free_due_.compare_exchange_strong(due, next))
      free_.store(files_->free_space(options_.path).value_or(0), std::memory_order_relaxed);
    return free_.load(std::memory_order_relaxed);
  }

  [[nodiscard]] std::uint64_t max_messages() const noexcept { return options_.max_messages; }
  [[nodiscard]] std::size_t part_size() const noexcept {
    return std::clamp(options_.part_size, smallest_part, static_cast<std::size_t>(segment_size_ / 4));
  }

  Index index;

private:
  const SpoolOptions options_;
  const std::shared_ptr<FileSystem> files_;
  std::unique_ptr<File> lock_;
  const std::uint64_t segment_size_;
  std::optional<IdSource> ids_;
  std::optional<SegmentSupply> supply_;
  std::optional<CommitThread> thread_;
  std::mutex close_mutex_;
  std::atomic<bool> reserve_asked_{false};
  std::atomic<std::chrono::steady_clock::rep> free_due_{
      std::chrono::steady_clock::time_point::min().time_since_epoch().count()};
  std::atomic<std::uint64_t> free_{~std::uint64_t{0}};
};

class LogSpool final : public Spool {
public:
  explicit LogSpool(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  LogSpool(const LogSpool &) = delete;
  LogSpool &operator=(const LogSpool &) = delete;
  ~LogSpool() override { core_->close(); }

  Result<std::unique_ptr<MessageWriter>> begin(Admission admission) override {
    const auto id = core_->take_id(admission);
    if (!id) return tl::unexpected(id.error());
    return std::make_unique<Writer>(core_, *id, core_->part_size(), admission);
  }

  Result<std::unique_ptr<BodyReader>> read_body(QueueId id) override {
    auto place = core_->index.find_body(id.value);
    if (!place) return smtp::fail(ErrorCode::not_found, fmt::format("message {} is not in the spool", id.to_string()));
    return make_reader(id, std::move(*place));
  }

  void update(QueueId id, std::string blob) override {
    if (blob.size() > max_blob_size) return;
    const std::uint32_t crc = crc32c(blob);
    static_cast<void>(core_->commit_thread().push(UpdateOperation{id.value, std::move(blob), crc, nullptr}));
  }

  void update_durably(QueueId id, std::string blob, std::function<void(Result<void>)> done) override {
    if (blob.size() > max_blob_size) {
      done(
          smtp::fail(ErrorCode::too_long, fmt::format("update is {} octets, limit is {}", blob.size(), max_blob_size)));
      return;
    }
    const std::uint32_t crc = crc32c(blob);
    Operation operation = UpdateOperation{id.value, std::move(blob), crc, std::move(done)};
    if (!core_->commit_thread().push(std::move(operation)))
      std::get<UpdateOperation>(operation).done(smtp::fail(ErrorCode::stopping, "the spool is closing"));
  }

  void remove(QueueId id) override { static_cast<void>(core_->commit_thread().push(RemoveOperation{id.value})); }

  SpoolStatus status() const override {
    SpoolStatus status;
    const auto problem = core_->commit_thread().problem();
    status.healthy = !problem;
    status.on_reserve = core_->commit_thread().is_on_reserve();
    const Index::Totals totals = core_->index.totals();
    status.messages = totals.messages;
    status.octets = totals.octets;
    status.segments = totals.segments;
    status.free_octets = core_->free_space();
    if (problem) {
      status.state = problem->code == ErrorCode::full ? StorageState::disk_full : StorageState::broken;
      status.problem = problem->detail;
    } else if (const auto room = core_->check(Admission::ordinary); !room && room.error().code == ErrorCode::full) {
      status.state = StorageState::disk_full;
      status.problem = room.error().detail;
    } else if (status.messages >= core_->max_messages()) {
      status.state = StorageState::queue_full;
      status.problem = fmt::format("spool holds {} messages, limit is {}", status.messages, core_->max_messages());
    }
    status.commits = core_->commit_thread().syncs();
    status.committed = core_->commit_thread().committed();
    status.moved = core_->commit_thread().moved();
    return status;
  }

  void close() override { core_->close(); }

private:
  std::shared_ptr<Core> core_;
};

Result<std::unique_ptr<File>> take_folder(FileSystem &files, const std::string &path) {
  if (auto made = files.make_folder(path); !made) return tl::unexpected(made.error());
  const auto names = files.list(path);
  if (!names) return tl::unexpected(names.error());
  bool ours = names->empty();
  for (const std::string &name : *names)
    ours = ours || name == "lost+found" || parse_file_name(name).kind != FileKind::foreign;
  if (!ours) return smtp::fail(ErrorCode::not_permitted, fmt::format("{} holds other files and no spool", path));
  auto lock = files.lock(path + "/lock");
  if (!lock) return lock;
  if (auto synced = files.sync_folder(path); !synced) return tl::unexpected(synced.error());
  return lock;
}

} // namespace

const char *to_string(StorageState state) noexcept {
  switch (state) {
  case StorageState::open: return "open";
  case StorageState::queue_full: return "queue_full";
  case StorageState::disk_full: return "disk_full";
  case StorageState::broken: return "broken";
  }
  return "broken";
}

Result<std::unique_ptr<Spool>> Spool::open(const SpoolOptions &options, Recovery &recovery) {
  return open(options, recovery, FileSystem::create());
}

Result<std::unique_ptr<Spool>> Spool::open(const SpoolOptions &options, Recovery &recovery,
                                           std::shared_ptr<FileSystem> files) {
  const auto failed = [&](const smtp::Error &error) {
    return smtp::fail(error.code, fmt::format("spool {}: {}", options.path, error.detail));
  };
  auto lock = take_folder(*files, options.path);
  if (!lock) return failed(lock.error());
  const std::uint64_t segment_size = next_block(std::max(options.segment_size, smallest_segment));
  auto core = std::make_shared<Core>(options, std::move(files), std::move(*lock), segment_size);
  if (auto started = core->start(recovery); !started) return failed(started.error());
  return std::make_unique<LogSpool>(std::move(core));
}

} // namespace mta
