#include "mta/received/read_tlsrpt.hpp"

#include <algorithm>
#include <optional>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "mta/received/report_text.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

namespace json = boost::json;
using smtp::ErrorCode;
using smtp::fail;
using smtp::Result;

const json::object *object_at(const json::object &parent, std::string_view key) {
  const auto *value = parent.if_contains(key);
  return value ? value->if_object() : nullptr;
}

std::string text_at(const json::object &parent, std::string_view key) {
  const auto *value = parent.if_contains(key);
  const auto *text = value ? value->if_string() : nullptr;
  return text ? clean_report_text(*text) : std::string();
}

std::string word_at(const json::object &parent, std::string_view key) {
  return smtp::to_lower(text_at(parent, key));
}

/// Nothing: it is there and no count.
std::optional<std::uint64_t> count_at(const json::object &parent, std::string_view key) {
  const auto *value = parent.if_contains(key);
  if (!value || value->is_null()) return 0;
  if (const auto *text = value->if_string()) return smtp::parse_number(smtp::trim(*text));
  boost::system::error_code error;
  const auto number = value->to_number<std::uint64_t>(error);
  return error ? std::nullopt : std::optional(number);
}

/// RFC 8460 section 4.4 has "mx-host" as a string, erratum 5889 and others as an array.
std::vector<std::string> texts_at(const json::object &parent, std::string_view key, const JsonLimits &limits) {
  std::vector<std::string> texts;
  const auto *value = parent.if_contains(key);
  if (!value) return texts;
  if (const auto *text = value->if_string()) {
    texts.push_back(clean_report_text(*text));
  } else if (const auto *list = value->if_array()) {
    for (const auto &entry : *list)
      if (const auto *one = entry.if_string(); one && texts.size() < limits.strings)
        texts.push_back(clean_report_text(*one));
  }
  return texts;
}

/// The objects of an array, or the one object.
std::vector<const json::object *> objects_at(const json::object &parent, std::string_view key) {
  std::vector<const json::object *> objects;
  const auto *value = parent.if_contains(key);
  if (!value) return objects;
  if (const auto *one = value->if_object()) objects.push_back(one);
  if (const auto *list = value->if_array())
    for (const auto &entry : *list)
      if (const auto *one = entry.if_object()) objects.push_back(one);
  return objects;
}

/// 0, and a note, where it is there and no count.
std::uint64_t read_count(const json::object &parent, std::string_view key, ReadHints &hints) {
  if (const auto count = count_at(parent, key)) return *count;
  hints.note(fmt::format("{} is {}, no count", key, smtp::escape(json::serialize(parent.at(key)), 100)));
  return 0;
}

ReportedTlsFailure read_failure(const json::object &detail, ReadHints &hints) {
  ReportedTlsFailure out;
  out.result_type = word_at(detail, "result-type");
  out.sending_mta_ip = text_at(detail, "sending-mta-ip");
  out.receiving_mx_hostname = text_at(detail, "receiving-mx-hostname");
  out.receiving_mx_helo = text_at(detail, "receiving-mx-helo");
  out.receiving_ip = text_at(detail, "receiving-ip");
  out.sessions = read_count(detail, "failed-session-count", hints);
  out.additional_information = text_at(detail, "additional-information");
  out.failure_reason_code = text_at(detail, "failure-reason-code");
  return out;
}

/// Its domain may be empty: the report's others say it, or the mail. Nothing: it is none.
Result<std::optional<ReportedTlsPolicy>> read_policy(const json::object &entry, const JsonLimits &limits,
                                                     std::size_t &details, ReadHints &hints) {
  ReportedTlsPolicy out;
  const auto *policy = object_at(entry, "policy");
  if (!policy) {
    hints.note("an entry of policies has no policy");
    return std::optional<ReportedTlsPolicy>();
  }
  out.type = word_at(*policy, "policy-type");
  out.policy = texts_at(*policy, "policy-string", limits);
  out.domain = clean_report_domain(text_at(*policy, "policy-domain"));
  out.mx_hosts = texts_at(*policy, "mx-host", limits);
  if (out.mx_hosts.empty()) out.mx_hosts = texts_at(*policy, "mx-host-pattern", limits);
  if (const auto *summary = object_at(entry, "summary")) {
    out.successes = read_count(*summary, "total-successful-session-count", hints);
    out.failures = read_count(*summary, "total-failure-session-count", hints);
  }
  for (const json::object *detail : objects_at(entry, "failure-details")) {
    if (++details > limits.details)
      return fail(ErrorCode::too_long,
                  fmt::format("report has more than the limit of {} failure-details", limits.details));
    out.details.push_back(read_failure(*detail, hints));
  }
  return std::optional(std::move(out));
}

