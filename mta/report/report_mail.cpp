#include "mta/report/report_mail.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "smtp/base/base64.hpp"
#include "smtp/message/plain_text.hpp"
#include "smtp/message/received.hpp"

namespace mta {

namespace {

using smtp::TextCharset;

constexpr std::string_view boundary = "=_report"; ///< "=_" occurs neither in base64 nor in what the text part says
constexpr std::size_t address_limit = 900;

/// RFC 2045 section 6.8, lines of 76 characters.
void append_base64(std::string &out, std::string_view octets) {
  constexpr std::size_t octets_of_a_line = 57;
  while (!octets.empty()) {
    const std::string_view line = octets.substr(0, octets_of_a_line);
    out += smtp::to_base64(line);
    out += "\r\n";
    octets.remove_prefix(line.size());
  }
}

/// A quoted string (RFC 5322 section 3.2.4) of ASCII.
std::string quote(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : smtp::one_line(text, TextCharset::ascii, 200)) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

std::string address_field(std::string_view name, std::string_view display, const smtp::Mailbox &mailbox) {
  const std::string address =
      fmt::format("<{}>", smtp::one_line(mailbox.to_string(), TextCharset::utf8, address_limit));
  if (display.empty()) return fmt::format("{}: {}\r\n", name, address);
  return fmt::format("{}: {}\r\n {}\r\n", name, quote(display), address);
}

} // namespace

std::string build_report_mail(const ReportMailFacts &facts) {
  std::string out;
  out.reserve(facts.attachment.size() / 57 * 78 + 8192);
  out += address_field("From", facts.from_name, facts.from);
  out += address_field("To", {}, facts.to);
  // dmarc-subject = "Report" 1*FWS "Domain:" … (RFC 9990 section 3.5.2), and so in RFC 8460 section 5.3
  out += smtp::fold_field("Subject", fmt::format("Report Domain: {} Submitter: {} Report-ID: <{}>", facts.policy_domain,
                                                 facts.submitter, facts.report_id));
  out += smtp::fold_field("Date", smtp::format_date(facts.now));
  out += smtp::fold_field("Message-ID", fmt::format("<{}>", facts.report_id));
  out += "Auto-Submitted: auto-generated\r\n"; // RFC 3834 section 5
  const bool is_tls = facts.kind == ReportKind::tls;
  if (is_tls) { // RFC 8460 section 5.3
    out += smtp::fold_field("TLS-Report-Domain", facts.policy_domain);
    out += smtp::fold_field("TLS-Report-Submitter", facts.submitter);
  }
  out += "MIME-Version: 1.0\r\n";
  out += fmt::format("Content-Type: {};\r\n\tboundary=\"{}\"\r\n\r\n",
                     is_tls ? "multipart/report; report-type=\"tlsrpt\"" : "multipart/mixed", boundary);
  out += fmt::format("--{}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n", boundary);
  out += smtp::clean_lines(facts.text, TextCharset::ascii, 4096);
  out += fmt::format("\r\n--{}\r\nContent-Type: {};\r\n\tname=\"{}\"\r\n", boundary,
                     is_tls ? tls_report_media_type : "application/gzip", facts.filename);
  out += "Content-Transfer-Encoding: base64\r\n";
  out += fmt::format("Content-Disposition: attachment;\r\n\tfilename=\"{}\"\r\n\r\n", facts.filename);
  append_base64(out, facts.attachment);
  out += fmt::format("--{}--\r\n", boundary);
  return out;
}

} // namespace mta
