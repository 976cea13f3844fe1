// Every octet of every message passes here once: body lines are found with memchr,
// octets above 127 are sought 32 at a time.
#include "smtp/message/header_scan.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include <fmt/core.h>

#include "smtp/base/text.hpp"
#include "smtp/message/field_name.hpp"

namespace smtp {

namespace {

constexpr std::size_t kept_of_line = 2400; // more than the longest name with its colon, and a Message-ID of 998 octets
static_assert(kept_of_line > 2 * longest_field_name);
constexpr std::size_t message_id_limit = 998;
constexpr std::size_t subject_limit = 100;
constexpr std::size_t tls_required_limit = 256; // a longer value is not "No"

bool has_8bit(std::string_view octets) noexcept {
  const char *at = octets.data();
  std::size_t left = octets.size();
  constexpr std::uint64_t high_bits = 0x8080808080808080U;
  for (; left >= 32; at += 32, left -= 32) {
    std::uint64_t words[4];
    std::memcpy(words, at, sizeof words);
    if (((words[0] | words[1] | words[2] | words[3]) & high_bits) != 0) return true;
  }
  return !is_ascii({at, left});
}

/// What is left behind white space and comments, which may be nested (RFC 5322 section 3.2.2: CFWS); nothing when a
/// comment has no end.
std::optional<std::string_view> skip_comments(std::string_view text) noexcept {
  std::size_t depth = 0;
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '(')
      ++depth;
    else if (depth > 0 && c == ')')
      --depth;
    else if (depth > 0 && c == '\\')
      ++at;
    else if (depth == 0 && c != ' ' && c != '\t')
      break;
  }
  if (depth > 0) return std::nullopt;
  return text.substr(std::min(at, text.size()));
}

/// requiretls-field = "TLS-Required:" [FWS] "No" CRLF (RFC 8689 section 3); comments are let pass as in other fields.
bool says_no(std::string_view value) noexcept {
  if (value.size() >= tls_required_limit) return false;
  const auto word = skip_comments(value);
  if (!word || !starts_with_ignoring_case(*word, "No")) return false;
  const auto rest = skip_comments(word->substr(2));
  return rest && rest->empty();
}

} // namespace

Result<void> HeaderScanner::feed(std::string_view octets) {
  if (error_) return tl::unexpected<Error>(*error_);
  facts_.size += octets.size();
  if (in_header_) octets = feed_header(octets);
  if (error_) return tl::unexpected<Error>(*error_);
  feed_body(octets);
  return {};
}

std::string_view HeaderScanner::feed_header(std::string_view octets) {
  while (in_header_ && !octets.empty()) {
    const auto lf = octets.find('\n');
    const auto part = octets.substr(0, lf == std::string_view::npos ? octets.size() : lf + 1);
    octets.remove_prefix(part.size());
    line_length_ += part.size();
    if (has_8bit(part)) {
      facts_.has_8bit = true;
      line_has_8bit_ = true;
    }
    const bool complete = lf != std::string_view::npos;
    if (header_lines_ + line_length_ > header_limit_) {
      error_ = Error{ErrorCode::too_long, fmt::format("header section is over {} octets", header_limit_)};
      return {};
    }
    if (!complete || !line_start_.empty())
      line_start_.append(part.substr(0, kept_of_line - std::min(kept_of_line, line_start_.size())));
    if (!complete) break;
    // The same octets of a very long line are looked at, whether it came whole or in parts.
    auto line = line_start_.empty() ? part.substr(0, kept_of_line) : std::string_view(line_start_);
    while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
    header_line(line, line_length_);
    facts_.longest_line = std::max(facts_.longest_line, line_length_);
    line_start_.clear();
    line_length_ = 0;
    line_has_8bit_ = false;
    if (error_) return {};
  }
  if (in_header_) {
    facts_.header_size = header_lines_ + line_length_;
    facts_.longest_line = std::max(facts_.longest_line, line_length_);
    facts_.header_has_8bit = fields_have_8bit_ || line_has_8bit_;
  }
  return octets;
}

