// What every request over the control socket is read and answered with.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include <boost/json.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

namespace mta {

[[nodiscard]] inline boost::json::object failure(std::string text) {
  boost::json::object answer;
  answer["ok"] = false;
  answer["error"] = std::move(text);
  return answer;
}

/// The text under `key`, or empty.
[[nodiscard]] inline std::string text_of(const boost::json::object &request, std::string_view key) {
  const auto *value = request.if_contains(key);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

/// "2026-11-22T03:39:00Z"; empty for a time that was never set.
[[nodiscard]] inline std::string time_text(std::chrono::system_clock::time_point time) {
  if (time == std::chrono::system_clock::time_point{}) return {};
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

} // namespace mta
