// Reports received as JSON, for `portcullis reports --json`.
#pragma once

#include <chrono>
#include <string>

#include <boost/json/object.hpp>

#include "mta/store/stored_report.hpp"

namespace mta {

[[nodiscard]] boost::json::object summary_json(const ReportSummary &summary);
/// What else there is: rows, policies.
[[nodiscard]] boost::json::object report_json(const ReceivedReport &report);

/// "2026-11-22T03:39:00Z".
[[nodiscard]] std::string format_report_time(std::chrono::sys_seconds time);

} // namespace mta
