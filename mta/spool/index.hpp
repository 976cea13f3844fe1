// Index: what is stored where, and which segments may be reused; in memory, rebuilt by recovery.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

#include "mta/spool/segment.hpp"

namespace mta::spool {

/// A committed message. Nearly all bodies have one part; the others pay for a vector.
struct Entry {
  std::uint64_t body_size = 0;
  Extent envelope;
  Extent update; ///< segment 0: none
  Extent body;   ///< the first part; segment 0 with a body: lost
  std::uint32_t copy = 0;
  std::shared_ptr<const std::vector<Extent>> more; ///< the parts after the first

  template <typename Visit> void for_each_part(Visit visit) const {
    if (body_size > 0) visit(body);
    if (more)
      for (const Extent &part : *more) visit(part);
  }
};

/// A part of a body with the segment it is in, held.
struct PinnedPart {
  Extent extent;
  SegmentPin segment; ///< empty: the part was lost
};
struct BodyPlace {
  std::uint64_t size = 0;
  std::vector<PinnedPart> parts;
};

/// Thread-safe. Only the commit thread changes it, but for gone(), which the supply calls.
///
/// A segment is free when all of this holds:
///  - it is sealed, no live record is in it (a committed message's, or a part of one still being received),
///  - what ended the last of them (done, the moved copy) is durable: `quiet_after`,
///  - it buries nothing: while another segment still holds an envelope whose `done` record is here, this one must stay,
///    or a recovery would bring that message back.
/// A reader that still holds it keeps its file open, not its name: the file is then removed instead of reused.
class Index {
public:
  void add_segment(std::shared_ptr<Segment> segment);
  /// No more records will be written to it.
  void seal(std::uint32_t number);
  /// The done record of message `id`, whose envelope (or an old copy of it) is in `buried`, is in segment `grave`.
  void bury(std::uint32_t grave, std::uint32_t buried, std::uint64_t id);
  /// The checkpoint that says what of segment `abandoned` is void is in segment `checkpoint`.
  void abandon(std::uint32_t checkpoint, std::uint32_t abandoned);
  /// For recovery: an old copy of the envelope of message `id`, which is there, lies in `segment`.
  void note_stale(std::uint64_t id, std::uint32_t segment);

  /// A part that was written and is not committed yet.
  void hold(const Extent &part);
  /// Gives parts back that will not be committed; `sequence` is the newest record at this moment.
  void drop(std::span<const Extent> parts, std::uint64_t sequence);

  struct NewMessage {
    std::uint64_t id = 0;
    Entry entry;
  };
  /// Makes messages visible whose parts were held.
  void insert(std::span<NewMessage> messages);
  /// For recovery: nothing is held.
  void insert_recovered(std::uint64_t id, Entry entry);
  [[nodiscard]] bool contains(std::uint64_t id) const;
  [[nodiscard]] std::optional<Entry> find(std::uint64_t id) const;
  [[nodiscard]] std::optional<BodyPlace> find_body(std::uint64_t id) const;
  [[nodiscard]] SegmentPin pin(std::uint32_t segment) const;
  void set_update(std::uint64_t id, const Extent &update, std::uint64_t sequence);
  /// Forgets a message whose done record is in segment `done_in`. Returns the segments with its envelope, old copies
  /// included.
  std::vector<std::uint32_t> remove(std::uint64_t id, std::uint32_t done_in, std::uint64_t sequence);
  /// A moved message, its parts held: from now on its new copy counts.
  void replace(std::uint64_t id, Entry entry, std::uint64_t sequence);

  /// Segments that are free now; they are no longer handed to readers, and stay known until gone().
  [[nodiscard]] std::vector<std::shared_ptr<Segment>> take_free(std::uint64_t durable);
  /// Whether an fdatasync would bring some segment nearer to being free.
  [[nodiscard]] bool waits_for_sync(std::uint64_t durable) const;
  /// Its file has another name, durably.
  void gone(std::uint32_t number);

  /// The segment whose live messages should be moved next. Not one that is held open by a writer, or that is `excused`.
  [[nodiscard]] std::optional<std::uint32_t> choose_victim(std::uint64_t segment_size,
                                                           const std::set<std::uint32_t> &excused) const;
  /// A segment that cannot be moved now (held, or excused), on which others wait that are dead but for burying its
  /// messages: their ids, to be written again in one place. Only when much of the log is dead.
  struct Reburial {
    std::uint32_t segment = 0;
    std::vector<std::uint64_t> ids;
  };
  [[nodiscard]] std::optional<Reburial> choose_reburial(std::uint64_t segment_size,
                                                        const std::set<std::uint32_t> &excused) const;
  /// All removed messages of `segment` have their graves in `graves` now, durably.
  void rebury(std::uint32_t segment, std::span<const std::uint32_t> graves);
  /// Adds the ids with a record in the segment to `ids`, from a part of the table; true when it was the last part.
  /// `cursor` begins at 0. A message that came meanwhile may be missed: the segment is then chosen again.
  bool collect(std::uint32_t segment, std::size_t &cursor, std::vector<std::uint64_t> &ids) const;

  /// Segments with records of messages that are there, in order.
  [[nodiscard]] std::vector<std::uint32_t> live_segments() const;

  struct Totals {
    std::uint64_t messages = 0;
    std::uint64_t octets = 0;
    std::uint64_t segments = 0;
  };
  [[nodiscard]] Totals totals() const;
  /// The number of messages, without the lock.
  [[nodiscard]] std::uint64_t messages() const noexcept { return messages_.load(std::memory_order_relaxed); }

private:
  struct State {
    std::shared_ptr<Segment> segment;
    std::uint64_t live = 0; ///< octets of records that count
    std::uint32_t held = 0; ///< records among them that are not committed yet
    bool sealed = false;
    bool leaving = false;
    std::uint64_t quiet_after = 0;
    std::set<std::uint32_t> buries;
    std::set<std::uint32_t> abandoned; ///< its checkpoints say so
    std::vector<std::uint64_t> ended;  ///< removed messages whose envelopes are here
  };
  /// The dead segments that wait for each, because they bury messages of it.
  [[nodiscard]] std::map<std::uint32_t, std::vector<std::uint32_t>> find_waiting() const;
  [[nodiscard]] bool is_mostly_dead(std::uint64_t segment_size) const;
  void add_live(const Extent &extent);
  void take_live(const Extent &extent, std::uint64_t sequence);
  void take_all(const Entry &entry, std::uint64_t sequence);
  void add_all(const Entry &entry);
  void release_hold(const Entry &entry);
  void bury_locked(std::uint32_t grave, std::uint32_t buried, std::uint64_t id);

  mutable std::mutex mutex_;
  std::unordered_map<std::uint64_t, Entry> entries_;
  std::map<std::uint32_t, State> segments_;
  /// Of moved messages: where old copies of the envelope are. The newest copy is in a segment that is live by it, so
  /// the old ones cannot come back before the message ends; then its done record must outlive them.
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> stale_;
  std::atomic<std::uint64_t> messages_{0};
};

} // namespace mta::spool
