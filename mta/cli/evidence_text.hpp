// The summary of evidence as text and as JSON, for partner status, suggest and simulate.
#pragma once

#include <chrono>
#include <string>

#include <boost/json/object.hpp>

#include "policy/evidence.hpp"

namespace mta::cli {

/// Indented lines; the heading is the caller's.
[[nodiscard]] std::string format_summary(const policy::EvidenceSummary &summary,
                                         std::chrono::system_clock::time_point now);
[[nodiscard]] boost::json::object describe_summary(const policy::EvidenceSummary &summary,
                                                   std::chrono::system_clock::time_point now);

} // namespace mta::cli
