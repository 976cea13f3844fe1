#include "mta/received/read_message.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "mta/received/read_dmarc_xml.hpp"
#include "mta/received/read_tlsrpt.hpp"
#include "mta/received/report_text.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

using smtp::Result;

constexpr std::size_t sniffed = 4'096; ///< octets of a part after which it is known whether to go on

/// The sender says that it is a report.
bool is_declared(const MimePart &part) {
  static constexpr std::array types = {
      "application/gzip",        "application/x-gzip",     "application/zip", "application/x-zip-compressed",
      "application/x-zip",       "application/xml",        "text/xml",        "application/json",
      "application/tlsrpt+gzip", "application/tlsrpt+json"};
  static constexpr std::array endings = {".xml", ".json", ".gz", ".gzip", ".zip"};
  const std::string name = smtp::to_lower(part.name);
  return std::any_of(types.begin(), types.end(), [&](const char *type) { return part.type == type; }) ||
         std::any_of(endings.begin(), endings.end(), [&](const char *ending) { return name.ends_with(ending); });
}

/// Never a report, whatever is in it.
bool is_excluded(const MimePart &part) {
  return part.type.starts_with("image/") || part.type.starts_with("audio/") || part.type.starts_with("video/") ||
         part.type.starts_with("message/") || part.type == "text/html" || part.type == "text/rfc822-headers" ||
         part.type == "application/pgp-signature" || part.type == "application/pkcs7-signature";
}

/// RFC 8460 section 5.1 and RFC 9990: "reporter!domain!begin!end[!id].ending" names whom the report is about.
std::string domain_of_filename(std::string_view name) {
  const auto parts = smtp::split(name, '!');
  return parts.size() >= 4 ? clean_report_domain(parts[1]) : std::string();
}

Result<ReceivedReport> read_text(std::string_view text, ReadHints &hints) {
  switch (sniff(text)) {
  case Packing::xml: return read_dmarc_xml(text, {}, hints);
  case Packing::json: return read_tlsrpt(text, {}, hints);
  case Packing::gzip:
  case Packing::zip:
  case Packing::unknown: break;
  }
  return smtp::fail(smtp::ErrorCode::bad_syntax, "contents are neither XML nor JSON");
}

class ReportCollector final : public PartVisitor {
public:
  ReportCollector(const ReadLimits &limits, ReportMessage &out)
      : limits_(limits), out_(out), left_(limits.unpack.max_size) {}

  void begin_message(MailFacts facts) override { out_.mail = std::move(facts); }

  bool begin_part(const MimePart &part) override {
    if (part.type == "message/feedback-report")
      problem("it is a report of one message that failed (RFC 6591); aggregate reports are read");
    declared_ = is_declared(part);
    if (!declared_ && is_excluded(part)) return false;
    name_ = part.name.empty() ? part.type : part.name;
    contents_.clear();
    return true;
  }

  bool take(std::string_view octets) override {
    contents_.append(octets);
    // What does not look like a report is text for people, or a mistake.
    return contents_.size() < sniffed || sniff(contents_) != Packing::unknown;
  }

  void end_part() override {
    const bool looks_right = sniff(contents_) != Packing::unknown;
    if (!declared_ && !looks_right) return;
    // Those that prove broken count too: a refused bomb has cost as much as a report.
    if (++tried_ > limits_.reports)
      return problem(fmt::format("message has more than the limit of {} reports", limits_.reports));
    UnpackLimits unpack_limits = limits_.unpack;
    unpack_limits.max_size = left_;
    auto text = unpack(std::move(contents_), unpack_limits);
    contents_ = {};
    if (!text) return problem(fmt::format("{}: {}", smtp::escape(name_), text.error().detail));
    left_ -= std::min<std::uint64_t>(left_, text->size());
    ReadHints hints;
    hints.domain = !out_.mail.tls_report_domain.empty() ? clean_report_domain(out_.mail.tls_report_domain)
                                                        : domain_of_subject(out_.mail.subject);
    if (hints.domain.empty()) hints.domain = domain_of_filename(name_);
    auto report = read_text(*text, hints);
    if (report) {
      out_.reports.push_back(std::move(*report));
      for (const std::string &flaw : hints.flaws) problem(fmt::format("{}: {}", smtp::escape(name_), flaw));
      if (hints.flaw_count > hints.flaws.size())
        problem(fmt::format("{}: {} further parts could not be read", smtp::escape(name_),
                            hints.flaw_count - hints.flaws.size()));
    } else if (declared_ || sniff(*text) == Packing::xml)
      problem(fmt::format("{}: {}", smtp::escape(name_), report.error().detail));
  }

private:
  void problem(std::string text) {
    if (out_.problems.size() < limits_.reports) out_.problems.push_back(std::move(text));
  }

  const ReadLimits &limits_;
  ReportMessage &out_;
  std::uint64_t left_; ///< octets of text that may still be unpacked
  std::size_t tried_ = 0;
  bool declared_ = false;
  std::string name_;
  std::string contents_;
};

} // namespace

Result<ReportMessage> read_report_message(const OctetSource &source, const ReadLimits &limits) {
  ReportMessage message;
  ReportCollector collector(limits, message);
  const auto walked = walk_mime(source, limits.mime, collector);
  if (!walked && walked.error().code != smtp::ErrorCode::too_long) return tl::unexpected(walked.error());
  if (!walked) message.problems.push_back(walked.error().detail);
  if (message.reports.empty() && message.problems.empty())
    message.problems.emplace_back("no part of the message is a report");
  return message;
}

Result<ReceivedReport> read_report(std::string octets, const UnpackLimits &limits) {
  ReadHints hints;
  return read_report(std::move(octets), limits, hints);
}

Result<ReceivedReport> read_report(std::string octets, const UnpackLimits &limits, ReadHints &hints) {
  const auto text = unpack(std::move(octets), limits);
  if (!text) return tl::unexpected(text.error());
  return read_text(*text, hints);
}

} // namespace mta
