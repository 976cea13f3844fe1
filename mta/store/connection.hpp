// Connection: one open SQLite file with its prepared statements; the only header that knows SQLite. For mta/store
// alone.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Exception.h>
#include <SQLiteCpp/Statement.h>

#include "smtp/base/result.hpp"

namespace mta::store {

/// What an exception of SQLite means for the store.
enum class Trouble : std::uint8_t {
  statement, ///< of this one change: a constraint, a mistake of ours
  outside,   ///< the disk, rights, another process: may pass
  damage,    ///< the file is not what was written
};
[[nodiscard]] Trouble trouble_of(const SQLite::Exception &thrown) noexcept;

/// Binds as octets, not as text.
struct Octets {
  const std::string &octets;
};

/// One use of a prepared statement: bound when it is made, reset in the end.
class Query {
public:
  explicit Query(SQLite::Statement &statement) : statement_(statement) {}
  ~Query() { static_cast<void>(statement_.tryReset()); }
  Query(const Query &) = delete;
  Query &operator=(const Query &) = delete;

  /// The values of $1, $2, …; texts must outlive the query.
  template <typename... Values> Query &bind(const Values &...values) {
    int index = 0;
    (put(++index, values), ...);
    return *this;
  }
  /// True: there is a row.
  [[nodiscard]] bool next() { return statement_.executeStep(); }
  /// Rows that were changed.
  int run() { return statement_.exec(); }
  [[nodiscard]] std::int64_t number(int column) const { return statement_.getColumn(column).getInt64(); }
  [[nodiscard]] std::chrono::sys_seconds time(int column) const {
    return std::chrono::sys_seconds(std::chrono::seconds(number(column)));
  }
  [[nodiscard]] std::string text(int column) const { return statement_.getColumn(column).getString(); }
  [[nodiscard]] bool is_null(int column) const { return statement_.isColumnNull(column); }
  /// Of octets as of a text.
  [[nodiscard]] std::string octets(int column) const { return statement_.getColumn(column).getString(); }

private:
  void put(int index, const std::string &text) { statement_.bindNoCopy(index, text); }
  void put(int index, const char *text) = delete; ///< it would count as a flag
  void put(int index, const Octets &value) {
    statement_.bindNoCopy(index, value.octets.data(), static_cast<int>(value.octets.size()));
  }
  void put(int index, std::int64_t number) { statement_.bind(index, number); }
  void put(int index, bool flag) { statement_.bind(index, flag ? 1 : 0); }
  /// Counts that others wrote: what is beyond the largest BIGINT is that.
  void put(int index, std::uint64_t number);
  void put(int index, std::chrono::sys_seconds time) { statement_.bind(index, time.time_since_epoch().count()); }
  template <typename T> void put(int index, const std::optional<T> &value) {
    if (value)
      put(index, *value);
    else
      statement_.bind(index);
  }
  SQLite::Statement &statement_;
};

/// For one thread at a time. Members throw SQLite::Exception where they say nothing else.
class Connection {
public:
  enum class Access : std::uint8_t { write, read };
  Connection(const std::string &path, Access access, std::chrono::milliseconds busy);

  /// A statement of mta/store/sql by its name, prepared once.
  [[nodiscard]] Query use(std::string_view name) { return Query(prepared(name)); }
  /// Several statements, or some that are used once.
  void execute(std::string_view name);
  /// One whose text is completed first: {0}, {1}.
  [[nodiscard]] static std::string complete(std::string_view name, std::string_view first,
                                            std::string_view second = {});
  [[nodiscard]] std::int64_t ask_number(std::string_view name);

  /// From now on each commit is on the disk when it returns, or only each checkpoint.
  void sync_each_commit(bool each);
  /// Octets of pages of the file that are free for new rows.
  [[nodiscard]] std::uint64_t free_octets() { return static_cast<std::uint64_t>(ask_number("free_octets")); }
  [[nodiscard]] std::uint64_t used_octets() { return static_cast<std::uint64_t>(ask_number("used_octets")); }

  /// Whether the file's structure is whole: empty when it is, or when `time` was too short to see; else what is wrong.
  [[nodiscard]] std::string find_damage(std::chrono::milliseconds time);
  /// Runs a statement whose first row says "ok" or what is wrong; nothing: `time` was too short. Damage that keeps it
  /// from running is what is wrong.
  [[nodiscard]] std::optional<std::string> check(const std::string &statement, std::chrono::milliseconds time);
  [[nodiscard]] std::int64_t version() { return ask_number("read_version"); }
  /// Brings the file to the last version, all or nothing. Error not_permitted: it is of a later version than `steps`
  /// has, or no store of ours; it was left alone.
  [[nodiscard]] smtp::Result<void> migrate(const std::vector<std::string_view> &steps);

  [[nodiscard]] SQLite::Database &database() noexcept { return database_; }
  [[nodiscard]] const std::string &path() const noexcept { return path_; }
  /// What the exception says, with the file; codes full, not_permitted, timed_out (locked), io, bad_syntax (damage).
  [[nodiscard]] smtp::Error describe(const SQLite::Exception &thrown) const;

private:
  [[nodiscard]] SQLite::Statement &prepared(std::string_view name);
  std::string path_;
  SQLite::Database database_;
  std::unordered_map<std::string, SQLite::Statement> prepared_;
  std::optional<bool> syncs_each_;
};

/// The same for a file that could not be opened; `number` is errno of what failed, or 0.
[[nodiscard]] smtp::Error describe(const SQLite::Exception &thrown, const std::string &path, int number);

} // namespace mta::store
