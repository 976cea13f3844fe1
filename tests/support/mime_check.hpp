// A small MIME reader for tests: takes a multipart message apart, strictly, and says what is wrong with its form.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "smtp/base/text.hpp"

namespace test {

struct MimePart {
  std::map<std::string, std::string> fields; ///< names in lower case, values unfolded
  std::string body;
};

struct MimeMessage {
  MimePart top;
  std::vector<MimePart> parts;
  std::vector<std::string> faults;
};

/// Reads fields up to the empty line; `text` keeps what follows. Faults: a line that is not a field, a field given
/// twice.
inline std::map<std::string, std::string> read_fields(std::string_view &text, std::vector<std::string> &faults) {
  std::map<std::string, std::string> fields;
  std::string *last = nullptr;
  while (!text.empty()) {
    const auto end = text.find("\r\n");
    const auto line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 2);
    if (line.empty()) break;
    if (line[0] == ' ' || line[0] == '\t') {
      if (!last) faults.push_back("a folded line continues nothing");
      if (smtp::trim(line).empty()) faults.push_back("a folded line of white space only");
      if (last) *last += " " + std::string(smtp::trim(line));
      continue;
    }
    const auto colon = line.find(':');
    if (colon == 0 || colon == std::string_view::npos || line.substr(0, colon).find(' ') != std::string_view::npos) {
      faults.push_back(fmt::format("\"{}\" is not a field", smtp::escape(line)));
      continue;
    }
    const auto [at, added] = fields.emplace(smtp::to_lower(line.substr(0, colon)), smtp::trim(line.substr(colon + 1)));
    if (!added) faults.push_back("field " + at->first + " is given twice");
    last = &at->second;
  }
  return fields;
}

inline MimeMessage read_mime(std::string_view message) {
  MimeMessage read;
  std::size_t line_start = 0;
  for (std::size_t i = 0; i < message.size(); ++i) {
    if (message[i] == '\0') read.faults.push_back("a NUL octet");
    if (message[i] == '\r' && (i + 1 == message.size() || message[i + 1] != '\n')) read.faults.push_back("a bare CR");
    if (message[i] != '\n') continue;
    if (i == 0 || message[i - 1] != '\r') read.faults.push_back("a bare LF");
    if (i + 1 - line_start > 1000) read.faults.push_back(fmt::format("a line of {} octets", i + 1 - line_start));
    line_start = i + 1;
  }
  if (!message.ends_with("\r\n")) read.faults.push_back("the last line has no end");
  read.top.fields = read_fields(message, read.faults);
  read.top.body = message;
  const auto &type = read.top.fields["content-type"];
  const auto quote = type.find("boundary=\"");
  if (quote == std::string::npos) return read;
  const auto boundary = "--" + type.substr(quote + 10, type.find('"', quote + 10) - quote - 10);
  // RFC 2046 section 5.1.1: the delimiter is a line; the CRLF in front of it belongs to it.
  auto rest = std::string_view(read.top.body);
  if (!rest.starts_with(boundary + "\r\n")) read.faults.push_back("the body does not begin with the boundary");
  bool closed = false;
  while (!rest.empty() && !closed) {
    rest.remove_prefix(std::min(rest.size(), boundary.size() + 2));
    auto end = rest.find("\r\n" + boundary);
    if (end == std::string_view::npos) {
      read.faults.push_back("a part has no end");
      break;
    }
    auto part = rest.substr(0, end);
    rest.remove_prefix(end + 2);
    MimePart made;
    made.fields = read_fields(part, read.faults);
    made.body = part;
    read.parts.push_back(std::move(made));
    closed = rest == boundary + "--\r\n";
  }
  if (!closed) read.faults.push_back("nothing but the end mark may follow the last part");
  return read;
}

} // namespace test
