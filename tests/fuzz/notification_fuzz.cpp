// Peers' words in every place of a notification: its lines, fields and parts stay whole.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "smtp/message/notification.hpp"
#include "tests/support/mime_check.hpp"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  if (size < 2) return 0;
  const unsigned flags = data[0];
  std::string_view rest(reinterpret_cast<const char *>(data) + 1, size - 1);
  // Texts are separated by 0x1E.
  const auto take = [&] {
    const auto text = rest.substr(0, rest.find('\x1e'));
    rest.remove_prefix(std::min(rest.size(), text.size() + 1));
    return std::string(text);
  };
  const auto address = smtp::Mailbox::parse(take());
  const auto mailbox = smtp::Mailbox::parse("a@example.org").value();
  smtp::NotifiedRecipient recipient{.final_recipient = address ? *address : mailbox,
                                    .original = smtp::OriginalRecipient{(flags & 1) ? "utf-8" : "rfc822", take()},
                                    .action = static_cast<smtp::NotificationAction>(flags / 2 % 5),
                                    .status = {5, data[1], 0},
                                    .remote_reply = smtp::Reply{550, {}, take()},
                                    .remote_host = take(),
                                    .explanation = take(),
                                    .last_attempt = {},
                                    .will_retry_until = {}};
  smtp::NotificationFacts facts{.reporting_mta = "mx.example.org",
                                .from = mailbox,
                                .from_name = "Mail Delivery System",
                                .to = mailbox,
                                .message_id = take(),
                                .envid = take(),
                                .queue_id = take(),
                                .arrival = {},
                                .now = {},
                                .recipients = {recipient},
                                .original_headers = take(),
                                .original_needs_utf8 = (flags & 32) != 0,
                                .original_message = {}};
  if ((flags & 64) != 0) facts.original_message = std::string(rest);
  const auto message = test::read_mime(smtp::build_notification(facts));
  require(message.faults.empty());
  require(message.parts.size() == 3);
  require(message.top.fields.count("subject") == 1);
  std::vector<std::string> faults;
  std::string_view status = message.parts[1].body;
  const auto per_message = test::read_fields(status, faults);
  const auto per_recipient = test::read_fields(status, faults);
  require(faults.empty() && status.empty());
  require(per_message.count("reporting-mta") == 1 && per_recipient.count("final-recipient") == 1);
  return 0;
}
