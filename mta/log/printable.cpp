#include "mta/log/printable.hpp"

#include <limits>

#include <boost/json.hpp>

#include "smtp/base/text.hpp"

namespace mta {

namespace {

template <typename Make> std::string join_parts(std::string_view text, char separator, Make &&make) {
  std::string all;
  bool first = true;
  for (const std::string_view part : smtp::split(text, separator)) {
    if (!first) all += separator;
    all += make(part);
    first = false;
  }
  return all;
}

} // namespace

std::string printable(std::string_view text) {
  return join_parts(text, '\\', [](std::string_view part) {
    return smtp::escape(part, std::numeric_limits<std::size_t>::max() / 2);
  });
}

std::string printable_lines(std::string_view text) {
  return join_parts(text, '\n', [](std::string_view line) { return printable(line); });
}

void make_utf8(boost::json::value &value) {
  if (auto *text = value.if_string()) {
    if (!smtp::is_utf8(std::string_view(text->data(), text->size())))
      *text = printable(std::string_view(text->data(), text->size()));
  } else if (auto *array = value.if_array()) {
    for (auto &each : *array) make_utf8(each);
  } else if (auto *object = value.if_object()) {
    make_utf8(*object);
  }
}

void make_utf8(boost::json::object &object) {
  for (auto &member : object) make_utf8(member.value());
}

} // namespace mta
