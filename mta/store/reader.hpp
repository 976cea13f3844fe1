// Reader: a connection that only reads, for queries beside the writer; also of another process.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "smtp/base/result.hpp"

namespace mta::store {

class Connection;

/// "<spool.path>/state": the folder of the store.
[[nodiscard]] std::string store_folder(std::string_view spool_path);
/// "<folder>/state.sqlite".
[[nodiscard]] std::string store_file(std::string_view folder);

/// Thread-safe: one query at a time. Opens the file when it is first asked. Blocks on the disk.
class Reader {
public:
  /// `damaged` is told when a query finds damage, before another one begins.
  explicit Reader(const std::string &folder, std::chrono::milliseconds busy = std::chrono::milliseconds(2'000),
                  std::function<void(const std::string &)> damaged = {});
  ~Reader();

  /// `query` sees one state of the file throughout; it may be run a second time. Where nothing can be made beside the
  /// file (a full disk, a copy on a medium that is only read), a file without a -wal is read all the same. Errors:
  /// not_found (there is no store yet), not_permitted (also of another release's file), full, timed_out, io, bad_syntax
  /// (damaged).
  [[nodiscard]] smtp::Result<void> ask(const std::function<void(Connection &)> &query);
  /// Closes the file; the next query opens it anew.
  void close();

private:
  [[nodiscard]] smtp::Result<void> ask_locked(const std::function<void(Connection &)> &query, const std::string &path);
  std::string path_;
  std::chrono::milliseconds busy_;
  std::function<void(const std::string &)> damaged_;
  std::mutex mutex_;
  std::unique_ptr<Connection> connection_;
};

/// For an operator's own process, the daemon running or not: one change in a transaction. Blocks, for two seconds where
/// the daemon writes. Errors as of Reader::ask().
[[nodiscard]] smtp::Result<void> change_from_outside(const std::string &folder,
                                                     const std::function<void(Connection &)> &change);

} // namespace mta::store
