// ReportStore: what is kept, what pushes out what, and what a disk that fails or loses power leaves.
#include "mta/received/report_store.hpp"

#include <gtest/gtest.h>

#include "mta/received/read_dmarc_xml.hpp"
#include "mta/received/read_tlsrpt.hpp"
#include "tests/support/report_texts.hpp"
#include "tests/unit/mta/spool/simulated_disk.hpp"

namespace report_store_test {

using namespace mta;
using namespace std::chrono_literals;
using spool::test::Fault;
using spool::test::SimulatedDisk;
using Outcome = ReportStore::Outcome;

const std::string folder = "/spool/reports";
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

class ReportStoreTest : public testing::Test {
protected:
  [[nodiscard]] ReportStore open(const ReportStoreLimits &limits = {}) const {
    auto store = ReportStore::open(folder, limits, disk_);
    EXPECT_TRUE(store) << store.error().detail;
    return std::move(*store);
  }
  /// The report ids (or reasons) of what is listed, in order.
  [[nodiscard]] std::vector<std::string> listed(const ReportFilter &filter = {}) const {
    std::vector<std::string> out;
    const auto list = list_reports(*disk_, folder, filter);
    EXPECT_TRUE(list);
    for (const auto &one : list.value())
      out.push_back(!one.summary                   ? "damaged: " + one.summary.error().detail
                    : one.summary->problem.empty() ? one.summary->report_id
                                                   : one.summary->problem);
    return out;
  }
  using Texts = std::vector<std::string>;
  std::shared_ptr<SimulatedDisk> disk_ = std::make_shared<SimulatedDisk>();
};

TEST_F(ReportStoreTest, WhatIsStoredComesBackWhole) {
  auto store = open();
  const StoredReport dmarc = entry_of("r-1");
  StoredReport tls = dmarc;
  tls.report = read_tlsrpt(support::tls_text).value();
  const StoredReport broken = unreadable("0000000000A7R");
  for (const auto &one : {dmarc, tls, broken}) {
    EXPECT_EQ(store.add(one).value(), Outcome::stored);
    const auto found = find_report(*disk_, folder, id_of(one));
    ASSERT_TRUE(found) << found.error().detail;
    EXPECT_TRUE(*found == one);
    EXPECT_EQ(decode_summary(encode_stored(one)).value(), summarize(one));
  }
  EXPECT_EQ(find_report(*disk_, folder, "0000000000000000").error().code, smtp::ErrorCode::not_found);
  EXPECT_EQ(find_report(*disk_, folder, "../../etc/passwd").error().code, smtp::ErrorCode::bad_syntax);
}

TEST_F(ReportStoreTest, ACopyIsADuplicateAlsoAfterARestart) {
  EXPECT_EQ(open().add(entry_of("r-1")).value(), Outcome::stored);
  auto store = open();
  EXPECT_EQ(store.add(entry_of("r-1", 5s)).value(), Outcome::duplicate);
  EXPECT_EQ(store.add(entry_of("r-2", 5s)).value(), Outcome::stored);
  EXPECT_EQ(listed(), (Texts{"r-1", "r-2"}));
}

TEST_F(ReportStoreTest, AnAuthenticatedCopyReplacesOneThatWasNot) {
  auto store = open();
  EXPECT_EQ(store.add(entry_of("r-1", 0s, false)).value(), Outcome::stored);
  EXPECT_EQ(store.add(entry_of("r-1", 1s, false)).value(), Outcome::duplicate);
  EXPECT_EQ(store.add(entry_of("r-1", 2s, true)).value(), Outcome::replaced);
  EXPECT_EQ(store.add(entry_of("r-1", 3s, false)).value(), Outcome::duplicate);
  EXPECT_EQ(store.size(), 1U);
  EXPECT_EQ(find_report(*disk_, folder, id_of(entry_of("r-1"))).value().received, start + 2s);
}

TEST_F(ReportStoreTest, WhereTheDiskIsShortForgedOnesGoAndNoMoreOfThemCome) {
  ReportStoreLimits limits;
  limits.min_free = 1'000'000;
  disk_->set_free_space(10'000'000);
  auto store = open(limits);
  ASSERT_EQ(store.add(entry_of("real-1", 0s)).value(), Outcome::stored);
  ASSERT_EQ(store.add(entry_of("forged-1", 1s, false)).value(), Outcome::stored);
  disk_->set_free_space(1'000'000);
  EXPECT_EQ(store.add(entry_of("forged-2", 2s, false)).value(), Outcome::no_room);
  EXPECT_EQ(listed(), (Texts{"real-1", "forged-1"})) << "nothing goes for it";
  const auto refused = store.add(entry_of("real-2", 3s));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, smtp::ErrorCode::full);
  EXPECT_EQ(listed(), Texts{"real-1"}) << "those that were not authenticated went first";
  disk_->set_free_space(10'000'000);
  EXPECT_EQ(store.add(entry_of("real-2", 4s)).value(), Outcome::stored);
}

