#include "smtp/message/header_gate.hpp"

#include <algorithm>

#include <fmt/core.h>

#include "smtp/base/text.hpp"
#include "smtp/message/field_name.hpp"

namespace smtp {

namespace {

constexpr std::size_t shown_octets = 60;

/// "From " in front of a message in a mailbox file, also one that was quoted on its way (">From ").
bool is_mailbox_line(std::string_view line) noexcept {
  while (line.starts_with('>')) line.remove_prefix(1);
  return line.starts_with("From ");
}

std::string_view without_line_end(std::string_view line) noexcept {
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

} // namespace

std::string_view header_field_name(std::string_view line) noexcept {
  const auto colon = line.substr(0, 2 * longest_field_name).find(':');
  if (colon == std::string_view::npos) return {};
  std::string_view name = line.substr(0, colon);
  while (!name.empty() && (name.back() == ' ' || name.back() == '\t')) name.remove_suffix(1);
  const bool valid = name.size() <= longest_field_name &&
                     std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~'; });
  return valid ? name : std::string_view{};
}

std::string HeaderFault::to_string() const {
  return fmt::format("line {} of the header {}: \"{}\"", line, problem, octets);
}

std::string_view HeaderGate::feed(std::string_view octets) {
  if (place_ == Place::body) return octets;
  out_.clear();
  while (place_ != Place::body && place_ != Place::refused && !octets.empty()) {
    const auto lf = octets.find('\n');
    const std::string_view part = octets.substr(0, lf == std::string_view::npos ? lf : lf + 1);
    octets.remove_prefix(part.size());
    if (lf == std::string_view::npos) {
      held_ += part;
    } else if (held_.empty()) {
      take_line(part);
    } else {
      held_ += part;
      take_line(held_);
      held_.clear();
    }
  }
  if (place_ == Place::refused) return {};
  out_ += octets;
  if (place_ == Place::body) held_.shrink_to_fit();
  return out_;
}

std::string_view HeaderGate::end() {
  out_.clear();
  if (!held_.empty() && place_ != Place::body && place_ != Place::refused) take_line(held_);
  held_.clear();
  return place_ == Place::refused ? std::string_view{} : std::string_view(out_);
}

void HeaderGate::take_line(std::string_view line) {
  ++line_;
  const std::string_view text = without_line_end(line);
  if (text.empty()) {
    place_ = Place::body;
    out_ += line;
    return;
  }
  const bool mend = rule_ == HeaderRule::mend;
  if (text.front() == ' ' || text.front() == '\t') {
    if (place_ == Place::start) return leave_header(line, "continues no field");
    out_ += line;
    return;
  }
  const std::string_view name = header_field_name(text);
  if (name.empty()) {
    if (mend && place_ == Place::start && is_mailbox_line(text)) return note(line, "is a mailbox file's");
    return leave_header(line, "begins no field");
  }
  if (text[name.size()] == ':') {
    out_ += line;
  } else if (mend) {
    note(line, "has white space in front of its colon");
    out_.append(name).append(line.substr(text.find(':')));
  } else {
    // Obsolete (RFC 5322 section 4.5.8), sent by nobody, and not read alike: to some the line ends the header section.
    return leave_header(line, "has white space in front of its colon");
  }
  place_ = Place::fields;
}

void HeaderGate::leave_header(std::string_view line, std::string_view problem) {
  note(line, problem);
  if (rule_ == HeaderRule::refuse) {
    place_ = Place::refused;
    return;
  }
  place_ = Place::body;
  out_ += "\r\n";
  out_ += line;
}

void HeaderGate::note(std::string_view line, std::string_view problem) {
  if (fault_) return;
  fault_ = HeaderFault{line_, escape_to_ascii(without_line_end(line), shown_octets), std::string(problem)};
}

} // namespace smtp
