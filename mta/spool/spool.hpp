// Spool: the durable store of accepted messages, an append-only segment log with group commit and recovery.
#pragma once

#include <atomic>
#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/base/result.hpp"

namespace mta {

/// Names one message for ever: a sequence number, never reused, that begins at another place in each spool. As text 13
/// characters of base 32 ("0000000000A7Q", upper case, no I, L, O, U).
struct QueueId {
  std::uint64_t value = 0;
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] static std::optional<QueueId> parse(std::string_view text) noexcept;
  friend auto operator<=>(const QueueId &, const QueueId &) = default;
};

struct SpoolOptions {
  std::string path;
  std::uint64_t segment_size = 67'108'864;
  std::uint64_t min_free = 268'435'456;
  std::uint64_t max_messages = 1'000'000;
  /// The first queue id of a spool that has none yet; 0: one is drawn (draw_first_id).
  std::uint64_t first_id = 0;
  std::size_t part_size = 262'144; ///< a body is handed to the log in parts of this size while it arrives
  /// A file of this size is kept ready for a full disk, so that removals and notices can be written all the same; 0:
  /// none.
  std::uint64_t reserve_size = 0;
};

/// One message as recovery found it. The blobs belong to the queue; the spool does not read them.
struct RecoveredMessage {
  QueueId id;
  std::string envelope;
  std::string update; ///< the last update; empty: none
  std::uint64_t body_size = 0;
};

struct Recovery {
  std::vector<RecoveredMessage> messages; ///< in order of acceptance
  std::vector<std::string> notes;         ///< "segment 00000003: torn tail of 812 octets cut": for the log
  bool is_new = false;                    ///< nothing of a spool was there
  std::vector<std::string> damage;        ///< losses before a tail; each names what was set aside
};

/// Every system call of the spool goes through this, so that a test can make each one fail. The real one calls the
/// kernel.
class FileSystem;

/// Room for one message. Thread-safe against the commit thread, used by one session. Destroying it uncommitted discards
/// what was written.
class MessageWriter {
public:
  virtual ~MessageWriter() = default;
  [[nodiscard]] virtual QueueId id() const noexcept = 0;
  /// Takes a copy. Fails (full, io) when the spool cannot take more; the message is then lost for the client (4xx).
  /// Memory held is bounded by a few parts: `wants_pause` becomes true when the log is behind, and then the session
  /// waits with `when_ready` before it reads on.
  [[nodiscard]] virtual smtp::Result<void> append(std::string_view octets) = 0;
  [[nodiscard]] virtual bool wants_pause() const noexcept = 0;
  /// `ready` is called once, on the commit thread.
  virtual void when_ready(std::function<void()> ready) = 0;
  /// Commits durably. `done` is called once, on the commit thread, after fdatasync: never before the message is on
  /// disk.
  virtual void commit(std::string envelope, std::function<void(smtp::Result<void>)> done) = 0;
};

/// Reads a committed body by offset. Holds the segment open; safe while the segment is moved or the message is removed.
class BodyReader {
public:
  virtual ~BodyReader() = default;
  [[nodiscard]] virtual std::uint64_t size() const noexcept = 0;
  /// False: recovery, or a read(), found that a part of it is lost or damaged, so that it will never be read whole.
  [[nodiscard]] virtual bool is_whole() const noexcept = 0;
  /// Fills at most `into.size()` octets from `offset`; 0 at the end. Error io: unreadable or its checksum is wrong.
  [[nodiscard]] virtual smtp::Result<std::size_t> read(std::uint64_t offset, std::span<char> into) = 0;
};

/// Whose message it is. What the daemon itself owes (a notice that ends a failed message) passes over the limits that
/// are meant for strangers: else a full queue of failed mail could never leave.
enum class Admission : std::uint8_t { ordinary, own };

/// Why strangers' mail is put off.
enum class StorageState : std::uint8_t { open, queue_full, disk_full, broken };
[[nodiscard]] const char *to_string(StorageState state) noexcept;

/// Messages over SpoolOptions::max_messages that our own notices may make.
[[nodiscard]] constexpr std::uint64_t own_message_reserve(std::uint64_t max_messages) noexcept {
  return max_messages / 10 < 1'000 ? 1'000 : max_messages / 10;
}

struct SpoolStatus {
  bool healthy = true;
  std::string problem; ///< why acceptance is stopped
  StorageState state = StorageState::open;
  bool on_reserve = false; ///< the disk is full, and what is written goes into the file kept for that
  std::uint64_t messages = 0;
  std::uint64_t octets = 0; ///< of live messages
  std::uint64_t segments = 0;
  std::uint64_t free_octets = 0; ///< on the disk
  std::uint64_t commits = 0;     ///< fdatasync calls so far
  std::uint64_t committed = 0;   ///< messages committed so far
  std::uint64_t moved = 0;       ///< by compaction, so that segments can be used again
};

/// All members are thread-safe. The states of a message, and what a crash leaves of it (docs/spool.md has the whole
/// table):
///
///   arriving    parts may be on disk             gone                        the client was told nothing
///   committing  written, fdatasync under way     there whole, or not there   nothing
///   committed   synced by the group commit       there                       250
///   updated     a newer state, not synced        there, this state or older  250: a delivery may repeat, never vanish
///   by operator update_durably(), synced         the act holds               250
///   done        a record, not synced             gone, or delivered again    250
///   moving      a second copy is written         there once                  250
class Spool {
public:
  virtual ~Spool() = default;

  /// Opens or creates the folder (0700), takes its lock, and recovers. On a full disk it opens all the same: what is
  /// there can be read and delivered, and what that changes is written as soon as there is room. Errors: another
  /// process holds it, not a spool, io.
  [[nodiscard]] static smtp::Result<std::unique_ptr<Spool>> open(const SpoolOptions &options, Recovery &recovery);
  [[nodiscard]] static smtp::Result<std::unique_ptr<Spool>> open(const SpoolOptions &options, Recovery &recovery,
                                                                 std::shared_ptr<FileSystem> files);

  /// Errors: full (452: free space or queue size), io (451: the spool is not healthy).
  [[nodiscard]] virtual smtp::Result<std::unique_ptr<MessageWriter>>
  begin(Admission admission = Admission::ordinary) = 0;
  [[nodiscard]] virtual smtp::Result<std::unique_ptr<BodyReader>> read_body(QueueId id) = 0;
  /// Replaces the message's update blob. Written with the next batch, no fsync of its own.
  virtual void update(QueueId id, std::string blob) = 0;
  /// As update(), and `done` is called on the commit thread once it is on disk: for acts of an operator.
  virtual void update_durably(QueueId id, std::string blob, std::function<void(smtp::Result<void>)> done) = 0;
  /// The message is finished; its room will be reused.
  virtual void remove(QueueId id) = 0;
  [[nodiscard]] virtual SpoolStatus status() const = 0;
  /// Writes out what is pending and stops the commit thread; later calls fail with stopping. Called by the destructor
  /// too.
  virtual void close() = 0;
};

} // namespace mta
