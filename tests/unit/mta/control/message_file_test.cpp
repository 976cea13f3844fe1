// message_file: an envelope comes back from its file as it was, and what is wrong with a file is named.
#include "mta/control/message_file.hpp"

#include <functional>

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace message_file_test {

namespace json = boost::json;
using namespace mta;

QueuedMessage sample() {
  QueuedMessage message;
  message.id = {42};
  Envelope &envelope = message.envelope;
  envelope.sender.path = smtp::ReversePath(smtp::Mailbox::parse("alice@example.org").value());
  envelope.sender.parameters = {.size = std::nullopt,
                                .body = smtp::BodyType::eight_bit_mime,
                                .smtputf8 = true,
                                .requiretls = true,
                                .ret = smtp::DsnReturn::headers,
                                .envid = "q1"};
  envelope.arrival = WallTime(std::chrono::hours(500'000));
  envelope.standing = SenderStanding::passed;
  envelope.failures_only = true;
  envelope.tls_optional = false; // with REQUIRETLS it says nothing
  envelope.from_outside = true;
  envelope.client = "192.0.2.7 (x)";
  envelope.tls_in = "TLSv1.3";
  message.held = true;
  message.hold_reason = "odd";
  for (const char *address : {"bob@example.net", "\"a b\"@example.net", "done@example.net"})
    message.recipients.push_back(RecipientState{smtp::Recipient{smtp::Mailbox::parse(address).value(), {}}});
  message.recipients[0].recipient.parameters.notify = {.given = true, .success = true, .delay = true};
  message.recipients[0].recipient.parameters.orcpt = smtp::OriginalRecipient{"rfc822", "Bob@example.net"};
  message.recipients[1].recipient.parameters.notify = {.given = true, .never = true};
  message.recipients[2].status = RecipientStatus::delivered;
  return message;
}

TEST(MessageFileTest, the_envelope_comes_back_with_the_recipients_that_wait) {
  const QueuedMessage before = sample();
  const auto text = json::serialize(describe_envelope(before));
  const auto after = read_envelope_file(json::parse(text).as_object());
  ASSERT_TRUE(after) << after.error().detail;
  EXPECT_EQ(after->envelope, before.envelope);
  EXPECT_TRUE(after->held);
  EXPECT_EQ(after->hold_reason, "odd");
  ASSERT_EQ(after->recipients.size(), 2U);
  EXPECT_EQ(after->recipients[0].recipient, before.recipients[0].recipient);
  EXPECT_EQ(after->recipients[1].recipient, before.recipients[1].recipient);
}

TEST(MessageFileTest, the_null_sender_comes_back) {
  QueuedMessage notice = sample();
  notice.envelope.sender.path = smtp::ReversePath();
  notice.envelope.is_notification = true;
  const auto after = read_envelope_file(describe_envelope(notice));
  ASSERT_TRUE(after) << after.error().detail;
  EXPECT_TRUE(after->envelope.sender.path.is_null());
  EXPECT_TRUE(after->envelope.is_notification);
}

TEST(MessageFileTest, whose_it_was_comes_back_and_is_a_strangers_where_the_file_does_not_say) {
  for (const bool outside : {true, false}) {
    QueuedMessage message = sample();
    message.envelope.sender.parameters.requiretls = false;
    message.envelope.tls_optional = true;
    message.envelope.from_outside = outside;
    json::object file = describe_envelope(message);
    EXPECT_EQ(read_envelope_file(file).value().envelope, message.envelope);
    file.erase("from_outside");
    const auto after = read_envelope_file(file);
    ASSERT_TRUE(after) << after.error().detail;
    EXPECT_TRUE(after->envelope.from_outside);
    EXPECT_TRUE(after->envelope.tls_optional);
    file["requiretls"] = true; // RFC 8689 section 4.1
    EXPECT_FALSE(read_envelope_file(file).value().envelope.tls_optional);
  }
}

TEST(MessageFileTest, an_override_is_carried_where_it_demands_tls) {
  QueuedMessage message = sample();
  for (const auto level :
       {tls::Level::none, tls::Level::opportunistic, tls::Level::encrypted, tls::Level::authenticated}) {
    SCOPED_TRACE(tls::to_string(level));
    message.tls_override = policy::OperatorOverride{level, "incident 5", "Ann (user root)", message.envelope.arrival};
    const auto after = read_envelope_file(describe_envelope(message));
    ASSERT_TRUE(after) << after.error().detail;
    if (level >= tls::Level::encrypted)
      EXPECT_EQ(after->tls_override, message.tls_override);
    else
      EXPECT_FALSE(after->tls_override);
  }
}

TEST(MessageFileTest, recipients_come_in_parts_up_to_what_the_queue_stores) {
  QueuedMessage message = read_envelope_file(describe_envelope(sample())).value();
  const std::size_t before = message.recipients.size();
  const auto row = describe_envelope(sample()).at("recipients").as_array().front();
  ASSERT_TRUE(read_more_recipients(json::array(1'000, row), message));
  EXPECT_EQ(message.recipients.size(), before + 1'000);
  message.recipients.resize(most_queued_recipients - 1, message.recipients.front());
  ASSERT_TRUE(read_more_recipients(json::array(1, row), message));
  const auto more = read_more_recipients(json::array(1, row), message);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().detail, "recipients: there are 131073, limit is 131072");
  // The clients' own limit is within it, and so are copies of ours beside that.
  EXPECT_GT(most_queued_recipients, smtp::most_recipients);
  const auto stored = decode_message(message.id, encode_envelope(message), encode_update(message));
  EXPECT_TRUE(stored) << stored.error().detail;
}

TEST(MessageFileTest, what_is_wrong_is_named) {
  struct Row {
    std::string name;
    std::function<void(json::object &)> change;
    std::string says;
  };
  for (const Row &row : std::vector<Row>{
           {"another format", [](json::object &file) { file["format"] = 2; }, "format: this program reads 1"},
           {"a sender that is none", [](json::object &file) { file["sender"] = "alice"; }, "sender: "},
           {"no sender", [](json::object &file) { file.erase("sender"); }, "sender: is missing"},
           {"a sender that is not text", [](json::object &file) { file["sender"] = 7; }, "sender: is not text"},
           {"no word of REQUIRETLS", [](json::object &file) { file.erase("requiretls"); }, "requiretls: is missing"},
           {"REQUIRETLS as text", [](json::object &file) { file["requiretls"] = "true"; },
            "requiretls: is neither true nor false"},
           {"REQUIRETLS as a number", [](json::object &file) { file["requiretls"] = -1; },
            "requiretls: is neither true nor false"},
           {"REQUIRETLS as null", [](json::object &file) { file["requiretls"] = nullptr; },
            "requiretls: is neither true nor false"},
           {"a hold as text", [](json::object &file) { file["held"] = "yes"; }, "held: is neither true nor false"},
           {"no time", [](json::object &file) { file["arrival"] = "yesterday"; }, "arrival: "},
           {"a standing that is none", [](json::object &file) { file["standing"] = "good"; }, "standing: \"good\""},
           {"an override that lowers",
            [](json::object &file) { file["tls_override"] = json::object{{"level", "none"}}; },
            "tls_override: level: \"none\""},
           {"an override that is none", [](json::object &file) { file["tls_override"] = "none"; },
            "tls_override: it is not an object"},
           {"no recipients", [](json::object &file) { file["recipients"] = json::array(); },
            "recipients: there is none"},
           {"a recipient that is not an object", [](json::object &file) { file["recipients"].as_array()[0] = 7; },
            "recipients: an entry is not an object"},
           {"a recipient that is none",
            [](json::object &file) { file["recipients"].as_array()[0].as_object()["address"] = "a b"; },
            "recipients: address: "},
           {"a wish that is none",
            [](json::object &file) { file["recipients"].as_array()[0].as_object()["notify"] = "OFTEN"; },
            "notify: \"OFTEN\""}}) {
    json::object file = describe_envelope(sample());
    row.change(file);
    const auto read = read_envelope_file(file);
    ASSERT_FALSE(read) << row.name;
    EXPECT_TRUE(read.error().detail.starts_with(row.says)) << row.name << ": " << read.error().detail;
  }
}

} // namespace message_file_test
