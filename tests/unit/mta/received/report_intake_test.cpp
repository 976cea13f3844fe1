// ReportIntake: mail for the report addresses is answered as delivered whatever is in it, and as temporary only for
// trouble of ours.
#include "mta/received/report_intake.hpp"

#include <filesystem>
#include <fstream>
#include <future>
#include <span>
#include <thread>

#include <gtest/gtest.h>

#include "mta/received/own_results.hpp"
#include "mta/store/received_reports.hpp"
#include "tests/support/memory_log.hpp"
#include "tests/support/memory_spool.hpp"
#include "tests/support/report_texts.hpp"
#include "tests/support/temp_folder.hpp"

namespace report_intake_test {

using namespace mta;
using Kind = RecipientResult::Kind;
namespace fs = std::filesystem;

const WallTime now{std::chrono::sys_days(std::chrono::year(2026) / 11 / 22)};

class ReportIntakeTest : public testing::Test {
protected:
  void SetUp() override {
    config_->server.hostname = "mx.example.com";
    config_->authentication.authserv_id = "mx.example.com";
    config_->spool.path = folder_.path().string();
    config_->received_reports.recipients.push_back(smtp::Mailbox::parse("rua@example.com").value());
    const auto snapshot = Snapshot::build(config_, std::make_shared<tls::TicketKeys>());
    ASSERT_TRUE(snapshot) << snapshot.error().detail;
    snapshot_.set(*snapshot);
    open_store();
    intake_ = std::make_unique<ReportIntake>(services(spool_));
  }

  void open_store() {
    store::StoreOptions options;
    options.folder = store::store_folder(config_->spool.path);
    auto opened = store::Store::open(std::move(options));
    ASSERT_TRUE(opened) << opened.error().detail;
    store_ = std::move(*opened);
  }
  [[nodiscard]] ReportIntake::Services services(Spool &spool) {
    return {snapshot_, spool, log_, [] { return now; }, *store_};
  }
  [[nodiscard]] Job job_of(const std::string &mail, const std::string &trace = "") {
    auto message = std::make_shared<QueuedMessage>();
    message->id = spool_.add(mail);
    message->envelope.arrival = now;
    message->envelope.trace = trace;
    message->recipients.push_back(RecipientState{smtp::Recipient{config_->received_reports.recipients[0], {}}});
    message->recipients.push_back(message->recipients[0]);
    Job job;
    job.number = 17;
    job.destination = "reports:";
    job.message = std::move(message);
    job.recipients = {0, 1};
    return job;
  }
  JobResult take(Job job) {
    std::promise<JobResult> promise;
    auto future = promise.get_future();
    intake_->take(std::move(job), [&promise](JobResult result) { promise.set_value(std::move(result)); });
    return future.get();
  }
  /// The kind that all recipients of the job got.
  Kind outcome(const std::string &mail, const std::string &trace = "") {
    last_ = take(job_of(mail, trace));
    EXPECT_EQ(last_.number, 17U);
    EXPECT_EQ(last_.destination, "reports:");
    EXPECT_FALSE(last_.destination_failed);
    EXPECT_EQ(last_.results.size(), 2U);
    EXPECT_EQ(last_.results[0].kind, last_.results[1].kind);
    EXPECT_EQ(last_.results[1].index, 1U);
    return last_.results[0].kind;
  }
  [[nodiscard]] std::vector<ReportSummary> stored() const {
    const auto list = store::list_reports(store_->reader(), {});
    EXPECT_TRUE(list) << list.error().detail;
    return list.value().reports;
  }

