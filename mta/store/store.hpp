// Store: all state that is not mail, in one SQLite file; one thread writes it in batches, queries read beside it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mta/store/reader.hpp"
#include "smtp/base/result.hpp"

namespace mta::store {

class Connection;

/// What an administrator is told.
struct News {
  enum class Kind : std::uint8_t {
    made,        ///< a new file
    migrated,    ///< the file has the schema of this release now
    set_aside,   ///< the file was damaged: it has another name, and a new one began
    failing,     ///< nothing can be written now; what waits is kept in memory as far as it has room
    works_again, ///< after that
    dropped,     ///< what waited in memory became too much
    refused,     ///< one change could not be carried out
  };
  Kind kind = Kind::made;
  std::string detail;
};
[[nodiscard]] const char *to_string(News::Kind kind) noexcept;

struct StoreOptions {
  std::string folder;
  /// On the store's thread (of open() too: on the caller's). Not to call the store.
  std::function<void(const News &)> tell = [](const News &) {};
  std::chrono::milliseconds commit_every{1'000};
  std::chrono::milliseconds busy{2'000};      ///< that another process may hold the file
  std::chrono::milliseconds check_for{5'000}; ///< that looking for damage at start may take
  std::chrono::milliseconds trim_every{60'000};
  std::size_t most_waiting = 100'000;            ///< changes in memory
  std::size_t most_octets = 64U * 1024U * 1024U; ///< of their values
  std::vector<std::string_view> schema;          ///< empty: schema_steps()
};

/// Thread-safe. Trouble of the disk never stops mail: changes wait in memory, up to the limits, and the thread tries
/// again each second. A file that is damaged is renamed with the time, what can be read of it is brought over, and a
/// new one begins.
class Store {
public:
  /// In the writer's transaction. May be run more than once; throws what SQLite throws.
  using Change = std::function<void(Connection &)>;
  /// A small step of making room. True: there is more to do.
  using Trim = std::function<bool(Connection &)>;
  enum class Weight : std::uint8_t {
    counted, ///< one of many that are only counted: the oldest of them go first when memory is short
    kept,    ///< stays, and is synced; refused when there is no room for it
  };

  /// Makes the folder (0700) and the file when they are not there; blocks. Errors: the file is of a later release or
  /// of another program. What may pass (rights, locks, a full disk) is told, and tried again.
  [[nodiscard]] static smtp::Result<std::unique_ptr<Store>> open(StoreOptions options);
  ~Store();
  Store(const Store &) = delete;
  Store &operator=(const Store &) = delete;

  /// Within a second, together with what else waits. `octets`: of its values. False: no room, or stopped.
  bool add(Change change, std::size_t octets, Weight weight);
  /// At once, with what else waits. `done` is called after it is on the disk, or with the error; the change is then
  /// not tried again. On the store's thread, where it is not to wait; or on the caller's after stop().
  void commit(Change change, std::function<void(smtp::Result<void>)> done);
  /// The same, and waits for it. Not on the store's thread.
  [[nodiscard]] smtp::Result<void> commit(Change change);
  /// What was added is written now and synced, as far as that works, without waiting for the second to be over.
  void hurry();
  /// Called each minute, again and again until there is no more to do, with a transaction for each step.
  void add_trim(Trim trim);
  /// Everything that was added before is written, or has failed; waits. For tests, and before a look.
  void flush();

  /// For queries; of the file as it was last committed.
  [[nodiscard]] Reader &reader() noexcept;
  [[nodiscard]] const std::string &folder() const noexcept;

  struct Status {
    std::string problem;         ///< empty: the last write worked
    std::uint64_t waiting = 0;   ///< changes in memory
    std::uint64_t committed = 0; ///< changes
    std::uint64_t batches = 0;
    std::uint64_t dropped = 0; ///< changes that had no room in memory
    std::uint64_t refused = 0; ///< changes that could not be carried out
  };
  [[nodiscard]] Status status() const;

  /// Writes what waits, as far as that works at once, and ends the thread.
  void stop();

private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

} // namespace mta::store
