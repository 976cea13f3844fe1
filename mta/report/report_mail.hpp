// build_report_mail: the message that carries a report (RFC 9990 section 3.5.2; RFC 8460 section 5.3).
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "mta/report/daily_report.hpp"
#include "smtp/names/mailbox.hpp"

namespace mta {

/// RFC 8460 section 5.2: of the part of a mail, and of what is posted.
inline constexpr std::string_view tls_report_media_type = "application/tlsrpt+gzip";

struct ReportMailFacts {
  smtp::Mailbox from;
  std::string from_name; ///< display name; may be empty
  smtp::Mailbox to;
  std::string policy_domain;
  std::string submitter;
  std::string report_id;       ///< without "<>"; also the Message-ID
  std::string filename;        ///< of the attachment
  std::string text;            ///< for people: lines with LF or CRLF, ASCII
  std::string_view attachment; ///< application/gzip, application/tlsrpt+gzip
  std::chrono::system_clock::time_point now;
  ReportKind kind = ReportKind::dmarc;
};

/// CRLF line ends, no line over 998 octets, 7 bits but for addresses in UTF-8.
[[nodiscard]] std::string build_report_mail(const ReportMailFacts &facts);

} // namespace mta
