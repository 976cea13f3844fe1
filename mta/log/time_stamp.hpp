// format_time_stamp: the time of a log line, RFC 3339 in UTC with milliseconds.
#pragma once

#include <chrono>
#include <string>

namespace mta {

/// "2026-11-22T03:39:00.042Z".
[[nodiscard]] std::string format_time_stamp(std::chrono::system_clock::time_point time);

} // namespace mta
