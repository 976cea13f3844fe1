// Authentication-Results read with tolerance: see the header.
#include "auth/core/results_field.hpp"

#include <algorithm>
#include <optional>

#include "smtp/base/ascii.hpp"
#include "smtp/base/text.hpp"
#include "smtp/names/domain.hpp"

namespace auth {

namespace {

constexpr std::size_t longest_results_value = 64 * 1024;
/// No name is longer, however it is written.
constexpr std::size_t longest_id = 2048;
constexpr std::size_t most_results = 200;
constexpr std::size_t most_properties = 50;

/// A piece of a structured field: a quoted string, one of ";=/", or a run of anything else. `spaced`: white space or a
/// comment stood in front.
struct Piece {
  std::string text;
  bool quoted = false;
  bool spaced = false;
  [[nodiscard]] bool is(char c) const noexcept { return !quoted && text.size() == 1 && text.front() == c; }
};

/// Cuts a value into pieces and drops comments. `clean` is false afterwards when the text broke the rules of comments,
/// quotes or characters, so that another reader may see it otherwise.
class Cutter {
public:
  explicit Cutter(std::string_view text) : text_(text) {}
  std::optional<Piece> next() {
    bool spaced = skip_cfws();
    if (at_ >= text_.size()) return std::nullopt;
    Piece piece;
    piece.spaced = spaced;
    if (text_[at_] == '"') {
      piece.quoted = true;
      read_quoted(piece.text);
    } else if (is_separator(text_[at_])) {
      piece.text = text_[at_++];
    } else {
      while (at_ < text_.size() && !smtp::is_white(text_[at_]) && !is_separator(text_[at_]) && text_[at_] != '"' &&
             text_[at_] != '(') {
        const auto octet = static_cast<unsigned char>(text_[at_]);
        if (octet < ' ' || octet == 127 || text_[at_] == '\\' || text_[at_] == ')') clean_ = false;
        piece.text += text_[at_++];
      }
    }
    return piece;
  }
  [[nodiscard]] bool is_clean() const noexcept { return clean_; }

private:
  static bool is_separator(char c) noexcept { return c == ';' || c == '='; }

  bool skip_cfws() {
    const std::size_t begin = at_;
    std::size_t depth = 0;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '(')
        ++depth;
      else if (depth > 0 && c == ')')
        --depth;
      else if (depth > 0 && c == '\\')
        ++at_;
      else if (depth == 0 && !smtp::is_white(c))
        break;
      if (c == '\0') clean_ = false;
    }
    at_ = std::min(at_, text_.size());
    if (depth > 0) clean_ = false;
    return at_ > begin;
  }

  void read_quoted(std::string &out) {
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"') {
        ++at_;
        return;
      }
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      if (text_[at_] != '\r' && text_[at_] != '\n') out += text_[at_];
    }
    clean_ = false;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool clean_ = true;
};

/// Without white space and NUL, brackets around it and a final dot; A-Z in lower case.
std::string stripped(std::string_view id) {
  std::string plain;
  for (const char c : id)
    if (!smtp::is_white(c) && c != '\0') plain += smtp::to_lower(c);
  std::string_view name = plain;
  while (!name.empty() && std::string_view("<[(\"'").find(name.front()) != std::string_view::npos)
    name.remove_prefix(1);
  while (!name.empty() && std::string_view(">])\"'.,").find(name.back()) != std::string_view::npos)
    name.remove_suffix(1);
  return std::string(name);
}

/// One form for all spellings of a name: stripped(), and A-labels. IDNA is slow: see Budget.
std::string normalised_id(std::string_view id) {
  std::string name = stripped(id);
  if (smtp::is_ascii(name)) return name;
  if (const auto domain = smtp::Domain::parse(name)) return domain->ascii();
  return name;
}

/// A name of ours, in the forms that are compared.
struct Id {
  std::string ascii;
  std::string unicode;
  explicit Id(std::string_view text) : ascii(normalised_id(text)) {
    const auto domain = smtp::Domain::parse(ascii);
    unicode = domain ? domain->unicode() : ascii;
  }
};

/// How many names with octets above 127 are taken through IDNA for one header. Nobody has use for more: beyond it, such
/// a field is taken for one that bears our name.
struct Budget {
  int conversions = 100;
};

