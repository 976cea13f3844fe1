// What the parsers of received reports share: foreign text made harmless, and the bounds of times.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mta {

/// 9999-12-31: later times are no times.
inline constexpr std::uint64_t latest_report_time = 253'402'300'799;

/// Seconds since 1970; a number that would be a time after 2100 is milliseconds, if that is before 2100. Nothing:
/// neither.
[[nodiscard]] std::optional<std::chrono::sys_seconds> time_since_1970(std::uint64_t number) noexcept;

/// One line of valid UTF-8 without controls, trimmed, at most longest_report_text octets.
[[nodiscard]] std::string clean_report_text(std::string_view text);

/// The A-label form in lower case without a dot at its end; what is not a domain is only cleaned as above.
[[nodiscard]] std::string clean_report_domain(std::string_view text);

/// RFC 9990 and RFC 8460 section 5.3, "Report Domain: example.org Submitter: …", as clean_report_domain(); empty when
/// the subject is no such one.
[[nodiscard]] std::string domain_of_subject(std::string_view subject);

/// "example.org" of "mailto:<a@example.org>"; empty when there is no "@".
[[nodiscard]] std::string domain_of_contact(std::string_view contact);

} // namespace mta
