// SegmentSupply: a thread that has the next segment ready before the log needs it, and takes back the free ones.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "mta/spool/id_source.hpp"
#include "mta/spool/index.hpp"
#include "mta/spool/segment.hpp"

namespace mta::spool {

/// Segments get larger step by step up to the configured size, so that a start does not wait for 64 MiB of zeros. Freed
/// segments of full size become spares: their blocks are written already, and reusing one costs two syncs.
class SegmentSupply {
public:
  struct Options {
    std::string folder;
    std::uint64_t segment_size = 0;
    std::uint64_t min_free = 0; ///< below twice this, free segments are removed instead of kept
    std::uint32_t next_number = 1;
    std::vector<std::uint32_t> spares; ///< of full size
    std::uint64_t reserve_size = 0;    ///< of the file kept for a full disk; 0: none is kept
    bool has_reserve = false;
  };

  /// `files`, `index` and `ids` must outlive it.
  SegmentSupply(FileSystem &files, Index &index, IdSource &ids, Options options);
  SegmentSupply(const SegmentSupply &) = delete;
  SegmentSupply &operator=(const SegmentSupply &) = delete;
  ~SegmentSupply();

  /// The next segment, of at least `smallest` octets, waiting for it when it is not ready. Errors: full, io, stopping.
  [[nodiscard]] smtp::Result<std::shared_ptr<Segment>> next(std::uint64_t smallest);
  /// Begins to make one ready, unless there is one.
  void prepare();
  /// Has the file for a full disk made, when it is not there and there is room.
  void keep_reserve();
  /// Takes back free segments; each is reported to the index as gone once its new name is durable. Then `gone` is
  /// called on the supply's thread: others may have become free.
  void release(std::vector<std::shared_ptr<Segment>> segments, std::function<void()> gone);
  /// Stops the thread. A segment that was made ready stays behind, empty; recovery takes it as a spare.
  void stop();

private:
  void run();
  [[nodiscard]] smtp::Result<std::shared_ptr<Segment>> make(std::uint64_t size, bool is_needed);
  void make_reserve();
  void take_back(std::vector<std::shared_ptr<Segment>> &segments);
  [[nodiscard]] smtp::Result<void> put_aside(const Segment &segment);

  FileSystem &files_;
  Index &index_;
  IdSource &ids_;
  const Options options_;

  std::mutex mutex_;
  std::condition_variable work_;  ///< for the thread
  std::condition_variable ready_; ///< for next()
  std::shared_ptr<Segment> prepared_;
  std::shared_ptr<Segment> unwanted_; ///< was too small
  std::optional<smtp::Error> error_;
  std::uint64_t wanted_size_ = 0; ///< 0: nothing to prepare
  bool needed_ = false;           ///< the log waits for it
  bool reserve_due_ = false;
  std::vector<std::shared_ptr<Segment>> released_;
  std::function<void()> gone_;
  std::atomic<bool> stop_{false};

  // Of the thread alone.
  std::deque<std::uint32_t> spares_;
  std::uint32_t next_number_;
  std::uint64_t next_size_;
  bool has_reserve_;
  std::thread thread_;
};

} // namespace mta::spool