bool is_version(std::string_view text) noexcept {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_name_octet(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         static_cast<unsigned char>(c) > 127;
}

/// The id as a word of the text, both in lower case: not a part of a longer name.
bool has_word(std::string_view text, std::string_view id) noexcept {
  for (auto at = text.find(id); at != std::string_view::npos; at = text.find(id, at + 1)) {
    const std::size_t end = at + id.size();
    const bool begins = at == 0 || !(is_name_octet(text[at - 1]) || text[at - 1] == '.');
    const bool goes_on =
        end < text.size() &&
        (is_name_octet(text[end]) || (text[end] == '.' && end + 1 < text.size() && is_name_octet(text[end + 1])));
    if (begins && !goes_on) return true;
  }
  return false;
}

/// What stands in front of the first result: authserv-id, perhaps a version.
struct Head {
  std::vector<Piece> pieces;
  bool clean = true;
};

Head read_head(std::string_view value) {
  Head head;
  Cutter cutter(value);
  while (auto piece = cutter.next()) {
    if (piece->is(';')) break;
    if (head.pieces.size() < 64) head.pieces.push_back(std::move(*piece));
  }
  head.clean = cutter.is_clean();
  return head;
}

int base64_digit(char c) noexcept {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  return c == '/' || c == '_' ? 63 : -1;
}

/// RFC 2047 encoded words in front of the results: no reader should decode them there, some do. Their octets decoded.
std::string decode_words(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto begin = text.find("=?");
    if (begin == std::string_view::npos) break;
    out += text.substr(0, begin);
    text.remove_prefix(begin + 2);
    const auto charset = text.find('?');
    if (charset == std::string_view::npos || charset + 2 >= text.size() || text[charset + 2] != '?') continue;
    const auto end = text.find("?=", charset + 3);
    if (end == std::string_view::npos) break;
    const std::string_view word = text.substr(charset + 3, end - charset - 3);
    if (smtp::to_lower(text[charset + 1]) == 'b') {
      unsigned bits = 0;
      int count = 0;
      for (const char c : word) {
        const int digit = base64_digit(c);
        if (digit < 0) continue;
        bits = (bits << 6 | static_cast<unsigned>(digit)) & 0xffffff;
        count += 6;
        if (count < 8) continue;
        count -= 8;
        out += static_cast<char>(bits >> count & 0xff);
      }
    } else {
      for (std::size_t i = 0; i < word.size(); ++i) {
        const int high = word[i] == '=' && i + 2 < word.size() ? smtp::hex_digit(word[i + 1]) : -1;
        const int low = high >= 0 ? smtp::hex_digit(word[i + 2]) : -1;
        if (low >= 0) {
          out += static_cast<char>(high * 16 + low);
          i += 2;
        } else {
          out += word[i];
        }
      }
    }
    text.remove_prefix(end + 2);
  }
  out += text;
  return out;
}

/// authserv-id as the grammar has it: the first piece, or all pieces as obsolete syntax with CFWS around dots; a
/// version behind it.
bool head_is(const std::vector<Piece> &pieces, const Id &id, Budget &budget) {
  if (pieces.empty() || pieces.front().text.size() > longest_id) return false;
  const auto matches = [&](std::string_view text) {
    if (smtp::is_ascii(text)) return stripped(text) == id.ascii;
    return budget.conversions-- <= 0 || normalised_id(text) == id.ascii;
  };
  if (matches(pieces.front().text)) return true;
  std::string joined;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const bool last = i + 1 == pieces.size();
    // "mx.example.org 1": the version is not part of the name.
    if (i > 1 && last && pieces[i].spaced && is_version(pieces[i].text) && matches(joined)) return true;
    joined += pieces[i].text;
    if (joined.size() > longest_id) return false;
    if (i == 0) continue;
    // Between any two pieces the name may end: "mx.(a)example.org spf=pass" has lost its semicolon.
    const bool may_end = last || (pieces[i + 1].spaced && smtp::is_ascii(joined));
    if (may_end && matches(joined)) return true;
  }
  // RFC 5451 readers know "mx.example.org/1".
  const auto slash = joined.find('/');
  return slash != std::string::npos && matches(std::string_view(joined).substr(0, slash));
}