void HeaderScanner::header_line(std::string_view line, std::size_t length) {
  if (line.empty() && length <= 2) { // the empty line belongs to the header section
    in_header_ = false;
    header_lines_ += length;
  } else if ((line.starts_with(' ') || line.starts_with('\t')) && field_ != Field::none) {
    header_lines_ += length;
    fields_have_8bit_ |= line_has_8bit_;
    add_value(line);
  } else if (const auto name = header_field_name(line); !name.empty()) {
    header_lines_ += length;
    fields_have_8bit_ |= line_has_8bit_;
    begin_field(name, line.substr(line.find(':') + 1));
  } else {
    in_header_ = false;
  }
  facts_.header_size = header_lines_;
  facts_.header_has_8bit = fields_have_8bit_;
}

void HeaderScanner::begin_field(std::string_view name, std::string_view value) {
  field_ = Field::other;
  if (equals_ignoring_case(name, "Received")) {
    if (++facts_.received_hops > hop_limit_)
      error_ = Error{ErrorCode::protocol, fmt::format("mail loop: more than {} Received fields", hop_limit_)};
  } else if (equals_ignoring_case(name, "Date")) {
    facts_.has_date = true;
  } else if (equals_ignoring_case(name, "From")) {
    facts_.has_from = true;
  } else if (equals_ignoring_case(name, "Message-ID") && !facts_.has_message_id) {
    facts_.has_message_id = true;
    field_ = Field::message_id;
  } else if (equals_ignoring_case(name, "Subject") && facts_.subject_excerpt.empty()) {
    field_ = Field::subject;
  } else if (equals_ignoring_case(name, "TLS-Required")) {
    // RFC 8689 section 3: "More than one instance … MUST NOT appear in a given message": then nobody knows what is
    // meant, and none of them lowers what protects the message.
    facts_.tls_optional = false;
    if (++tls_required_fields_ == 1) field_ = Field::tls_required;
  }
  add_value(value);
}

void HeaderScanner::add_value(std::string_view text) {
  const auto add = [&](std::string &value, std::size_t limit) {
    text = trim(text);
    if (!value.empty() && !text.empty() && value.size() < limit) value += ' ';
    value.append(text.substr(0, limit - value.size()));
  };
  switch (field_) {
  case Field::none:
  case Field::other: break;
  case Field::message_id: add(facts_.message_id, message_id_limit); break;
  case Field::subject: add(facts_.subject_excerpt, subject_limit); break;
  case Field::tls_required:
    tls_required_.append(text.substr(0, tls_required_limit - tls_required_.size()));
    facts_.tls_optional = says_no(tls_required_);
    break;
  }
}

void HeaderScanner::feed_body(std::string_view octets) {
  if (octets.empty()) return;
  if (!facts_.has_8bit) facts_.has_8bit = has_8bit(octets);
  const char *at = octets.data();
  const char *const end = at + octets.size();
  std::size_t longest = facts_.longest_line;
  while (at != end) {
    const auto *lf = static_cast<const char *>(std::memchr(at, '\n', static_cast<std::size_t>(end - at)));
    const char *const next = lf ? lf + 1 : end;
    line_length_ += static_cast<std::size_t>(next - at);
    longest = std::max(longest, line_length_);
    if (lf) line_length_ = 0;
    at = next;
  }
  facts_.longest_line = longest;
}

std::size_t find_body(std::string_view message) {
  constexpr std::size_t step = 65'536;
  HeaderScanner scanner(message.size(), message.size());
  for (std::size_t at = 0; at < message.size() && !scanner.is_header_complete(); at += step)
    if (!scanner.feed(message.substr(at, step))) break; // no limit of these can be passed
  return static_cast<std::size_t>(scanner.facts().header_size);
}

} // namespace smtp
