// The two forms of a log line: logfmt and JSON, in which foreign text can neither break the line nor forge a field.
#include "mta/log/mail_log.hpp"

#include <array>

#include "smtp/base/text.hpp"

namespace mta {

namespace {

/// Longer values are cut and end in "...": no peer decides how long our lines are.
constexpr std::size_t value_limit = 2000;

enum class Octet : std::uint8_t { plain, needs_quotes, needs_escape, high };

constexpr std::array<Octet, 256> classify_octets() {
  std::array<Octet, 256> table{};
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (i >= 0x80)
      table[i] = Octet::high;
    else if (i < 0x20 || i == 0x7f || i == '"' || i == '\\')
      table[i] = Octet::needs_escape;
    else if (i == ' ' || i == '=')
      table[i] = Octet::needs_quotes;
    else
      table[i] = Octet::plain;
  }
  return table;
}
constexpr std::array<Octet, 256> octets = classify_octets();

Octet classify(char c) noexcept {
  return octets[static_cast<unsigned char>(c)];
}

/// Length of the well-formed UTF-8 sequence at the start of `text` that may stand in a line as it is; 0: its first
/// octet is escaped. Not kept: control characters (U+0080-U+009F), line and paragraph separators, and the marks that
/// reorder text.
std::size_t kept_sequence(std::string_view text) noexcept {
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (lead < 0xc2 || text.size() < length || !smtp::is_utf8(text.substr(0, length))) return 0;
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (lead == 0xc2 && at(1) < 0xa0) return 0;
  if (lead == 0xe2 && at(1) == 0x80 && at(2) >= 0xa8 && at(2) <= 0xae) return 0; // U+2028-U+202E
  if (lead == 0xe2 && at(1) == 0x81 && at(2) >= 0xa6 && at(2) <= 0xa9) return 0; // U+2066-U+2069
  return length;
}

enum class Style : std::uint8_t { logfmt, json };

/// Appends an octet that may not stand as it is. JSON has no \x: the backslash itself is escaped there.
void append_escaped(std::string &line, char c, Style style) {
  static constexpr char digits[] = "0123456789abcdef";
  const auto octet = static_cast<unsigned char>(c);
  switch (c) {
  case '"': line += "\\\""; return;
  case '\\': line += "\\\\"; return;
  case '\n': line += "\\n"; return;
  case '\r': line += "\\r"; return;
  case '\t': line += "\\t"; return;
  default: break;
  }
  if (style == Style::json)
    line += octet < 0x80 ? "\\u00" : "\\\\x";
  else
    line += "\\x";
  line += digits[octet >> 4];
  line += digits[octet & 15];
}

/// Appends `text` between quotes.
void append_quoted(std::string &line, std::string_view text, Style style) {
  line += '"';
  std::size_t taken = 0;
  while (!text.empty()) {
    if (taken >= value_limit) {
      line += "...";
      break;
    }
    const Octet kind = classify(text.front());
    const std::size_t length = kind == Octet::high ? kept_sequence(text) : kind == Octet::needs_escape ? 0 : 1;
    if (length == 0)
      append_escaped(line, text.front(), style);
    else
      line.append(text.substr(0, length));
    const std::size_t step = length == 0 ? 1 : length;
    taken += step;
    text.remove_prefix(step);
  }
  line += '"';
}

bool is_plain(std::string_view text) noexcept {
  if (text.empty() || text.size() > value_limit) return false;
  for (const char c : text)
    if (classify(c) != Octet::plain) return false;
  return true;
}

const char *name_of(LogLevel level) noexcept {
  switch (level) {
  case LogLevel::debug: return "debug";
  case LogLevel::info: return "info";
  case LogLevel::warning: return "warning";
  case LogLevel::error: return "error";
  }
  return "info";
}

void append_value(std::string &line, std::string_view value) {
  if (is_plain(value))
    line.append(value);
  else
    append_quoted(line, value, Style::logfmt);
}

} // namespace

std::string format_logfmt(const Event &event, std::string_view time) {
  std::string line;
  line.reserve(512);
  line.append("time=").append(time).append(" level=").append(name_of(event.level())).append(" event=");
  append_value(line, event.name());
  for (const Event::Field &field : event.fields()) {
    line.append(1, ' ').append(field.key).append(1, '=');
    append_value(line, field.value);
  }
  return line;
}

std::string format_json(const Event &event, std::string_view time) {
  std::string line;
  line.reserve(512);
  line.append("{\"time\":\"")
      .append(time)
      .append("\",\"level\":\"")
      .append(name_of(event.level()))
      .append("\",\"event\":");
  append_quoted(line, event.name(), Style::json);
  for (const Event::Field &field : event.fields()) {
    line += ',';
    append_quoted(line, field.key, Style::json);
    line += ':';
    if (field.quoted)
      append_quoted(line, field.value, Style::json);
    else
      line += field.value;
  }
  line += '}';
  return line;
}

} // namespace mta
