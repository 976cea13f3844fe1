// ReceivedReports: what is kept, what pushes out what, and what is found again.
#include "mta/store/received_reports.hpp"

#include <limits>
#include <thread>

#include <gtest/gtest.h>

#include "mta/received/read_dmarc_xml.hpp"
#include "mta/received/read_tlsrpt.hpp"
#include "mta/store/connection.hpp"
#include "tests/support/report_texts.hpp"
#include "tests/support/temp_folder.hpp"

namespace received_reports_test {

using namespace mta;
using namespace mta::store;
using namespace std::chrono_literals;
using Outcome = ReceivedReports::Outcome;

const std::chrono::sys_seconds start{std::chrono::sys_days(2026y / 11 / 22) + 3h};

StoredReport entry_of(const std::string &id, std::chrono::seconds after = 0s, bool authenticated = true) {
  StoredReport stored;
  stored.received = start + after;
  stored.from = "dmarc@example.net";
  stored.subject = "Report \"1\"";
  stored.queue_id = "0000000000A7Q";
  stored.authenticated = authenticated ? "dmarc=pass example.net" : "dmarc=fail example.net";
  stored.report = read_dmarc_xml(support::dmarc_text(support::one_record, id)).value();
  return stored;
}

StoredReport unreadable(const std::string &queue_id, std::chrono::seconds after = 0s) {
  StoredReport stored;
  stored.received = start + after;
  stored.queue_id = queue_id;
  stored.problem = "XML is broken";
  return stored;
}

class ReceivedReportsTest : public testing::Test {
protected:
  void SetUp() override { open(); }
  void open() {
    store_.reset();
    StoreOptions options;
    options.folder = folder_.file("state");
    options.trim_every = 20ms;
    auto opened = Store::open(std::move(options));
    ASSERT_TRUE(opened) << opened.error().detail;
    store_ = std::move(*opened);
  }
  smtp::Result<Outcome> add(const StoredReport &stored) {
    ReceivedReports reports(*store_, [this] { return free_space_; });
    return reports.add(stored, limits_);
  }
  [[nodiscard]] ReportList list(const ReportFilter &filter = {}) {
    auto list = list_reports(store_->reader(), filter);
    EXPECT_TRUE(list) << list.error().detail;
    return std::move(*list);
  }
  /// The report ids (or reasons) of what is listed, in order.
  [[nodiscard]] std::vector<std::string> listed(const ReportFilter &filter = {}) {
    std::vector<std::string> out;
    for (const auto &one : list(filter).reports) out.push_back(one.problem.empty() ? one.report_id : one.problem);
    return out;
  }
  /// What a hand does to the tables.
  void change(const char *statement) {
    ASSERT_TRUE(store_->commit([statement](Connection &connection) { connection.database().exec(statement); }));
  }
  [[nodiscard]] std::int64_t count_rows() {
    std::int64_t sum = 0;
    for (const char *table : {"received_reports", "received_report_domains", "dmarc_policies", "dmarc_rows",
                              "dmarc_row_details", "tlsrpt_policies", "tlsrpt_policy_texts", "tlsrpt_failures"})
      EXPECT_TRUE(store_->reader().ask([&](Connection &connection) {
        SQLite::Statement count(connection.database(), std::string("SELECT count(*) FROM ") + table);
        count.executeStep();
        sum += count.getColumn(0).getInt64();
      }));
    return sum;
  }
  using Texts = std::vector<std::string>;
  ::test::TempFolder folder_;
  std::unique_ptr<Store> store_;
  ReportLimits limits_;
  std::uint64_t free_space_ = 10'000'000'000;
};

TEST_F(ReceivedReportsTest, WhatIsStoredComesBackWhole) {
  const StoredReport dmarc = entry_of("r-1");
  StoredReport tls = dmarc;
  tls.report = read_tlsrpt(support::tls_text).value();
  const StoredReport broken = unreadable("0000000000A7R");
  for (const auto &one : {dmarc, tls, broken}) {
    EXPECT_EQ(add(one).value(), Outcome::stored);
    const auto found = find_report(store_->reader(), id_of(one));
    ASSERT_TRUE(found) << found.error().detail;
    EXPECT_TRUE(*found == one);
    const auto all = list().reports;
    EXPECT_NE(std::find(all.begin(), all.end(), summarize(one)), all.end());
  }
  EXPECT_EQ(find_report(store_->reader(), "0000000000000000").error().code, smtp::ErrorCode::not_found);
  EXPECT_EQ(find_report(store_->reader(), "../../etc/passwd").error().code, smtp::ErrorCode::bad_syntax);
}

TEST_F(ReceivedReportsTest, ACopyIsADuplicateAlsoAfterARestart) {
  EXPECT_EQ(add(entry_of("r-1")).value(), Outcome::stored);
  open();
  EXPECT_EQ(add(entry_of("r-1", 5s)).value(), Outcome::duplicate);
  EXPECT_EQ(add(entry_of("r-2", 5s)).value(), Outcome::stored);
  EXPECT_EQ(listed(), (Texts{"r-1", "r-2"}));
}

TEST_F(ReceivedReportsTest, AnAuthenticatedCopyReplacesOneThatWasNot) {
  EXPECT_EQ(add(entry_of("r-1", 0s, false)).value(), Outcome::stored);
  EXPECT_EQ(add(entry_of("r-1", 1s, false)).value(), Outcome::duplicate);
  EXPECT_EQ(add(entry_of("r-1", 2s, true)).value(), Outcome::replaced);
  EXPECT_EQ(add(entry_of("r-1", 3s, false)).value(), Outcome::duplicate);
  EXPECT_EQ(list().reports.size(), 1U);
  EXPECT_EQ(find_report(store_->reader(), id_of(entry_of("r-1"))).value().received, start + 2s);
}

TEST_F(ReceivedReportsTest, WhereTheDiskIsShortForgedOnesGoAndNoMoreOfThemCome) {
  limits_.min_free = 1'000'000;
  free_space_ = (10'000'000);
  ASSERT_EQ(add(entry_of("real-1", 0s)).value(), Outcome::stored);
  ASSERT_EQ(add(entry_of("forged-1", 1s, false)).value(), Outcome::stored);
  free_space_ = (1'000'000);
  EXPECT_EQ(add(entry_of("forged-2", 2s, false)).value(), Outcome::no_room);
  EXPECT_EQ(listed(), (Texts{"real-1", "forged-1"})) << "nothing goes for it";
  const auto refused = add(entry_of("real-2", 3s));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, smtp::ErrorCode::full);
  EXPECT_EQ(listed(), Texts{"real-1"}) << "those that were not authenticated went first";
  free_space_ = (10'000'000);
  EXPECT_EQ(add(entry_of("real-2", 4s)).value(), Outcome::stored);
}

