#include "mta/report/hold_reminder.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "smtp/base/text.hpp"
#include "smtp/message/plain_text.hpp"
#include "smtp/message/received.hpp"

namespace mta {

namespace {

constexpr std::size_t reminded_recipients = 3;

std::string shown_text(std::string_view text, std::size_t limit) {
  return smtp::one_line(smtp::escape(text, limit), smtp::TextCharset::ascii, limit);
}

std::string describe_held(const QueuedMessage &message) {
  std::string recipients;
  std::size_t count = 0;
  for (const RecipientState &state : message.recipients) {
    if (state.status != RecipientStatus::pending) continue;
    if (++count <= reminded_recipients)
      recipients += (count == 1 ? "" : ", ") + shown_text(state.recipient.mailbox.to_string(), 200);
  }
  if (count > reminded_recipients) recipients += fmt::format(" and {} more", count - reminded_recipients);
  std::string text =
      fmt::format("  {}  held since {}\r\n", message.id.to_string(), smtp::format_date(message.held_since));
  text += fmt::format("    from {}\r\n    to {}\r\n", shown_text(message.envelope.sender.path.to_string(), 200),
                      recipients);
  return text + fmt::format("    why: {}\r\n\r\n", shown_text(message.hold_reason, 500));
}

} // namespace

std::string build_hold_reminder(const HoldReminder &reminder) {
  const std::string noun = reminder.total == 1 ? "message is" : "messages are";
  std::string text;
  text += fmt::format("From: {} <{}>\r\n", smtp::one_line(reminder.from_name, smtp::TextCharset::ascii, 200),
                      smtp::one_line(reminder.from.to_string(), smtp::TextCharset::ascii, 900));
  text += fmt::format("To: <{}>\r\n", smtp::one_line(reminder.to.to_string(), smtp::TextCharset::ascii, 900));
  text += smtp::fold_field("Subject", fmt::format("{} {} held at {}", reminder.total, noun,
                                                  smtp::one_line(reminder.hostname, smtp::TextCharset::ascii, 255)));
  text += smtp::fold_field("Date", smtp::format_date(reminder.now));
  text += smtp::fold_field("Message-ID", fmt::format("<{}>", reminder.message_id));
  text += "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n"
          "Content-Transfer-Encoding: 7bit\r\n\r\n";
  text += smtp::wrap_text(
      fmt::format("{} {} held at {}. Held mail is neither delivered nor returned until somebody acts:", reminder.total,
                  noun, reminder.hostname),
      0);
  text += "\r\n";
  text += "  portcullis queue list --held\r\n  portcullis queue release ID --reason WHY\r\n"
          "  portcullis queue bounce ID --reason WHY\r\n  portcullis queue delete ID --reason WHY\r\n"
          "  portcullis queue hold-rule list\r\n\r\n";
  for (const auto &message : reminder.held) text += describe_held(*message);
  if (reminder.total > reminder.held.size())
    text += fmt::format("  and {} more.\r\n", reminder.total - reminder.held.size());
  return text;
}

} // namespace mta
