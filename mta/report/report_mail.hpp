// build_report_mail: the message that carries a report (RFC 9990 section 3.5.2).
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "smtp/names/mailbox.hpp"

namespace mta {

struct ReportMailFacts {
  smtp::Mailbox from;
  std::string from_name; ///< display name; may be empty
  smtp::Mailbox to;
  std::string policy_domain;
  std::string submitter;
  std::string report_id;       ///< without "<>"; also the Message-ID
  std::string filename;        ///< of the attachment
  std::string text;            ///< for people: lines with LF or CRLF, ASCII
  std::string_view attachment; ///< application/gzip
  std::chrono::system_clock::time_point now;
};

/// CRLF line ends, no line over 998 octets, 7 bits but for addresses in UTF-8.
[[nodiscard]] std::string build_report_mail(const ReportMailFacts &facts);

} // namespace mta