  const std::string good_ = support::mail_with("Content-Type: text/xml", support::dmarc_text(support::one_record));
  test::TempFolder folder_;
  std::shared_ptr<Config> config_ = std::make_shared<Config>();
  CurrentSnapshot snapshot_;
  support::MemorySpool spool_;
  support::MemoryLog log_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<ReportIntake> intake_;
  JobResult last_;
};

TEST_F(ReportIntakeTest, AReportIsStoredOnceAndACopyIsDeliveredToo) {
  const std::string trace = "Authentication-Results: mx.example.com;\r\n\tdkim=pass header.d=example.net;\r\n"
                            "\tdmarc=pass header.from=example.net\r\nReceived: from x by mx.example.com\r\n";
  EXPECT_EQ(outcome(good_, trace), Kind::delivered);
  EXPECT_EQ(outcome(good_, trace), Kind::delivered);
  const auto list = stored();
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].report_id, "r-1");
  EXPECT_EQ(list[0].totals.good, 3U);
  EXPECT_EQ(list[0].authenticated, "dmarc=pass example.net");
  EXPECT_EQ(list[0].received, std::chrono::floor<std::chrono::seconds>(now));
  EXPECT_EQ(log_.count({"event=report_received", "result=stored", "kind=dmarc", "report_id=r-1", "good=3"}), 1U);
  EXPECT_EQ(log_.count({"event=report_received", "result=duplicate"}), 1U);
}

TEST_F(ReportIntakeTest, WhatHoldsNoReportIsKeptWithItsReasonAndNeverBounces) {
  EXPECT_EQ(outcome("From: a@example.net\r\n\r\nhello\r\n"), Kind::delivered);
  EXPECT_EQ(outcome(support::mail_with("Content-Type: text/xml", "<feedback>")), Kind::delivered);
  EXPECT_EQ(outcome(""), Kind::delivered);
  const auto list = stored();
  ASSERT_EQ(list.size(), 3U);
  for (const auto &one : list) EXPECT_EQ(one.kind, "unreadable");
  EXPECT_EQ(log_.count({"event=report_received", "result=unreadable", "reason=\"no part of the message is a report\""}),
            2U);
  EXPECT_EQ(log_.count({"event=report_received", "result=unreadable", "XML is broken"}), 1U);
}

TEST_F(ReportIntakeTest, ABombIsKeptAsUnreadable) {
  const std::string bomb = support::pack_gzip("<feedback>" + std::string(8U << 20U, ' '));
  EXPECT_EQ(outcome(support::mail_with("Content-Type: application/gzip\r\nContent-Transfer-Encoding: base64",
                                       support::base64(bomb))),
            Kind::delivered);
  const auto list = stored();
  ASSERT_EQ(list.size(), 1U);
  EXPECT_NE(list[0].problem.find("more than 250 times"), std::string::npos) << list[0].problem;
}

TEST_F(ReportIntakeTest, SeveralReportsAndABrokenOne) {
  const std::string next = "\r\n--b 1\r\nContent-Type: text/xml\r\n\r\n";
  EXPECT_EQ(outcome(support::mail_with("Content-Type: text/xml",
                                       support::dmarc_text(support::one_record, "r-1") + next +
                                           support::dmarc_text(support::one_record, "r-2") + next + "<feedback>")),
            Kind::delivered);
  EXPECT_EQ(stored().size(), 2U);
  EXPECT_EQ(log_.count({"event=report_received", "result=incomplete", "XML is broken"}), 1U);
}

/// A message that takes seconds to read.
class SlowSpool final : public support::MemorySpool {
public:
  smtp::Result<std::unique_ptr<BodyReader>> read_body(QueueId) override { return std::make_unique<Slow>(begun); }
  std::promise<void> begun;

private:
  struct Slow final : BodyReader {
    explicit Slow(std::promise<void> &given) : begun(given) {}
    [[nodiscard]] std::uint64_t size() const noexcept override { return 3'000; }
    [[nodiscard]] bool is_whole() const noexcept override { return true; }
    smtp::Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
      if (offset == 0) begun.set_value();
      if (offset == size()) return std::size_t{0};
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      into[0] = '\n';
      return std::size_t{1};
    }
    std::promise<void> &begun;
  };
};

