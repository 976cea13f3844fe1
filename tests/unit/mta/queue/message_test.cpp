// The codec of queued messages: what goes in comes out; damage is an Error that names the field.
#include "mta/queue/message.hpp"

#include "mta/queue/unreadable.hpp"
#include "smtp/wire/limits.hpp"

#include <gtest/gtest.h>

namespace message_test {

using namespace mta;

smtp::Mailbox mailbox(const std::string &text) {
  return smtp::Mailbox::parse(text).value();
}

/// A message with something in every field.
QueuedMessage full_message() {
  QueuedMessage message;
  message.id = {42};
  Envelope &envelope = message.envelope;
  envelope.sender.path = smtp::ReversePath(mailbox("alice@example.org"));
  envelope.sender.parameters = {.size = 12345,
                                .body = smtp::BodyType::eight_bit_mime,
                                .smtputf8 = true,
                                .requiretls = true,
                                .ret = smtp::DsnReturn::headers,
                                .envid = "QQ314159"};
  envelope.arrival = WallTime(std::chrono::nanoseconds(1'795'318'740'123'456'789));
  envelope.trace = "Received: from x by y;\r\n\tSun, 22 Nov 2026 03:39:00 +0000\r\n";
  envelope.body_size = 0x1'0000'0001;
  envelope.header_size = 321;
  envelope.has_8bit = true;
  envelope.needs_smtputf8 = true;
  envelope.message_id = "<a@b>";
  envelope.client = "192.0.2.7 (mail.example.org)";
  envelope.tls_in = "TLSv1.3 TLS_AES_256_GCM_SHA384 authenticated";
  envelope.is_notification = true;
  envelope.is_tls_report = true;
  envelope.tls_optional = true;
  envelope.from_outside = true;
  envelope.standing = SenderStanding::passed;
  envelope.failures_only = true;
  envelope.is_report = true;
  message.tls_override = policy::OperatorOverride{.level = tls::Level::encrypted,
                                                  .reason = "their certificate has expired",
                                                  .by = "Jo Duty (user root)",
                                                  .when = envelope.arrival + std::chrono::hours(1)};
  message.expires = envelope.arrival + std::chrono::hours(120);
  message.held = true;
  message.hold_reason = "looks odd";
  message.held_since = envelope.arrival + std::chrono::hours(2);
  message.passes_holds = true;
  for (const char *address :
       {"bob@example.net", "\"a b\"@[192.0.2.1]", "c@[IPv6:2001:db8::1]", "d@xn--bcher-kva.example"})
    message.recipients.push_back(RecipientState{smtp::Recipient{mailbox(address), {}}});
  RecipientState &first = message.recipients[0];
  first.recipient.parameters.notify = {.given = true, .success = true, .delay = true};
  first.recipient.parameters.orcpt = smtp::OriginalRecipient{"rfc822", "Bob@example.net"};
  first.attempts = 3;
  first.next_attempt = envelope.arrival + std::chrono::minutes(21);
  first.last_attempt = envelope.arrival + std::chrono::minutes(6);
  first.cause = FailureCause::expired;
  first.before_expiry = FailureCause::tls;
  first.last_reply = {451, smtp::EnhancedCode{4, 7, 5}, "two\nlines"};
  first.last_host = "mx1.example.net[192.0.2.9]";
  first.detail = "wanted authenticated, got clear text";
  first.delay_notified = true;
  first.dsn_passed_on = true;
  message.recipients[3].redirected_from = "away@example.net";
  message.recipients[1].status = RecipientStatus::delivered;
  message.recipients[1].last_reply = {250, std::nullopt, "ok"};
  message.recipients[2].status = RecipientStatus::failed;
  message.recipients[2].cause = FailureCause::operator_act;
  return message;
}

smtp::Result<QueuedMessage> round_trip(const QueuedMessage &message) {
  return decode_message(message.id, encode_envelope(message), encode_update(message));
}

TEST(QueuedMessageTest, every_field_survives_the_spool) {
  const QueuedMessage message = full_message();
  const auto decoded = round_trip(message);
  ASSERT_TRUE(decoded) << decoded.error().detail;
  EXPECT_EQ(*decoded, message);
}

TEST(QueuedMessageTest, an_update_takes_back_the_hold_of_the_beginning) {
  QueuedMessage message = full_message();
  const std::string envelope = encode_envelope(message);
  message.held = false;
  message.hold_reason.clear();
  const auto decoded = decode_message(message.id, envelope, encode_update(message));
  ASSERT_TRUE(decoded) << decoded.error().detail;
  EXPECT_FALSE(decoded->held);
}

TEST(QueuedMessageTest, an_update_takes_back_the_override) {
  QueuedMessage message = full_message();
  message.tls_override.reset();
  const auto decoded = round_trip(message);
  ASSERT_TRUE(decoded) << decoded.error().detail;
  EXPECT_FALSE(decoded->tls_override);
}

/// Octets as they stood in a spool; NUL ends nothing.
template <std::size_t size> std::string octets(const char (&text)[size]) {
  return std::string(text, size - 1);
}

/// An envelope of version 1 or 2 as it was written then: everything from the sender to tls_in, and the two recipients.
std::string old_envelope(char version, const std::string &hold_reason) {
  std::string blob = "E";
  blob += version;
  blob += octets("\x01\x11\0\0\0alice@example.org"      // sender
                 "\x01\x64\0\0\0\0\0\0\0"               // SIZE=100
                 "\x01\x01\x01\x01\0\0\0e"              // 8BITMIME, SMTPUTF8, RET=FULL, ENVID=e
                 "\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0"   // arrival, expires
                 "\x10\0\0\0Received: by x\r\n"         // trace
                 "\x05\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0" // sizes
                 "\x01\0\x01"                           // 8-bit, UTF-8 fields, notification
                 "\x05\0\0\0<a@b>\x0d\0\0\0"
                 "192.0.2.7 (x)"       // Message-ID, client
                 "\x07\0\0\0TLSv1.3"); // tls_in
  blob += hold_reason;
  blob += octets("\x02\0\0\0" // recipients
                 "\x0f\0\0\0"
                 "bob@example.net\x05\x01\x06\0\0\0rfc822\x03\0\0\0x@y"
                 "\x09\0\0\0"
                 "c@d.examp\0\0");
  return blob;
}

/// An update of version 1: held for "rr", the first recipient deferred, the second untouched.
std::string old_update() {
  return octets("U\x01\x01\x02\0\0\0rr\x02\0\0\0"
                "\x01\0\x02\0\0\0"                                 // present, pending, 2 attempts
                "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"                 // next and last attempt
                "\x04\0\xc3\x01\x01\x04\x07\0\x05\0\x04\0\0\0text" // tls, 451 4.7.5
                "\x02\0\0\0mx\x03\0\0\0why\0\x01"                  // host, detail, flags
                "\0");
}

TEST(QueuedMessageTest, blobs_of_earlier_versions_are_still_read) {
  struct Row {
    std::string name;
    std::string envelope;
    std::string update;
    std::string hold_reason;
  };
  const std::vector<Row> rows = {
      {"version 1 without an update", old_envelope(1, ""), "", ""},
      {"version 2, not held", old_envelope(2, octets("\0\0\0\0")), "", ""},
      {"version 2, held from the beginning", old_envelope(2, octets("\x03\0\0\0odd")), "", "odd"},
      {"version 1 with an update of version 1", old_envelope(1, ""), old_update(), "rr"},
      {"version 2 with an update of version 1", old_envelope(2, octets("\x03\0\0\0odd")), old_update(), "rr"},
  };
  for (const auto &row : rows) {
    SCOPED_TRACE(row.name);
    const auto decoded = decode_message({5}, row.envelope, row.update);
    ASSERT_TRUE(decoded) << decoded.error().detail;
    const Envelope &envelope = decoded->envelope;
    EXPECT_EQ(envelope.sender.path.to_string(), "<alice@example.org>");
    EXPECT_EQ(envelope.sender.parameters.size, 100U);
    EXPECT_EQ(envelope.sender.parameters.ret, smtp::DsnReturn::full);
    EXPECT_EQ(envelope.trace, "Received: by x\r\n");
    EXPECT_EQ(envelope.body_size, 5U);
    EXPECT_EQ(envelope.header_size, 3U);
    EXPECT_TRUE(envelope.has_8bit);
    EXPECT_TRUE(envelope.is_notification);
    EXPECT_EQ(envelope.tls_in, "TLSv1.3");
    EXPECT_FALSE(envelope.sender.parameters.requiretls);
    EXPECT_FALSE(envelope.is_tls_report);
    EXPECT_FALSE(envelope.tls_optional);
    EXPECT_EQ(envelope.standing, SenderStanding::unknown);
    EXPECT_FALSE(envelope.failures_only);
    EXPECT_FALSE(decoded->tls_override);
    EXPECT_FALSE(decoded->passes_holds);
    EXPECT_EQ(decoded->held_since, decoded->held ? envelope.arrival : WallTime{});
    EXPECT_EQ(decoded->held, !row.hold_reason.empty());
    EXPECT_EQ(decoded->hold_reason, row.hold_reason);
    ASSERT_EQ(decoded->recipients.size(), 2U);
    EXPECT_EQ(decoded->recipients[0].recipient.mailbox.to_string(), "bob@example.net");
    EXPECT_EQ(decoded->recipients[0].cause, row.update.empty() ? FailureCause::none : FailureCause::tls);
    EXPECT_EQ(decoded->recipients[0].detail, row.update.empty() ? "" : "why");
    EXPECT_EQ(decoded->recipients[1].attempts, 0U);
    const auto again = round_trip(*decoded);
    ASSERT_TRUE(again) << again.error().detail;
    EXPECT_EQ(*again, *decoded) << "written anew in today's version it says the same";
  }
}

TEST(QueuedMessageTest, a_redirected_recipient_has_its_new_address_after_a_restart) {
  QueuedMessage message = full_message();
  const std::string envelope = encode_envelope(message);
  message.recipients[0].redirected_from = message.recipients[0].recipient.mailbox.to_string();
  message.recipients[0].recipient.mailbox = mailbox("new@example.org");
  const auto decoded = decode_message(message.id, envelope, encode_update(message));
  ASSERT_TRUE(decoded) << decoded.error().detail;
  EXPECT_EQ(decoded->recipients[0].recipient.mailbox.to_string(), "new@example.org");
  EXPECT_EQ(*decoded, message);
}

TEST(QueuedMessageTest, without_an_update_every_recipient_is_untouched) {
  QueuedMessage message = full_message();
  const auto decoded = decode_message(message.id, encode_envelope(message), "");
  ASSERT_TRUE(decoded) << decoded.error().detail;
  EXPECT_EQ(decoded->envelope, message.envelope);
  EXPECT_TRUE(decoded->held) << "a message may be held from the beginning";
  EXPECT_EQ(decoded->hold_reason, message.hold_reason);
  for (std::size_t i = 0; i < message.recipients.size(); ++i) {
    RecipientState fresh{message.recipients[i].recipient};
    EXPECT_EQ(decoded->recipients[i], fresh);
  }
}

TEST(QueuedMessageTest, a_null_sender_and_no_recipient_survive) {
  QueuedMessage message;
  message.id = {1};
  const auto decoded = round_trip(message);
  ASSERT_TRUE(decoded) << decoded.error().detail;
  EXPECT_EQ(*decoded, message);
}

TEST(QueuedMessageTest, the_octets_are_the_same_on_every_machine) {
  QueuedMessage message;
  message.id = {1};
  message.recipients.push_back(RecipientState{smtp::Recipient{mailbox("a@b"), {}}});
  message.recipients[0].attempts = 0x01020304;
  const std::string update = encode_update(message);
  const std::string expected_start("U\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
                                   "\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x04\x03\x02\x01",
                                   35);
  EXPECT_EQ(update.substr(0, expected_start.size()), expected_start);
}

TEST(QueuedMessageTest, an_untouched_recipient_costs_one_octet_of_an_update) {
  QueuedMessage message;
  message.id = {1};
  message.recipients.assign(1000, RecipientState{smtp::Recipient{mailbox("a@b"), {}}});
  EXPECT_EQ(encode_update(message).size(), 29U + 1000U);
}

TEST(QueuedMessageTest, texts_longer_than_the_decoder_takes_are_cut_when_written) {
  QueuedMessage message = full_message();
  message.hold_reason.assign(10'000, 'h');
  message.recipients[0].detail.assign(10'000, 'd');
  message.recipients[0].last_reply.text.assign(100'000, 'r');
  message.envelope.client.assign(10'000, 'c');
  const auto decoded = round_trip(message);
  ASSERT_TRUE(decoded) << decoded.error().detail;
  EXPECT_EQ(decoded->hold_reason.size(), 4096U);
  EXPECT_EQ(decoded->recipients[0].detail.size(), 4096U);
  EXPECT_EQ(decoded->recipients[0].last_reply.text.size(), 65'536U);
}

TEST(QueuedMessageTest, a_blob_cut_anywhere_is_an_error) {
  const QueuedMessage message = full_message();
  const std::string envelope = encode_envelope(message);
  const std::string update = encode_update(message);
  for (std::size_t size = 0; size < envelope.size(); ++size)
    EXPECT_FALSE(decode_message(message.id, std::string_view(envelope).substr(0, size), update)) << size;
  for (std::size_t size = 1; size < update.size(); ++size)
    EXPECT_FALSE(decode_message(message.id, envelope, std::string_view(update).substr(0, size))) << size;
}

TEST(QueuedMessageTest, a_flipped_bit_never_crashes_and_what_still_decodes_encodes_again) {
  const QueuedMessage message = full_message();
  const std::string envelope = encode_envelope(message);
  const std::string update = encode_update(message);
  std::size_t refused = 0;
  const auto try_one = [&](const std::string &first, const std::string &second) {
    const auto decoded = decode_message(message.id, first, second);
    if (!decoded) {
      ++refused;
      return;
    }
    const auto again = round_trip(*decoded);
    ASSERT_TRUE(again) << again.error().detail;
    EXPECT_EQ(*again, *decoded);
  };
  for (std::size_t bit = 0; bit < envelope.size() * 8; ++bit) {
    std::string damaged = envelope;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    try_one(damaged, update);
  }
  for (std::size_t bit = 0; bit < update.size() * 8; ++bit) {
    std::string damaged = update;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    try_one(envelope, damaged);
  }
  EXPECT_GT(refused, 1000U);
}

struct DamageRow {
  std::string name;
  std::string envelope;
  std::string update;
  std::string detail;
  friend std::ostream &operator<<(std::ostream &out, const DamageRow &row) { return out << row.name; }
};

class DamageTest : public testing::TestWithParam<DamageRow> {};

TEST_P(DamageTest, is_refused_with_its_reason) {
  const auto decoded = decode_message({7}, GetParam().envelope, GetParam().update);
  ASSERT_FALSE(decoded);
  EXPECT_NE(decoded.error().detail.find(GetParam().detail), std::string::npos) << decoded.error().detail;
}

std::string with_octet(std::string blob, std::size_t at, char octet) {
  blob.at(at) = octet;
  return blob;
}

std::string envelope_blob() {
  return encode_envelope(full_message());
}
std::string update_blob() {
  return encode_update(full_message());
}
/// Where the override stands in update_blob(): behind kind, version, held, and the reason of the hold.
std::size_t override_at() {
  return 3 + 4 + full_message().hold_reason.size();
}
std::string other_update_blob() {
  QueuedMessage message = full_message();
  message.recipients.pop_back();
  return encode_update(message);
}
std::string envelope_with_count(std::uint32_t count) {
  QueuedMessage message;
  std::string blob = encode_envelope(message);
  for (std::size_t i = 0; i < 4; ++i) blob[blob.size() - 4 + i] = static_cast<char>((count >> (8 * i)) & 255U);
  return blob;
}

INSTANTIATE_TEST_SUITE_P(
    Rows, DamageTest,
    testing::Values(
        DamageRow{"an empty envelope", "", "", "field kind ends after 0 of 1 octets"},
        DamageRow{"an update in place of an envelope", update_blob(), "", "field kind is wrong"},
        DamageRow{"an envelope in place of an update", envelope_blob(), envelope_blob(), "update of"},
        DamageRow{"a version from the future", with_octet(envelope_blob(), 1, 9), "", "field version is 9"},
        DamageRow{"an update from the future", envelope_blob(), with_octet(update_blob(), 1, 4), "field version is 4"},
        DamageRow{"an override that is neither there nor not", envelope_blob(),
                  with_octet(update_blob(), override_at(), 2), "field has tls_override is 2, limit is 1"},
        DamageRow{"an override of a level that is none", envelope_blob(),
                  with_octet(update_blob(), override_at() + 1, 5), "field override level is 5, limit is 4"},
        DamageRow{"a reason of an override that is too long", envelope_blob(),
                  with_octet(update_blob(), override_at() + 4, 1), "field override reason is"},
        DamageRow{"octets behind the end", envelope_blob() + "x", "", "1 octets follow the last field"},
        DamageRow{"octets behind the update's end", envelope_blob(), update_blob() + "xy",
                  "2 octets follow the last field"},
        DamageRow{"a truth value of 2", with_octet(envelope_blob(), 2, 2), "", "field has sender is 2, limit is 1"},
        DamageRow{"a sender that is none", with_octet(envelope_blob(), 7, '@'), "", "field sender is not a mailbox"},
        DamageRow{"an update for other recipients", envelope_blob(), other_update_blob(),
                  "field state count is 3, the envelope has 4"},
        DamageRow{"more recipients than the limit", envelope_with_count(200'000), "", "is 200000, limit is 131072"},
        DamageRow{"more recipients than octets", envelope_with_count(60'000), "", "is 60000, but 0 octets follow"}));

TEST(MergeRecipients, a_mailbox_that_stands_there_twice_becomes_one) {
  QueuedMessage message;
  for (const char *address : {"a@x.example", "b@x.example", "a@X.example", "A@x.example", "b@x.example"})
    message.recipients.push_back(RecipientState{smtp::Recipient{mailbox(address), {}}});
  merge_recipients(message);
  std::string left;
  for (const auto &state : message.recipients) left += state.recipient.mailbox.to_string() + ' ';
  EXPECT_EQ(left, "a@x.example b@x.example A@x.example ") << "the domain has no case, the local part has";
}

TEST(MergeRecipients, what_either_was_to_be_told_is_asked_for) {
  const auto merged = [](smtp::Notify first, smtp::Notify second) {
    QueuedMessage message;
    for (const auto &notify : {first, second}) {
      message.recipients.push_back(RecipientState{smtp::Recipient{mailbox("a@x.example"), {}}});
      message.recipients.back().recipient.parameters.notify = notify;
    }
    message.recipients[1].recipient.parameters.orcpt = smtp::OriginalRecipient{"rfc822", "postmaster@y.example"};
    merge_recipients(message);
    EXPECT_EQ(message.recipients.size(), 1U);
    EXPECT_TRUE(message.recipients[0].recipient.parameters.orcpt.has_value());
    return message.recipients[0].recipient.parameters.notify;
  };
  const smtp::Notify absent;
  const smtp::Notify never{.given = true, .never = true};
  const smtp::Notify success{.given = true, .success = true};
  EXPECT_EQ(merged(absent, absent), absent);
  EXPECT_EQ(merged(never, never), never);
  EXPECT_EQ(merged(never, success), success);
  EXPECT_EQ(merged(absent, success), (smtp::Notify{.given = true, .success = true, .failure = true, .delay = true}));
  EXPECT_EQ(merged(never, absent), (smtp::Notify{.given = true, .failure = true, .delay = true}));
}

TEST(RecoveryTest, what_cannot_be_read_is_kept_apart_and_what_lost_its_state_is_held) {
  QueuedMessage message;
  message.id = {1};
  message.recipients.push_back(RecipientState{smtp::Recipient{mailbox("a@b"), {}}});
  const std::string envelope = encode_envelope(message);
  const std::string update = encode_update(message);
  std::string future = envelope;
  future[1] = 99;
  std::string future_update = update;
  future_update[1] = 99;
  const DecodedRecovery decoded =
      decode_recovery({{{1}, envelope, update, 10}, {{2}, future, update, 20}, {{3}, envelope, future_update, 30}});
  ASSERT_EQ(decoded.messages.size(), 2U);
  EXPECT_FALSE(decoded.messages[0].held);
  EXPECT_TRUE(decoded.messages[1].held) << "it may have been held, and some may have it already";
  EXPECT_EQ(decoded.messages[1].id.value, 3U);
  ASSERT_EQ(decoded.guessed.size(), 1U);
  ASSERT_EQ(decoded.unreadable.size(), 1U);
  EXPECT_EQ(decoded.unreadable[0].id.value, 2U);
  EXPECT_EQ(decoded.unreadable[0].envelope, future);
  EXPECT_EQ(decoded.unreadable[0].body_size, 20U);
  EXPECT_NE(decoded.unreadable[0].problem.find("version is 99"), std::string::npos);
}

TEST(RecoveryTest, the_most_recipients_that_the_configuration_allows_can_be_stored_and_read) {
  QueuedMessage message;
  message.id = {1};
  RecipientState state{smtp::Recipient{mailbox(std::string(64, 'l') + "@" + std::string(60, 'd') + ".example"), {}}};
  state.attempts = 1;
  state.detail = std::string(4'000, 't');
  state.last_reply.text = std::string(2'000, 'r');
  message.recipients.assign(smtp::most_recipients + 100, state);
  const std::string envelope = encode_envelope(message);
  const std::string update = encode_update(message);
  EXPECT_LT(envelope.size(), 64U << 20U);
  EXPECT_LT(update.size(), 64U << 20U);
  const auto decoded = decode_message({1}, envelope, update);
  ASSERT_TRUE(decoded) << decoded.error().detail;
  EXPECT_EQ(decoded->recipients.size(), smtp::most_recipients + 100);
}

} // namespace message_test