bool bears(const HeaderField &field, const Id &id, Budget &budget) {
  if (!smtp::equals_ignoring_case(field.name, "Authentication-Results") || id.ascii.empty()) return false;
  const Head head = read_head(field.value);
  if (head_is(head.pieces, id, budget)) return true;
  const bool has_encoded_word = field.value.substr(0, field.value.find(';')).find("=?") != std::string_view::npos;
  if (has_encoded_word && has_word(smtp::to_lower(decode_words(unfold(field.value))), id.ascii)) return true;
  // "Our name" behind something else, where only a version may stand, or behind an empty first part.
  const bool has_result = std::any_of(head.pieces.begin(), head.pieces.end(), [](const Piece &p) { return p.is('='); });
  const bool regular = head.pieces.size() == 1 || (head.pieces.size() == 2 && is_version(head.pieces[1].text));
  if (head.clean && !head.pieces.empty() && (regular || has_result)) return false;
  // No grammar: whoever reads this at all may read our name in it.
  std::string text;
  for (const char c : field.value)
    if (c != '\0' && c != '\r' && c != '\n' && c != '\\' && c != '"') text += smtp::to_lower(c);
  return has_word(text, id.ascii) || has_word(text, id.unicode);
}

} // namespace

std::string_view MethodResult::property(std::string_view name) const noexcept {
  for (const auto &[key, value] : properties)
    if (key == name) return value;
  return {};
}

ResultsPayload parse_results(std::string_view value) {
  ResultsPayload payload;
  value = value.substr(0, longest_results_value);
  Cutter cutter(value);
  // Results are separated by ';'; within one, "name = value" pairs.
  std::vector<Piece> part;
  bool first = true;
  const auto take_part = [&] {
    const auto pair_at = [&](std::size_t i) {
      return i + 2 < part.size() && part[i + 1].is('=') && !part[i + 2].is('=');
    };
    if (first && !part.empty() && !pair_at(0)) {
      payload.authserv_id = normalised_id(part.front().text);
    } else if (payload.results.size() < most_results && pair_at(0)) {
      MethodResult result;
      // Method = Keyword [ "/" version ] (RFC 8601 section 2.2).
      result.method = smtp::to_lower(part[0].text);
      result.method.resize(std::min(result.method.size(), result.method.find('/')));
      result.result = smtp::to_lower(part[2].text);
      for (std::size_t i = 3; i < part.size() && result.properties.size() < most_properties;) {
        if (!pair_at(i)) {
          ++i;
          continue;
        }
        std::string name = smtp::to_lower(part[i].text);
        std::string text = part[i + 2].text;
        // What follows without white space belongs to the value: "b=ab/c==", "x=\"a\"@b".
        for (i += 3; i < part.size() && !part[i].spaced; ++i) text += part[i].text;
        result.properties.emplace_back(std::move(name), std::move(text));
      }
      payload.results.push_back(std::move(result));
    }
    first = false;
    part.clear();
  };
  while (auto piece = cutter.next()) {
    if (piece->is(';'))
      take_part();
    else if (part.size() < 4 * most_properties)
      part.push_back(std::move(*piece));
  }
  take_part();
  return payload;
}

bool bears_authserv_id(const HeaderField &field, std::string_view authserv_id) {
  Budget budget;
  return bears(field, Id(authserv_id), budget);
}

std::vector<const HeaderField *> find_forged(const HeaderFields &fields, std::span<const std::string> authserv_ids) {
  const std::vector<Id> ids(authserv_ids.begin(), authserv_ids.end());
  Budget budget;
  std::vector<const HeaderField *> forged;
  for (const HeaderField &field : fields.all())
    if (std::any_of(ids.begin(), ids.end(), [&](const Id &id) { return bears(field, id, budget); }))
      forged.push_back(&field);
  return forged;
}

std::string without_fields(const HeaderFields &fields, std::vector<const HeaderField *> unwanted) {
  std::sort(unwanted.begin(), unwanted.end(),
            [](const HeaderField *left, const HeaderField *right) { return left->text.data() < right->text.data(); });
  const std::string_view section = fields.section();
  std::string kept;
  kept.reserve(section.size());
  std::size_t at = 0;
  for (const HeaderField *field : unwanted) {
    const auto begin = static_cast<std::size_t>(field->text.data() - section.data());
    if (begin < at) continue; // twice in the list
    kept += section.substr(at, begin - at);
    at = begin + field->text.size();
  }
  kept += section.substr(at);
  return kept;
}

std::string remove_forged(const HeaderFields &fields, std::span<const std::string> authserv_ids) {
  return without_fields(fields, find_forged(fields, authserv_ids));
}

} // namespace auth
