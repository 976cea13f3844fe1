#include "smtp/message/received.hpp"

#include <algorithm>

#include <fmt/core.h>

namespace smtp {

namespace {

constexpr std::size_t name_limit = 255; // RFC 5321 section 4.5.3.1.2, also enough for a certificate's name

/// Foreign text inside a comment: parentheses, backslashes, controls and octets above 127 become '?', so that the
/// comment ends where we end it (RFC 5322 section 3.2.2).
std::string comment_text(std::string_view text) {
  std::string safe(text.substr(0, name_limit));
  for (char &c : safe)
    if (c < ' ' || c > '~' || c == '(' || c == ')' || c == '\\') c = '?';
  return safe;
}

/// True for what may stand as the Extended-Domain of a from clause: a domain's or an address literal's characters only.
bool is_domain_like(std::string_view text) {
  if (text.empty() || text.size() > name_limit) return false;
  const bool literal = text.starts_with('[') && text.ends_with(']') && text.size() > 2;
  const auto inner = literal ? text.substr(1, text.size() - 2) : text;
  return std::all_of(inner.begin(), inner.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_' || (literal && c == ':');
  });
}

std::string from_clause(const ReceivedFacts &facts) {
  // RFC 5321 section 4.4 demands a from clause: what stands behind us is ours.
  if (facts.hide_client) return facts.by + " (a client of ours)";
  const auto literal = facts.client.to_literal();
  if (is_domain_like(facts.helo)) return fmt::format("{} ({})", facts.helo, literal);
  if (facts.helo.empty()) return fmt::format("{} ({})", literal, literal);
  // What the client called itself is not a domain: the address stands in its place, the words in the comment.
  return fmt::format("{} (HELO {})", literal, comment_text(facts.helo));
}

std::string tls_comment(const ReceivedFacts &facts) {
  if (!facts.tls) return {};
  std::string comment = fmt::format("\r\n\t({} {}", comment_text(facts.tls_version), comment_text(facts.tls_suite));
  if (facts.tls_bits > 0) comment += fmt::format(" {} bits", facts.tls_bits);
  if (!facts.client_certificate.empty() && !facts.hide_client)
    comment += fmt::format(",\r\n\t client certificate {} {}", comment_text(facts.client_certificate),
                           facts.client_certificate_verified ? "verified" : "not verified");
  return comment + ')';
}

} // namespace

std::string protocol_word(const ReceivedFacts &facts) {
  // RFC 3848 registers S and A for ESMTP only; STARTTLS and AUTH exist only after EHLO.
  if (!facts.extended) return "SMTP";
  // RFC 6531 section 4.3: UTF8SMTP, UTF8SMTPA, UTF8SMTPS, UTF8SMTPSA.
  std::string word = facts.smtputf8 ? "UTF8SMTP" : "ESMTP";
  if (facts.tls) word += 'S';
  if (facts.authenticated_by_smtp_auth) word += 'A';
  return word;
}

std::string format_received(const ReceivedFacts &facts) {
  std::string field = fmt::format("Received: from {}\r\n\tby {} with {}{}\r\n\tid {}", from_clause(facts), facts.by,
                                  protocol_word(facts), tls_comment(facts), facts.id);
  // RFC 5321 section 7.2: the for clause must not disclose other recipients. A mailbox in UTF-8 fits only a UTF8SMTP
  // field.
  if (facts.only_recipient && (facts.smtputf8 || !facts.only_recipient->needs_smtputf8()))
    field += fmt::format("\r\n\tfor <{}>", facts.only_recipient->to_string());
  return field + ";\r\n\t" + format_date(facts.now) + "\r\n";
}

std::string format_date(std::chrono::system_clock::time_point time) {
  using namespace std::chrono;
  static constexpr const char *day_names[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char *month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(floor<seconds>(time - day));
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} +0000", day_names[weekday(day).c_encoding()],
                     static_cast<unsigned>(date.day()), month_names[static_cast<unsigned>(date.month()) - 1],
                     static_cast<int>(date.year()), clock.hours().count(), clock.minutes().count(),
                     clock.seconds().count());
}

} // namespace smtp
