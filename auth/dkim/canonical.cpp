// Canonicalisation: see the header.
#include "auth/dkim/canonical.hpp"

#include <algorithm>
#include <cstring>

#include "smtp/base/text.hpp"

namespace auth {

namespace {

bool is_wsp(char c) {
  return c == ' ' || c == '\t';
}
bool is_white(char c) {
  return is_wsp(c) || c == '\r' || c == '\n';
}

constexpr std::size_t direct = 512;  ///< runs of this size go to the sink without a copy
constexpr std::size_t buffer = 4096; ///< short runs are gathered: each call of the sink has its price

/// The first octet of [at, end) that relaxed canonicalisation changes: a tab, or a space in front of white space. The
/// last octet of `text` is not white.
std::size_t find_change(std::string_view text, std::size_t at) {
  const char *const p = text.data();
  const std::size_t end = text.size() - 1;
  const auto changes = [p](std::size_t i) {
    if (p[i] > ' ') return false;
    return p[i] == '\t' || (p[i] == ' ' && (is_wsp(p[i + 1]) || p[i + 1] == '\r'));
  };
  // Text with many changes is walked octet by octet…
  for (const std::size_t near = std::min(end, at + 32); at < near; ++at)
    if (changes(at)) return at;
  // … all other in whole blocks without a branch, which the compiler turns into vector instructions.
  constexpr std::size_t block = 64;
  for (; at + block <= end; at += block) {
    unsigned char any = 0;
    for (std::size_t i = 0; i < block; ++i) {
      const char c = p[at + i];
      const char next = p[at + i + 1];
      const auto space = static_cast<unsigned char>(c == ' ');
      const auto white = static_cast<unsigned char>(next == ' ') | static_cast<unsigned char>(next == '\t') |
                         static_cast<unsigned char>(next == '\r');
      any = static_cast<unsigned char>(any | static_cast<unsigned char>(c == '\t') | (space & white));
    }
    if (any != 0) break;
  }
  while (at < end && !changes(at)) ++at;
  return at < end ? at : text.size();
}

} // namespace

std::string_view to_string(Canonical canonical) noexcept {
  return canonical == Canonical::simple ? "simple" : "relaxed";
}

void append_canonical_field(Canonical canonical, const HeaderField &field, std::string &out) {
  if (canonical == Canonical::relaxed) return append_canonical_field(canonical, field.name, field.value, out);
  // RFC 6376 section 3.4.1: not changed in any way.
  out += field.text;
  if (!field.text.ends_with("\r\n")) out += "\r\n"; // the end of the section was the end of the message
}

void append_canonical_field(Canonical canonical, std::string_view name, std::string_view value, std::string &out) {
  if (canonical == Canonical::simple) {
    out.append(name).append(":").append(value).append("\r\n");
    return;
  }
  // RFC 6376 section 3.4.2: the name in lower case, folds undone, runs of white space one space, none at the ends of
  // the value.
  for (const char c : name) out += smtp::to_lower(c);
  out += ':';
  bool space = false;
  bool begun = false;
  std::size_t at = 0;
  while (at < value.size()) {
    if (is_wsp(value[at])) {
      space = true;
      ++at;
    } else if (value[at] == '\r' && at + 1 < value.size() && value[at + 1] == '\n') {
      at += 2;
    } else {
      if (space && begun) out += ' ';
      space = false;
      begun = true;
      const std::size_t from = at;
      ++at; // a bare CR is an octet like any other
      while (at < value.size() && !is_wsp(value[at]) && value[at] != '\r') ++at;
      out.append(value, from, at - from);
    }
  }
  out += "\r\n";
}

BodyCanonicaliser::BodyCanonicaliser(Canonical canonical, std::optional<std::uint64_t> limit)
    : canonical_(canonical), limit_(limit) {}

void BodyCanonicaliser::write(std::string_view octets, OctetSink &sink) {
  if (limit_ && length_ > *limit_) return; // nothing that comes can count
  if (canonical_ == Canonical::simple)
    simple(octets, sink);
  else
    relaxed(octets, sink);
}

/// RFC 6376 section 3.4.3: the body as it is; the line ends at its end become one.
void BodyCanonicaliser::simple(std::string_view octets, OctetSink &sink) {
  if (octets.empty()) return;
  if (held_cr_) {
    held_cr_ = false;
    if (octets.front() == '\n') {
      ++held_lines_;
      octets.remove_prefix(1);
    } else {
      put_held_lines(sink);
      put("\r", sink);
    }
  }
  const bool cr = octets.ends_with('\r');
  if (cr) octets.remove_suffix(1);
  std::uint64_t lines = 0;
  while (octets.ends_with("\r\n")) {
    octets.remove_suffix(2);
    ++lines;
  }
  if (!octets.empty()) {
    put_held_lines(sink);
    put(octets, sink);
  }
  held_lines_ += lines;
  held_cr_ = cr;
}

/// RFC 6376 section 3.4.4: white space at the end of a line goes, other runs of it become one space, empty lines at the
/// end go.
void BodyCanonicaliser::relaxed(std::string_view octets, OctetSink &sink) {
  // White space at both ends of the piece is taken octet by octet, as what it is depends on the pieces beside it.
  std::size_t tail = octets.size();
  while (tail > 0 && is_white(octets[tail - 1])) --tail;
  std::size_t at = 0;
  while (at < tail && (held_cr_ || is_white(octets[at]))) white(octets[at++], sink);
  if (at < tail) {
    put_held_lines(sink);
    put_held_space(sink);
    const std::string_view text = octets.substr(0, tail);
    while (at < tail) {
      const std::size_t change = find_change(text, at);
      put(text.substr(at, change - at), sink);
      at = change;
      if (at == tail) break;
      while (is_wsp(text[at])) ++at;
      const bool line_ends = text[at] == '\r' && text[at + 1] == '\n';
      if (!line_ends) put(" ", sink);
    }
  }
  for (at = std::max(at, tail); at < octets.size(); ++at) white(octets[at], sink);
}

/// One octet at an end of a piece: white space, a CR or LF, or what follows a CR.
void BodyCanonicaliser::white(char octet, OctetSink &sink) {
  if (held_cr_) {
    held_cr_ = false;
    if (octet == '\n') {
      held_space_ = false;
      ++held_lines_;
      return;
    }
    put_held_lines(sink);
    put_held_space(sink);
    put("\r", sink);
  }
  if (octet == '\r') {
    held_cr_ = true;
  } else if (is_wsp(octet)) {
    held_space_ = true;
  } else {
    put_held_lines(sink);
    put_held_space(sink);
    put({&octet, 1}, sink);
  }
}

void BodyCanonicaliser::end(OctetSink &sink) {
  if (held_cr_) {
    held_cr_ = false;
    put_held_lines(sink);
    put_held_space(sink);
    put("\r", sink);
  }
  // Simple: an empty body is one line end; relaxed: it stays empty.
  if (canonical_ == Canonical::simple || length_ != 0) put("\r\n", sink);
  held_lines_ = 0;
  held_space_ = false;
  flush(sink);
}

void BodyCanonicaliser::put_held_lines(OctetSink &sink) {
  for (; held_lines_ > 0; --held_lines_) put("\r\n", sink);
}

void BodyCanonicaliser::put_held_space(OctetSink &sink) {
  if (held_space_) put(" ", sink);
  held_space_ = false;
}

void BodyCanonicaliser::put(std::string_view octets, OctetSink &sink) {
  const std::uint64_t before = length_;
  length_ += octets.size();
  if (limit_ && length_ > *limit_)
    octets = octets.substr(0, *limit_ > before ? static_cast<std::size_t>(*limit_ - before) : 0);
  if (octets.size() < direct) {
    if (buffer_.empty()) buffer_.resize(buffer);
    if (used_ + octets.size() > buffer) flush(sink);
    std::memcpy(buffer_.data() + used_, octets.data(), octets.size());
    used_ += octets.size();
    return;
  }
  flush(sink);
  sink.write(octets);
}

void BodyCanonicaliser::flush(OctetSink &sink) {
  if (used_ == 0) return;
  sink.write(std::string_view(buffer_).substr(0, used_));
  used_ = 0;
}

} // namespace auth
