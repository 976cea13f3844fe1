#include "smtp/message/eight_bit.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "smtp/base/base64.hpp"
#include "smtp/base/text.hpp"
#include "smtp/message/field_name.hpp"

namespace smtp {

namespace {

constexpr std::size_t base64_line = 57; // 76 characters
constexpr std::size_t quoted_line = 76;

struct PartField {
  std::string_view name;
  std::string_view text; ///< with its final CRLF
};

std::vector<PartField> part_fields(std::string_view header) {
  std::vector<PartField> fields;
  std::size_t at = 0;
  while (at < header.size()) {
    const auto line_end = [&](std::size_t from) {
      const auto end = header.find('\n', from);
      return end == std::string_view::npos ? header.size() : end + 1;
    };
    const std::size_t begin = at;
    at = line_end(at);
    while (at < header.size() && (header[at] == ' ' || header[at] == '\t')) at = line_end(at);
    const std::string_view text = header.substr(begin, at - begin);
    fields.push_back({header_field_name(text), text});
  }
  return fields;
}

/// Of the first field of this name: unfolded, without comments at its beginning.
std::optional<std::string> part_value(const std::vector<PartField> &fields, std::string_view name) {
  for (const PartField &field : fields) {
    if (!equals_ignoring_case(field.name, name)) continue;
    std::string value(field.text.substr(field.text.find(':') + 1));
    std::erase_if(value, [](char c) { return c == '\r' || c == '\n'; });
    return std::string(trim(value));
  }
  return std::nullopt;
}

/// "text/plain" of "Text/Plain; charset=x", in lower case.
std::string media_type(std::string_view value) {
  value = value.substr(0, std::min(value.find(';'), value.find('(')));
  std::string type;
  for (const char c : value)
    if (c != ' ' && c != '\t') type += to_lower(c);
  return type;
}

constexpr std::size_t longest_boundary = 998;
constexpr std::size_t most_boundary_sections = 100;

/// What stands behind '=' (RFC 2045 section 5.1): a token, or a quoted string.
std::string parameter_value(std::string_view text) {
  std::string value;
  if (!text.starts_with('"')) return std::string(text.substr(0, text.find_first_of("; \t(")));
  for (std::size_t i = 1; i < text.size() && text[i] != '"'; ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    value += text[i];
  }
  return value;
}

int hexadecimal_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  c = to_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/// RFC 2231 section 4: "%20"; in the first section behind charset'language'.
std::string without_percents(std::string_view text, bool first) {
  if (const auto quote = text.find('\''); first && quote != std::string_view::npos)
    if (const auto second = text.find('\'', quote + 1); second != std::string_view::npos)
      text.remove_prefix(second + 1);
  std::string octets;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hexadecimal_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hexadecimal_digit(text[i + 2]) : -1;
    if (low < 0) {
      octets += text[i];
    } else {
      octets += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return octets;
}

/// "boundary", "boundary*", "boundary*3" or "boundary*3*" (RFC 2231 sections 3 and 4.1).
struct BoundaryName {
  std::optional<std::size_t> section;
  bool extended = false;
};

std::optional<BoundaryName> boundary_name(std::string_view name) {
  if (!starts_with_ignoring_case(name, "boundary")) return std::nullopt;
  name.remove_prefix(8);
  BoundaryName parsed;
  if (name.empty()) return parsed;
  if (!name.starts_with('*')) return std::nullopt;
  name.remove_prefix(1);
  std::size_t number = 0;
  std::size_t digits = 0;
  for (; digits < name.size() && digits < 3 && name[digits] >= '0' && name[digits] <= '9'; ++digits)
    number = 10 * number + static_cast<std::size_t>(name[digits] - '0');
  name.remove_prefix(digits);
  if (digits > 0) parsed.section = number;
  parsed.extended = digits == 0 || name == "*";
  const bool known = digits == 0 ? name.empty() : name.empty() || name == "*";
  return known && number < most_boundary_sections ? std::optional(parsed) : std::nullopt;
}

/// Of a Content-Type: in one piece, or the pieces of RFC 2231 in their order, up to the first that is missing.
std::string boundary_of(std::string_view value) {
  std::optional<std::string> boundary;
  std::vector<std::optional<std::string>> sections;
  bool quoted = false;
  for (std::size_t at = 0; at < value.size() && !boundary; ++at) {
    if (value[at] == '\\' && quoted) {
      ++at;
    } else if (value[at] == '"') {
      quoted = !quoted;
    } else if (value[at] == ';' && !quoted) {
      const std::string_view rest = trim(value.substr(at + 1));
      const auto equals = rest.substr(0, 40).find('=');
      if (equals == std::string_view::npos) continue;
      const auto name = boundary_name(trim(rest.substr(0, equals)));
      if (!name) continue;
      std::string text = parameter_value(trim(rest.substr(equals + 1)));
      if (name->extended) text = without_percents(text, name->section.value_or(0) == 0);
      if (!name->section && !name->extended) {
        boundary = std::move(text);
        continue;
      }
      const std::size_t number = name->section.value_or(0);
      if (sections.size() <= number) sections.resize(number + 1);
      if (!sections[number]) sections[number] = std::move(text);
    }
  }
  if (!boundary) {
    boundary.emplace();
    for (const auto &section : sections) {
      if (!section) break;
      *boundary += *section;
    }
  }
  while (boundary->ends_with(' ')) boundary->pop_back();
  return boundary->size() <= longest_boundary ? *boundary : std::string();
}

std::string_view without_end(std::string_view line) noexcept {
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

void append_quoted_octet(char c, std::string &out) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  const auto octet = static_cast<unsigned char>(c);
  out += '=';
  out += digits[octet >> 4U];
  out += digits[octet & 15U];
}

/// RFC 2045 section 6.7, for one line without its end.
void append_quoted_line(std::string_view line, std::string &out) {
  std::size_t column = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const auto octet = static_cast<unsigned char>(c);
    const bool last = i + 1 == line.size();
    const bool blank = c == ' ' || c == '\t';
    bool plain = (octet > ' ' && octet < 0x7f && c != '=') || (blank && !last);
    if (column + (plain ? 1U : 3U) > quoted_line - (last ? 0U : 1U)) {
      out += "=\r\n";
      column = 0;
    }
    // What begins a line of its own must not look like a delimiter, a mailbox file's line or an end of data.
    if (column == 0 && i > 0 && (c == '-' || c == 'F' || c == '.')) plain = false;
    if (plain) {
      out += c;
      ++column;
    } else {
      append_quoted_octet(c, out);
      column += 3;
    }
  }
}

} // namespace

void SevenBitConverter::feed(std::string_view octets, std::string &out) {
  while (!octets.empty()) {
    const auto lf = octets.find('\n');
    const std::string_view part = octets.substr(0, lf == std::string_view::npos ? lf : lf + 1);
    octets.remove_prefix(part.size());
    if (lf == std::string_view::npos) {
      line_ += part;
    } else if (line_.empty()) {
      take_line(part, out);
    } else {
      line_ += part;
      const std::string line = std::move(line_);
      line_.clear();
      take_line(line, out);
    }
  }
}

void SevenBitConverter::end(std::string &out) {
  if (!line_.empty()) {
    const std::string line = std::move(line_);
    line_.clear();
    take_line(line, out);
  }
  if (place_ == Place::header) end_header(out);
  if (line_end_waits_) {
    line_end_waits_ = false;
    write_base64("\r\n", false, out);
  }
  end_part(out);
}

void SevenBitConverter::take_line(std::string_view line, std::string &out) {
  if (mode_ == Mode::survey) size_ += line.size();
  if (!open_.empty() && line.starts_with("--") && take_boundary(line, out)) return;
  if (place_ == Place::header)
    take_header_line(line, out);
  else
    take_body_line(line, out);
}

void SevenBitConverter::take_header_line(std::string_view line, std::string &out) {
  header_ += line;
  if (header_.size() > longest_header) {
    if (mode_ != Mode::survey) out += header_;
    header_.clear();
    if (mode_ == Mode::survey) parts_.push_back(false);
    ++part_;
    place_ = Place::copy;
    return;
  }
  // Other lines that are no field end a header section as well, to some; the first section was looked at on its way in.
  if (without_end(line).empty()) end_header(out);
}

void SevenBitConverter::end_header(std::string &out) {
  const auto fields = part_fields(header_);
  const bool first = part_ == 0;
  const auto type_value = part_value(fields, "Content-Type");
  const auto encoding_value = part_value(fields, "Content-Transfer-Encoding");
  // RFC 2046 section 5.1.5; not for the header of the message in such a part.
  const bool in_digest = std::exchange(part_begins_, false) && !open_.empty() && open_.back().digest;
  const std::string type = type_value ? media_type(*type_value) : in_digest ? "message/rfc822" : "";
  const std::string encoding = encoding_value ? media_type(*encoding_value) : "7bit";
  const bool wide = encoding == "8bit" || encoding == "binary";
  const bool encoded = encoding == "quoted-printable" || encoding == "base64";
  const bool of_multipart = type.starts_with("multipart/");
  const bool of_message = type == "message/rfc822";
  const std::string boundary = of_multipart ? boundary_of(*type_value) : std::string();
  const bool is_multipart = !boundary.empty() && open_.size() < deepest_multipart;
  // Without a survey nobody knows whether such a label tells the truth, as some senders' does.
  const bool is_message = of_message && !(encoded && mode_ == Mode::as_labelled) && open_.size() < deepest_multipart;
  if (mode_ == Mode::survey) parts_.push_back(false);
  const std::size_t number = part_++;
  const bool found = mode_ == Mode::as_found && number < parts_.size() && parts_[number];

  if (is_multipart || is_message) {
    // RFC 2045 section 6.4: of these types only 7bit, 8bit and binary are allowed, and what is in them will be 7bit.
    // Another label says nothing of what is inside; it is mended where 8-bit content shows that it is wrong.
    const bool relabel = wide || (encoded && (found || mode_ == Mode::as_labelled));
    changes_ = changes_ || relabel;
    if (mode_ == Mode::survey) {
      header_.clear();
      if (encoded) mislabelled_.push_back({number, open_.size(), is_multipart});
    } else {
      write_header(relabel ? "7bit" : "", false, out);
    }
    if (is_multipart) {
      open_.push_back({boundary, type == "multipart/digest"});
      place_ = Place::masked;
    } else {
      place_ = Place::header; // of the message inside
    }
    return;
  }
  const bool is_text = type.empty() || type.starts_with("text/");
  bool convert = false;
  switch (mode_) {
  case Mode::survey: break;
  case Mode::as_found: convert = found; break;
  case Mode::as_labelled: convert = wide; break;
  }
  place_ = Place::copy;
  if (mode_ == Mode::survey) {
    header_.clear();
    return;
  }
  if (!convert) return write_header("", false, out);
  changes_ = true;
  // A multipart whose parts cannot be found is kept whole: of its text nothing may be left out.
  if (encoded && !of_multipart && !of_message) { // and not true to its word
    place_ = encoding == "base64" ? Place::repair_base64 : Place::repair_quoted;
    return write_header("", false, out);
  }
  place_ = is_text ? Place::quoted : Place::base64;
  // What was not said to be MIME is now; without a type it would be US-ASCII, which it is not.
  const bool is_mime = !first || part_value(fields, "MIME-Version").has_value();
  write_header(is_text ? "quoted-printable" : "base64", type.empty(), out);
  if (!is_mime) out.insert(out.size() - 2, "MIME-Version: 1.0\r\n");
}

/// The header section with another Content-Transfer-Encoding (empty: its own), and its empty line.
void SevenBitConverter::write_header(std::string_view encoding, bool needs_type, std::string &out) {
  std::string header = std::move(header_);
  header_.clear();
  if (encoding.empty()) {
    out += header;
    return;
  }
  for (const PartField &field : part_fields(header)) {
    if (without_end(field.text).empty()) continue;
    if (equals_ignoring_case(field.name, "Content-Transfer-Encoding")) continue;
    out += field.text;
    if (!field.text.ends_with('\n')) out += "\r\n";
  }
  if (needs_type) out += "Content-Type: text/plain; charset=unknown-8bit\r\n";
  out.append("Content-Transfer-Encoding: ").append(encoding).append("\r\n\r\n");
}

bool SevenBitConverter::take_boundary(std::string_view line, std::string &out) {
  const std::string_view text = without_end(line);
  for (std::size_t depth = open_.size(); depth-- > 0;) {
    const std::string &boundary = open_[depth].boundary;
    if (text.substr(2, boundary.size()) != boundary) continue;
    std::string_view rest = text.substr(2 + boundary.size());
    const bool closes = rest.starts_with("--");
    if (closes) rest.remove_prefix(2);
    if (!trim(rest).empty()) continue;
    if (place_ == Place::header) end_header(out);
    end_part(out);
    if (mode_ != Mode::survey) out += line;
    open_.resize(closes ? depth : depth + 1);
    std::erase_if(mislabelled_, [&](const Mislabelled &part) {
      return depth < part.depth || (closes && part.is_multipart && depth == part.depth);
    });
    place_ = closes ? Place::masked : Place::header;
    part_begins_ = !closes;
    return true;
  }
  return false;
}

/// The line end in front of a delimiter is the delimiter's (RFC 2046 section 5.1.1).
void SevenBitConverter::end_part(std::string &out) {
  if (place_ == Place::base64) write_base64({}, true, out);
  line_end_waits_ = false;
}

void SevenBitConverter::take_body_line(std::string_view line, std::string &out) {
  const bool wide = !is_ascii(line);
  if (mode_ == Mode::survey) {
    if (!wide) return;
    changes_ = true;
    const auto octets =
        std::count_if(line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) > 127; });
    size_ += 2 * static_cast<std::uint64_t>(octets);
    if (place_ != Place::masked && part_ > 0) parts_[part_ - 1] = true;
    for (const Mislabelled &part : mislabelled_) parts_[part.number] = true;
    mislabelled_.clear(); // all is known of these
    return;
  }
  switch (place_) {
  case Place::header:
  case Place::copy: out += line; break;
  case Place::quoted:
    append_quoted_line(without_end(line), out);
    out += "\r\n";
    break;
  case Place::base64: {
    if (std::exchange(line_end_waits_, line.ends_with('\n'))) write_base64("\r\n", false, out);
    write_base64(without_end(line), false, out);
    break;
  }
  case Place::repair_quoted:
    for (const char c : line) {
      if (static_cast<unsigned char>(c) > 127)
        append_quoted_octet(c, out);
      else
        out += c;
    }
    break;
  case Place::repair_base64: // RFC 2045 section 6.8: decoders ignore what is not base64
    std::copy_if(line.begin(), line.end(), std::back_inserter(out),
                 [](char c) { return static_cast<unsigned char>(c) < 128; });
    break;
  case Place::masked:
    std::transform(line.begin(), line.end(), std::back_inserter(out),
                   [](char c) { return static_cast<unsigned char>(c) > 127 ? '?' : c; });
    break;
  }
}

void SevenBitConverter::write_base64(std::string_view octets, bool last, std::string &out) {
  group_ += octets;
  std::size_t at = 0;
  while (group_.size() - at >= base64_line || (last && at < group_.size())) {
    const std::string_view line = std::string_view(group_).substr(at, base64_line);
    out.append(to_base64(line)).append("\r\n");
    at += line.size();
  }
  group_.erase(0, at);
}

std::string to_seven_bit(std::string_view message) {
  SevenBitConverter survey(SevenBitConverter::Mode::survey);
  std::string out;
  survey.feed(message, out);
  survey.end(out);
  SevenBitConverter converter(survey.parts());
  converter.feed(message, out);
  converter.end(out);
  return out;
}

std::string quoted_printable(std::string_view lines) {
  std::string out;
  while (!lines.empty()) {
    const auto end = lines.find("\r\n");
    append_quoted_line(lines.substr(0, end), out);
    if (end == std::string_view::npos) break;
    out += "\r\n";
    lines.remove_prefix(end + 2);
  }
  return out;
}

} // namespace smtp
