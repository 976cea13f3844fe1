// Notice text: each cause in its own plain sentence, and the right status code.
#include "mta/report/notice_text.hpp"

#include <ostream>

#include <gtest/gtest.h>

namespace notice_text_test {

using namespace mta;
using namespace std::chrono_literals;
using Kind = NotificationRequest::Kind;

struct Row {
  std::string name;
  FailureCause cause = FailureCause::none;
  FailureCause before_expiry = FailureCause::none;
  Kind kind = Kind::failure;
  std::optional<smtp::EnhancedCode> said{};
  std::string status;
  std::vector<std::string> says;
  std::string says_not = "forty-two"; ///< must not occur
  friend std::ostream &operator<<(std::ostream &out, const Row &row) { return out << row.name; }
};

class NoticeTextTest : public testing::TestWithParam<Row> {};

TEST_P(NoticeTextTest, says_what_happened) {
  const Row &row = GetParam();
  RecipientState state{smtp::Recipient{smtp::Mailbox::parse("bob@example.net").value(), {}}};
  state.cause = row.cause;
  state.before_expiry = row.before_expiry;
  state.detail = "wanted authenticated, got clear text";
  state.last_host = "mx";
  if (row.said) state.last_reply = {550, row.said, "text"};
  const NoticeContext context{.kind = row.kind, .contact = "mail-team@example.net", .tried_for = 120h};
  const std::string text = explain_recipient(state, context);
  for (const auto &part : row.says) EXPECT_NE(text.find(part), std::string::npos) << part << "\nin: " << text;
  EXPECT_EQ(text.find(row.says_not), std::string::npos) << text;
  EXPECT_EQ(status_of(state, row.kind).to_string(), row.status);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, NoticeTextTest,
    testing::Values(
        Row{.name = "TLS: not sent unprotected, what was wanted and got, whom to ask",
            .cause = FailureCause::tls,
            .status = "5.7.5",
            .says = {"We did not send this message unprotected; the address may be fine.",
                     "wanted authenticated, got clear text.", "mail-team@example.net"}},
        Row{.name = "TLS, expired: both the time and the cause",
            .cause = FailureCause::expired,
            .before_expiry = FailureCause::tls,
            .status = "4.4.7",
            .says = {"We tried for 5 days and have given up.", "We did not send this message unprotected",
                     "wanted authenticated, got clear text."}},
        Row{.name = "TLS, delayed: no word of giving up",
            .cause = FailureCause::tls,
            .kind = Kind::delay,
            .status = "4.7.5",
            .says = {"We did not send this message unprotected"},
            .says_not = "given up"},
        Row{.name = "a reply",
            .cause = FailureCause::reply,
            .said = smtp::EnhancedCode{5, 1, 1},
            .status = "5.1.1",
            .says = {"Their mail system refused the message."}},
        Row{.name = "a reply without a code of its own",
            .cause = FailureCause::reply,
            .status = "5.0.0",
            .says = {"refused"}},
        Row{.name = "a temporary reply that delays",
            .cause = FailureCause::reply,
            .kind = Kind::delay,
            .said = smtp::EnhancedCode{4, 2, 1},
            .status = "4.2.1",
            .says = {"did not take the message"},
            .says_not = "refused"},
        Row{.name = "replies until the end",
            .cause = FailureCause::expired,
            .before_expiry = FailureCause::reply,
            .said = smtp::EnhancedCode{4, 2, 1},
            .status = "4.4.7",
            .says = {"5 days", "did not take the message"}},
        Row{.name = "DNS for good",
            .cause = FailureCause::dns,
            .said = smtp::EnhancedCode{5, 1, 10},
            .status = "5.1.10",
            .says = {"could not find out which mail system takes mail for example.net"}},
        Row{.name = "DNS without a code",
            .cause = FailureCause::dns,
            .status = "5.4.4",
            .says = {"domain name system"}},
        Row{.name = "no connection until the end",
            .cause = FailureCause::expired,
            .before_expiry = FailureCause::connect,
            .status = "4.4.7",
            .says = {"given up", "could not reach the mail system of example.net"}},
        Row{.name = "no connection yet",
            .cause = FailureCause::connect,
            .kind = Kind::delay,
            .status = "4.4.1",
            .says = {"could not reach the mail system of example.net"}},
        Row{.name = "our own fault",
            .cause = FailureCause::local,
            .status = "5.3.0",
            .says = {"The fault is on our side"}},
        Row{.name = "expired untried", .cause = FailureCause::expired, .status = "4.4.7", .says = {"never tried"}},
        Row{.name = "waiting untried", .kind = Kind::delay, .status = "4.0.0", .says = {"waiting for its turn"}},
        Row{.name = "an operator", .cause = FailureCause::operator_act, .status = "5.7.0", .says = {"operator"}},
        Row{.name = "a success needs no words", .kind = Kind::success, .status = "2.0.0", .says = {}}));

TEST(NoticeTextTest, a_reply_is_remote_only_when_a_server_gave_it) {
  RecipientState state{smtp::Recipient{smtp::Mailbox::parse("bob@example.net").value(), {}}};
  EXPECT_FALSE(is_remote_reply(state));
  state.last_reply = {451, std::nullopt, "ours"};
  state.last_host = "mx";
  state.cause = FailureCause::tls;
  EXPECT_FALSE(is_remote_reply(state)) << "our words for a TLS failure";
  state.cause = FailureCause::reply;
  EXPECT_TRUE(is_remote_reply(state));
  state.cause = FailureCause::expired;
  state.before_expiry = FailureCause::reply;
  EXPECT_TRUE(is_remote_reply(state));
}

} // namespace notice_text_test
