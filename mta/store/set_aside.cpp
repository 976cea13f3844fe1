// Renames damaged files and salvages their rows.
#include "mta/store/set_aside.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

#include <SQLiteCpp/Transaction.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include "mta/base/files.hpp"
#include "mta/store/connection.hpp"

namespace mta::store {

namespace {

using Clock = std::chrono::steady_clock;

std::string damaged_name(const std::string &path, std::chrono::system_clock::time_point now) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  const std::string first = fmt::format("{}.damaged-{:%Y%m%dT%H%M%SZ}", path, fmt::gmtime(seconds));
  std::string name = first;
  for (int copy = 2; ::access(name.c_str(), F_OK) == 0 || ::access((name + "-wal").c_str(), F_OK) == 0; ++copy)
    name = fmt::format("{}.{}", first, copy);
  return name;
}

smtp::Result<void> rename_if_there(const std::string &from, const std::string &to) {
  if (::rename(from.c_str(), to.c_str()) != 0 && errno != ENOENT) return file_failure("rename", from, errno);
  return {};
}

void bind_column(SQLite::Statement &into, int index, const SQLite::Column &value) {
  if (value.isNull())
    into.bind(index);
  else if (value.isInteger())
    into.bind(index, value.getInt64());
  else if (value.isFloat())
    into.bind(index, value.getDouble());
  else if (value.isText())
    into.bind(index, value.getString());
  else
    into.bind(index, value.getBlob(), value.getBytes());
}

/// A row that the new file does not take (damaged values, no row that it belongs to) is only counted.
void copy_row(SQLite::Statement &from, SQLite::Statement &into, Salvage &out) {
  try {
    for (int column = 0; column < from.getColumnCount(); ++column)
      bind_column(into, column + 1, from.getColumn(column));
    out.rows += static_cast<std::uint64_t>(into.exec());
  } catch (const SQLite::Exception &thrown) {
    if (trouble_of(thrown) != Trouble::statement) throw std::runtime_error(thrown.what());
    ++out.refused;
  }
  static_cast<void>(into.tryReset());
}

/// From one end of a table. True: to its other end.
bool copy_table(SQLite::Database &old, Connection &fresh, const std::string &table, std::string_view direction,
                Clock::time_point end, Salvage &out) {
  try {
    SQLite::Statement from(old, Connection::complete(direction, table));
    std::string marks;
    for (int column = 0; column < from.getColumnCount(); ++column) marks += column == 0 ? "?" : ", ?";
    SQLite::Statement into(fresh.database(), Connection::complete("salvage_row", table, marks));
    while (from.executeStep()) {
      if (Clock::now() >= end) return false;
      copy_row(from, into, out);
    }
    return true;
  } catch (const SQLite::Exception &) {
    return false; // the damage
  }
}

/// Of policies whose rows are lost the index may still know the domains: what they demanded is in doubt, and says so.
void note_lost_policies(SQLite::Database &old, Connection &fresh) {
  for (const char *direction : {"salvage_sts_domains_forwards", "salvage_sts_domains_backwards"}) {
    try {
      SQLite::Statement from(old, Connection::complete(direction, ""));
      while (from.executeStep()) {
        const std::string domain = from.getColumn(0).getString();
        fresh.use("note_lost_sts_policy").bind(domain).run();
      }
      return;
    } catch (const SQLite::Exception &) {
      continue; // the damage; the other end is left
    }
  }
}

std::vector<std::string> tables_of(Connection &fresh) {
  std::vector<std::string> tables;
  for (auto list = SQLite::Statement(fresh.database(), Connection::complete("list_tables", "")); list.executeStep();)
    tables.push_back(list.getColumn(0).getString());
  return tables;
}

} // namespace

smtp::Result<std::string> set_aside(const std::string &path, std::chrono::system_clock::time_point now) {
  std::string name = damaged_name(path, now);
  // The -wal first: without it the old file is still read under its own name if we end between the two.
  if (auto moved = rename_if_there(path + "-wal", name + "-wal"); !moved) return tl::unexpected(moved.error());
  if (auto moved = rename_if_there(path, name); !moved) return tl::unexpected(moved.error());
  if (auto removed = remove_file(path + "-shm"); !removed) return tl::unexpected(removed.error());
  if (auto synced = sync_folder(std::filesystem::path(path).parent_path().string()); !synced)
    return tl::unexpected(synced.error());
  return name;
}

