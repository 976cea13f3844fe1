#include "smtp/wire/reply.hpp"

#include "smtp/base/text.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace smtp {

namespace {

constexpr std::size_t longest_line_sent = 512; // RFC 5321 section 4.5.3.1.5
constexpr std::size_t longest_line_read = 2048;
constexpr std::size_t most_lines_read = 128;
constexpr std::size_t longest_reply_read = 65536;

/// The next piece of `text` for one line of at most `room` octets; cut at a space where there is one.
std::string_view take_piece(std::string_view &text, std::size_t room) {
  auto piece = text.substr(0, text.find('\n'));
  const bool whole = piece.size() <= room;
  if (!whole) {
    const auto space = piece.substr(0, room).rfind(' ');
    piece = piece.substr(0, space == std::string_view::npos || space == 0 ? room : space);
  }
  text.remove_prefix(piece.size());
  // The line break or the space that the cut stands for.
  if (!text.empty() && (whole || text.front() == ' ')) text.remove_prefix(1);
  return piece;
}

/// textstring = 1*(%d09 / %d32-126) (RFC 5321 section 4.2): nothing else leaves, least of all a CR.
void append_safe(std::string &out, std::string_view text) {
  std::transform(text.begin(), text.end(), std::back_inserter(out),
                 [](char c) { return c == '\t' || (c >= 32 && c <= 126) ? c : '?'; });
}

struct ReplyLine {
  std::uint16_t code = 0;
  bool last = false;
  std::string_view text;
};

/// Reply-code ( "-" / SP ) [ textstring ], or the code alone.
Result<ReplyLine> parse_line(std::string_view line) {
  const auto bad = [&](std::string_view why) {
    return fail(ErrorCode::protocol, fmt::format("reply line \"{}\" {}", escape(line, 80), why));
  };
  if (line.size() < 3) return bad("is too short");
  const auto code = parse_number(line.substr(0, 3));
  if (!code || *code < 200 || *code > 599) return bad("has no code from 200 to 599");
  if (line.size() > 3 && line[3] != ' ' && line[3] != '-') return bad("has neither space nor hyphen after its code");
  return ReplyLine{static_cast<std::uint16_t>(*code), line.size() == 3 || line[3] == ' ',
                   line.substr(std::min<std::size_t>(line.size(), 4))};
}

/// Takes an enhanced code from the front of `text`, when it is there and fits the reply code (RFC 2034 section 4).
std::optional<EnhancedCode> take_enhanced(std::string_view &text, std::uint16_t code) {
  const auto word = text.substr(0, text.find(' '));
  const auto enhanced = EnhancedCode::parse(word);
  if (!enhanced || enhanced->status_class != code / 100) return std::nullopt;
  text.remove_prefix(std::min(text.size(), word.size() + 1));
  return enhanced;
}

} // namespace

std::string EnhancedCode::to_string() const {
  return fmt::format("{}.{}.{}", status_class, subject, detail);
}

std::optional<EnhancedCode> EnhancedCode::parse(std::string_view text) noexcept {
  // status-code = class "." subject "." detail; class "2" / "4" / "5", the others 1*3digit
  if (text.size() < 5 || text.size() > 9 || text[1] != '.') return std::nullopt;
  if (text[0] != '2' && text[0] != '4' && text[0] != '5') return std::nullopt;
  const auto rest = text.substr(2);
  const auto dot = rest.find('.');
  if (dot == std::string_view::npos || dot > 3 || rest.size() - dot - 1 > 3) return std::nullopt;
  const auto subject = parse_number(rest.substr(0, dot));
  const auto detail = parse_number(rest.substr(dot + 1));
  if (!subject || !detail) return std::nullopt;
  return EnhancedCode{static_cast<std::uint8_t>(text[0] - '0'), static_cast<std::uint16_t>(*subject),
                      static_cast<std::uint16_t>(*detail)};
}

std::string Reply::to_line() const {
  std::string line = fmt::format("{}", code);
  if (enhanced) line += " " + enhanced->to_string();
  if (!text.empty()) line += " " + text;
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

std::string format_reply(const Reply &reply) {
  std::string prefix = fmt::format("{:03} ", reply.code);
  if (reply.enhanced) prefix += reply.enhanced->to_string() + " ";
  const std::size_t room = longest_line_sent - 2 - prefix.size();
  std::string out;
  out.reserve(prefix.size() + reply.text.size() + 2);
  std::string_view rest = reply.text;
  do {
    const auto piece = take_piece(rest, room);
    const auto start = out.size();
    out += prefix;
    if (!rest.empty()) out[start + 3] = '-';
    append_safe(out, piece);
    out += "\r\n";
  } while (!rest.empty());
  return out;
}

void ReplyParser::feed(std::string_view octets) {
  if (start_ > 0) {
    buffer_.erase(0, start_);
    line_ -= start_;
    start_ = 0;
  }
  buffer_.append(octets);
}

void ReplyParser::clear() {
  buffer_.clear();
  start_ = line_ = lines_ = 0;
}

Result<std::optional<Reply>> ReplyParser::next() {
  for (;;) {
    const auto end = buffer_.find('\n', line_);
    const bool complete = end != std::string::npos;
    auto line = std::string_view(buffer_).substr(line_, complete ? end - line_ + 1 : std::string::npos);
    if (line.size() > longest_line_read)
      return fail(ErrorCode::too_long, fmt::format("reply line is over its limit of {} octets", longest_line_read));
    if (line_ + line.size() - start_ > longest_reply_read)
      return fail(ErrorCode::too_long, fmt::format("reply is over its limit of {} octets", longest_reply_read));
    const auto cr = line.find('\r');
    if (complete ? line.size() < 2 || cr != line.size() - 2 : cr < line.size() - 1)
      return fail(ErrorCode::protocol, fmt::format("reply line \"{}\" has a bare CR or LF", escape(line, 80)));
    if (!complete) return std::optional<Reply>();
    line.remove_suffix(2);
    const auto parsed = parse_line(line);
    if (!parsed) return tl::unexpected<Error>(parsed.error());
    if (++lines_ > most_lines_read)
      return fail(ErrorCode::too_long, fmt::format("reply is over its limit of {} lines", most_lines_read));
    line_ = end + 1;
    if (parsed->last) return std::optional<Reply>(take_reply());
  }
}

/// Builds the reply whose lines, all of them checked, stand from start_ to line_.
Reply ReplyParser::take_reply() {
  const auto all = std::string_view(buffer_).substr(start_, line_ - start_);
  const auto for_each_line = [all](auto visit) {
    for (auto rest = all; !rest.empty();) {
      const auto end = rest.find('\n');
      visit(*parse_line(rest.substr(0, end - 1)));
      rest.remove_prefix(end + 1);
    }
  };
  Reply reply;
  bool yes = false;
  bool no = false;
  for_each_line([&](const ReplyLine &line) {
    (line.code < 400 ? yes : no) = true;
    if (line.code / 100 >= reply.code / 100) reply.code = line.code;
  });
  reply.mixed = yes && no;
  bool first = true;
  bool first_of_code = true;
  for_each_line([&](const ReplyLine &line) {
    auto text = line.text;
    if (line.code == reply.code) {
      auto shorter = text;
      const auto enhanced = take_enhanced(shorter, line.code);
      if (std::exchange(first_of_code, false)) reply.enhanced = enhanced;
      if (enhanced && enhanced == reply.enhanced) text = shorter;
    }
    if (!std::exchange(first, false)) reply.text += '\n';
    reply.text += text;
  });
  start_ = line_;
  lines_ = 0;
  if (start_ == buffer_.size()) clear();
  return reply;
}

} // namespace smtp
