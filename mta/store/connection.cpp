// Opens, checks and migrates a file, and says what its errors mean.
#include "mta/store/connection.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <limits>
#include <stdexcept>
#include <system_error>

#include <SQLiteCpp/Transaction.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <unistd.h>

#include "mta/store/embedded_sql.hpp"

namespace mta::store {

using smtp::ErrorCode;
using smtp::fail;

namespace {

const std::string &text_of(std::string_view name) {
  const auto found = named_statements().find(name);
  if (found == named_statements().end()) throw std::logic_error(fmt::format("no SQL statement is called {}", name));
  return found->second;
}

int flags_of(Connection::Access access) {
  return SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI |
         (access == Connection::Access::read ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
}

struct Deadline {
  std::chrono::steady_clock::time_point end;
};

int is_over(void *deadline) {
  return std::chrono::steady_clock::now() >= static_cast<Deadline *>(deadline)->end ? 1 : 0;
}

} // namespace

Trouble trouble_of(const SQLite::Exception &thrown) noexcept {
  switch (thrown.getErrorCode()) {
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
  case SQLITE_FORMAT: return Trouble::damage;
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
  case SQLITE_READONLY:
  case SQLITE_IOERR:
  case SQLITE_FULL:
  case SQLITE_CANTOPEN:
  case SQLITE_PROTOCOL:
  case SQLITE_PERM:
  case SQLITE_AUTH:
  case SQLITE_NOLFS:
  case SQLITE_NOMEM: return Trouble::outside;
  default: return Trouble::statement;
  }
}

namespace {

/// SQLite tries again in other ways when the system refuses, so the last number of the system tells little: this asks
/// what is wrong with the place. `number` where nothing is.
int reason_of_place(const std::string &path, int number) {
  if (::access(path.c_str(), F_OK) != 0) return errno;
  const auto folder = std::filesystem::path(path).parent_path().string();
  if (::access(path.c_str(), R_OK | W_OK) != 0 || ::access(folder.c_str(), W_OK | X_OK) != 0) return errno;
  return number == ENOENT ? 0 : number;
}

} // namespace

smtp::Error describe(const SQLite::Exception &thrown, const std::string &path, int number) {
  const int code = thrown.getErrorCode();
  if (number != ENOSPC && (code == SQLITE_CANTOPEN || code == SQLITE_READONLY || code == SQLITE_IOERR))
    number = reason_of_place(path, number);
  const auto say = [&](ErrorCode kind, std::string_view what) {
    return smtp::Error{kind, fmt::format("{}: {}", path, what)};
  };
  if (code == SQLITE_FULL || number == ENOSPC || number == EDQUOT) return say(ErrorCode::full, "the disk is full");
  if (trouble_of(thrown) == Trouble::damage) return say(ErrorCode::bad_syntax, thrown.what());
  if (code == SQLITE_BUSY || code == SQLITE_LOCKED) return say(ErrorCode::timed_out, "it is locked by another process");
  if (code == SQLITE_CANTOPEN && number == ENOENT) return say(ErrorCode::not_found, "it is not there");
  const std::string why = number != 0 ? std::generic_category().message(number) : std::string(thrown.what());
  if (code == SQLITE_READONLY || number == EACCES || number == EPERM || number == EROFS)
    return say(ErrorCode::not_permitted, fmt::format("it cannot be written here: {}", why));
  return say(ErrorCode::io, why);
}

smtp::Error Connection::describe(const SQLite::Exception &thrown) const {
  // A number of the system counts only where the system refused.
  const bool is_system = thrown.getErrorCode() == SQLITE_IOERR || thrown.getErrorCode() == SQLITE_CANTOPEN;
  return store::describe(thrown, path_, is_system ? sqlite3_system_errno(database_.getHandle()) : 0);
}

void Query::put(int index, std::uint64_t number) {
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  statement_.bind(index, static_cast<std::int64_t>(std::min(number, most)));
}

Connection::Connection(const std::string &path, Access access, std::chrono::milliseconds busy)
    : path_(path), database_(path, flags_of(access), static_cast<int>(busy.count())) {
  sqlite3_extended_result_codes(database_.getHandle(), 1);
  sqlite3_db_config(database_.getHandle(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  if (access == Access::write && ask_number("count_objects") == 0) execute("set_up_new_file");
  execute(access == Access::write ? "set_up_writer" : "set_up_reader");
}

SQLite::Statement &Connection::prepared(std::string_view name) {
  const std::string key(name);
  auto found = prepared_.find(key);
  if (found == prepared_.end()) found = prepared_.emplace(key, SQLite::Statement(database_, text_of(name))).first;
  return found->second;
}

void Connection::execute(std::string_view name) {
  database_.exec(text_of(name));
}

std::string Connection::complete(std::string_view name, std::string_view first, std::string_view second) {
  return fmt::format(fmt::runtime(text_of(name)), first, second);
}

std::int64_t Connection::ask_number(std::string_view name) {
  SQLite::Statement statement(database_, text_of(name));
  return statement.executeStep() ? statement.getColumn(0).getInt64() : 0;
}

void Connection::sync_each_commit(bool each) {
  if (syncs_each_ == each) return;
  execute(each ? "sync_each_commit" : "sync_at_checkpoints");
  syncs_each_ = each;
}

std::string Connection::find_damage(std::chrono::milliseconds time) {
  const std::string found = check(text_of("quick_check"), time).value_or("ok");
  return found == "ok" ? std::string() : found;
}

std::optional<std::string> Connection::check(const std::string &statement, std::chrono::milliseconds time) {
  Deadline deadline{std::chrono::steady_clock::now() + time};
  constexpr int steps_between_looks = 10'000;
  const auto watch = [this](Deadline *until) {
    sqlite3_progress_handler(database_.getHandle(), steps_between_looks, until != nullptr ? is_over : nullptr, until);
  };
  watch(&deadline);
  try {
    SQLite::Statement check(database_, statement);
    std::string found = check.executeStep() ? check.getColumn(0).getString() : "ok";
    watch(nullptr);
    return found;
  } catch (const SQLite::Exception &thrown) {
    watch(nullptr);
    if (trouble_of(thrown) == Trouble::damage) return thrown.what();
    if (thrown.getErrorCode() == SQLITE_INTERRUPT) return std::nullopt;
    throw;
  }
}

smtp::Result<void> Connection::migrate(const std::vector<std::string_view> &steps) {
  const auto last = static_cast<std::int64_t>(steps.size());
  const std::int64_t found = version();
  if (found > last)
    return fail(ErrorCode::not_permitted,
                fmt::format("{}: its schema has version {}, this program knows up to {}: a later release wrote it, and "
                            "it is left alone",
                            path_, found, last));
  if (found < 0 || (found == 0 && ask_number("count_objects") != 0))
    return fail(ErrorCode::not_permitted, fmt::format("{}: it is another program's, and is left alone", path_));
  for (std::int64_t step = found; step < last; ++step) {
    SQLite::Transaction all(database_, SQLite::TransactionBehavior::IMMEDIATE);
    database_.exec(std::string(steps[static_cast<std::size_t>(step)]));
    database_.exec(complete("set_version", fmt::to_string(step + 1)));
    all.commit();
  }
  return {};
}

} // namespace mta::store
