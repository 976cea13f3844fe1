// salvage_from: see the header.
#include "auth/core/salvage_from.hpp"

#include <algorithm>
#include <optional>

#include <fmt/core.h>

#include "auth/core/charset_ascii.hpp"
#include "smtp/base/base64.hpp"
#include "smtp/base/text.hpp"
#include "smtp/names/domain.hpp"

namespace auth {

namespace {

constexpr std::size_t most_at_signs = 100;

/// A name of letters, digits, hyphens and underscores: RFC 5322's dot-atom and the DNS have underscores, smtp::Domain,
/// made for envelopes, does not.
bool is_dns_name(std::string_view name) {
  if (name.size() > 253) return false;
  for (const std::string_view label : smtp::split(name, '.')) {
    if (label.empty() || label.size() > 63) return false;
    for (const char c : label)
      if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')) return false;
  }
  return true;
}

bool is_blank(char c) noexcept {
  return c == ' ' || c == '\t';
}

bool is_domain_octet(char c) noexcept {
  const auto octet = static_cast<unsigned char>(c);
  return octet > 127 || (octet >= '0' && octet <= '9') || (octet >= 'a' && octet <= 'z') ||
         (octet >= 'A' && octet <= 'Z') || octet == '.' || octet == '-' || octet == '_';
}

/// What readers take for "@" although it is another character: U+FF20 and U+FE6B.
bool has_other_at_sign(std::string_view text) noexcept {
  return text.find("\xEF\xBC\xA0") != std::string_view::npos || text.find("\xEF\xB9\xAB") != std::string_view::npos;
}

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  c = smtp::to_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/// RFC 2047 section 4.2.
std::string decode_q(std::string_view text) {
  std::string made;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '=' && at + 2 < text.size() && hex_value(text[at + 1]) >= 0 && hex_value(text[at + 2]) >= 0) {
      made += static_cast<char>(hex_value(text[at + 1]) * 16 + hex_value(text[at + 2]));
      at += 2;
    } else {
      made += text[at] == '_' ? ' ' : text[at];
    }
  }
  return made;
}

/// An encoded word (RFC 2047 section 2) that begins at `at`, or may to some reader: one that does not end goes on to
/// the end of the text, and white space and quotes are taken for a part of it.
struct EncodedWord {
  std::size_t end = 0; ///< behind it
  bool is_closed = false;
  std::string_view charset;
  char encoding = 'q';
  std::string_view content;
};

std::optional<EncodedWord> encoded_word_at(std::string_view text, std::size_t at) {
  const auto charset_end = text.find('?', at + 2);
  if (charset_end == std::string_view::npos || charset_end + 2 >= text.size() || text[charset_end + 2] != '?')
    return std::nullopt;
  const std::size_t begin = charset_end + 3;
  const auto end = text.find("?=", begin);
  EncodedWord word;
  word.is_closed = end != std::string_view::npos;
  word.end = word.is_closed ? end + 2 : text.size();
  word.charset = text.substr(at + 2, charset_end - at - 2);
  word.encoding = smtp::to_lower(text[charset_end + 1]);
  word.content = text.substr(begin, (word.is_closed ? end : text.size()) - begin);
  return word;
}

class Reading {
public:
  FromReadings run(std::string_view value) {
    std::string text;
    text.reserve(value.size());
    for (std::size_t at = 0; at < value.size(); ++at) {
      if (value.substr(at, 2) == "\r\n") {
        if (at + 2 < value.size() && !is_blank(value[at + 2])) fault("CR or LF that folds nothing");
        ++at;
        continue;
      }
      const auto octet = static_cast<unsigned char>(value[at]);
      if ((octet < ' ' && octet != '\t') || octet == 0x7f) fault("a control character");
      text += value[at];
    }
    made_.texts.push_back(text);
    read_each_word(text);
    const bool has_words = made_.texts.size() > 1;
    for (const bool joined : {true, false})
      for (const bool inner : {false, true})
        if (has_words) read_as_a_whole(text, joined, inner);
    return std::move(made_);
  }

private:
  void fault(std::string text) {
    if (made_.problem.empty()) made_.problem = std::move(text);
  }

  std::string decode(const EncodedWord &word) {
    std::string octets;
    if (word.encoding != 'b') {
      octets = decode_q(word.content);
    } else if (auto decoded = smtp::from_base64(word.content)) {
      octets = std::move(*decoded);
    } else {
      fault("an encoded word that is not base64");
    }
    auto reading = read_as_ascii(word.charset, octets);
    if (!reading || !reading->is_sure)
      fault(fmt::format("an encoded word in \"{}\"", smtp::escape_to_ascii(word.charset, 30)));
    return reading ? std::move(reading->text) : std::move(octets);
  }

