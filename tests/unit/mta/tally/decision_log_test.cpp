// DecisionLog: each note comes back with its decision, each text is stored once a day, and what cannot be read is told.
#include "mta/tally/decision_log.hpp"

#include <gtest/gtest.h>

#include "tests/support/dmarc_rows.hpp"
#include "tests/support/memory_log.hpp"

namespace decision_log_test {

using namespace mta;
using namespace std::chrono_literals;

const UtcDay the_day = support::day("2026-11-20");
const auto noon = std::chrono::system_clock::time_point(the_day) + 12h;

std::shared_ptr<const std::string> text(std::string octets) {
  return std::make_shared<const std::string>(std::move(octets));
}

class DecisionLogTest : public testing::Test {
protected:
  DecisionLogTest() { open(); }
  void open(std::size_t pending_limit = 100'000, std::size_t text_limit = 100'000,
            std::uint64_t day_limit = 268'435'456) {
    log_of_decisions_.reset();
    DecisionLogOptions options;
    options.folder = folder_.file("tally");
    options.flush_interval = 1h;
    options.pending_limit = pending_limit;
    options.text_limit = text_limit;
    options.day_limit = day_limit;
    auto opened = DecisionLog::open(options, log_);
    ASSERT_TRUE(opened) << opened.error().detail;
    log_of_decisions_ = std::move(*opened);
  }
  static DecisionNote note(std::uint64_t id, std::shared_ptr<const std::string> decision,
                           std::chrono::system_clock::time_point time = noon) {
    DecisionNote made;
    made.id = id;
    made.time = time;
    made.domain = "example.gov.uk";
    made.host = "mx1.example.gov.uk";
    made.address = "192.0.2.1";
    made.decision = std::move(decision);
    made.verdict = policy::VerdictKind::wrong_name;
    made.reason = "the certificate is for a, not for b";
    made.result = "temporary";
    made.reply = "451 4.7.5 later";
    made.certificate = "a.example";
    made.chain_digest = std::string(64, 'd');
    made.observed = policy::VerdictKind::outside_profile;
    made.observed_reason = "TLSv1.2 is outside profile mozilla-modern";
    return made;
  }
  std::vector<RecordedDecision> find(std::uint64_t id) {
    EXPECT_TRUE(log_of_decisions_->flush());
    auto found = find_decisions(decision_files(folder_.file("tally")), id);
    EXPECT_TRUE(found);
    return std::move(*found);
  }
  std::string file() const { return decision_files(folder_.file("tally")).rows_file(the_day); }

  test::TempFolder folder_;
  support::MemoryLog log_;
  std::unique_ptr<DecisionLog> log_of_decisions_;
};

TEST_F(DecisionLogTest, a_note_comes_back_whole) {
  log_of_decisions_->note(note(7, text(R"({"level":"authenticated"})")));
  const auto found = find(7);
  ASSERT_EQ(found.size(), 1U);
  const DecisionNote &read = found[0].note;
  EXPECT_EQ(read.id, 7U);
  EXPECT_EQ(read.time, noon);
  EXPECT_EQ(read.domain, "example.gov.uk");
  EXPECT_EQ(read.host, "mx1.example.gov.uk");
  EXPECT_EQ(read.address, "192.0.2.1");
  EXPECT_EQ(read.verdict, policy::VerdictKind::wrong_name);
  EXPECT_EQ(read.reason, "the certificate is for a, not for b");
  EXPECT_EQ(read.result, "temporary");
  EXPECT_EQ(read.reply, "451 4.7.5 later");
  EXPECT_EQ(read.certificate, "a.example");
  EXPECT_EQ(read.chain_digest, std::string(64, 'd'));
  EXPECT_EQ(read.observed, policy::VerdictKind::outside_profile);
  EXPECT_EQ(read.observed_reason, "TLSv1.2 is outside profile mozilla-modern");
  EXPECT_TRUE(found[0].has_decision);
  EXPECT_EQ(found[0].decision, R"({"level":"authenticated"})");
  EXPECT_TRUE(find(8).empty());
  EXPECT_TRUE(find(6).empty());
}

TEST_F(DecisionLogTest, ids_of_all_64_bits_are_told_apart) {
  const std::uint64_t large = 0xFFFF'FFFF'0000'0001U;
  log_of_decisions_->note(note(large, nullptr));
  log_of_decisions_->note(note(1, nullptr));
  EXPECT_EQ(find(large).size(), 1U);
  EXPECT_EQ(find(1).size(), 1U);
  EXPECT_FALSE(find(1)[0].has_decision);
}

TEST_F(DecisionLogTest, the_attempts_of_all_days_are_found_the_newest_first) {
  log_of_decisions_->note(note(5, text("first"), noon));
  log_of_decisions_->note(note(5, text("second"), noon + 1h));
  log_of_decisions_->note(note(5, text("third"), noon + 24h));
  log_of_decisions_->note(note(900, text("other"), noon + 24h));
  log_of_decisions_->note(note(901, text("other"), noon + 72h));
  const auto found = find(5);
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].decision, "third");
  EXPECT_EQ(found[1].decision, "second");
  EXPECT_EQ(found[2].decision, "first");
}

