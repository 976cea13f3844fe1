// Store: a -wal that is torn anywhere, and pages with other octets than were written, cost what they held and no more.
#include "tests/unit/mta/store/store_fixture.hpp"

namespace damage_test {

using namespace mta::store;
using namespace mta::store::test;
namespace fs = std::filesystem;

class StoreDamageTest : public StoreTest {
protected:
  /// A file and a -wal as a kill leaves them: `count` notes, each committed by itself.
  void make(std::int64_t count, std::size_t size, bool checkpoint) {
    {
      const auto store = open();
      for (std::int64_t number = 1; number <= count; ++number)
        ASSERT_TRUE(store->commit(insert_note(number, std::string(size, 'x'))));
      if (!checkpoint) {
        database_ = octets_of(file());
        wal_ = octets_of(file() + "-wal");
      }
    }
    if (checkpoint) database_ = octets_of(file());
  }
  void restore(const std::string &database, const std::string &wal) {
    fs::remove_all(folder_.file("state"));
    fs::create_directories(folder_.file("state"));
    write_octets(file(), database);
    if (!wal.empty()) write_octets(file() + "-wal", wal);
  }
  std::string database_, wal_;
};

TEST_F(StoreDamageTest, AWalThatIsTornAnywhereLeavesWhatWasCommittedBefore) {
  make(12, 500, false);
  ASSERT_GT(wal_.size(), 20'000U);
  std::size_t before = 0;
  for (std::size_t cut = 0; cut <= wal_.size(); cut += cut < 200 ? 31 : 2'039) {
    restore(database_, wal_.substr(0, cut));
    const auto store = open();
    ASSERT_NE(store, nullptr);
    EXPECT_TRUE(store->status().problem.empty()) << cut << ": " << store->status().problem;
    const auto left = notes();
    EXPECT_EQ(left, up_to(static_cast<std::int64_t>(left.size()))) << cut;
    EXPECT_GE(left.size(), before) << cut;
    before = left.size();
    EXPECT_TRUE(store->commit(insert_note(1'000, "after"))) << cut;
  }
  EXPECT_GE(before, 11U);
}

TEST_F(StoreDamageTest, AWalWithAnOctetChangedAnywhereLeavesAUsableStore) {
  make(12, 500, false);
  for (std::size_t at = 0; at < wal_.size(); at += at < 64 ? 9 : 3'067) {
    std::string changed = wal_;
    changed[at] = static_cast<char>(changed[at] ^ 0x5a);
    restore(database_, changed);
    const auto store = open();
    ASSERT_NE(store, nullptr);
    const auto left = notes();
    EXPECT_EQ(left, up_to(static_cast<std::int64_t>(left.size()))) << at;
    EXPECT_TRUE(store->commit(insert_note(1'000, "after"))) << at;
    if (at < 4) {
      EXPECT_EQ(set_aside().size(), 1U) << "a -wal that does not begin as one has another name now";
    }
  }
}

TEST_F(StoreDamageTest, AFileWithFlippedPagesIsSetAsideAndWhatCanBeReadIsBroughtOver) {
  make(300, 500, true);
  constexpr std::size_t page = 4'096;
  ASSERT_GT(database_.size(), 30 * page);
  std::size_t told = 0;
  for (std::size_t at = 0; at < database_.size() / page; ++at) {
    std::string changed = database_;
    for (std::size_t i = 0; i < page; ++i) changed[at * page + i] = static_cast<char>(changed[at * page + i] ^ 0xff);
    restore(changed, "");
    const std::size_t aside_before = count(News::Kind::set_aside);
    const auto store = open();
    ASSERT_NE(store, nullptr) << at;
    EXPECT_TRUE(store->status().problem.empty()) << at << ": " << store->status().problem;
    ASSERT_TRUE(store->commit(insert_note(1'000, "after"))) << at;
    const auto left = notes();
    EXPECT_EQ(left.back(), 1'000) << at;
    if (count(News::Kind::set_aside) == aside_before) continue; // a page that nothing needs
    ++told;
    EXPECT_FALSE(set_aside().empty());
    for (const std::string &name : set_aside())
      if (!name.ends_with("-wal") && !name.ends_with("-shm")) {
        EXPECT_EQ(octets_of(name).size(), changed.size()) << "nothing of it is thrown away";
      }
    if (at > 8) {
      EXPECT_GE(left.size(), 250U) << "page " << at << ": " << last_told(News::Kind::set_aside);
    }
  }
  EXPECT_GT(told, 20U);
}

TEST_F(StoreDamageTest, AFileThatIsNoDatabaseIsSetAside) {
  make(3, 10, true);
  for (const std::string &octets : {std::string("hello"), std::string(100'000, '\0'), std::string(100'000, 'x'),
                                    database_.substr(0, 1'000), database_.substr(0, database_.size() - 4'096)}) {
    restore(octets, "");
    const auto store = open();
    ASSERT_NE(store, nullptr);
    EXPECT_TRUE(store->commit(insert_note(1'000, "after"))) << octets.size();
    EXPECT_EQ(set_aside().size(), 1U) << octets.size();
  }
}

TEST_F(StoreDamageTest, DamageThatComesWhileItRunsIsFoundByAQuery) {
  make(300, 500, true);
  const auto store = open();
  ASSERT_TRUE(store->commit(insert_note(301, "still good")));
  {
    std::fstream inside(file(), std::ios::in | std::ios::out | std::ios::binary); // in place
    inside.seekp(4'096L * 10);
    inside << std::string(4'096U * 5, '\xff');
  }
  const auto asked = store->reader().ask([](Connection &connection) {
    SQLite::Statement all(connection.database(), "SELECT sum(length(text)) FROM notes");
    all.executeStep();
  });
  ASSERT_FALSE(asked);
  EXPECT_EQ(asked.error().code, smtp::ErrorCode::bad_syntax);
  EXPECT_TRUE(store->commit(insert_note(5'000, "after")));
  EXPECT_EQ(count(News::Kind::set_aside), 1U) << last_told(News::Kind::failing);
  EXPECT_GE(notes().size(), 200U) << "what lay before and behind the damage: " << last_told(News::Kind::set_aside);
}

} // namespace damage_test
