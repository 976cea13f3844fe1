// What sessions ask of the commit thread: the parts of a body, a commit, an update, a removal.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mta/spool/segment.hpp"
#include "smtp/base/result.hpp"

namespace mta::spool {

using Done = std::function<void(smtp::Result<void>)>;

/// A part of a body as it was received: copied once, into chunks that are handed to the kernel as they are.
class PartBuffer {
public:
  static constexpr std::size_t first_chunk = 16U << 10U; ///< most messages fit
  static constexpr std::size_t next_chunk = 64U << 10U;

  /// Takes as much as the current chunk and `limit` (of the whole part) allow, at least one octet; returns how much.
  std::size_t append(std::string_view octets, std::size_t limit);
  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  [[nodiscard]] std::uint32_t crc() const noexcept { return crc_; }
  [[nodiscard]] std::vector<std::string_view> pieces() const;

private:
  struct Chunk {
    std::unique_ptr<char[]> octets;
    std::size_t used = 0;
    std::size_t capacity = 0;
  };
  std::vector<Chunk> chunks_;
  std::uint32_t size_ = 0;
  std::uint32_t crc_ = 0;
};

/// A message being received. Only `queued_parts` is shared; the rest belongs to the commit thread.
struct Session {
  explicit Session(std::uint64_t message) : id(message) {}
  const std::uint64_t id;
  std::atomic<std::uint32_t> queued_parts{0};

  std::vector<Extent> parts;
  std::uint64_t body_size = 0;
  std::uint64_t last_sequence = 0; ///< of its newest part in the log
  bool broken = false;             ///< a part of it was lost by a write error
};

struct PartOperation {
  std::shared_ptr<Session> session;
  PartBuffer part;
};
struct CommitOperation {
  std::shared_ptr<Session> session;
  PartBuffer last_part;
  std::string envelope;
  std::uint32_t envelope_crc = 0;
  Done done;
};
/// The session is over without a commit.
struct DiscardOperation {
  std::shared_ptr<Session> session;
};
/// Called when everything of the session that was queued before has been written.
struct ReadyOperation {
  std::function<void()> ready;
};
struct UpdateOperation {
  std::uint64_t id = 0;
  std::string blob;
  std::uint32_t crc = 0;
  Done done; ///< empty: need not be durable
};
struct RemoveOperation {
  std::uint64_t id = 0;
};
/// Reserve more queue ids.
struct ReserveOperation {};

using Operation = std::variant<PartOperation, CommitOperation, DiscardOperation, ReadyOperation, UpdateOperation,
                               RemoveOperation, ReserveOperation>;

} // namespace mta::spool