TEST_F(ReceivedReportsTest, OverTheBoundTheOldestThatWasNotAuthenticatedGoesThenTheOldest) {
  limits_.entries = 3;
  ASSERT_TRUE(add(entry_of("real-1", 0s)));
  ASSERT_TRUE(add(entry_of("forged-1", 1s, false)));
  ASSERT_TRUE(add(entry_of("real-2", 2s)));
  ASSERT_TRUE(add(entry_of("forged-2", 3s, false)));
  EXPECT_EQ(listed(), (Texts{"real-1", "real-2", "forged-2"}));
  ASSERT_TRUE(add(entry_of("real-3", 4s)));
  EXPECT_EQ(listed(), (Texts{"real-1", "real-2", "real-3"}));
  ASSERT_TRUE(add(entry_of("real-4", 5s)));
  EXPECT_EQ(listed(), (Texts{"real-2", "real-3", "real-4"}));
}

TEST_F(ReceivedReportsTest, TheOctetsOfAllReportsAreBounded) {
  limits_.octets = 2 * octets_of(entry_of("r-1")) + 10;
  for (int i = 1; i <= 5; ++i) ASSERT_TRUE(add(entry_of("r-" + std::to_string(i), std::chrono::seconds(i))));
  EXPECT_EQ(listed(), (Texts{"r-4", "r-5"}));
}

TEST_F(ReceivedReportsTest, UnreadableMailHasABoundOfItsOwn) {
  limits_.unreadable = 2;
  ASSERT_TRUE(add(entry_of("r-1", 0s, false)));
  for (int i = 1; i <= 5; ++i) ASSERT_TRUE(add(unreadable("q" + std::to_string(i), std::chrono::seconds(i))));
  EXPECT_EQ(listed(), (Texts{"r-1", "XML is broken", "XML is broken"}));
}

