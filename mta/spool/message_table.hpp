// MessageTable: puts the records of recovery together to messages.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "mta/spool/index.hpp"
#include "mta/spool/spool.hpp"

namespace mta::spool {

/// Takes records in any order, but all removals before the messages to keep memory small (recovery goes from the newest
/// segment to the oldest).
class MessageTable {
public:
  explicit MessageTable(Recovery &report) : report_(report) {}

  /// A whole body, envelope, update, done or graves record.
  void add(const RecordHeader &header, const Extent &extent, std::string_view payload);
  /// A record that was durable and whose payload is damaged.
  void add_lost(const RecordHeader &header);
  /// Decides which messages are there. `durable`: records up to this sequence were on disk.
  void finish(Index &index, std::uint64_t durable);
  /// For Index::bury; valid after finish().
  struct Grave {
    std::uint32_t grave = 0;
    std::uint32_t buried = 0;
    std::uint64_t id = 0;
  };
  [[nodiscard]] const std::vector<Grave> &graves() const noexcept { return graves_; }
  /// Whole envelopes of messages that are left out; valid after finish(). They must be made void, or the next recovery,
  /// which finds them durable by then, would take them for messages that lost their bodies.
  struct Orphan {
    Extent envelope;
    std::uint64_t sequence = 0;
  };
  [[nodiscard]] const std::vector<Orphan> &orphans() const noexcept { return orphans_; }
  [[nodiscard]] std::uint64_t highest_id() const noexcept { return highest_id_; }
  /// Messages whose envelope was durable and is lost, by id; valid after finish(). What is left of the body, in order.
  struct Lost {
    std::uint64_t id = 0;
    std::vector<Extent> body;
  };
  [[nodiscard]] const std::vector<Lost> &lost() const noexcept { return lost_; }

private:
  struct Part {
    std::uint64_t offset = 0;
    std::uint64_t sequence = 0;
    Extent extent;
  };
  struct Copy {
    std::uint32_t number = 0;
    std::uint64_t sequence = 0;       ///< of the envelope; 0: not seen
    std::uint64_t first_sequence = 0; ///< of the oldest one under this number
    std::uint64_t body_size = 0;
    Extent envelope;
    std::string blob;
    std::vector<Part> parts;
  };
  struct Message {
    std::vector<Copy> copies;
    std::uint64_t update_sequence = 0;
    Extent update;
    std::string update_blob;
    bool envelope_lost = false;
    std::vector<Orphan> stale{}; ///< envelopes that were there twice under one copy number: the older ones
  };
  void add_done(std::uint64_t id, std::uint32_t segment);
  void decide(std::uint64_t id, Message &message, Index &index, std::uint64_t durable);
  [[nodiscard]] static Copy &copy_of(Message &message, std::uint32_t number);
  [[nodiscard]] static std::vector<Extent> rest_of(Message &message);
  /// The extents of the body in order; a part that is missing has segment 0. Whether the copy is complete.
  [[nodiscard]] static bool assemble(Copy &copy, std::vector<Extent> &parts);

  Recovery &report_;
  std::unordered_map<std::uint64_t, Message> messages_;
  std::unordered_map<std::uint64_t, std::uint32_t> done_in_; ///< removed message, segment of the removal
  std::vector<Grave> graves_;
  std::vector<Orphan> orphans_;
  std::vector<Lost> lost_;
  std::uint64_t highest_id_ = 0;
};

} // namespace mta::spool