TEST_F(ReportStoreTest, OverTheBoundTheOldestThatWasNotAuthenticatedGoesThenTheOldest) {
  ReportStoreLimits limits;
  limits.entries = 3;
  auto store = open(limits);
  ASSERT_TRUE(store.add(entry_of("real-1", 0s)));
  ASSERT_TRUE(store.add(entry_of("forged-1", 1s, false)));
  ASSERT_TRUE(store.add(entry_of("real-2", 2s)));
  ASSERT_TRUE(store.add(entry_of("forged-2", 3s, false)));
  EXPECT_EQ(listed(), (Texts{"real-1", "real-2", "forged-2"}));
  ASSERT_TRUE(store.add(entry_of("real-3", 4s)));
  EXPECT_EQ(listed(), (Texts{"real-1", "real-2", "real-3"}));
  ASSERT_TRUE(store.add(entry_of("real-4", 5s)));
  EXPECT_EQ(listed(), (Texts{"real-2", "real-3", "real-4"}));
}

TEST_F(ReportStoreTest, TheOctetsOfAllFilesAreBounded) {
  ReportStoreLimits limits;
  limits.octets = 2 * encode_stored(entry_of("r-1")).size() + 10;
  auto store = open(limits);
  for (int i = 1; i <= 5; ++i) ASSERT_TRUE(store.add(entry_of("r-" + std::to_string(i), std::chrono::seconds(i))));
  EXPECT_EQ(listed(), (Texts{"r-4", "r-5"}));
  EXPECT_LE(store.octets(), limits.octets);
}

TEST_F(ReportStoreTest, UnreadableMailHasABoundOfItsOwn) {
  ReportStoreLimits limits;
  limits.unreadable = 2;
  auto store = open(limits);
  ASSERT_TRUE(store.add(entry_of("r-1", 0s, false)));
  for (int i = 1; i <= 5; ++i) ASSERT_TRUE(store.add(unreadable("q" + std::to_string(i), std::chrono::seconds(i))));
  EXPECT_EQ(listed(), (Texts{"r-1", "XML is broken", "XML is broken"}));
}

TEST_F(ReportStoreTest, OldReportsAreRemoved) {
  auto store = open();
  ASSERT_TRUE(store.add(entry_of("old", 0s)));
  ASSERT_TRUE(store.add(entry_of("new", 24h)));
  EXPECT_EQ(store.remove_old(start + std::chrono::days(400)), 0U);
  EXPECT_EQ(store.remove_old(start + std::chrono::days(400) + 1s), 1U);
  EXPECT_EQ(listed(), Texts{"new"});
}

TEST_F(ReportStoreTest, ListsAreFiltered) {
  auto store = open();
  StoredReport tls = entry_of("x", 1h);
  tls.report = read_tlsrpt(support::tls_text).value();
  tls.report->domain = "other.example";
  ASSERT_TRUE(store.add(entry_of("r-1")));
  ASSERT_TRUE(store.add(tls));
  ASSERT_TRUE(store.add(unreadable("q1", 2h)));
  EXPECT_EQ(listed({"dmarc", "", {}}), Texts{"r-1"});
  EXPECT_EQ(listed({"", "other.example", {}}), Texts{"t-1"});
  EXPECT_EQ(listed({"unreadable", "", {}}), Texts{"XML is broken"});
  EXPECT_EQ(listed({"", "", start + 1h}), (Texts{"t-1", "XML is broken"}));
  EXPECT_EQ(list_reports(*disk_, "/nowhere", {}).value().size(), 0U);
}

TEST_F(ReportStoreTest, ATlsReportIsFoundByEachOfItsDomains) {
  auto store = open();
  StoredReport tls = entry_of("x");
  tls.mail_domain = "named.example";
  tls.report = read_tlsrpt(support::tls_text).value();
  auto &policies = std::get<ReceivedTls>(tls.report->content).policies;
  for (int i = 0; i < 150; ++i) {
    policies.push_back(policies.front());
    policies.back().domain = "d" + std::to_string(i) + ".example";
  }
  ASSERT_TRUE(store.add(tls));
  for (const char *domain : {"example.com", "named.example", "d0.example", "d149.example", "d99.example"})
    EXPECT_EQ(listed({"", domain, {}}), Texts{"t-1"}) << domain;
  EXPECT_EQ(listed({"", "other.example", {}}), Texts{});
  const auto summary = list_reports(*disk_, folder, {}).value().at(0).summary.value();
  EXPECT_EQ(summary.other_domains.size(), most_other_domains);
  EXPECT_EQ(find_report(*disk_, folder, summary.id).value(), tls);
}

