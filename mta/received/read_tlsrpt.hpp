// read_tlsrpt: a TLSRPT report of another (RFC 8460 section 4.4), read with tolerance.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "mta/received/read_hints.hpp"
#include "mta/store/received_report.hpp"
#include "smtp/base/result.hpp"

namespace mta {

struct JsonLimits {
  /// '{', '[', ':' and ',' in the text: what values cost in memory, counted before the parser sees them.
  std::size_t markup = 2'000'000;
  std::size_t depth = 16;
  std::size_t policies = 1'000;
  std::size_t details = 20'000; ///< failure-details of the whole report
  std::size_t strings = 200;    ///< lines of one policy-string, and MX hosts of one policy
};

/// "mx-host" and "policy-string" may be one string or an array, counts may be texts; unknown members and the order do
/// not matter; the report-id may be a number, a time seconds or milliseconds since 1970, and commas and octets too many
/// are let pass. A report must have report-id, date-range and a policy; the domain of a policy that names none is that
/// of the others, or of `hints`. A policy or a detail that cannot be read is passed over, a count that is none is 0,
/// and `hints` say so. Errors: bad_syntax; too_long with the limit.
[[nodiscard]] smtp::Result<ReceivedReport> read_tlsrpt(std::string_view text, const JsonLimits &limits = {});
[[nodiscard]] smtp::Result<ReceivedReport> read_tlsrpt(std::string_view text, const JsonLimits &limits,
                                                       ReadHints &hints);

/// RFC 3339 section 5.6: "2016-04-01T00:00:00Z", with a fraction or an offset too; without either it is UTC.
[[nodiscard]] smtp::Result<std::chrono::sys_seconds> parse_report_time(std::string_view text);

} // namespace mta
