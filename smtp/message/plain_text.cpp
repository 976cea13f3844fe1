#include "smtp/message/plain_text.hpp"

#include <algorithm>

#include "smtp/base/control_characters.hpp"
#include "smtp/base/text.hpp"

namespace smtp {

namespace {

constexpr std::size_t wanted_width = 72;
constexpr std::size_t longest_word = 900; // with any indent it stays under the limit of a line

bool is_continuation(char c) noexcept {
  return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

/// The first `size` octets or fewer, never half of a UTF-8 sequence.
std::string_view cut(std::string_view text, std::size_t size) {
  if (text.size() <= size) return text;
  std::size_t end = size;
  while (end > 0 && end + 4 > size && is_continuation(text[end])) --end;
  return text.substr(0, end == 0 ? size : end);
}

/// The next word of at most `longest_word` octets; spaces in front of it are passed over.
std::string_view take_short_word(std::string_view &text) {
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(' ')));
  const auto word = cut(text.substr(0, text.find(' ')), longest_word);
  text.remove_prefix(word.size());
  return word;
}

/// Appends the words of `text`; a line that is full ends, and the next begins with `indent`.
void append_words(std::string &out, std::string_view text, std::size_t line_start, std::string_view indent,
                  bool line_is_empty) {
  for (auto word = take_short_word(text); !word.empty(); word = take_short_word(text)) {
    if (!line_is_empty && out.size() - line_start + 1 + word.size() > wanted_width) {
      out += "\r\n";
      line_start = out.size();
      out += indent;
      line_is_empty = true;
    }
    if (!line_is_empty) out += ' ';
    out += word;
    line_is_empty = false;
  }
  out += "\r\n";
}

} // namespace

std::string one_line(std::string_view text, TextCharset charset, std::size_t limit) {
  const std::string_view source = text.substr(0, limit + 4);
  std::string line;
  line.reserve(source.size());
  for (std::size_t i = 0; i < source.size();) {
    const auto octet = static_cast<unsigned char>(source[i]);
    if (octet < 0x80) {
      line += octet < 0x20 ? ' ' : octet == 0x7F ? '?' : source[i];
      ++i;
      continue;
    }
    std::size_t length = 2;
    while (length <= 4 && !(i + length <= source.size() && is_utf8(source.substr(i, length)))) ++length;
    const bool is_text = length <= 4 && !is_control_sequence(source.substr(i, length));
    const std::string_view piece = source.substr(i, length > 4 ? 1 : length);
    if (is_text && charset != TextCharset::ascii)
      line += piece;
    else
      line += '?';
    i += piece.size();
  }
  if (text.size() <= limit && line.size() <= limit) return line;
  line.resize(cut(line, limit - std::min<std::size_t>(limit, 3)).size());
  return line + "...";
}

std::string wrap_text(std::string_view text, std::size_t indent) {
  const std::string spaces(indent, ' ');
  std::string out = spaces;
  append_words(out, text, 0, spaces, true);
  return out;
}

std::string fold_field(std::string_view name, std::string_view value) {
  std::string out(name);
  out += ':';
  append_words(out, value, 0, "\t", false);
  return out;
}

std::string clean_lines(std::string_view text, TextCharset charset, std::size_t limit) {
  std::string out;
  while (!text.empty()) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const auto start = out.size();
    const std::string safe = one_line(line, charset, std::max<std::size_t>(line.size(), 3));
    std::string_view rest = safe;
    do {
      const auto piece = cut(rest, rest.size() > longest_text_line ? longest_word : rest.size());
      out += piece;
      out += "\r\n";
      rest.remove_prefix(piece.size());
      if (!rest.empty()) out += ' ';
    } while (!rest.empty());
    if (out.size() > limit) {
      out.resize(start);
      break;
    }
  }
  return out;
}

bool has_clean_lines(std::string_view text) noexcept {
  while (!text.empty()) {
    const auto lf = text.find('\n');
    if (lf == std::string_view::npos || lf == 0 || lf - 1 > longest_text_line) return false;
    if (text.substr(0, lf).find('\r') != lf - 1 || text.substr(0, lf).find('\0') != std::string_view::npos)
      return false;
    text.remove_prefix(lf + 1);
  }
  return true;
}

} // namespace smtp
