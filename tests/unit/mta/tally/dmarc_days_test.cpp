// DmarcDays: rows come back from a file whatever a crash did to it, and a mark counts only when it is whole.
#include "mta/tally/dmarc_days.hpp"

#include <ostream>

#include <gtest/gtest.h>

#include "tests/support/dmarc_rows.hpp"

namespace dmarc_days_test {

using namespace mta;
using std::chrono::seconds;
using std::chrono::sys_seconds;
using support::a_row;
using support::day;

std::string record_of(const std::string &header_from, std::uint64_t count = 1, int second = 0) {
  DmarcRow row = a_row();
  row.header_from = header_from;
  std::string out;
  append_record(out, {encode_row(row), count, sys_seconds(day("2026-11-21")) + seconds(second)});
  return out;
}

class DmarcDaysTest : public testing::Test {
protected:
  DmarcDay read(std::string_view octets, std::size_t limit = DmarcDays::default_row_limit) {
    support::write_all(days_.rows_file(date_), octets);
    auto read = days_.read(date_, limit);
    EXPECT_TRUE(read) << read.error().detail;
    return read.value();
  }
  static std::string names(const DmarcDay &found) {
    std::string text;
    for (const CountedRow &counted : found.rows)
      text += counted.row.header_from + ":" + std::to_string(counted.count) + " ";
    return text;
  }
  test::TempFolder folder_;
  DmarcDays days_{folder_.path().string()};
  UtcDay date_ = day("2026-11-21");
};

TEST_F(DmarcDaysTest, equal_rows_are_counted_together) {
  const DmarcDay found = read(record_of("a", 1, 7) + record_of("b", 5) + record_of("a", 3, 2));
  EXPECT_EQ(names(found), "a:4 b:5 ");
  EXPECT_EQ(found.total, 9U);
  EXPECT_EQ(found.rows[0].last, sys_seconds(date_) + seconds(7));
  EXPECT_EQ(found.damaged, 0U);
}

TEST_F(DmarcDaysTest, a_day_without_a_file_or_with_an_empty_one_has_no_rows) {
  EXPECT_TRUE(days_.read(date_).value().rows.empty());
  EXPECT_TRUE(read("").rows.empty());
}

TEST_F(DmarcDaysTest, every_torn_tail_costs_only_the_last_record) {
  const std::string first = record_of("a");
  const std::string second = record_of("b");
  for (std::size_t size = 1; size < second.size(); ++size) {
    const DmarcDay found = read(first + second.substr(0, size));
    ASSERT_EQ(names(found), "a:1 ") << size;
    ASSERT_EQ(found.damaged, 1U) << size;
  }
}

TEST_F(DmarcDaysTest, what_was_appended_to_a_torn_tail_is_found) {
  const std::string torn = record_of("b");
  for (std::size_t size = 1; size < torn.size(); ++size) {
    const DmarcDay found = read(record_of("a") + torn.substr(0, size) + record_of("c") + record_of("d"));
    ASSERT_EQ(names(found), "a:1 c:1 d:1 ") << size;
    ASSERT_EQ(found.damaged, 1U) << size;
  }
}

TEST_F(DmarcDaysTest, every_changed_octet_costs_only_its_record) {
  const std::string whole = record_of("a");
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x40);
    const DmarcDay found = read(record_of("x") + changed + record_of("y"));
    ASSERT_EQ(names(found), "x:1 y:1 ") << at;
    ASSERT_EQ(found.damaged, 1U) << at;
  }
}

TEST_F(DmarcDaysTest, a_record_that_is_no_row_is_passed_over) {
  std::string strange;
  append_record(strange, {"\x02 from a newer version", 1, sys_seconds(date_)});
  const DmarcDay found = read(record_of("a") + strange + record_of("b"));
  EXPECT_EQ(names(found), "a:1 b:1 ");
  EXPECT_EQ(found.damaged, 1U);
}

TEST_F(DmarcDaysTest, zeros_and_noise_are_one_damaged_place_each) {
  const DmarcDay found = read(std::string(5000, '\0') + record_of("a") + std::string(5000, '\xD7') + record_of("b"));
  EXPECT_EQ(names(found), "a:1 b:1 ");
  EXPECT_EQ(found.damaged, 2U);
}

