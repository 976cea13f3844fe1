#include "mta/inbound/refusal_log.hpp"

#include <algorithm>
#include <utility>

#include "smtp/base/text.hpp"

namespace mta::inbound {

bool RefusalLog::takes(std::uint64_t most, LogLevel level, std::string_view recipients) {
  ++total_;
  if (lines_ < most) {
    ++lines_;
    return true;
  }
  ++rest_.count;
  rest_.level = std::max(rest_.level, level);
  if (recipients.empty() || rest_.cut) return false;
  if (rest_.recipients.size() + recipients.size() >= recipients_limit) {
    rest_.cut = true;
    rest_.recipients += rest_.recipients.empty() ? "..." : ",...";
    return false;
  }
  if (!rest_.recipients.empty()) rest_.recipients += ',';
  rest_.recipients += recipients;
  return false;
}

std::optional<RefusalLog::Rest> RefusalLog::close() {
  lines_ = 0;
  if (rest_.count == 0) return std::nullopt;
  return std::exchange(rest_, {});
}

std::string_view named_path(std::string_view command_line) noexcept {
  const auto before = command_line.find_first_of(":<");
  if (before == std::string_view::npos) return {};
  std::string_view rest = smtp::trim(command_line.substr(command_line[before] == ':' ? before + 1 : before));
  if (rest.starts_with('<')) {
    rest.remove_prefix(1);
    // A quoted local part may have ">" in it; parameters may not.
    const auto end = rest.find("> ");
    if (end != std::string_view::npos) rest = rest.substr(0, end);
    if (rest.ends_with('>')) rest.remove_suffix(1);
    return rest;
  }
  return rest.substr(0, rest.find(' '));
}

} // namespace mta::inbound
