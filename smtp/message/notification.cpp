// Three parts: text for people, message/delivery-status for
// programs, and the original message or its header (RFC 3461 section 6.1, RFC 3464 section 2, RFC 6533 section 4).
#include "smtp/message/notification.hpp"

#include <algorithm>
#include <limits>

#include <fmt/core.h>

#include "smtp/base/text.hpp"
#include "smtp/message/eight_bit.hpp"
#include "smtp/message/header_scan.hpp"
#include "smtp/message/notification_text.hpp"
#include "smtp/message/plain_text.hpp"
#include "smtp/message/received.hpp"
#include "smtp/wire/utf8_address.hpp"

namespace smtp {

namespace {

constexpr std::size_t header_copy_limit = 65'536;
constexpr std::size_t address_limit = 900;

struct Part {
  std::string type; ///< the Content-Type field's value
  std::string content;
  std::string_view encoding = "7bit";
};

/// A notice needs no extension that its way back may lack: it is 7-bit whatever it is about, and says international
/// addresses in the form that RFC 6533 section 3 has for that. Only to an address that is international itself does it
/// go in UTF-8, since no hop without SMTPUTF8 (and with it 8BITMIME) could take it at all.
TextCharset charset_of(const NotificationFacts &facts) {
  return facts.to.needs_smtputf8() || facts.from.needs_smtputf8() ? TextCharset::utf8 : TextCharset::ascii;
}

std::string_view to_word(NotificationAction action) noexcept {
  switch (action) {
  case NotificationAction::failed: return "failed";
  case NotificationAction::delayed: return "delayed";
  case NotificationAction::delivered: return "delivered";
  case NotificationAction::relayed: return "relayed";
  case NotificationAction::expanded: return "expanded";
  }
  return {};
}

/// address-type ";" address (RFC 3464 section 2.1.2; the utf-8 type by RFC 6533 section 3).
std::string typed_address(std::string_view type, std::string_view address, TextCharset charset) {
  if (equals_ignoring_case(type, "utf-8"))
    return fmt::format("utf-8; {}",
                       one_line(encode_utf8_address(address, charset == TextCharset::utf8 ? Utf8AddressForm::unitext
                                                                                          : Utf8AddressForm::xtext),
                                charset, address_limit));
  return fmt::format("{}; {}", one_line(type, TextCharset::ascii, 40), one_line(address, charset, address_limit));
}

/// "mx.example.org[192.0.2.1]" becomes "dns; mx.example.org ([192.0.2.1])": the address is not part of the name.
std::string remote_mta(std::string_view host) {
  const auto safe = one_line(host, TextCharset::ascii, 300);
  const auto bracket = safe.find('[');
  if (bracket == std::string::npos || bracket == 0) return "dns; " + safe;
  std::string address = safe.substr(bracket);
  std::erase_if(address, [](char c) { return c == '(' || c == ')' || c == '\\'; });
  return fmt::format("dns; {} ({})", trim(std::string_view(safe).substr(0, bracket)), address);
}

Part delivery_status(const NotificationFacts &facts, TextCharset charset) {
  // RFC 3464 section 2.2: the per-message fields.
  std::string out = fold_field("Reporting-MTA", "dns; " + one_line(facts.reporting_mta, TextCharset::ascii, 255));
  if (!facts.envid.empty()) out += fold_field("Original-Envelope-Id", one_line(facts.envid, charset, 200));
  out += fold_field("Arrival-Date", format_date(facts.arrival));
  // Section 2.3: a group of fields for each recipient, after an empty line.
  for (const auto &recipient : facts.recipients) {
    out += "\r\n";
    if (recipient.original)
      out += fold_field("Original-Recipient",
                        typed_address(recipient.original->type, recipient.original->address, charset));
    const auto &address = recipient.final_recipient;
    out += fold_field("Final-Recipient",
                      typed_address(address.needs_smtputf8() ? "utf-8" : "rfc822", address.to_string(), charset));
    out += fold_field("Action", to_word(recipient.action));
    out += fold_field("Status", recipient.status.to_string());
    if (!recipient.remote_host.empty()) out += fold_field("Remote-MTA", remote_mta(recipient.remote_host));
    if (recipient.remote_reply)
      out += fold_field("Diagnostic-Code", "smtp; " + one_line(recipient.remote_reply->to_line(), charset));
    if (recipient.last_attempt) out += fold_field("Last-Attempt-Date", format_date(*recipient.last_attempt));
    // Section 2.3.9: only for delayed recipients.
    if (recipient.will_retry_until && recipient.action == NotificationAction::delayed)
      out += fold_field("Will-Retry-Until", format_date(*recipient.will_retry_until));
  }
  return {charset == TextCharset::utf8 ? "message/global-delivery-status" : "message/delivery-status", std::move(out)};
}

Part returned_content(const NotificationFacts &facts) {
  const bool global = facts.original_needs_utf8;
  // A message with over-long lines or stray line ends would break the report that holds it: its header must do.
  if (facts.original_message && has_clean_lines(*facts.original_message)) {
    if (global) return {"message/global", *facts.original_message};
    // RFC 2046 section 5.2.1: message/rfc822 is not encoded; what is in it is made 7-bit.
    std::string message =
        is_ascii(*facts.original_message) ? *facts.original_message : to_seven_bit(*facts.original_message);
    if (is_ascii(message)) return {"message/rfc822", std::move(message)};
  }
  auto header = clean_lines(facts.original_headers, global ? TextCharset::utf8 : TextCharset::ascii, header_copy_limit);
  while (header.ends_with("\r\n\r\n")) header.resize(header.size() - 2);
  return {global ? "message/global-headers" : "text/rfc822-headers", std::move(header)};
}

/// "=_" occurs in neither base64 nor quoted-printable; that the rest occurs nowhere is looked up.
std::string choose_boundary(const NotificationFacts &facts, const std::vector<Part> &parts) {
  std::string id = facts.queue_id.substr(0, 40);
  std::erase_if(id,
                [](char c) { return !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')); });
  for (std::uint64_t number = 0;; ++number) {
    auto boundary = fmt::format("=_{}_{}", id, number);
    const bool occurs = std::any_of(parts.begin(), parts.end(), [&](const Part &part) {
      return part.content.find("--" + boundary) != std::string::npos;
    });
    if (!occurs) return boundary;
  }
}

/// The original Message-ID as it may stand in a field of ours; empty when it is none.
std::string original_message_id(const NotificationFacts &facts) {
  constexpr auto no_limit = std::numeric_limits<std::size_t>::max();
  HeaderScanner scanner(no_limit, no_limit);
  if (!scanner.feed(facts.original_headers)) return {};
  const auto &id = scanner.facts().message_id;
  const bool fits = id.size() > 4 && id.size() <= 250 && id.front() == '<' && id.back() == '>' &&
                    id.find_first_of("<>", 1) == id.size() - 1 &&
                    std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c < 0x7f; });
  return fits ? id : std::string();
}

/// A display name (RFC 5322 section 3.4): words as they are, anything else as a quoted string.
std::string display_name(std::string_view name) {
  const std::string line = one_line(name, TextCharset::ascii, 200);
  const bool words = std::all_of(line.begin(), line.end(), [](char c) {
    return c == ' ' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  });
  if (words) return line;
  std::string quoted = "\"";
  for (const char c : line) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

} // namespace

std::string build_notification(const NotificationFacts &facts) {
  const auto charset = charset_of(facts);
  std::vector<Part> parts;
  parts.push_back({charset == TextCharset::utf8 ? "text/plain; charset=utf-8" : "text/plain; charset=us-ascii",
                   notification_text(facts, charset)});
  parts.push_back(delivery_status(facts, charset));
  parts.push_back(returned_content(facts));
  // RFC 6532 section 3.7: the message/global types may be encoded, as text may.
  for (Part &part : parts)
    if (charset == TextCharset::ascii && !is_ascii(part.content)) {
      part.content = quoted_printable(part.content);
      part.encoding = "quoted-printable";
    } else if (!is_ascii(part.content)) {
      part.encoding = "8bit";
    }
  const auto boundary = choose_boundary(facts, parts);
  const auto action = facts.recipients.empty() ? NotificationAction::failed : facts.recipients.front().action;

  std::string out;
  std::size_t size = 2048;
  for (const auto &part : parts) size += part.content.size() + 256;
  out.reserve(size);
  out += fmt::format("From: {} <{}>\r\n", display_name(facts.from_name),
                     one_line(facts.from.to_string(), charset, address_limit));
  out += fmt::format("To: <{}>\r\n", one_line(facts.to.to_string(), charset, address_limit));
  out += fold_field("Subject", facts.to_postmaster ? std::string_view("Mail without a sender could not be delivered")
                                                   : notification_subject(action));
  out += fold_field("Date", format_date(facts.now));
  out += fold_field("Message-ID", fmt::format("<{}>", one_line(facts.message_id, TextCharset::ascii, 250)));
  if (const auto id = original_message_id(facts); !id.empty()) {
    out += fold_field("In-Reply-To", id);
    out += fold_field("References", id);
  }
  out += "Auto-Submitted: auto-replied\r\n"; // RFC 3834 section 5
  if (facts.tls_optional) out += "TLS-Required: No\r\n";
  out += "MIME-Version: 1.0\r\n";
  out += fmt::format("Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"{}\"\r\n", boundary);
  const bool any_8bit =
      std::any_of(parts.begin(), parts.end(), [](const Part &part) { return part.encoding == "8bit"; });
  // RFC 2045 section 6.4: a multipart has the widest encoding of its parts.
  out += fmt::format("Content-Transfer-Encoding: {}\r\n\r\n", any_8bit ? "8bit" : "7bit");
  for (const auto &part : parts)
    out += fmt::format("--{}\r\nContent-Type: {}\r\nContent-Transfer-Encoding: {}\r\n\r\n{}\r\n", boundary, part.type,
                       part.encoding, part.content);
  out += fmt::format("--{}--\r\n", boundary);
  return out;
}

} // namespace smtp
