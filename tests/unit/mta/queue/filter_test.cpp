// QueueFilter: which messages an operator means.
#include "mta/queue/filter.hpp"

#include <ostream>

#include <gtest/gtest.h>

namespace filter_test {

using namespace mta;
using namespace std::chrono_literals;

const WallTime now{std::chrono::hours(500'000)};

/// From alice@example.org, an hour old, to bob@mx.example.net (TLS trouble) and done@example.com (delivered).
QueuedMessage sample() {
  QueuedMessage message;
  message.id = {42};
  message.envelope.sender.path = smtp::ReversePath(smtp::Mailbox::parse("alice@example.org").value());
  message.envelope.arrival = now - 1h;
  RecipientState bob{smtp::Recipient{smtp::Mailbox::parse("bob@mx.example.net").value(), {}}};
  bob.cause = FailureCause::tls;
  bob.last_reply = {454, smtp::EnhancedCode{4, 7, 0}, "TLS not available"};
  bob.detail = "Wanted authenticated, got clear text";
  RecipientState other{smtp::Recipient{smtp::Mailbox::parse("c@other.example").value(), {}}};
  RecipientState done{smtp::Recipient{smtp::Mailbox::parse("done@example.com").value(), {}}};
  done.status = RecipientStatus::delivered;
  message.recipients = {bob, other, done};
  return message;
}

struct Row {
  std::string name;
  QueueFilter filter;
  bool matches = true;
  friend std::ostream &operator<<(std::ostream &out, const Row &row) { return out << row.name; }
};

class FilterTest : public testing::TestWithParam<Row> {};

TEST_P(FilterTest, decides) {
  EXPECT_EQ(matches(GetParam().filter, sample(), now), GetParam().matches);
}

QueueFilter domain(std::string text) {
  QueueFilter filter;
  filter.recipient_domain = std::move(text);
  return filter;
}
QueueFilter recipient(std::string text) {
  QueueFilter filter;
  filter.recipient = std::move(text);
  return filter;
}
QueueFilter sender(std::string text) {
  QueueFilter filter;
  filter.sender = std::move(text);
  return filter;
}
QueueFilter reason(std::string text) {
  QueueFilter filter;
  filter.reason = std::move(text);
  return filter;
}
QueueFilter id(std::uint64_t value) {
  QueueFilter filter;
  filter.id = QueueId{value};
  return filter;
}
QueueFilter older(std::chrono::seconds age) {
  QueueFilter filter;
  filter.older_than = age;
  return filter;
}
QueueFilter held(bool value) {
  QueueFilter filter;
  filter.held = value;
  return filter;
}
QueueFilter domain_and_reason(std::string name, std::string text) {
  QueueFilter filter = domain(std::move(name));
  filter.reason = std::move(text);
  return filter;
}

INSTANTIATE_TEST_SUITE_P(
    Rows, FilterTest,
    testing::Values(Row{"an empty filter takes everything", {}, true}, Row{"its id", id(42), true},
                    Row{"another id", id(43), false}, Row{"its domain", domain("mx.example.net"), true},
                    Row{"its domain in capitals", domain("MX.Example.NET"), true},
                    Row{"its recipient", recipient("BOB@mx.example.net"), true},
                    Row{"another recipient of its domain", recipient("rob@mx.example.net"), false},
                    Row{"a recipient that has it", recipient("done@example.com"), false},
                    Row{"the domain above it", domain("example.net"), false},
                    Row{"the wildcard above it", domain("*.example.net"), true},
                    Row{"the wildcard of its own name", domain("*.mx.example.net"), false},
                    Row{"a wildcard that only ends alike", domain("*.ample.net"), false},
                    Row{"a domain already delivered to", domain("example.com"), false},
                    Row{"the sender's mailbox", sender("Alice@Example.org"), true},
                    Row{"the sender's mailbox in brackets", sender("<alice@example.org>"), true},
                    Row{"the sender's domain", sender("example.org"), true},
                    Row{"another sender", sender("bob@example.org"), false},
                    Row{"another sender's domain", sender("example.com"), false},
                    Row{"the null sender", sender("<>"), false}, Row{"as old as it is", older(1h), true},
                    Row{"older than it is", older(1h + 1s), false}, Row{"the cause", reason("tls"), true},
                    Row{"a part of the detail without case", reason("wanted AUTH"), true},
                    Row{"a part of the reply with its code", reason("454 4.7.0"), true},
                    Row{"a reason it has not", reason("greylisted"), false}, Row{"not held", held(false), true},
                    Row{"held", held(true), false},
                    Row{"domain and reason of one recipient", domain_and_reason("mx.example.net", "tls"), true},
                    Row{"domain and reason of two recipients", domain_and_reason("other.example", "tls"), false}));

TEST(FilterTest, null_senders_and_reasons_of_holds_match) {
  QueuedMessage message = sample();
  message.envelope.sender.path = smtp::ReversePath();
  message.held = true;
  message.hold_reason = "Looks like spam";
  EXPECT_TRUE(matches(sender("<>"), message, now));
  EXPECT_FALSE(matches(sender("example.org"), message, now));
  EXPECT_TRUE(matches(reason("spam"), message, now));
  EXPECT_TRUE(matches(held(true), message, now));
}

} // namespace filter_test