  /// Wherever one may begin, in another one too: some readers look for addresses in what it says.
  void read_each_word(std::string_view text) {
    for (std::size_t at = text.find("=?"); at != std::string_view::npos; at = text.find("=?", at + 2)) {
      const auto word = encoded_word_at(text, at);
      if (!word) continue;
      if (made_.texts.size() > most_encoded_words)
        return fault(fmt::format("more than {} encoded words", most_encoded_words));
      made_.texts.push_back(decode(*word));
    }
  }

  /// As by those that decode first and look for addresses then. The white space between two words goes (section 6.2),
  /// or stays; of two words in each other the outer one counts, or the inner one.
  void read_as_a_whole(std::string_view text, bool joined, bool inner) {
    std::string whole;
    for (std::size_t at = 0; at < text.size();) {
      const auto word = text.substr(at, 2) == "=?" ? encoded_word_at(text, at) : std::nullopt;
      if (!word || !word->is_closed || (inner && word->content.find("=?") != std::string_view::npos)) {
        whole += text[at++];
        continue;
      }
      whole += decode(*word);
      at = word->end;
      const auto next = joined ? text.find_first_not_of(" \t", at) : std::string_view::npos;
      if (next != std::string_view::npos && text.substr(next, 2) == "=?") at = next;
    }
    if (std::find(made_.texts.begin(), made_.texts.end(), whole) == made_.texts.end())
      made_.texts.push_back(std::move(whole));
  }

  static constexpr std::size_t most_encoded_words = 100;
  FromReadings made_;
};

class FromSalvage {
public:
  SalvagedFrom run(std::string_view value) {
    FromReadings readings = readings_of_from(value);
    made_.problem = std::move(readings.problem);
    for (const std::string &text : readings.texts) scan(text);
    return std::move(made_);
  }

private:
  void fault(std::string text) {
    if (made_.problem.empty()) made_.problem = std::move(text);
  }

  void scan(std::string_view text) {
    if (has_other_at_sign(text)) fault("a character that looks like \"@\"");
    std::size_t at_signs = 0;
    for (std::size_t at = text.find('@'); at != std::string_view::npos; at = text.find('@', at + 1)) {
      if (++at_signs > most_at_signs) return fault(fmt::format("more than {} \"@\"", most_at_signs));
      std::size_t end = at + 1;
      while (end < text.size() && is_domain_octet(text[end])) ++end;
      const std::string_view name = text.substr(at + 1, end - at - 1);
      std::string domain = author_domain(name);
      if (domain.empty() || !ends_for_all(text.substr(end))) {
        fault(fmt::format("\"{}\" may be an address or not", smtp::escape_to_ascii(text.substr(at, 40))));
      }
      if (!domain.empty() && std::find(made_.domains.begin(), made_.domains.end(), domain) == made_.domains.end())
        made_.domains.push_back(std::move(domain));
    }
  }

  /// No reader takes `rest` for more of the domain in front of it.
  static bool ends_for_all(std::string_view rest) noexcept {
    for (;;) {
      const bool spaced = !rest.empty() && is_blank(rest.front());
      while (!rest.empty() && is_blank(rest.front())) rest.remove_prefix(1);
      if (rest.empty()) return true;
      const char c = rest.front();
      if (c == '(') { // a comment between two parts of a domain
        std::size_t depth = 0;
        std::size_t end = 0;
        for (; end < rest.size(); ++end) {
          if (rest[end] == '\\') return false;
          if (rest[end] == '(') ++depth;
          if (rest[end] == ')' && --depth == 0) break;
        }
        if (end == rest.size()) return false;
        rest.remove_prefix(end + 1);
        continue;
      }
      if (c == '"' ||
          (c == '\'' && !spaced)) { // people quote so; some readers join what is in front of quotes and in them
        rest.remove_prefix(1);
        continue;
      }
      if (!spaced && rest.starts_with("?=")) { // an encoded word ends with it
        rest.remove_prefix(2);
        continue;
      }
      if (c == '<') return spaced;
      if (c == '>') { // what stands behind it without a space some readers show as a part of the address
        const char next = rest.size() > 1 ? rest[1] : ' ';
        return is_blank(next) || std::string_view(">,;)(\"'").find(next) != std::string_view::npos;
      }
      return c == ',' || c == ';' || c == ')' || c == ']';
    }
  }

  SalvagedFrom made_;
};

} // namespace

std::string author_domain(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1); // the root's dot: the same name
  const auto domain = smtp::Domain::parse(name);
  if (domain) return domain->ascii();
  std::string lower = smtp::to_lower(name);
  return is_dns_name(lower) ? lower : std::string();
}

FromReadings readings_of_from(std::string_view value) {
  return Reading().run(value);
}

SalvagedFrom salvage_from(std::string_view value) {
  return FromSalvage().run(value);
}

} // namespace auth
