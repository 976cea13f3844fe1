// Opens the store's file for reading and turns what SQLite throws into errors.
#include "mta/store/reader.hpp"

#include <cerrno>

#include <SQLiteCpp/Transaction.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mta/store/connection.hpp"
#include "mta/store/embedded_sql.hpp"

namespace mta::store {

using smtp::ErrorCode;

std::string store_folder(std::string_view spool_path) {
  return std::string(spool_path) + "/state";
}

std::string store_file(std::string_view folder) {
  return std::string(folder) + "/state.sqlite";
}

Reader::Reader(const std::string &folder, std::chrono::milliseconds busy,
               std::function<void(const std::string &)> damaged)
    : path_(store_file(folder)), busy_(busy), damaged_(std::move(damaged)) {}
Reader::~Reader() = default;

void Reader::close() {
  const std::scoped_lock lock(mutex_);
  connection_.reset();
}

namespace {

/// The file as it stands, without locks and without anything beside it; "%", "?" and "#" have a meaning there.
std::string immutable_uri(const std::string &path) {
  std::string uri = "file:";
  for (const char octet : path)
    uri += octet == '%' || octet == '?' || octet == '#' ? fmt::format("%{:02x}", static_cast<unsigned char>(octet))
                                                        : std::string(1, octet);
  return uri + "?immutable=1";
}

smtp::Result<void> not_there(const std::string &path) {
  return smtp::fail(ErrorCode::not_found, fmt::format("{}: it is not there", path));
}

smtp::Result<void> check_version(Connection &connection) {
  const auto found = connection.version();
  const auto known = static_cast<std::int64_t>(schema_steps().size());
  if (found == known) return {};
  return smtp::fail(
      found == 0 ? ErrorCode::not_found : ErrorCode::not_permitted,
      fmt::format("{}: its schema has version {}, this program knows version {}", connection.path(), found, known));
}

} // namespace

smtp::Result<void> Reader::ask(const std::function<void(Connection &)> &query) {
  const std::scoped_lock lock(mutex_);
  if (::access(path_.c_str(), F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
    connection_.reset();
    return not_there(path_);
  }
  auto done = ask_locked(query, path_);
  if (done) return done;
  const ErrorCode code = done.error().code;
  const bool is_place = code == ErrorCode::full || code == ErrorCode::io || code == ErrorCode::not_permitted;
  struct stat wal {};
  if (is_place && (::stat((path_ + "-wal").c_str(), &wal) != 0 || wal.st_size == 0)) {
    auto again = ask_locked(query, immutable_uri(path_));
    connection_.reset(); // the next one may see what is written meanwhile
    if (again) return again;
  }
  if (code == ErrorCode::bad_syntax && damaged_) damaged_(done.error().detail);
  return done;
}

smtp::Result<void> Reader::ask_locked(const std::function<void(Connection &)> &query, const std::string &path) {
  bool is_open = false;
  errno = 0;
  try {
    if (!connection_) connection_ = std::make_unique<Connection>(path, Connection::Access::read, busy_);
    is_open = true;
    connection_->execute("begin_reading");
    auto done = check_version(*connection_);
    if (done) query(*connection_);
    connection_->execute("end_reading");
    if (!done) connection_.reset();
    return done;
  } catch (const SQLite::Exception &thrown) {
    auto error = is_open ? connection_->describe(thrown) : describe(thrown, path_, errno);
    connection_.reset(); // whatever it was at
    return tl::unexpected(std::move(error));
  } catch (...) {
    connection_.reset();
    throw;
  }
}

smtp::Result<void> change_from_outside(const std::string &folder, const std::function<void(Connection &)> &change) {
  const std::string path = store_file(folder);
  if (::access(path.c_str(), F_OK) != 0) return not_there(path);
  std::unique_ptr<Connection> connection;
  errno = 0;
  try {
    connection = std::make_unique<Connection>(path, Connection::Access::write, std::chrono::milliseconds(2'000));
    if (auto known = check_version(*connection); !known) return known;
    connection->sync_each_commit(true);
    SQLite::Transaction all(connection->database(), SQLite::TransactionBehavior::IMMEDIATE);
    change(*connection);
    all.commit();
    return {};
  } catch (const SQLite::Exception &thrown) {
    return tl::unexpected(connection ? connection->describe(thrown) : describe(thrown, path, errno));
  }
}

} // namespace mta::store
