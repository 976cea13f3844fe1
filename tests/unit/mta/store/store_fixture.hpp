// What the tests of the store share: a folder, a table with a simple schema, and what was told.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "mta/store/connection.hpp"
#include "mta/store/store.hpp"
#include "tests/support/temp_folder.hpp"

namespace mta::store::test {

/// A table of its own, so that these tests say nothing of what the product keeps.
inline constexpr std::string_view notes_schema =
    "CREATE TABLE notes (number BIGINT NOT NULL PRIMARY KEY, text TEXT NOT NULL);";

inline Store::Change insert_note(std::int64_t number, std::string text) {
  return [number, text = std::move(text)](Connection &connection) {
    SQLite::Statement insert(connection.database(), "INSERT INTO notes (number, text) VALUES (?, ?)");
    insert.bind(1, number);
    insert.bind(2, text);
    insert.exec();
  };
}

class StoreTest : public testing::Test {
protected:
  [[nodiscard]] StoreOptions options() {
    StoreOptions options;
    options.folder = folder_.file("state");
    options.tell = [this](const News &news) {
      const std::scoped_lock lock(mutex_);
      told_.push_back(news);
    };
    options.commit_every = std::chrono::milliseconds(20);
    options.busy = std::chrono::milliseconds(50);
    options.schema = {notes_schema};
    return options;
  }
  [[nodiscard]] std::unique_ptr<Store> open() { return open(options()); }
  [[nodiscard]] static std::unique_ptr<Store> open(StoreOptions options) {
    auto store = Store::open(std::move(options));
    EXPECT_TRUE(store) << store.error().detail;
    return store ? std::move(*store) : nullptr;
  }
  [[nodiscard]] std::string file() const { return store_file(folder_.file("state")); }
  /// The numbers of the notes, in order, by a connection of its own.
  [[nodiscard]] std::vector<std::int64_t> notes(const std::string &path) const {
    std::vector<std::int64_t> out;
    SQLite::Database database(path, SQLite::OPEN_READONLY, 1'000);
    SQLite::Statement all(database, "SELECT number FROM notes ORDER BY number");
    while (all.executeStep()) out.push_back(all.getColumn(0).getInt64());
    return out;
  }
  [[nodiscard]] std::vector<std::int64_t> notes() const { return notes(file()); }
  [[nodiscard]] static std::vector<std::int64_t> up_to(std::int64_t last) {
    std::vector<std::int64_t> out;
    for (std::int64_t number = 1; number <= last; ++number) out.push_back(number);
    return out;
  }
  [[nodiscard]] std::size_t count(News::Kind kind) const {
    const std::scoped_lock lock(mutex_);
    std::size_t found = 0;
    for (const News &news : told_) found += news.kind == kind ? 1U : 0U;
    return found;
  }
  [[nodiscard]] std::string last_told(News::Kind kind) const {
    const std::scoped_lock lock(mutex_);
    std::string detail;
    for (const News &news : told_)
      if (news.kind == kind) detail = news.detail;
    return detail;
  }
  [[nodiscard]] static std::string octets_of(const std::string &path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void write_octets(const std::string &path, const std::string &octets) {
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out << octets;
  }
  /// Files of the folder whose name holds ".damaged-".
  [[nodiscard]] std::vector<std::string> set_aside() const {
    std::vector<std::string> out;
    for (const auto &entry : std::filesystem::directory_iterator(folder_.file("state")))
      if (entry.path().string().find(".damaged-") != std::string::npos) out.push_back(entry.path().string());
    return out;
  }

  ::test::TempFolder folder_;
  mutable std::mutex mutex_;
  std::vector<News> told_;
};

} // namespace mta::store::test
