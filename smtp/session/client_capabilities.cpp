#include "smtp/session/client_capabilities.hpp"

#include <utility>

#include "smtp/base/text.hpp"

namespace smtp {

namespace {

/// ehlo-line = ehlo-keyword *( SP ehlo-param ); the first word of what is left.
std::string_view take_word(std::string_view &line) {
  line = trim(line);
  const auto word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

/// RFC 9422 section 2: limit-entry = name "=" value; a value of 0 or none at all says nothing.
void read_limits(std::string_view parameters, Capabilities &offered) {
  for (auto entry = take_word(parameters); !entry.empty(); entry = take_word(parameters)) {
    const auto equals = entry.find('=');
    if (equals == std::string_view::npos) continue;
    const auto value = parse_number(entry.substr(equals + 1));
    if (!value || *value == 0) continue;
    const auto name = entry.substr(0, equals);
    if (equals_ignoring_case(name, "RCPTMAX")) offered.rcpt_max = *value;
    if (equals_ignoring_case(name, "MAILMAX")) offered.mail_max = *value;
  }
}

} // namespace

Capabilities parse_capabilities(const Reply &reply) {
  Capabilities offered;
  offered.extended = true;
  std::string_view rest = reply.text;
  bool first = true;
  while (!rest.empty()) {
    auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() < rest.size() ? line.size() + 1 : line.size());
    if (std::exchange(first, false)) continue; // the server's name and a greeting
    const auto keyword = take_word(line);
    const auto is = [&](std::string_view name) { return equals_ignoring_case(keyword, name); };
    if (is("STARTTLS")) offered.starttls = true;
    if (is("PIPELINING")) offered.pipelining = true;
    if (is("8BITMIME")) offered.eight_bit_mime = true;
    if (is("SMTPUTF8")) offered.smtputf8 = true;
    if (is("CHUNKING")) offered.chunking = true;
    if (is("DSN")) offered.dsn = true;
    if (is("ENHANCEDSTATUSCODES")) offered.enhanced_status_codes = true;
    if (is("REQUIRETLS")) offered.requiretls = true;
    if (is("LIMITS")) read_limits(line, offered);
    if (is("SIZE")) {
      offered.size = true;
      // RFC 1870 section 4: no number or 0 states no fixed limit.
      offered.size_limit = parse_number(take_word(line)).value_or(0);
    }
  }
  return offered;
}

} // namespace smtp
