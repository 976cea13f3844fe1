// What every request over the control socket is read and answered with.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <boost/json.hpp>

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

} // namespace mta
