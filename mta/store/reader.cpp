// Opens the store's file for reading and turns what SQLite throws into errors.
#include "mta/store/reader.hpp"

#include <cerrno>

#include <fmt/format.h>
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

smtp::Result<void> Reader::ask(const std::function<void(Connection &)> &query) {
  const std::scoped_lock lock(mutex_);
  auto done = ask_locked(query);
  if (!done && done.error().code == ErrorCode::bad_syntax && damaged_) damaged_(done.error().detail);
  return done;
}

smtp::Result<void> Reader::ask_locked(const std::function<void(Connection &)> &query) {
  if (::access(path_.c_str(), F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
    connection_.reset();
    return smtp::fail(ErrorCode::not_found, fmt::format("{}: it is not there", path_));
  }
  bool is_open = false;
  try {
    if (!connection_) connection_ = std::make_unique<Connection>(path_, Connection::Access::read, busy_);
    is_open = true;
    connection_->execute("begin_reading");
    const auto found = connection_->version();
    const auto known = static_cast<std::int64_t>(schema_steps().size());
    smtp::Result<void> done;
    if (found == known)
      query(*connection_);
    else
      done =
          smtp::fail(found == 0 ? ErrorCode::not_found : ErrorCode::not_permitted,
                     fmt::format("{}: its schema has version {}, this program knows version {}", path_, found, known));
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

} // namespace mta::store
