// Notifier: who is told, what the notice holds, and that it is durable before it counts.
#include "mta/report/notifier.hpp"

#include <ostream>

#include <gtest/gtest.h>

#include "tests/support/memory_log.hpp"
#include "tests/support/memory_spool.hpp"

namespace notifier_test {

using namespace mta;
using namespace std::chrono_literals;
using Kind = NotificationRequest::Kind;

const WallTime now{std::chrono::hours(500'000)};
const std::string header = "From: alice@example.org\r\nSubject: Greetings\r\nMessage-ID: <m1@example.org>\r\n\r\n";
const std::string body = "the secret body\r\n";

class NotifierTest : public testing::Test {
protected:
  void SetUp() override {
    config_->server.hostname = "mail.example.com";
    config_->queue.bounce_full_limit = 10'000;
    auto domain = smtp::DomainPattern::parse("partner.example");
    policy::Partner partner;
    partner.name = "Partner";
    partner.domains.push_back(domain.value());
    partner.contact = "security@partner.example";
    config_->partners = policy::PartnerTable::build({partner}).value();
    const auto snapshot = Snapshot::build(config_, std::make_shared<tls::TicketKeys>());
    ASSERT_TRUE(snapshot) << snapshot.error().detail;
    snapshot_.set(*snapshot);
    notifier_ = std::make_unique<Notifier>(Notifier::Services{
        .snapshot = snapshot_,
        .spool = spool_,
        .log = log_,
        .submit = [this](std::shared_ptr<QueuedMessage> message) { submitted_.push_back(std::move(message)); },
        .now = [] { return now; }});
    message_->id = {7};
    message_->envelope.sender.path = smtp::ReversePath(smtp::Mailbox::parse("alice@example.org").value());
    message_->envelope.sender.parameters.envid = "QQ314159";
    message_->envelope.arrival = now - 120h;
    message_->envelope.standing = SenderStanding::passed;
    message_->envelope.trace = "Received: from client by mail.example.com\r\n";
    message_->envelope.header_size = header.size();
    message_->envelope.body_size = header.size() + body.size();
    message_->expires = now + 1h;
    for (const char *address : {"bob@partner.example", "carol@example.net"}) {
      RecipientState state{smtp::Recipient{smtp::Mailbox::parse(address).value(), {}}};
      state.cause = FailureCause::tls;
      state.last_reply = {451, smtp::EnhancedCode{4, 7, 5}, "ours"};
      state.last_host = "mx1.partner.example[192.0.2.5]";
      state.detail = "wanted authenticated, got clear text";
      state.attempts = 3;
      state.last_attempt = now - 1min;
      message_->recipients.push_back(state);
    }
    spool_.put({7}, "", header + body);
  }
  void notify(Kind kind, std::vector<std::size_t> recipients = {0, 1}) {
    stored_.reset();
    notifier_->notify({.kind = kind, .message = message_, .recipients = std::move(recipients)},
                      [this](bool ok) { stored_ = ok; });
  }
  [[nodiscard]] std::string notice() const {
    return submitted_.empty() ? std::string() : spool_.stored(submitted_.front()->id.value).body;
  }
  static bool has(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

  std::shared_ptr<Config> config_ = std::make_shared<Config>();
  CurrentSnapshot snapshot_;
  support::MemorySpool spool_;
  support::MemoryLog log_;
  std::vector<std::shared_ptr<QueuedMessage>> submitted_;
  std::shared_ptr<QueuedMessage> message_ = std::make_shared<QueuedMessage>();
  std::unique_ptr<Notifier> notifier_;
  std::optional<bool> stored_;
};

TEST_F(NotifierTest, a_failure_becomes_mail_from_nobody_to_the_sender) {
  notify(Kind::failure);
  EXPECT_EQ(stored_, true);
  ASSERT_EQ(submitted_.size(), 1U);
  const QueuedMessage &sent = *submitted_[0];
  EXPECT_TRUE(sent.envelope.sender.path.is_null());
  EXPECT_TRUE(sent.envelope.is_notification);
  ASSERT_EQ(sent.recipients.size(), 1U);
  EXPECT_EQ(sent.recipients[0].recipient.mailbox.to_string(), "alice@example.org");
  EXPECT_TRUE(sent.recipients[0].recipient.parameters.notify.never);
  EXPECT_EQ(sent.expires, now + 120h);
  const auto stored = spool_.stored(sent.id.value);
  const auto recovered = decode_message(sent.id, stored.envelope, "");
  ASSERT_TRUE(recovered) << recovered.error().detail;
  EXPECT_EQ(*recovered, sent) << "what a restart finds is what was submitted";
  EXPECT_EQ(sent.envelope.body_size, stored.body.size());
  const std::string head = stored.body.substr(0, sent.envelope.header_size);
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
  EXPECT_TRUE(has(head, "To: <alice@example.org>"));
  EXPECT_TRUE(has(head, "mailer-daemon@mail.example.com"));
  EXPECT_EQ(log_.count({"event=bounce ", "kind=failure", "to=alice@example.org"}), 1U);
}

TEST_F(NotifierTest, the_notice_tells_a_person_and_a_program_what_happened) {
  notify(Kind::failure);
  const std::string text = notice();
  EXPECT_TRUE(has(text, "report-type=delivery-status"));
  EXPECT_TRUE(has(text, "Original-Envelope-Id: QQ314159"));
  EXPECT_TRUE(has(text, "Final-Recipient: rfc822; bob@partner.example"));
  EXPECT_TRUE(has(text, "Final-Recipient: rfc822; carol@example.net"));
  EXPECT_TRUE(has(text, "Action: failed"));
  EXPECT_TRUE(has(text, "Status: 5.7.5"));
  EXPECT_TRUE(has(text, "security@partner.example")) << "the partner's contact";
  EXPECT_TRUE(has(text, "postmaster@example.net")) << "everyone else has a postmaster";
  EXPECT_TRUE(has(text, "Subject: Greetings"));
  EXPECT_TRUE(has(text, "Received: from client by mail.example.com"));
  EXPECT_FALSE(has(text, "the secret body")) << "only the header section goes back";
  EXPECT_FALSE(has(text, "Diagnostic-Code")) << "no other server said this";
}

TEST_F(NotifierTest, a_remote_reply_is_quoted) {
  message_->recipients[0].cause = FailureCause::reply;
  message_->recipients[0].last_reply = {550, smtp::EnhancedCode{5, 1, 1}, "no such user"};
  notify(Kind::failure, {0});
  EXPECT_TRUE(has(notice(), "Diagnostic-Code: smtp; 550 5.1.1 no such user"));
  EXPECT_TRUE(has(notice(), "Status: 5.1.1"));
  EXPECT_FALSE(has(notice(), "carol@example.net")) << "only those asked for";
}

TEST_F(NotifierTest, delays_that_find_no_room_are_put_off_in_one_line) {
  using Step = support::MemorySpool::Step;
  for (const Step step : {Step::begin, Step::append, Step::commit}) {
    spool_.fail(step, smtp::Error{smtp::ErrorCode::full, "the queue holds 10 messages, limit is 10"});
    for (int i = 0; i < 100; ++i) {
      notify(Kind::delay);
      EXPECT_EQ(stored_, false) << "it is asked for again";
    }
    spool_.repair(step);
  }
  EXPECT_EQ(log_.lines.size(), 1U);
  EXPECT_EQ(log_.count({"event=delay_notices_put_off ", "limit is 10"}), 1U);
  // Another trouble is an error of each, and so is a failure that finds no room.
  spool_.fail(Step::begin, smtp::Error{smtp::ErrorCode::io, "broken"});
  notify(Kind::delay);
  spool_.fail(Step::begin, smtp::Error{smtp::ErrorCode::full, "full"});
  notify(Kind::failure);
  EXPECT_EQ(log_.count({"event=bounce_failed "}), 2U);
  spool_.repair(Step::begin);
  notify(Kind::delay);
  EXPECT_EQ(stored_, true) << "there is room again";
  EXPECT_EQ(spool_.last_admission(), Admission::ordinary) << "the reserve is for what ends a message";
}

TEST_F(NotifierTest, a_delay_says_until_when_we_try) {
  notify(Kind::delay);
  EXPECT_TRUE(has(notice(), "Action: delayed"));
  EXPECT_TRUE(has(notice(), "Will-Retry-Until:"));
}

TEST_F(NotifierTest, a_success_beyond_our_sight_is_relayed) {
  message_->recipients[0].recipient.parameters.notify = {.given = true, .success = true};
  notify(Kind::success, {0});
  EXPECT_TRUE(has(notice(), "Action: relayed"));
  EXPECT_TRUE(has(notice(), "Status: 2.0.0"));
}

struct ReturnRow {
  std::string name;
  smtp::DsnReturn ret = smtp::DsnReturn::unspecified;
  Kind kind = Kind::failure;
  std::uint64_t limit = 10'000;
  bool whole = false;
  friend std::ostream &operator<<(std::ostream &out, const ReturnRow &row) { return out << row.name; }
};

class ReturnTest : public NotifierTest, public testing::WithParamInterface<ReturnRow> {};

TEST_P(ReturnTest, returns_header_or_message) {
  config_->queue.bounce_full_limit = GetParam().limit;
  message_->envelope.sender.parameters.ret = GetParam().ret;
  notify(GetParam().kind);
  ASSERT_EQ(submitted_.size(), 1U);
  EXPECT_TRUE(has(notice(), "Subject: Greetings"));
  EXPECT_EQ(has(notice(), "the secret body"), GetParam().whole);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, ReturnTest,
    testing::Values(ReturnRow{"no RET: header"}, ReturnRow{"RET=HDRS: header", smtp::DsnReturn::headers},
                    ReturnRow{"RET=FULL: message", smtp::DsnReturn::full, Kind::failure, 10'000, true},
                    ReturnRow{"RET=FULL, message too large: header", smtp::DsnReturn::full, Kind::failure, 50},
                    ReturnRow{"RET=FULL is about failures only", smtp::DsnReturn::full, Kind::delay}));

struct WishRow {
  std::string name;
  Kind kind = Kind::failure;
  smtp::Notify notify;
  bool told = true;
  friend std::ostream &operator<<(std::ostream &out, const WishRow &row) { return out << row.name; }
};

class WishTest : public NotifierTest, public testing::WithParamInterface<WishRow> {};

TEST_P(WishTest, is_obeyed) {
  message_->recipients[0].recipient.parameters.notify = GetParam().notify;
  notify(GetParam().kind, {0});
  EXPECT_EQ(stored_, true);
  EXPECT_EQ(submitted_.size(), GetParam().told ? 1U : 0U);
  EXPECT_EQ(log_.count({"event=bounce_suppressed", "why=notify_parameter"}), GetParam().told ? 0U : 1U);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, WishTest,
    testing::Values(WishRow{"failure, nothing said", Kind::failure, {}, true},
                    WishRow{"failure, NEVER", Kind::failure, {.given = true, .never = true}, false},
                    WishRow{"failure, FAILURE", Kind::failure, {.given = true, .failure = true}, true},
                    WishRow{"failure, SUCCESS only", Kind::failure, {.given = true, .success = true}, false},
                    WishRow{"failure, DELAY only", Kind::failure, {.given = true, .delay = true}, false},
                    WishRow{"delay, nothing said", Kind::delay, {}, true},
                    WishRow{"delay, NEVER", Kind::delay, {.given = true, .never = true}, false},
                    WishRow{"delay, FAILURE only", Kind::delay, {.given = true, .failure = true}, false},
                    WishRow{"delay, DELAY", Kind::delay, {.given = true, .delay = true}, true},
                    WishRow{"success, nothing said", Kind::success, {}, false},
                    WishRow{"success, SUCCESS", Kind::success, {.given = true, .success = true}, true},
                    WishRow{"success, NEVER", Kind::success, {.given = true, .never = true}, false}));

TEST_F(NotifierTest, never_a_notice_about_mail_from_nobody) {
  message_->envelope.sender.path = smtp::ReversePath();
  notify(Kind::failure);
  EXPECT_EQ(stored_, true);
  EXPECT_TRUE(submitted_.empty()) << "no postmaster is configured";
  EXPECT_EQ(log_.count({"event=bounce_suppressed", "why=postmaster"}), 2U);
}

struct StandingRow {
  std::string name;
  SenderStanding standing = SenderStanding::passed;
  Kind kind = Kind::failure;
  bool told = true;
  std::string why{};
  bool failures_only = false;
  std::string fields{}; ///< in front of the message's own
  friend std::ostream &operator<<(std::ostream &out, const StandingRow &row) { return out << row.name; }
};

class StandingTest : public NotifierTest, public testing::WithParamInterface<StandingRow> {};

TEST_P(StandingTest, decides_who_is_told) {
  const StandingRow &row = GetParam();
  message_->envelope.standing = row.standing;
  message_->envelope.failures_only = row.failures_only;
  message_->recipients[0].recipient.parameters.notify = {
      .given = true, .success = true, .failure = true, .delay = true};
  spool_.put({7}, "", row.fields + header + body);
  message_->envelope.header_size = row.fields.size() + header.size();
  message_->envelope.body_size = message_->envelope.header_size + body.size();
  notify(row.kind, {0});
  EXPECT_EQ(stored_, true) << "what is not owed is settled";
  EXPECT_EQ(submitted_.size(), row.told ? 1U : 0U);
  const std::string event = row.why == "spf_fail" ? "event=backscatter_avoided" : "event=bounce_suppressed";
  if (!row.told) {
    EXPECT_EQ(log_.count({event, "why=" + row.why, "recipient=bob@partner.example"}), 1U);
  }
}

using Standing = SenderStanding;
INSTANTIATE_TEST_SUITE_P(
    Rows, StandingTest,
    testing::Values(StandingRow{"shown, failure", Standing::passed, Kind::failure},
                    StandingRow{"shown, delay", Standing::passed, Kind::delay},
                    StandingRow{"shown, success", Standing::passed, Kind::success},
                    StandingRow{"ours, failure", Standing::ours, Kind::failure},
                    StandingRow{"ours, delay", Standing::ours, Kind::delay},
                    StandingRow{"ours, success", Standing::ours, Kind::success},
                    StandingRow{"unknown, failure", Standing::unknown, Kind::failure},
                    StandingRow{"unknown, delay", Standing::unknown, Kind::delay, false, "sender_not_shown"},
                    StandingRow{"unknown, success", Standing::unknown, Kind::success, false, "sender_not_shown"},
                    StandingRow{"forged, failure", Standing::failed, Kind::failure, false, "spf_fail"},
                    StandingRow{"forged, delay", Standing::failed, Kind::delay, false, "spf_fail"},
                    StandingRow{"forged, success", Standing::failed, Kind::success, false, "spf_fail"},
                    StandingRow{"a listener without DSN, failure", Standing::passed, Kind::failure, true, "", true},
                    StandingRow{"a listener without DSN, delay", Standing::ours, Kind::delay, false,
                                "listener_without_dsn", true},
                    StandingRow{"a listener without DSN, success", Standing::ours, Kind::success, false,
                                "listener_without_dsn", true},
                    StandingRow{"an automatic answer, failure", Standing::passed, Kind::failure, true, "", false,
                                "Auto-Submitted: auto-replied\r\n"},
                    StandingRow{"an automatic answer, delay", Standing::passed, Kind::delay, false, "automatic_mail",
                                false, "Auto-Submitted: auto-replied\r\n"},
                    StandingRow{"said to be of a person, delay", Standing::passed, Kind::delay, true, "", false,
                                "AUTO-SUBMITTED: No (sent by hand)\r\n"},
                    StandingRow{"of a list by its id, delay", Standing::ours, Kind::delay, false, "automatic_mail",
                                false, "List-ID:\r\n <a.example>\r\n"},
                    StandingRow{"bulk, success", Standing::ours, Kind::success, false, "automatic_mail", false,
                                "Precedence: Bulk\r\n"},
                    StandingRow{"list, success", Standing::ours, Kind::success, false, "automatic_mail", false,
                                "precedence: list\r\n"},
                    StandingRow{"of some other precedence, delay", Standing::ours, Kind::delay, true, "", false,
                                "Precedence: special-delivery\r\n"}));

TEST_F(NotifierTest, a_failure_of_mail_from_nobody_is_told_to_the_postmaster) {
  config_->queue.postmaster = smtp::Mailbox::parse("mail-team@example.com").value();
  struct Row {
    std::string name;
    bool ours;   ///< a notice of ours, else a stranger's
    bool report; ///< a daily report of ours
    Kind kind;
    std::string recipient;
    bool told;
  };
  const std::vector<Row> rows = {
      {"a stranger's notice", false, false, Kind::failure, "bob@partner.example", true},
      {"one of ours", true, false, Kind::failure, "bob@partner.example", true},
      {"a report of ours", true, true, Kind::failure, "bob@partner.example", false},
      {"a delay", false, false, Kind::delay, "bob@partner.example", false},
      {"what could not be brought to the postmaster", true, false, Kind::failure, "mail-team@example.com", false},
  };
  for (const Row &row : rows) {
    SCOPED_TRACE(row.name);
    submitted_.clear();
    message_->envelope.sender.path = smtp::ReversePath();
    message_->envelope.standing = SenderStanding::unknown;
    message_->envelope.is_notification = row.ours;
    message_->envelope.is_report = row.report;
    message_->recipients[0].recipient.mailbox = smtp::Mailbox::parse(row.recipient).value();
    message_->recipients[0].recipient.parameters.notify = {.given = true, .never = true};
    notify(row.kind, {0});
    EXPECT_EQ(stored_, true);
    ASSERT_EQ(submitted_.size(), row.told ? 1U : 0U);
    if (!row.told) continue;
    EXPECT_EQ(submitted_[0]->recipients[0].recipient.mailbox.to_string(), "mail-team@example.com");
    EXPECT_TRUE(submitted_[0]->envelope.sender.path.is_null());
    EXPECT_TRUE(has(notice(), "from the null sender <>"));
    EXPECT_TRUE(has(notice(), "Subject: Mail without a sender could not be delivered"));
    EXPECT_TRUE(has(notice(), "Final-Recipient: rfc822; bob@partner.example"));
  }
}

TEST_F(NotifierTest, the_postmaster_is_told_so_often_in_an_hour_and_no_more) {
  config_->queue.postmaster = smtp::Mailbox::parse("mail-team@example.com").value();
  message_->envelope.sender.path = smtp::ReversePath();
  for (std::size_t i = 0; i < Notifier::postmaster_limit + 5; ++i) notify(Kind::failure, {0});
  EXPECT_EQ(submitted_.size(), Notifier::postmaster_limit);
  EXPECT_EQ(log_.count({"event=bounce_suppressed", "why=postmaster_limit"}), 5U);
}

TEST_F(NotifierTest, only_those_who_want_it_are_in_the_notice) {
  message_->recipients[1].recipient.parameters.notify = {.given = true, .never = true};
  notify(Kind::failure);
  EXPECT_TRUE(has(notice(), "bob@partner.example"));
  EXPECT_FALSE(has(notice(), "carol@example.net"));
}

TEST_F(NotifierTest, stored_comes_after_the_commit) {
  spool_.hold_commits();
  notify(Kind::failure);
  EXPECT_FALSE(stored_);
  EXPECT_TRUE(submitted_.empty());
  spool_.release();
  EXPECT_EQ(stored_, true);
  EXPECT_EQ(submitted_.size(), 1U);
}

TEST_F(NotifierTest, every_failure_of_the_spool_is_said_and_nothing_is_submitted) {
  const smtp::Error error{smtp::ErrorCode::io, "broken disk"};
  using Step = support::MemorySpool::Step;
  for (const Step step : {Step::begin, Step::append, Step::commit}) {
    spool_.fail(step, error);
    log_.lines.clear();
    notify(Kind::failure);
    EXPECT_EQ(stored_, false);
    EXPECT_TRUE(submitted_.empty());
    EXPECT_EQ(log_.count({"event=bounce_failed", "broken disk"}), 1U);
    spool_.repair(step);
  }
  notify(Kind::failure);
  EXPECT_EQ(stored_, true);
}

TEST_F(NotifierTest, a_message_that_can_no_longer_be_read_is_told_of_all_the_same) {
  message_->envelope.sender.parameters.ret = smtp::DsnReturn::full;
  spool_.fail(support::MemorySpool::Step::read, smtp::Error{smtp::ErrorCode::io, "broken disk"});
  notify(Kind::failure);
  spool_.repair(support::MemorySpool::Step::read);
  EXPECT_EQ(stored_, true);
  EXPECT_TRUE(has(notice(), "Final-Recipient: rfc822; bob@partner.example"));
  EXPECT_TRUE(has(notice(), "Comments: the header of this message can no longer be read"));
  EXPECT_EQ(log_.count({"event=bounce ", "without the message's header: broken disk"}), 1U);
  submitted_.clear();
  spool_.break_reading_at(message_->envelope.header_size); // the rest of it is lost
  notify(Kind::failure);
  EXPECT_EQ(stored_, true);
  EXPECT_TRUE(has(notice(), "Subject: Greetings"));
  EXPECT_FALSE(has(notice(), "the secret body"));
}

TEST_F(NotifierTest, an_international_message_makes_an_international_notice) {
  message_->envelope.needs_smtputf8 = true;
  message_->envelope.sender.path = smtp::ReversePath(smtp::Mailbox::parse("\xc3\xa4lice@example.org").value());
  spool_.put({7}, "",
             "Subject: Gr\xc3\xbc\xc3\x9f"
             "e\r\n\r\nbody");
  message_->envelope.header_size = 19;
  notify(Kind::failure);
  ASSERT_EQ(submitted_.size(), 1U);
  EXPECT_TRUE(submitted_[0]->envelope.needs_smtputf8);
  EXPECT_TRUE(submitted_[0]->envelope.sender.parameters.smtputf8);
  EXPECT_EQ(submitted_[0]->envelope.sender.parameters.body, smtp::BodyType::eight_bit_mime);
  EXPECT_TRUE(has(notice(), "message/global-headers"));
}

TEST_F(NotifierTest, a_notice_of_mail_with_requiretls_says_it_too_and_returns_headers_only) {
  // RFC 8689 section 5
  struct Row {
    std::string name;
    bool requiretls;
    smtp::DsnReturn ret;
    Kind kind;
    bool whole;
  };
  const std::vector<Row> rows = {
      {"RET=FULL is obeyed without REQUIRETLS", false, smtp::DsnReturn::full, Kind::failure, true},
      {"RET=FULL is disregarded with REQUIRETLS", true, smtp::DsnReturn::full, Kind::failure, false},
      {"RET=HDRS is obeyed with REQUIRETLS", true, smtp::DsnReturn::headers, Kind::failure, false},
      {"without RET REQUIRETLS means headers", true, smtp::DsnReturn::unspecified, Kind::failure, false},
      {"a notice of delay is protected too", true, smtp::DsnReturn::full, Kind::delay, false},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    submitted_.clear();
    message_->envelope.sender.parameters.requiretls = row.requiretls;
    message_->envelope.sender.parameters.ret = row.ret;
    notify(row.kind);
    ASSERT_EQ(submitted_.size(), 1U);
    const auto &sent = submitted_[0]->envelope;
    EXPECT_TRUE(sent.sender.path.is_null());
    EXPECT_EQ(sent.sender.parameters.requiretls, row.requiretls);
    EXPECT_EQ(has(notice(), body), row.whole);
    EXPECT_TRUE(has(notice(), "Subject: Greetings"));
    const auto stored = spool_.stored(submitted_[0]->id.value);
    const auto recovered = decode_message(submitted_[0]->id, stored.envelope, "");
    ASSERT_TRUE(recovered) << recovered.error().detail;
    EXPECT_EQ(recovered->envelope.sender.parameters.requiretls, row.requiretls) << "a restart knows it too";
  }
}

TEST_F(NotifierTest, a_notice_of_mail_for_which_tls_is_optional_says_so_too) {
  // RFC 8689 section 6
  for (const bool optional : {false, true}) {
    submitted_.clear();
    message_->envelope.tls_optional = optional;
    notify(Kind::failure);
    ASSERT_EQ(submitted_.size(), 1U);
    EXPECT_EQ(submitted_[0]->envelope.tls_optional, optional);
    EXPECT_EQ(has(notice().substr(0, submitted_[0]->envelope.header_size), "\r\nTLS-Required: No\r\n"), optional);
  }
}

} // namespace notifier_test
