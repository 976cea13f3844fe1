// TlsrptTally: sessions come on disk as counted rows, beside those of DMARC, and only while reports are sent.
#include "mta/tally/tlsrpt_tally.hpp"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mta/tally/dmarc_days.hpp"
#include "tests/support/dmarc_rows.hpp"
#include "tests/support/memory_log.hpp"

namespace tlsrpt_tally_test {

using namespace mta;
using namespace std::chrono_literals;
using support::day;

std::shared_ptr<const TlsSession> session_at(const char *date, bool encrypted = true) {
  auto session = std::make_shared<TlsSession>();
  session->time = day(date) + 12h;
  session->domain = "example.com";
  session->host = "mx.example.com";
  session->address = "192.0.2.25";
  session->starttls_offered = encrypted;
  session->facts.encrypted = encrypted;
  return session;
}

class TlsrptTallyTest : public testing::Test {
protected:
  std::unique_ptr<TlsrptTally> open() {
    return TlsrptTally::open(
               {.folder = folder_.file("tally"), .flush_interval = 1h, .is_counting = [this] { return counting_; }},
               log_)
        .value();
  }
  test::TempFolder folder_;
  support::MemoryLog log_;
  bool counting_ = true;
};

TEST_F(TlsrptTallyTest, equal_sessions_are_counted_together_on_their_day) {
  auto tally = open();
  tally->session(session_at("2026-11-21"));
  tally->session(session_at("2026-11-21"));
  tally->session(session_at("2026-11-21", false));
  tally->session(session_at("2026-11-22"));
  ASSERT_TRUE(tally->flush());
  const TlsrptDay read = tally->days().read(day("2026-11-21")).value();
  ASSERT_EQ(read.rows.size(), 2U);
  EXPECT_EQ(read.total, 3U);
  for (const auto &row : read.rows) EXPECT_EQ(row.count, row.row.fault == policy::TlsFault::none ? 2U : 1U);
  EXPECT_EQ(tally->days().read(day("2026-11-22")).value().total, 1U);
}

TEST_F(TlsrptTallyTest, a_restart_goes_on_counting) {
  open()->session(session_at("2026-11-21"));
  open()->session(session_at("2026-11-21"));
  EXPECT_EQ(TlsrptDays(folder_.file("tally")).read(day("2026-11-21")).value().total, 2U);
}

TEST_F(TlsrptTallyTest, nothing_is_counted_while_no_reports_are_sent) {
  counting_ = false;
  auto tally = open();
  tally->session(session_at("2026-11-21"));
  counting_ = true;
  tally->session(session_at("2026-11-22"));
  ASSERT_TRUE(tally->flush());
  EXPECT_EQ(tally->days().list().value(), std::vector<UtcDay>{day("2026-11-22")});
}

TEST_F(TlsrptTallyTest, kinds_share_a_folder_and_nothing_else) {
  auto tally = open();
  tally->session(session_at("2026-11-21"));
  ASSERT_TRUE(tally->flush());
  const DmarcDays dmarc(folder_.file("tally"));
  EXPECT_TRUE(dmarc.list().value().empty());
  ASSERT_TRUE(tally->days().mark_submitted(day("2026-11-21"), "a"));
  EXPECT_TRUE(dmarc.marks(day("2026-11-21")).value().submitted.empty());
  EXPECT_EQ(tally->days().marks(day("2026-11-21")).value().submitted.size(), 1U);
}

TEST_F(TlsrptTallyTest, days_that_nobody_marks_go_by_age) {
  auto tally = open();
  for (const char *date : {"2026-11-01", "2026-11-10", "2026-11-21"}) tally->session(session_at(date));
  ASSERT_TRUE(tally->flush());
  EXPECT_EQ(tally->days().remove_old(day("2026-11-22"), 12).value(), std::vector<UtcDay>{}) << "none is complete";
  EXPECT_EQ(tally->days().remove_older(day("2026-11-22"), 12).value(), std::vector<UtcDay>{day("2026-11-01")});
  EXPECT_EQ(tally->days().list().value(), (std::vector<UtcDay>{day("2026-11-10"), day("2026-11-21")}));
}

TEST_F(TlsrptTallyTest, a_row_over_the_limit_is_dropped_and_said) {
  auto tally = open();
  tally->tally().add(std::string(longest_tally_row + 1, 'x'), day("2026-11-21"));
  tally->tally().add(std::string(longest_tally_row, 'x'), day("2026-11-21"));
  ASSERT_TRUE(tally->flush());
  EXPECT_EQ(tally->status().dropped, 1U);
  EXPECT_EQ(tally->status().counted, 1U);
  EXPECT_EQ(log_.count({"event=tlsrpt_tally", "limit=row_limit", "octets=65520"}), 1U);
  std::size_t seen = 0;
  ASSERT_TRUE(tally->days().scan(day("2026-11-21"), [&](const TallyRecord &record) { seen = record.row.size(); }));
  EXPECT_EQ(seen, longest_tally_row);
}

} // namespace tlsrpt_tally_test
