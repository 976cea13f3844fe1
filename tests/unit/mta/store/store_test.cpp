// Store: what is committed when, what waits in memory while nothing can be written, versions, locks and trims.
#include <atomic>
#include <thread>

#include <csignal>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mta/store/embedded_sql.hpp"
#include "tests/unit/mta/store/store_fixture.hpp"

namespace store_test {

using namespace mta::store;
using namespace mta::store::test;
using namespace std::chrono_literals;
using Weight = Store::Weight;
namespace fs = std::filesystem;

template <typename Check> bool comes_true(Check check) {
  for (int i = 0; i < 2'000; ++i) {
    if (check()) return true;
    std::this_thread::sleep_for(5ms);
  }
  return false;
}

TEST_F(StoreTest, WhatIsAddedIsCommittedSoon) {
  const auto store = open();
  ASSERT_TRUE(store->add(insert_note(1, "one"), 3, Weight::counted));
  ASSERT_TRUE(store->add(insert_note(2, "two"), 3, Weight::kept));
  EXPECT_TRUE(comes_true([&] { return store->status().committed == 2; }));
  EXPECT_EQ(notes(), up_to(2)) << "another process reads it while the store is open";
  EXPECT_EQ(count(News::Kind::made), 1U);
  EXPECT_EQ(fs::status(file()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(fs::status(folder_.file("state")).permissions(), fs::perms::owner_all);
}

TEST_F(StoreTest, OneBatchHoldsWhatCameTogether) {
  auto slow = options();
  slow.commit_every = 1h;
  const auto store = open(slow);
  for (int i = 1; i <= 500; ++i) ASSERT_TRUE(store->add(insert_note(i, "x"), 1, Weight::counted));
  store->flush();
  EXPECT_EQ(store->status().batches, 1U);
  EXPECT_EQ(notes(), up_to(500));
}

TEST_F(StoreTest, ACommitIsThereWhenItReturnsWithWhatCameBefore) {
  auto slow = options();
  slow.commit_every = 1h;
  const auto store = open(slow);
  ASSERT_TRUE(store->add(insert_note(1, "one"), 3, Weight::counted));
  ASSERT_TRUE(store->commit(insert_note(2, "two")));
  EXPECT_EQ(notes(), up_to(2));
}

TEST_F(StoreTest, OneChangeThatCannotBeCarriedOutKeepsNoOtherOut) {
  const auto store = open();
  ASSERT_TRUE(store->add(insert_note(1, "one"), 3, Weight::counted));
  ASSERT_TRUE(store->add(insert_note(1, "again"), 5, Weight::counted));
  ASSERT_TRUE(store->add([](Connection &) { throw std::runtime_error("no"); }, 0, Weight::kept));
  const auto again = store->commit(insert_note(1, "again"));
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().detail.find("UNIQUE"), std::string::npos) << again.error().detail;
  ASSERT_TRUE(store->commit(insert_note(2, "two")));
  EXPECT_EQ(notes(), up_to(2));
  EXPECT_EQ(store->status().refused, 2U);
  EXPECT_EQ(count(News::Kind::refused), 2U);
}

TEST_F(StoreTest, TheEndWritesWhatWaitsAndLeavesOneFile) {
  auto slow = options();
  slow.commit_every = 1h;
  auto store = open(slow);
  ASSERT_TRUE(store->add(insert_note(1, "one"), 3, Weight::counted));
  store->stop();
  EXPECT_FALSE(store->add(insert_note(2, "two"), 3, Weight::kept));
  EXPECT_EQ(store->commit(insert_note(3, "three")).error().code, smtp::ErrorCode::stopping);
  EXPECT_FALSE(fs::exists(file() + "-wal")) << "everything is in the file itself";
  EXPECT_EQ(notes(), up_to(1));
}

TEST_F(StoreTest, QueriesSeeWhatIsCommitted) {
  const auto store = open();
  ASSERT_TRUE(store->commit(insert_note(7, "seven")));
  // The reader wants the schema of the release: this one has version 1, too.
  std::string text;
  const auto asked = store->reader().ask([&](Connection &connection) {
    text = SQLite::Statement(connection.database(), "SELECT text FROM notes").getQuery();
    SQLite::Statement all(connection.database(), "SELECT text FROM notes");
    ASSERT_TRUE(all.executeStep());
    text = all.getColumn(0).getString();
  });
  EXPECT_TRUE(asked) << asked.error().detail;
  EXPECT_EQ(text, "seven");
  Reader nowhere(folder_.file("nowhere"));
  EXPECT_EQ(nowhere.ask([](Connection &) {}).error().code, smtp::ErrorCode::not_found);
  const auto wrote = store->reader().ask(insert_note(8, "eight"));
  EXPECT_FALSE(wrote) << "a query writes nothing";
  EXPECT_TRUE(store->reader().ask([](Connection &) {})) << "and another one works";
}

TEST_F(StoreTest, AnOlderSchemaIsBroughtForward) {
  {
    const auto store = open();
    ASSERT_TRUE(store->commit(insert_note(1, "one")));
  }
  auto later = options();
  later.schema.push_back("ALTER TABLE notes ADD COLUMN owner TEXT NOT NULL DEFAULT '';");
  later.schema.push_back("CREATE INDEX notes_by_owner ON notes (owner);");
  const auto store = open(later);
  EXPECT_EQ(notes(), up_to(1));
  EXPECT_EQ(count(News::Kind::migrated), 1U);
  EXPECT_NE(last_told(News::Kind::migrated).find("from schema version 1 to 3"), std::string::npos);
}

TEST_F(StoreTest, AStepThatFailsLeavesTheVersionBefore) {
  {
    const auto store = open();
    ASSERT_TRUE(store->commit(insert_note(1, "one")));
  }
  auto later = options();
  later.schema.push_back("ALTER TABLE notes ADD COLUMN owner TEXT NOT NULL DEFAULT ''; CREATE TABLE notes (x TEXT);");
  {
    const auto broken = open(later);
    ASSERT_NE(broken, nullptr) << "the store tries again";
    EXPECT_FALSE(broken->status().problem.empty());
  }
  const auto store = open();
  EXPECT_EQ(notes(), up_to(1));
  EXPECT_TRUE(store->commit(insert_note(2, "two"))) << "without the column";
}

TEST_F(StoreTest, ALaterSchemaAndAnotherProgramsFileAreLeftAlone) {
  {
    auto later = options();
    later.schema.push_back("CREATE TABLE more (number BIGINT);");
    const auto store = open(later);
  }
  const std::string before = octets_of(file());
  const auto refused = Store::open(options());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, smtp::ErrorCode::not_permitted);
  EXPECT_NE(refused.error().detail.find("its schema has version 2, this program knows up to 1"), std::string::npos)
      << refused.error().detail;
  EXPECT_EQ(octets_of(file()), before);
  EXPECT_TRUE(set_aside().empty());

  fs::remove(file());
  SQLite::Database(file(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE).exec("CREATE TABLE accounts (name TEXT)");
  const auto foreign = Store::open(options());
  ASSERT_FALSE(foreign);
  EXPECT_NE(foreign.error().detail.find("another program's"), std::string::npos) << foreign.error().detail;
}

TEST_F(StoreTest, AFileThatIsLockedIsWaitedForAndNothingIsLost) {
  const auto store = open();
  ASSERT_TRUE(store->commit(insert_note(1, "one")));
  {
    SQLite::Database other(file(), SQLite::OPEN_READWRITE);
    other.exec("BEGIN IMMEDIATE");
    const auto now = store->commit(insert_note(2, "two"));
    ASSERT_FALSE(now);
    EXPECT_EQ(now.error().code, smtp::ErrorCode::timed_out);
    EXPECT_NE(now.error().detail.find("locked by another process"), std::string::npos) << now.error().detail;
    ASSERT_TRUE(store->add(insert_note(3, "three"), 5, Weight::counted));
    store->flush();
    EXPECT_EQ(store->status().waiting, 1U);
    EXPECT_EQ(count(News::Kind::failing), 1U);
  }
  EXPECT_TRUE(comes_true([&] { return store->status().waiting == 0; }));
  EXPECT_EQ(notes(), (std::vector<std::int64_t>{1, 3}));
  EXPECT_EQ(count(News::Kind::works_again), 1U);
}

TEST_F(StoreTest, WhatIsOnlyCountedGoesFirstWhenMemoryIsShort) {
  auto small = options();
  small.most_waiting = 10;
  const auto store = open(small);
  ASSERT_TRUE(store->commit(insert_note(1, "one")));
  {
    SQLite::Database other(file(), SQLite::OPEN_READWRITE);
    other.exec("BEGIN IMMEDIATE");
    for (int i = 2; i <= 6; ++i) EXPECT_TRUE(store->add(insert_note(i, "kept"), 4, Weight::kept));
    for (int i = 100; i < 200; ++i) EXPECT_TRUE(store->add(insert_note(i, "counted"), 7, Weight::counted));
    EXPECT_TRUE(comes_true([&] { return store->status().dropped == 95; })) << store->status().dropped;
    for (int i = 7; i <= 11; ++i) EXPECT_TRUE(store->add(insert_note(i, "kept"), 4, Weight::kept));
    EXPECT_FALSE(store->add(insert_note(12, "kept"), 4, Weight::kept)) << "nothing is left that could go";
    store->flush();
  }
  EXPECT_TRUE(comes_true([&] { return store->status().waiting == 0; }));
  EXPECT_EQ(notes(), up_to(11));
  EXPECT_EQ(store->status().dropped, 101U);
  EXPECT_TRUE(comes_true([&] { return count(News::Kind::dropped) != 0; }));
}

TEST_F(StoreTest, OctetsInMemoryAreBounded) {
  auto small = options();
  small.most_octets = 1'000;
  small.commit_every = 1h;
  const auto store = open(small);
  for (int i = 1; i <= 100; ++i) EXPECT_TRUE(store->add(insert_note(i, std::string(100, 'x')), 100, Weight::counted));
  store->flush();
  const auto left = notes();
  ASSERT_EQ(left.size(), 10U);
  EXPECT_EQ(left.front(), 91) << "the oldest went";
  EXPECT_FALSE(store->add(insert_note(200, std::string(2'000, 'x')), 2'000, Weight::counted));
}

TEST_F(StoreTest, TrimsAreCalledUntilThereIsNoMore) {
  auto quick = options();
  quick.trim_every = 30ms;
  const auto store = open(quick);
  for (int i = 1; i <= 100; ++i) ASSERT_TRUE(store->add(insert_note(i, "x"), 1, Weight::kept));
  store->flush();
  store->add_trim([](Connection &connection) {
    return connection.database().exec(
               "DELETE FROM notes WHERE number IN (SELECT number FROM notes WHERE number <= 90 LIMIT 20)") != 0;
  });
  EXPECT_TRUE(comes_true([&] { return notes().size() == 10; }));
  EXPECT_EQ(notes().front(), 91);
}

/// A file system of its own that is mounted for as long as the object lives; not where that is not allowed.
class Mounted {
public:
  Mounted(std::string path, const char *options) : path_(std::move(path)) {
    fs::create_directories(path_);
    is_mounted_ = ::mount("tmpfs", path_.c_str(), "tmpfs", 0, options) == 0;
  }
  ~Mounted() {
    if (is_mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  Mounted(const Mounted &) = delete;
  Mounted &operator=(const Mounted &) = delete;
  explicit operator bool() const { return is_mounted_; }
  bool make_read_only(bool on, const char *options) {
    return ::mount("tmpfs", path_.c_str(), "tmpfs", on ? MS_REMOUNT | MS_RDONLY : MS_REMOUNT, options) == 0;
  }

private:
  std::string path_;
  bool is_mounted_ = false;
};

TEST_F(StoreTest, AFullDiskIsToldAndWhatWaitedIsWrittenLater) {
  const Mounted disk(folder_.file("state"), "size=512k");
  if (!disk) GTEST_SKIP() << "no tmpfs can be mounted here";
  const auto store = open();
  ASSERT_TRUE(store->commit(insert_note(1, "one")));
  const std::string ballast = folder_.file("state/ballast");
  {
    std::ofstream out(ballast);
    for (int i = 0; i < 600; ++i) out << std::string(1'024, 'x') << std::flush;
  }
  const auto refused = store->commit(insert_note(2, std::string(100'000, 'x')));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, smtp::ErrorCode::full) << refused.error().detail;
  EXPECT_NE(refused.error().detail.find("state.sqlite: the disk is full"), std::string::npos) << refused.error().detail;
  ASSERT_TRUE(store->add(insert_note(3, std::string(100'000, 'y')), 100'000, Weight::counted));
  store->flush();
  EXPECT_EQ(store->status().waiting, 1U);
  EXPECT_EQ(count(News::Kind::failing), 1U) << "told once";
  fs::remove(ballast);
  EXPECT_TRUE(comes_true([&] { return store->status().waiting == 0; }));
  EXPECT_EQ(notes(), (std::vector<std::int64_t>{1, 3}));
  EXPECT_TRUE(store->status().problem.empty());
  EXPECT_TRUE(set_aside().empty()) << "a full disk is no damage";
}

TEST_F(StoreTest, AFullDiskAtStartIsNoReasonNotToStart) {
  const Mounted disk(folder_.file("state"), "size=512k");
  if (!disk) GTEST_SKIP() << "no tmpfs can be mounted here";
  { ASSERT_TRUE(open()->commit(insert_note(1, "one"))); }
  const std::string ballast = folder_.file("state/ballast");
  {
    std::ofstream out(ballast);
    for (int i = 0; i < 600; ++i) out << std::string(1'024, 'x') << std::flush;
  }
  const auto store = open();
  ASSERT_NE(store, nullptr);
  EXPECT_FALSE(store->commit(insert_note(2, std::string(100'000, 'x'))));
  const auto asked = store->reader().ask([](Connection &connection) {
    SQLite::Statement all(connection.database(), "SELECT count(*) FROM notes");
    ASSERT_TRUE(all.executeStep());
    EXPECT_EQ(all.getColumn(0).getInt(), 1);
  });
  EXPECT_TRUE(asked) << "what is there can be read: " << asked.error().detail;
  fs::remove(ballast);
  EXPECT_TRUE(comes_true([&] { return store->commit(insert_note(3, "three")).has_value(); }));
  EXPECT_EQ(notes(), (std::vector<std::int64_t>{1, 3}));
}

TEST_F(StoreTest, AFolderThatCannotBeWrittenIsToldAndTriedAgain) {
  Mounted disk(folder_.file("state"), "size=4m");
  if (!disk) GTEST_SKIP() << "no tmpfs can be mounted here";
  { ASSERT_TRUE(open()->commit(insert_note(1, "one"))); }
  ASSERT_TRUE(disk.make_read_only(true, "size=4m"));
  const auto store = open();
  ASSERT_NE(store, nullptr) << "mail goes on";
  const auto refused = store->commit(insert_note(2, "two"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, smtp::ErrorCode::not_permitted) << refused.error().detail;
  EXPECT_NE(refused.error().detail.find("state.sqlite"), std::string::npos) << refused.error().detail;
  const auto asked = store->reader().ask([](Connection &) {});
  EXPECT_TRUE(asked) << asked.error().detail;
  ASSERT_TRUE(disk.make_read_only(false, "size=4m"));
  EXPECT_TRUE(comes_true([&] { return store->commit(insert_note(3, "three")).has_value(); }));
  EXPECT_EQ(notes(), (std::vector<std::int64_t>{1, 3}));
}

TEST_F(StoreTest, WhatWasCommittedSurvivesAKill) {
  for (int round = 0; round < 5; ++round) {
    int acknowledged[2];
    ASSERT_EQ(::pipe(acknowledged), 0);
    const std::int64_t first = round * 1'000'000 + 1;
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      StoreOptions own = options();
      own.tell = [](const News &) {};
      auto store = Store::open(std::move(own));
      if (!store) ::_exit(1);
      for (std::int64_t number = first;; ++number) {
        if (!(*store)->commit(insert_note(number, "acknowledged"))) ::_exit(2);
        if (::write(acknowledged[1], &number, sizeof number) != sizeof number) ::_exit(3);
      }
    }
    ::close(acknowledged[1]);
    std::int64_t last = 0;
    for (int i = 0; i < 20; ++i)
      ASSERT_EQ(::read(acknowledged[0], &last, sizeof last), static_cast<ssize_t>(sizeof last));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    for (std::int64_t more = 0; ::read(acknowledged[0], &more, sizeof more) == sizeof more;) last = more;
    ::close(acknowledged[0]);
    const auto store = open();
    EXPECT_TRUE(set_aside().empty());
    const auto all = notes();
    for (std::int64_t number = first; number <= last; ++number)
      ASSERT_TRUE(std::binary_search(all.begin(), all.end(), number)) << number;
  }
}

} // namespace store_test
