// Lines are found with memchr; a run of lines without a leading dot is one view, and
// lines around stuffed dots are gathered, so that a message of nothing else makes no step for each of its lines.
#include "smtp/wire/data_decoder.hpp"

#include <algorithm>
#include <cstring>

namespace smtp {

namespace {

constexpr std::string_view crlf = "\r\n";
constexpr std::string_view lone_dot = ".\r\n";
/// Lines are gathered up to this, and only lines up to that: a long one is cheaper as a view.
constexpr std::size_t gathered_enough = 8'192;
constexpr std::size_t gathered_line = 1'024;

std::size_t find(std::string_view text, char c, std::size_t from, std::size_t to) noexcept {
  // Lines of a few octets, of which an unkind message may consist: a call for each would cost more than they do.
  for (const std::size_t near = std::min(to, from + 8); from < near; ++from)
    if (text[from] == c) return from;
  const void *at = to > from ? std::memchr(text.data() + from, c, to - from) : nullptr;
  return at ? static_cast<std::size_t>(static_cast<const char *>(at) - text.data()) : std::string_view::npos;
}

} // namespace

void DataDecoder::begin_line(bool after_crlf) noexcept {
  state_ = State::line_start;
  line_began_after_crlf_ = after_crlf;
  line_length_ = 0;
}

bool DataDecoder::count(std::size_t octets) noexcept {
  line_length_ += octets;
  if (line_length_ <= line_limit_ || line_was_too_long_) return true;
  line_was_too_long_ = true;
  return false;
}

DataStep DataDecoder::hand_out(std::string_view octets) noexcept {
  if (discarding_ || octets.empty()) return {DataEvent::need_more, {}};
  if (std::memchr(octets.data(), '\0', octets.size()) != nullptr) {
    discarding_ = true;
    return {DataEvent::nul, {}};
  }
  return {DataEvent::octets, octets};
}

std::string_view DataDecoder::gather(std::string_view &input) {
  const bool dots = framing_ == Framing::dot;
  const char *at = input.data();
  const char *const end = at + input.size();
  gathered_.resize(gathered_enough + gathered_line + crlf.size());
  char *const begin = gathered_.data();
  char *out = begin;
  while (at != end && out < begin + gathered_enough) {
    const char *line = at;
    bool lone = false;
    if (dots && *line == '.') {
      if (end - line < 2) break;
      lone = line[1] == '\r' || line[1] == '\n';
      if (!lone) ++line; // stuffing
    }
    const char *const limit = line + std::min(static_cast<std::size_t>(end - line), gathered_line);
    char *next = out; // what is written there counts only when the whole line is in order
    while (line != limit && *line != '\r' && *line != '\n') *next++ = *line++;
    if (line == limit) break;
    const bool after_cr = *line == '\r';
    if (after_cr && (++line == end || *line != '\n')) break;
    // A lone dot is content only where its line began or ends with a bare LF.
    if (lone && after_cr && line_began_after_crlf_) break;
    if (!after_cr && bare_lf_ == BareLf::refuse) break;
    if (!lone && static_cast<std::size_t>(next - out) + crlf.size() > line_limit_) break;
    *next++ = '\r';
    *next++ = '\n';
    out = next;
    line_began_after_crlf_ = after_cr;
    at = line + 1;
  }
  input.remove_prefix(static_cast<std::size_t>(at - input.data()));
  return {begin, static_cast<std::size_t>(out - begin)};
}

DataStep DataDecoder::next(std::string_view &input) {
  while (!input.empty()) {
    const bool dots = framing_ == Framing::dot;
    if (!discarding_ && state_ == State::line_start &&
        ((dots && input.front() == '.') || bare_lf_ == BareLf::convert)) {
      if (const auto lines = gather(input); !lines.empty()) {
        const auto step = hand_out(lines);
        if (step.event != DataEvent::need_more) return step;
        continue;
      }
    }
    if (dots && state_ == State::line_start && input.front() == '.') {
      state_ = State::dot;
      input.remove_prefix(1);
      continue;
    }
    const bool held = state_ == State::dot || state_ == State::dot_cr;
    const auto step = held ? after_dot(input) : run(input);
    if (step.event != DataEvent::need_more) return step;
  }
  return {DataEvent::need_more, {}};
}

/// A dot at the start of a line is held back until it is known what it was.
DataStep DataDecoder::after_dot(std::string_view &input) noexcept {
  const char c = input.front();
  if (state_ == State::dot && c != '\r' && c != '\n') {
    state_ = State::in_line; // stuffing: the dot is dropped
    return {DataEvent::need_more, {}};
  }
  input.remove_prefix(1);
  if (state_ == State::dot && c == '\r') {
    state_ = State::dot_cr;
    return {DataEvent::need_more, {}};
  }
  if (c != '\n') return {DataEvent::bare_cr, {}};
  const bool ended_in_crlf = state_ == State::dot_cr;
  if (ended_in_crlf && line_began_after_crlf_) return {DataEvent::end, {}};
  if (!ended_in_crlf && bare_lf_ == BareLf::refuse) return {DataEvent::bare_lf, {}};
  begin_line(ended_in_crlf);
  return hand_out(lone_dot);
}

/// The longest view from the front of `input` that can be handed out as it is.
DataStep DataDecoder::run(std::string_view &input) noexcept {
  std::size_t at = 0;
  bool too_long = false;
  const auto take = [&](std::size_t octets) {
    const auto view = input.substr(0, octets);
    input.remove_prefix(at);
    if (!too_long || discarding_) return hand_out(view);
    discarding_ = true;
    return DataStep{DataEvent::line_too_long, {}};
  };
  if (state_ == State::cr) { // the CR was handed out with the octets before
    if (input.front() != '\n') return {DataEvent::bare_cr, {}};
    at = 1;
    too_long = !count(1);
    begin_line(true);
    if (too_long) return take(at);
  }
  while (at < input.size()) {
    if (state_ == State::line_start) {
      if (framing_ == Framing::dot && input[at] == '.') return take(at);
      state_ = State::in_line;
    }
    const auto lf = find(input, '\n', at, input.size());
    const auto end = lf == std::string_view::npos ? input.size() : lf;
    const auto cr = find(input, '\r', at, end);
    if (cr != std::string_view::npos && cr + 1 != end) return {DataEvent::bare_cr, {}};
    const auto start = at;
    if (lf == std::string_view::npos) {
      if (cr != std::string_view::npos) state_ = State::cr;
      at = end;
      too_long = !count(end - start);
      return take(at);
    }
    at = lf + 1;
    if (cr != std::string_view::npos) {
      too_long = !count(at - start);
      begin_line(true);
      if (too_long) return take(at);
      continue;
    }
    if (bare_lf_ == BareLf::refuse) return {DataEvent::bare_lf, {}};
    too_long = !count(at - start + 1);
    if (too_long) {
      begin_line(false);
      return take(at);
    }
    if (lf > 0) { // first what stands before the LF, next time the LF itself
      at = lf;
      line_length_ -= 2;
      return take(lf);
    }
    begin_line(false);
    input.remove_prefix(1);
    return hand_out(crlf);
  }
  return take(at);
}

DataStep DataDecoder::finish() {
  switch (state_) {
  case State::cr: return {DataEvent::bare_cr, {}};
  case State::line_start: return {DataEvent::end, {}};
  case State::in_line:
  case State::dot:
  case State::dot_cr: break;
  }
  // RFC 3030 lets a message end without CRLF; DATA to the next hop could not carry that, and DKIM does not see the
  // difference.
  begin_line(true);
  return discarding_ ? DataStep{DataEvent::end, {}} : DataStep{DataEvent::octets, crlf};
}

} // namespace smtp