TEST_F(DmarcDaysTest, a_file_of_many_pieces_is_read_whole) {
  std::string octets;
  for (int i = 0; i < 5000; ++i) octets += record_of("domain" + std::to_string(i % 100));
  ASSERT_GT(octets.size(), 900'000U);
  const DmarcDay found = read(octets);
  EXPECT_EQ(found.rows.size(), 100U);
  EXPECT_EQ(found.total, 5000U);
  EXPECT_EQ(found.damaged, 0U);
}

TEST_F(DmarcDaysTest, the_scanner_takes_any_pieces) {
  const std::string octets = record_of("a") + "noise" + record_of("b");
  for (std::size_t size = 1; size <= octets.size(); ++size) {
    TallyRecordScanner scanner;
    std::uint64_t found = 0;
    const auto visit = [&](const TallyRecord &record) { found += record.count; };
    for (std::size_t at = 0; at < octets.size(); at += size)
      scanner.feed(std::string_view(octets).substr(at, size), visit);
    scanner.finish(visit);
    ASSERT_EQ(found, 2U) << size;
    ASSERT_EQ(scanner.damaged(), 1U) << size;
  }
}

TEST_F(DmarcDaysTest, rows_over_the_limit_are_counted_as_left_out) {
  const DmarcDay found = read(record_of("a") + record_of("b") + record_of("c", 7) + record_of("a", 4), 2);
  EXPECT_EQ(names(found), "a:5 b:1 ");
  EXPECT_EQ(found.total, 6U);
  EXPECT_EQ(found.omitted, 7U);
}

TEST_F(DmarcDaysTest, days_are_listed_in_order_and_other_files_are_not) {
  for (const char *name : {"dmarc-2026-11-21.rows", "dmarc-2025-12-31.rows", "dmarc-2026-11-20.done",
                           "dmarc-2026-13-01.rows", "dmarc-2026-1-1.rows", "tls-2026-11-21.rows", "notes"})
    support::write_all(folder_.file(name), "");
  EXPECT_EQ(days_.list().value(), (std::vector<UtcDay>{day("2025-12-31"), day("2026-11-21")}));
  EXPECT_TRUE(DmarcDays(folder_.file("absent")).list().value().empty());
}

// ---- marks

TEST_F(DmarcDaysTest, marks_are_kept_and_survive_a_restart) {
  EXPECT_FALSE(days_.marks(date_).value().complete);
  ASSERT_TRUE(days_.mark_submitted(date_, "report 1@example.com to bob"));
  ASSERT_TRUE(days_.mark_submitted(date_, "report 2"));
  ASSERT_TRUE(days_.mark_complete(date_));
  const auto marks = DmarcDays(folder_.path().string()).marks(date_).value();
  EXPECT_EQ(marks.submitted, (std::set<std::string, std::less<>>{"report 1@example.com to bob", "report 2"}));
  EXPECT_TRUE(marks.complete);
  EXPECT_FALSE(days_.marks(day("2026-11-22")).value().complete) << "another day";
}

TEST_F(DmarcDaysTest, a_torn_mark_does_not_count_and_harms_no_other) {
  ASSERT_TRUE(days_.mark_submitted(date_, "one"));
  const std::string before = support::read_all(days_.marks_file(date_));
  ASSERT_TRUE(days_.mark_complete(date_));
  const std::string after = support::read_all(days_.marks_file(date_));
  // The last octet is the line end, without which the mark is whole, too.
  for (std::size_t size = before.size(); size + 1 < after.size(); ++size) {
    support::write_all(days_.marks_file(date_), after.substr(0, size));
    auto marks = days_.marks(date_).value();
    ASSERT_FALSE(marks.complete) << size;
    ASSERT_TRUE(days_.mark_submitted(date_, "two"));
    marks = days_.marks(date_).value();
    ASSERT_EQ(marks.submitted, (std::set<std::string, std::less<>>{"one", "two"})) << size;
  }
}

TEST_F(DmarcDaysTest, a_mark_cannot_hold_a_line_end) {
  EXPECT_FALSE(days_.mark_submitted(date_, "one\ncomplete"));
  EXPECT_FALSE(days_.marks(date_).value().complete);
}

TEST_F(DmarcDaysTest, old_days_go_once_they_are_complete_or_very_old) {
  const UtcDay today = day("2026-11-22");
  const auto age = [&](int count) { return today - std::chrono::days(count); };
  for (const int old : {1, 14, 15, 16, 28, 29}) support::write_all(days_.rows_file(age(old)), record_of("a"));
  ASSERT_TRUE(days_.mark_complete(age(14)));
  ASSERT_TRUE(days_.mark_complete(age(15)));
  const auto removed = days_.remove_old(today, 14);
  ASSERT_TRUE(removed) << removed.error().detail;
  EXPECT_EQ(*removed, (std::vector<UtcDay>{age(29), age(15)}));
  EXPECT_EQ(days_.list().value(), (std::vector<UtcDay>{age(28), age(16), age(14), age(1)}));
  EXPECT_FALSE(std::filesystem::exists(days_.marks_file(age(15))));
}

struct DayRow {
  std::string text;
  bool valid = false;
  friend std::ostream &operator<<(std::ostream &out, const DayRow &row) { return out << '"' << row.text << '"'; }
};

class DayTest : public testing::TestWithParam<DayRow> {};

TEST_P(DayTest, is_read_and_written) {
  const auto parsed = parse_day(GetParam().text);
  ASSERT_EQ(parsed.has_value(), GetParam().valid);
  if (!parsed) return;
  EXPECT_EQ(format_day(*parsed), GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(Rows, DayTest,
                         testing::Values(DayRow{"2026-11-22", true}, DayRow{"2024-02-29", true},
                                         DayRow{"1970-01-01", true}, DayRow{"2026-02-29"}, DayRow{"2026-00-01"},
                                         DayRow{"2026-11-31"}, DayRow{"2026-11-2"}, DayRow{"2026/11/22"},
                                         DayRow{"26-11-22"}, DayRow{""}, DayRow{"2026-11-22 "}, DayRow{"-026-11-22"},
                                         DayRow{"2026-+1-22"}));

} // namespace dmarc_days_test
