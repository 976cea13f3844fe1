#include "smtp/message/notification_text.hpp"

#include <algorithm>

#include <fmt/core.h>

#include "smtp/message/received.hpp"

namespace smtp {

namespace {

constexpr std::size_t said_lines = 8; // of the other server's reply
constexpr std::size_t said_octets = 300;

NotificationAction action_of(const NotificationFacts &facts) noexcept {
  return facts.recipients.empty() ? NotificationAction::failed : facts.recipients.front().action;
}

std::string_view opening(NotificationAction action, bool several) noexcept {
  switch (action) {
  case NotificationAction::failed:
    return several ? "Your message could not be delivered to the recipients below. We will not try again."
                   : "Your message could not be delivered to the recipient below. We will not try again.";
  case NotificationAction::delayed:
    return several ? "Your message has not reached the recipients below yet. We keep trying: you do not need to send "
                     "it again."
                   : "Your message has not reached the recipient below yet. We keep trying: you do not need to send "
                     "it again.";
  case NotificationAction::delivered:
    return several ? "Your message was delivered to the recipients below, as you asked to be told."
                   : "Your message was delivered to the recipient below, as you asked to be told.";
  case NotificationAction::relayed:
    return "Your message was passed on to the next mail system, which does not confirm deliveries. You may hear no "
           "more "
           "of it.";
  case NotificationAction::expanded:
    return "Your message was passed on to the members of the list below. You may hear no more of it.";
  }
  return {};
}

/// What the sender can do, by the subject of the status code (RFC 3463 section 3).
std::string_view advice(const NotifiedRecipient &recipient) noexcept {
  if (recipient.action != NotificationAction::failed) return {};
  const auto [status_class, subject, detail] = recipient.status;
  switch (subject) {
  case 1: return "Check the address for a spelling mistake and send the message again to the right one.";
  case 2:
    return detail == 2 ? "The recipient's mailbox is full. Try again later, or reach them in another way."
                       : "The recipient's mailbox takes no mail now. Reach them in another way.";
  case 3:
    return detail == 4 ? "Send a smaller message, or share large files in another way."
                       : "Try again later. If it goes on, reach the recipient in another way.";
  case 4: return "Try again later. If it goes on, reach the recipient in another way.";
  case 6: return "Their mail system cannot take a message of this form. Send it as plain text in ASCII.";
  case 7:
    return "Send it again when the cause is removed. If it is urgent, reach the recipient in another way, and show "
           "this "
           "message to your postmaster.";
  default: return "If you think that this is a mistake, show this message to your postmaster.";
  }
}

void append_reply(std::string &out, const NotifiedRecipient &recipient, TextCharset charset) {
  const auto host = one_line(recipient.remote_host, charset, 255);
  if (!recipient.remote_reply) {
    if (!host.empty()) out += wrap_text(fmt::format("The server that we tried last is {}.", host), 4);
    return;
  }
  out += wrap_text(fmt::format("{} said:", host.empty() ? "Their mail system" : "The server " + host), 4);
  const auto &reply = *recipient.remote_reply;
  std::string code = fmt::format("{}", reply.code);
  if (reply.enhanced) code += ' ' + reply.enhanced->to_string();
  std::string_view rest = reply.text;
  std::size_t line = 0;
  do {
    const auto said = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), said.size() + 1));
    out += wrap_text(fmt::format("{} {}", line == 0 ? code : std::string(), one_line(said, charset, said_octets)), 6);
  } while (!rest.empty() && ++line < said_lines);
}

void append_recipient(std::string &out, const NotifiedRecipient &recipient, TextCharset charset, bool advised) {
  out += fmt::format("  <{}>\r\n", one_line(recipient.final_recipient.to_string(), charset, 900));
  if (!recipient.explanation.empty()) out += wrap_text(one_line(recipient.explanation, charset), 4);
  append_reply(out, recipient, charset);
  if (recipient.action == NotificationAction::delayed && recipient.will_retry_until)
    out += wrap_text(fmt::format("We try until {}.", format_date(*recipient.will_retry_until)), 4);
  if (const auto text = advice(recipient); advised && !text.empty())
    out += wrap_text(fmt::format("What you can do: {}", text), 4);
  out += "\r\n";
}

} // namespace

std::string_view notification_subject(NotificationAction action) noexcept {
  switch (action) {
  case NotificationAction::failed: return "Your message could not be delivered";
  case NotificationAction::delayed: return "Your message is delayed";
  case NotificationAction::delivered: return "Your message was delivered";
  case NotificationAction::relayed: return "Your message was passed on";
  case NotificationAction::expanded: return "Your message was passed on to a list";
  }
  return {};
}

std::string notification_text(const NotificationFacts &facts, TextCharset charset) {
  const bool several = facts.recipients.size() > 1;
  const std::string_view first =
      facts.to_postmaster
          ? "A message from the null sender <> (a notice, or an automatic answer) could not be delivered. "
            "Nobody else is told, for it names nobody: it is gone."
          : opening(action_of(facts), several);
  std::string out =
      wrap_text(fmt::format("This is the mail system at {}.", one_line(facts.reporting_mta, charset, 255)), 0) +
      "\r\n" + wrap_text(first, 0) + "\r\n";
  for (const auto &recipient : facts.recipients) append_recipient(out, recipient, charset, !facts.to_postmaster);
  out += wrap_text(fmt::format("We received {} on {}; its id here is {}. The parts below repeat this for "
                               "programs, and show {} so that you can tell which message it was.",
                               facts.to_postmaster ? "it" : "your message", format_date(facts.arrival),
                               one_line(facts.queue_id, charset, 100),
                               facts.original_message ? "your message"
                               : facts.to_postmaster  ? "its header"
                                                      : "the header of your message"),
                   0);
  return out;
}

} // namespace smtp