/// Seconds since 1970, or milliseconds, as a number or its digits.
std::optional<std::chrono::sys_seconds> time_of_number(const json::value &value) {
  const auto number = value.is_string() ? smtp::parse_number(smtp::trim(value.get_string())) : [&value] {
    boost::system::error_code error;
    const auto read = value.to_number<double>(error);
    return error || !(read >= 0) || read > 1e15 ? std::nullopt
                                                : std::optional<std::uint64_t>(static_cast<std::uint64_t>(read));
  }();
  return number ? time_since_1970(*number) : std::nullopt;
}

Result<std::chrono::sys_seconds> read_range_time(const json::object &range, std::string_view key) {
  if (const auto *value = range.if_contains(key))
    if (const auto time = time_of_number(*value)) return *time;
  const auto time = parse_report_time(text_at(range, key));
  if (!time) return fail(time.error().code, fmt::format("{}: {}", key, time.error().detail));
  return *time;
}

/// A text, or a number as it is written.
std::string scalar_at(const json::object &parent, std::string_view key) {
  const auto *value = parent.if_contains(key);
  if (value != nullptr && value->is_number()) return json::serialize(*value);
  return text_at(parent, key);
}

Result<void> read_head(const json::object &top, ReceivedReport &report) {
  report.organisation = text_at(top, "organization-name");
  report.contact = text_at(top, "contact-info");
  report.report_id = scalar_at(top, "report-id");
  if (report.report_id.empty()) return fail(ErrorCode::bad_syntax, "report has no report-id");
  if (report.organisation.empty()) report.organisation = domain_of_contact(report.contact);
  const auto *range = object_at(top, "date-range");
  if (!range) return fail(ErrorCode::bad_syntax, "report has no date-range");
  const auto begin = read_range_time(*range, "start-datetime");
  if (!begin) return tl::unexpected(begin.error());
  const auto end = read_range_time(*range, "end-datetime");
  if (!end) return tl::unexpected(end.error());
  if (*end < *begin) return fail(ErrorCode::bad_syntax, "date-range ends before it begins");
  report.begin = *begin;
  report.end = *end;
  return {};
}

Result<void> check_markup(std::string_view text, const JsonLimits &limits) {
  const auto count =
      std::count_if(text.begin(), text.end(), [](char c) { return c == '{' || c == '[' || c == ',' || c == ':'; });
  if (static_cast<std::size_t>(count) > limits.markup)
    return fail(ErrorCode::too_long, fmt::format("report has {} pieces of markup, limit is {}", count, limits.markup));
  return {};
}

Result<json::value> parse(std::string_view text, const JsonLimits &limits) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  json::parse_options options;
  options.max_depth = limits.depth;
  options.allow_invalid_utf8 = true; // clean_report_text() sees to it
  options.allow_trailing_commas = true;
  options.allow_comments = true;
  boost::system::error_code error;
  json::stream_parser parser(json::storage_ptr(), options);
  // What follows the value is nobody's loss.
  const std::size_t read = parser.write_some(text.data(), text.size(), error);
  if (!error && !parser.done()) parser.finish(error);
  if (error == json::error::too_deep)
    return fail(ErrorCode::too_long, fmt::format("JSON is nested deeper than the limit of {}", limits.depth));
  if (error) return fail(ErrorCode::bad_syntax, fmt::format("JSON is broken near octet {}: {}", read, error.message()));
  return parser.release();
}

/// A number of exactly `size` digits from the front.
std::optional<unsigned> take_digits(std::string_view &text, std::size_t size) {
  if (text.size() < size) return std::nullopt;
  const auto number = smtp::parse_number(text.substr(0, size));
  if (!number) return std::nullopt;
  text.remove_prefix(size);
  return static_cast<unsigned>(*number);
}