TEST_F(ReportStoreTest, DamageHidesNoOther) {
  auto store = open();
  ASSERT_TRUE(store.add(entry_of("r-1", 0s)));
  ASSERT_TRUE(store.add(entry_of("r-2", 1s)));
  ASSERT_TRUE(store.add(entry_of("r-3", 2s)));
  auto files = disk_->files(".json");
  ASSERT_EQ(files.size(), 3U);
  std::sort(files.begin(), files.end());
  disk_->contents(files[1]).resize(40);
  disk_->put_file(folder + "/notes.txt", "not ours");
  disk_->put_file(folder + "/20269999T000000Z.dmarc.pass.0123456789abcdef.json", "no such day");
  const auto list = listed();
  ASSERT_EQ(list.size(), 3U);
  EXPECT_EQ(list[0], "r-1");
  EXPECT_EQ(list[1], "damaged: file is damaged: no JSON object");
  EXPECT_EQ(list[2], "r-3");
  // A summary that is whole does not vouch for the rows.
  auto &octets = disk_->contents(files[2]);
  const std::string_view count = "\"count\":3";
  const auto at = std::search(octets.begin(), octets.end(), count.begin(), count.end());
  ASSERT_NE(at, octets.end());
  *(at + 8) = '4';
  const auto found = find_report(*disk_, folder, id_of(entry_of("r-3")));
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().detail.find("its totals are not those of its rows"), std::string::npos);
}

TEST_F(ReportStoreTest, EveryCallThatFailsLeavesTheStoreAsItWas) {
  for (std::uint64_t call = 1; call <= 6; ++call) {
    for (const Fault fault : {Fault::io_error, Fault::no_space}) {
      disk_ = std::make_shared<SimulatedDisk>();
      auto store = open();
      ASSERT_TRUE(store.add(entry_of("r-1")));
      disk_->fail_at(call, fault);
      const auto added = store.add(entry_of("r-2", 1s));
      // open, write, sync, rename, sync of the folder
      EXPECT_EQ(added.has_value(), call > 5) << "call " << call;
      const Texts wanted = added ? Texts{"r-1", "r-2"} : Texts{"r-1"};
      EXPECT_EQ(store.size(), wanted.size());
      disk_->fail_at(1'000'000, Fault::none);
      EXPECT_EQ(listed(), wanted) << "call " << call;
      EXPECT_TRUE(store.add(entry_of("r-2", 1s))) << "call " << call << ": it works again";
      EXPECT_EQ(listed(), (Texts{"r-1", "r-2"}));
    }
  }
}

TEST_F(ReportStoreTest, PowerLostAtAnyCallLeavesWhatWasAcknowledged) {
  for (std::uint64_t call = 1; call <= 8; ++call) {
    disk_ = std::make_shared<SimulatedDisk>(call);
    bool acknowledged = false;
    {
      auto store = open();
      ASSERT_TRUE(store.add(entry_of("r-1")));
      disk_->fail_at(call, Fault::power_loss);
      acknowledged = store.add(entry_of("r-2", 1s)).has_value();
      disk_->cut_power();
    }
    disk_ = disk_->reboot();
    auto store = open();
    const Texts list = listed();
    EXPECT_EQ(std::count(list.begin(), list.end(), "r-1"), 1) << "call " << call;
    if (acknowledged) {
      EXPECT_EQ(std::count(list.begin(), list.end(), "r-2"), 1) << "call " << call;
    }
    for (const auto &one : list) EXPECT_TRUE(one == "r-1" || one == "r-2") << one;
    EXPECT_TRUE(disk_->files(".new").empty()) << "call " << call;
    EXPECT_TRUE(store.add(entry_of("r-2", 1s)));
    EXPECT_EQ(listed(), (Texts{"r-1", "r-2"})) << "call " << call;
  }
}

TEST(ReportStoreName, OnlyOursAreRead) {
  const ReportStore::Name name{start, "tlsrpt", true, "0123456789abcdef"};
  EXPECT_EQ(ReportStore::format_name(name), "20261122T030000Z.tlsrpt.pass.0123456789abcdef.json");
  EXPECT_EQ(ReportStore::parse_name(ReportStore::format_name(name)), name);
  for (const char *other :
       {"", "x", "20261122T030000Z.tlsrpt.pass.0123456789abcdef.json.new", "20261122T030000Z.tlsrpt.pass.0123.json",
        "20261122T030000Z.forensic.pass.0123456789abcdef.json", "20261122T250000Z.tlsrpt.pass.0123456789abcdef.json",
        "20261131T030000Z.tlsrpt.pass.0123456789abcdef.json", "20261122T030000Z.tlsrpt.fail.0123456789abcdef.json"})
    EXPECT_FALSE(ReportStore::parse_name(other)) << other;
}

} // namespace report_store_test
