// read_report_message: the reports that a whole message carries, or why there are none.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "mta/received/mime_walk.hpp"
#include "mta/received/octet_source.hpp"
#include "mta/received/read_hints.hpp"
#include "mta/received/unpack.hpp"
#include "mta/store/received_report.hpp"

namespace mta {

struct ReadLimits {
  MimeLimits mime;
  UnpackLimits unpack;      ///< max_size: of all reports of the message together
  std::size_t reports = 10; ///< of one message, with those that prove broken
};

struct ReportMessage {
  MailFacts mail;
  std::vector<ReceivedReport> reports;
  /// One sentence for each part that was meant to be a report and is none, and for what ended the reading early.
  std::vector<std::string> problems;
};

/// What a sender caused is in `problems`; errors come from the source only. Parts count as reports by their contents;
/// their type or name (*.xml, *.json, *.gz, *.zip, application/gzip, application/tlsrpt+gzip, …) says only whether a
/// failure is worth telling.
[[nodiscard]] smtp::Result<ReportMessage> read_report_message(const OctetSource &source, const ReadLimits &limits);

/// One report, packed or not.
[[nodiscard]] smtp::Result<ReceivedReport> read_report(std::string octets, const UnpackLimits &limits);
[[nodiscard]] smtp::Result<ReceivedReport> read_report(std::string octets, const UnpackLimits &limits,
                                                       ReadHints &hints);

} // namespace mta