std::string set_aside_foreign_wal(const std::string &path, std::chrono::system_clock::time_point now) {
  const std::string wal = path + "-wal";
  std::ifstream file(wal, std::ios::binary);
  std::array<unsigned char, 4> start{};
  if (!file.read(reinterpret_cast<char *>(start.data()), start.size()))
    return {}; // none, or too short to hold a change
  // https://www.sqlite.org/fileformat2.html#the_write_ahead_log, section 4.1: 0x377f0682 or 0x377f0683.
  if (start[0] == 0x37 && start[1] == 0x7f && start[2] == 0x06 && (start[3] & 0xfeU) == 0x82) return {};
  std::string name = damaged_name(path, now) + "-wal";
  return rename_if_there(wal, name) ? name : std::string();
}

namespace {

/// What reading a file leaves beside it.
void remove_traces(const std::string &path) {
  static_cast<void>(remove_file(path + "-shm"));
  std::error_code error;
  if (std::filesystem::file_size(path + "-wal", error) == 0 && !error) static_cast<void>(remove_file(path + "-wal"));
}

/// Whether all that the table held was there to be read: also rows that no index or page leads to are missed. False
/// where the time is over.
bool is_whole(Connection &old, const std::string &table, Clock::time_point end) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
  if (left.count() <= 0) return false;
  try {
    return old.check(Connection::complete("check_table", table), left) == "ok";
  } catch (const SQLite::Exception &) {
    return false;
  }
}

/// The tables of which something may be lost.
std::vector<std::string> copy_all(Connection &old, Connection &fresh, const std::vector<std::string> &tables,
                                  Clock::time_point end, Salvage &out) {
  std::vector<std::string> lost;
  for (const std::string &table : tables) {
    SQLite::Transaction all(fresh.database());
    const auto refused = out.refused;
    const bool is_read = copy_table(old.database(), fresh, table, "salvage_forwards", end, out);
    if (!is_read) copy_table(old.database(), fresh, table, "salvage_backwards", end, out);
    if (!is_read || out.refused != refused || !is_whole(old, table, end)) {
      lost.push_back(table);
      if (table == "sts_policies") note_lost_policies(old.database(), fresh);
    }
    all.commit();
  }
  return lost;
}

Salvage read_old(const std::string &old_path, Connection &fresh, std::chrono::milliseconds time,
                 std::chrono::sys_seconds now) {
  Salvage out;
  const auto tables = tables_of(fresh);
  std::vector<std::string> lost = tables;
  try {
    Connection old(old_path, Connection::Access::read, std::chrono::milliseconds(0));
    if (old.version() == fresh.version()) lost = copy_all(old, fresh, tables, Clock::now() + time, out);
  } catch (const SQLite::Exception &) {
    out.incomplete = "everything";
  } catch (const std::runtime_error &) {
    out.incomplete = "everything"; // the new file takes nothing more
  }
  const auto is_among = [](const std::vector<std::string> &names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  // Where the notes of earlier damage are lost, any table may have had one.
  if (is_among(lost, "damages")) lost = tables;
  if (lost.size() == tables.size() && out.rows == 0) out.incomplete = "everything";
  for (const std::string &table : lost) {
    if (is_among(tables, "damages")) fresh.use("note_damage").bind(table, now).run();
    if (out.incomplete != "everything") out.incomplete += (out.incomplete.empty() ? "" : ", ") + table;
  }
  return out;
}

} // namespace

Salvage salvage(const std::string &old_path, Connection &fresh, std::chrono::milliseconds time,
                std::chrono::system_clock::time_point now) {
  Salvage out = read_old(old_path, fresh, time, std::chrono::floor<std::chrono::seconds>(now));
  remove_traces(old_path);
  return out;
}

} // namespace mta::store