TEST_F(ReceivedReportsTest, OldReportsAreRemovedWithAllTheirRows) {
  ASSERT_TRUE(add(entry_of("new", 24h)));
  const auto rows = count_rows();
  StoredReport tls = entry_of("x", 1s);
  tls.report = read_tlsrpt(support::tls_text).value();
  ASSERT_TRUE(add(tls));
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(add(entry_of("old-" + std::to_string(i), 0s)));
  ReceivedReports reports(*store_);
  reports.keep_since([] { return start + 1s; });
  for (int i = 0; i < 1'000 && listed().size() != 2; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(listed(), (Texts{"t-1", "new"}));
  reports.keep_since([] { return start + 2s; });
  for (int i = 0; i < 1'000 && listed().size() != 1; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(listed(), Texts{"new"});
  EXPECT_EQ(count_rows(), rows);
}

TEST_F(ReceivedReportsTest, ListsAreFiltered) {
  StoredReport tls = entry_of("x", 1h);
  tls.report = read_tlsrpt(support::tls_text).value();
  tls.report->domain = "other.example";
  ASSERT_TRUE(add(entry_of("r-1")));
  ASSERT_TRUE(add(tls));
  ASSERT_TRUE(add(unreadable("q1", 2h)));
  EXPECT_EQ(listed({"dmarc", "", {}}), Texts{"r-1"});
  EXPECT_EQ(listed({"", "other.example", {}}), Texts{"t-1"});
  EXPECT_EQ(listed({"unreadable", "", {}}), Texts{"XML is broken"});
  EXPECT_EQ(listed({"", "", start + 1h}), (Texts{"t-1", "XML is broken"}));
  Reader nowhere("/nowhere");
  EXPECT_TRUE(list_reports(nowhere, {}).value().reports.empty());
  EXPECT_EQ(find_report(nowhere, "0000000000000000").error().code, smtp::ErrorCode::not_found);
}

TEST_F(ReceivedReportsTest, ATlsReportIsFoundByEachOfItsDomains) {
  StoredReport tls = entry_of("x");
  tls.mail_domain = "named.example";
  tls.report = read_tlsrpt(support::tls_text).value();
  auto &policies = std::get<ReceivedTls>(tls.report->content).policies;
  for (int i = 0; i < 150; ++i) {
    policies.push_back(policies.front());
    policies.back().domain = "d" + std::to_string(i) + ".example";
  }
  ASSERT_TRUE(add(tls));
  for (const char *domain : {"example.com", "named.example", "d0.example", "d149.example", "d99.example"})
    EXPECT_EQ(listed({"", domain, {}}), Texts{"t-1"}) << domain;
  EXPECT_EQ(listed({"", "other.example", {}}), Texts{});
  const auto summary = list().reports.at(0);
  EXPECT_EQ(summary.other_domains.size(), most_other_domains);
  EXPECT_EQ(find_report(store_->reader(), summary.id).value(), tls);
}

TEST_F(ReceivedReportsTest, ASummaryDoesNotVouchForTheRows) {
  ASSERT_TRUE(add(entry_of("r-1", 0s)));
  ASSERT_TRUE(add(entry_of("r-2", 1s)));
  change("UPDATE dmarc_rows SET messages = messages + 1 WHERE report = (SELECT id FROM received_reports WHERE "
         "report_id = 'r-2')");
  EXPECT_EQ(listed(), (Texts{"r-1", "r-2"}));
  EXPECT_TRUE(find_report(store_->reader(), id_of(entry_of("r-1"))));
  const auto found = find_report(store_->reader(), id_of(entry_of("r-2")));
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().detail.find("its totals are not those of its rows"), std::string::npos);
}

TEST_F(ReceivedReportsTest, WhatIsReplacedOrPushedOutLeavesNoRowBehind) {
  ASSERT_TRUE(add(entry_of("r-1", 0s, false)));
  const auto rows = count_rows();
  ASSERT_EQ(add(entry_of("r-1", 1s)).value(), Outcome::replaced);
  EXPECT_EQ(count_rows(), rows);
  limits_.entries = 1;
  ASSERT_EQ(add(entry_of("r-2", 1s)).value(), Outcome::stored);
  EXPECT_EQ(count_rows(), rows);
}

TEST_F(ReceivedReportsTest, CountsBeyondTheLargestNumberAreThat) {
  StoredReport stored = entry_of("r-1");
  auto &rows = std::get<ReceivedDmarc>(stored.report->content).rows;
  rows.push_back(rows.front());
  rows.back().count = std::numeric_limits<std::uint64_t>::max();
  ASSERT_TRUE(add(stored));
  const auto found = find_report(store_->reader(), id_of(stored));
  ASSERT_TRUE(found) << found.error().detail;
  EXPECT_EQ(std::get<ReceivedDmarc>(found->report->content).rows.back().count,
            static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
}

TEST_F(ReceivedReportsTest, AReportOverItsLimitIsRefused) {
  limits_.report_octets = 100;
  const auto refused = add(entry_of("r-1"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, smtp::ErrorCode::too_long);
  EXPECT_NE(refused.error().detail.find("limit is 100"), std::string::npos);
}

TEST_F(ReceivedReportsTest, AViewShowsThemToPeople) {
  ASSERT_TRUE(add(entry_of("r-1")));
  ASSERT_TRUE(add(unreadable("q1")));
  std::vector<std::string> seen;
  EXPECT_TRUE(store_->reader().ask([&](Connection &connection) {
    SQLite::Statement all(connection.database(), "SELECT report_id FROM reports");
    while (all.executeStep()) seen.push_back(all.getColumn(0).getString());
  }));
  EXPECT_EQ(seen, Texts{"r-1"});
}

TEST_F(ReceivedReportsTest, WhileTheStoreIsLockedNothingIsStoredAndLaterItIs) {
  {
    SQLite::Database other(store_file(folder_.file("state")), SQLite::OPEN_READWRITE);
    other.exec("BEGIN IMMEDIATE");
    EXPECT_FALSE(add(entry_of("r-1")));
    EXPECT_EQ(listed(), Texts{}) << "and it can be read meanwhile";
  }
  EXPECT_EQ(add(entry_of("r-1")).value(), Outcome::stored);
  EXPECT_EQ(listed(), Texts{"r-1"});
}

} // namespace received_reports_test