TEST_F(ReportIntakeTest, ShuttingDownDoesNotWaitForTheMessageAtHand) {
  SlowSpool slow;
  ReportIntake intake(services(slow));
  std::promise<JobResult> promise;
  intake.take(job_of(good_), [&promise](JobResult result) { promise.set_value(std::move(result)); });
  slow.begun.get_future().wait();
  intake.shut_down();
  EXPECT_EQ(promise.get_future().get().results[0].kind, Kind::temporary);
  EXPECT_TRUE(stored().empty());
}

TEST_F(ReportIntakeTest, TheMailNamesADomainToo) {
  const std::string mail = support::mail_with("Content-Type: application/tlsrpt+json", support::tls_text);
  EXPECT_EQ(outcome("TLS-Report-Domain: Named.example\r\n" + mail), Kind::delivered);
  ASSERT_EQ(stored().size(), 1U);
  EXPECT_EQ(stored()[0].other_domains, std::vector<std::string>{"named.example"});
  EXPECT_EQ(outcome(support::mail_with("Content-Type: text/xml", support::dmarc_text(support::one_record))),
            Kind::delivered);
  ASSERT_EQ(stored().size(), 2U);
  EXPECT_EQ(stored()[0].kind, "dmarc");
  EXPECT_EQ(stored()[0].other_domains, std::vector<std::string>{}) << "its subject names the same domain";
}

TEST_F(ReportIntakeTest, TroubleOfOursIsTemporary) {
  spool_.fail(support::MemorySpool::Step::read, smtp::Error{smtp::ErrorCode::io, "checksum"});
  EXPECT_EQ(outcome(good_), Kind::temporary);
  EXPECT_EQ(last_.results[0].cause, FailureCause::local);
  spool_.repair(support::MemorySpool::Step::read);
  EXPECT_EQ(outcome(good_), Kind::delivered);
}

TEST_F(ReportIntakeTest, AStoreThatCannotBeMadeIsTemporaryAndTriedAgain) {
  intake_.reset();
  store_.reset();
  const auto place = folder_.path() / "state";
  fs::remove_all(place);
  std::ofstream(place) << "a file is in the way";
  open_store();
  intake_ = std::make_unique<ReportIntake>(services(spool_));
  EXPECT_EQ(outcome(good_), Kind::temporary);
  EXPECT_EQ(outcome("no report"), Kind::temporary);
  EXPECT_EQ(log_.count({"event=report_received", "result=deferred"}), 2U);
  fs::remove(place);
  EXPECT_EQ(outcome(good_), Kind::delivered);
  EXPECT_EQ(stored().size(), 1U);
}

TEST_F(ReportIntakeTest, JobsAfterShutDownAreTemporary) {
  intake_->shut_down();
  EXPECT_EQ(outcome(good_), Kind::temporary);
}

TEST(DescribeOwnResults, OursAlone) {
  const std::string forged = "Authentication-Results: other.example; dmarc=pass header.from=example.net\r\n";
  EXPECT_EQ(describe_own_results(forged, "mx.example.com"), "");
  EXPECT_EQ(describe_own_results("", "mx.example.com"), "");
  EXPECT_EQ(
      describe_own_results(forged + "Authentication-Results: MX.example.com; dmarc=fail header.from=example.net\r\n",
                           "mx.example.com"),
      "dmarc=fail example.net");
  EXPECT_EQ(describe_own_results("Authentication-Results: mx.example.com; spf=pass smtp.mailfrom=a@example.net;\r\n"
                                 " dkim=fail header.d=x.example; dkim=pass header.d=example.net\r\n",
                                 "mx.example.com"),
            "dkim=pass example.net");
  EXPECT_EQ(describe_own_results("Authentication-Results: mx.example.com; spf=pass smtp.mailfrom=a@example.net\r\n",
                                 "mx.example.com"),
            "spf=pass example.net");
}

} // namespace report_intake_test