TEST_F(DecisionLogTest, a_text_is_stored_once_a_day) {
  const std::string marker(2000, 'x');
  for (std::uint64_t id = 1; id <= 100; ++id) log_of_decisions_->note(note(id, text(marker)));
  EXPECT_EQ(find(100)[0].decision, marker);
  for (std::uint64_t id = 101; id <= 200; ++id) log_of_decisions_->note(note(id, text(marker)));
  EXPECT_EQ(find(200)[0].decision, marker);
  std::size_t count = 0;
  const std::string octets = support::read_all(file());
  for (std::size_t at = octets.find(marker); at != std::string::npos; at = octets.find(marker, at + 1)) ++count;
  EXPECT_EQ(count, 1U);
  EXPECT_LT(octets.size() / 200, 400U) << "a note is a short record";
}

TEST_F(DecisionLogTest, the_texts_of_a_day_are_bounded_and_their_notes_are_not) {
  struct Row {
    const char *name;
    std::size_t text_limit;
    std::uint64_t day_limit;
  };
  for (const Row &row : {Row{"by number", 3, 1'000'000}, Row{"by their octets, half of the day's", 100, 6'100}}) {
    SCOPED_TRACE(row.name);
    const auto day = noon + (row.text_limit == 3 ? 0h : 24h);
    open(100'000, row.text_limit, row.day_limit);
    const std::uint64_t first = row.text_limit * 1000;
    for (std::uint64_t id = 0; id < 6; ++id)
      log_of_decisions_->note(note(first + id, text(std::string(1000, static_cast<char>('a' + id))), day));
    for (std::uint64_t id = 0; id < 6; ++id) {
      const auto found = find(first + id);
      ASSERT_EQ(found.size(), 1U);
      EXPECT_TRUE(found[0].has_decision);
      EXPECT_EQ(found[0].decision.empty(), id >= 3) << id;
    }
    EXPECT_EQ(log_.count({"event=decision_log", "further decisions of the day", "3 texts with 3000 octets"}), 1U)
        << "told once a day";
    log_.lines.clear();
  }
}

TEST_F(DecisionLogTest, a_text_longer_than_a_record_is_stored_in_parts) {
  std::string whole;
  for (int i = 0; i < 30'000; ++i) whole += std::to_string(i) + ",";
  log_of_decisions_->note(note(1, text(whole)));
  EXPECT_EQ(find(1)[0].decision, whole);
}

TEST_F(DecisionLogTest, a_text_that_is_lost_is_told_from_none) {
  log_of_decisions_->note(note(1, text("to be lost")));
  ASSERT_EQ(find(1)[0].decision, "to be lost");
  std::string octets = support::read_all(file());
  octets[octets.find("to be lost")] = 'T';
  support::write_all(file(), octets);
  const auto found = find(1);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].has_decision);
  EXPECT_EQ(found[0].decision, "");
}

TEST_F(DecisionLogTest, a_restart_finds_the_texts_of_before) {
  log_of_decisions_->note(note(1, text("same")));
  open();
  log_of_decisions_->note(note(2, text("same")));
  EXPECT_EQ(find(1)[0].decision, "same");
  EXPECT_EQ(find(2)[0].decision, "same");
}

TEST_F(DecisionLogTest, over_the_limit_notes_are_dropped_and_counted) {
  open(3);
  for (std::uint64_t id = 1; id <= 5; ++id) log_of_decisions_->note(note(id, nullptr));
  EXPECT_EQ(log_of_decisions_->dropped(), 2U);
  EXPECT_EQ(find(3).size(), 1U);
  EXPECT_TRUE(find(4).empty());
}

TEST_F(DecisionLogTest, hostile_texts_are_cut) {
  auto made = note(1, text(std::string(3'000'000, 'z')));
  made.reply.assign(100'000, 'r');
  made.reason.assign(100'000, 'r');
  made.host.assign(100'000, 'h');
  log_of_decisions_->note(made);
  const auto found = find(1);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].note.reply.size(), 500U);
  EXPECT_EQ(found[0].note.host.size(), 255U);
  EXPECT_EQ(found[0].decision.size(), 1'048'576U);
}

// ---- by address

class AddressTest : public DecisionLogTest {
protected:
  static DecisionNote to(std::uint64_t id, const std::vector<std::string> &recipients,
                         std::chrono::system_clock::time_point time = noon) {
    DecisionNote made = note(id, text("{}"), time);
    made.sender = "<Ann@sender.example>";
    for (const auto &one : recipients) made.recipients.push_back({.address = one, .status = "delivered", .reply = {}});
    return made;
  }
  std::string ids(std::string_view address, std::chrono::system_clock::time_point since = {}, std::size_t most = 100) {
    EXPECT_TRUE(log_of_decisions_->flush());
    const auto found = find_attempts(decision_files(folder_.file("tally")), address, since, most);
    EXPECT_TRUE(found);
    std::string all;
    for (const auto &one : found->notes) all += std::to_string(one.id) + " ";
    return all + (found->is_cut ? "cut" : "");
  }
};

TEST_F(AddressTest, the_attempts_of_an_address_are_found_the_newest_first) {
  log_of_decisions_->note(to(1, {"bob@goal.example"}));
  log_of_decisions_->note(to(2, {"carol@goal.example", "Bob@Goal.example"}, noon + 1min));
  log_of_decisions_->note(to(3, {"carol@goal.example"}, noon + 2min));
  log_of_decisions_->note(to(4, {"bob@goal.example"}, noon + 24h));
  log_of_decisions_->note(note(5, nullptr));
  EXPECT_EQ(ids("bob@goal.example"), "4 2 1 ");
  EXPECT_EQ(ids("<BOB@goal.example>"), "4 2 1 ");
  EXPECT_EQ(ids("bob@goal.exampl"), "") << "not a part of one";
  EXPECT_EQ(ids("ann@sender.example"), "4 3 2 1 ") << "as the sender";
  EXPECT_EQ(ids("example.gov.uk"), "") << "a domain is not an address";
  EXPECT_EQ(ids("bob@goal.example", noon + 30s), "4 2 ");
  EXPECT_EQ(ids("bob@goal.example", noon + 36h), "");
  EXPECT_EQ(ids("bob@goal.example", {}, 2), "4 2 cut");
  EXPECT_EQ(ids("ann@sender.example", {}, 3), "4 3 2 cut");
  EXPECT_EQ(ids("ann@sender.example", {}, 4), "4 3 2 1 ");
}

TEST_F(AddressTest, a_recipient_comes_back_whole) {
  auto made = to(7, {"bob@goal.example"});
  made.recipients.push_back({.address = "gone@goal.example", .status = "failed", .reply = "550 5.1.1 gone"});
  log_of_decisions_->note(made);
  const auto found = find(7);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].note.sender, "<Ann@sender.example>");
  ASSERT_EQ(found[0].note.recipients.size(), 2U);
  EXPECT_EQ(found[0].note.recipients[1].address, "gone@goal.example");
  EXPECT_EQ(found[0].note.recipients[1].status, "failed");
  EXPECT_EQ(found[0].note.recipients[1].reply, "550 5.1.1 gone");
  EXPECT_EQ(found[0].note.recipients_left_out, 0U);
}

TEST_F(AddressTest, a_row_holds_as_many_recipients_as_have_room) {
  std::vector<std::string> many;
  for (int i = 0; i < 5000; ++i) many.push_back("someone" + std::to_string(i) + "@goal.example");
  auto made = to(8, many);
  for (auto &one : made.recipients) one.reply.assign(10'000, 'r');
  log_of_decisions_->note(made);
  log_of_decisions_->note(to(9, many));
  for (const std::uint64_t id : {8, 9}) {
    const auto found = find(id);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_GT(found[0].note.recipients.size(), id == 8 ? 100U : 900U);
    EXPECT_EQ(found[0].note.recipients.size() + found[0].note.recipients_left_out, 5000U);
  }
  EXPECT_EQ(log_of_decisions_->dropped(), 0U);
}

} // namespace decision_log_test