bool take_one_of(std::string_view &text, std::string_view characters) {
  if (text.empty() || characters.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

/// time-offset, or nothing.
std::optional<std::chrono::minutes> take_offset(std::string_view text) {
  if (text.empty() || text == "Z" || text == "z") return std::chrono::minutes(0);
  const bool behind = text.front() == '-';
  if (!take_one_of(text, "+-")) return std::nullopt;
  const auto hours = take_digits(text, 2);
  take_one_of(text, ":");
  const auto minutes = take_digits(text, 2);
  if (!hours || !minutes || *hours > 23 || *minutes > 59 || !text.empty()) return std::nullopt;
  const std::chrono::minutes offset(*hours * 60 + *minutes);
  return behind ? -offset : offset;
}

} // namespace

Result<std::chrono::sys_seconds> parse_report_time(std::string_view text) {
  using namespace std::chrono;
  const auto wrong = [&] {
    return fail(ErrorCode::bad_syntax,
                fmt::format("\"{}\" is no time as in 2016-04-01T00:00:00Z", smtp::escape(text, 60)));
  };
  std::string_view rest = text;
  const auto year = take_digits(rest, 4);
  if (!year || !take_one_of(rest, "-")) return wrong();
  const auto month = take_digits(rest, 2);
  if (!month || !take_one_of(rest, "-")) return wrong();
  const auto day = take_digits(rest, 2);
  if (!day || !take_one_of(rest, "Tt ")) return wrong();
  const auto hour = take_digits(rest, 2);
  if (!hour || !take_one_of(rest, ":")) return wrong();
  const auto minute = take_digits(rest, 2);
  if (!minute || !take_one_of(rest, ":")) return wrong();
  const auto second = take_digits(rest, 2);
  if (!second || *hour > 23 || *minute > 59 || *second > 60) return wrong();
  if (take_one_of(rest, "."))
    while (take_one_of(rest, "0123456789")) {
    }
  const auto offset = take_offset(rest);
  const year_month_day date(std::chrono::year(static_cast<int>(*year)), std::chrono::month(*month),
                            std::chrono::day(*day));
  if (!offset || !date.ok() || *year < 1970) return wrong();
  return sys_days(date) + hours(*hour) + minutes(*minute) + seconds(*second) - *offset;
}

Result<ReceivedReport> read_tlsrpt(std::string_view text, const JsonLimits &limits) {
  ReadHints hints;
  return read_tlsrpt(text, limits, hints);
}

Result<ReceivedReport> read_tlsrpt(std::string_view text, const JsonLimits &limits, ReadHints &hints) {
  if (auto checked = check_markup(text, limits); !checked) return tl::unexpected(checked.error());
  const auto value = parse(text, limits);
  if (!value) return tl::unexpected(value.error());
  const auto *top = value->if_object();
  if (!top || !top->contains("policies"))
    return fail(ErrorCode::bad_syntax, "JSON is not a TLS report: it has no \"policies\"");
  ReceivedReport report;
  if (auto read = read_head(*top, report); !read) return tl::unexpected(read.error());
  auto &tls = report.content.emplace<ReceivedTls>();
  const auto policies = objects_at(*top, "policies");
  if (policies.empty()) return fail(ErrorCode::bad_syntax, "report has no policy");
  if (policies.size() > limits.policies)
    return fail(ErrorCode::too_long,
                fmt::format("report has {} policies, limit is {}", policies.size(), limits.policies));
  std::size_t details = 0;
  for (const json::object *entry : policies) {
    auto policy = read_policy(*entry, limits, details, hints);
    if (!policy) return tl::unexpected(policy.error());
    if (!*policy) continue;
    if (report.domain.empty()) report.domain = (*policy)->domain;
    tls.policies.push_back(std::move(**policy));
  }
  if (tls.policies.empty()) return fail(ErrorCode::bad_syntax, "an entry of policies has no policy");
  // Postfix's library for TLSRPT writes policies without a domain.
  if (report.domain.empty()) report.domain = hints.domain;
  if (report.domain.empty())
    return fail(ErrorCode::bad_syntax, "a policy has no policy-domain, and the mail names none");
  for (ReportedTlsPolicy &policy : tls.policies)
    if (policy.domain.empty()) policy.domain = report.domain;
  return report;
}

} // namespace mta
