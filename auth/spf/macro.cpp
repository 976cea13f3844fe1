// SPF macros: see the header. macro-string = *( macro-expand / macro-literal ),
// macro-expand = ( "%{" macro-letter transformers *delimiter "}" ) / "%%" / "%_" / "%-" (RFC 7208 section 7.1).
#include "auth/spf/macro.hpp"

#include <algorithm>
#include <vector>

#include <fmt/core.h>

#include "smtp/base/ascii.hpp"
#include "smtp/base/text.hpp"

namespace auth {

namespace {

constexpr std::string_view delimiters = ".-+,/_=";

/// One macro-expand or one run of literals.
struct Token {
  enum class Kind : std::uint8_t { literal, percent, space, url_space, macro };
  Kind kind = Kind::literal;
  std::string_view text; ///< as written
  char letter = 0;       ///< lower case
  bool url_escape = false;
  std::size_t keep = 0; ///< right-hand parts; 0: all
  bool reverse = false;
  std::string_view split_at = {}; ///< its delimiters; empty stands for "."
};

tl::unexpected<smtp::Error> bad_macro(std::string_view what, std::string_view text) {
  return smtp::fail(smtp::ErrorCode::bad_syntax, fmt::format("{} \"{}\"", what, smtp::escape(text, 60)));
}

/// "%{" macro-letter transformers *delimiter "}" at the start of `text`.
smtp::Result<Token> read_macro(std::string_view text) {
  const auto end = text.find('}');
  if (end == std::string_view::npos || end < 3) return bad_macro("unfinished macro", text.substr(0, end));
  Token token{.kind = Token::Kind::macro, .text = text.substr(0, end + 1), .letter = smtp::to_lower(text[2])};
  token.url_escape = token.letter != text[2];
  if (std::string_view("slodiphcrtv").find(token.letter) == std::string_view::npos)
    return bad_macro("unknown macro letter in", token.text);
  std::string_view rest = text.substr(3, end - 3);
  std::size_t digits = 0;
  while (digits < rest.size() && smtp::is_digit(rest[digits])) ++digits;
  if (digits > 0) {
    // Section 7.1: the number must not be zero. One too large for any name keeps all parts, as the largest does.
    const auto number = smtp::parse_number(rest.substr(0, digits));
    token.keep = number ? static_cast<std::size_t>(std::min<std::uint64_t>(*number, 65535)) : 65535;
    if (token.keep == 0) return bad_macro("zero parts in macro", token.text);
    rest.remove_prefix(digits);
  }
  if (!rest.empty() && smtp::to_lower(rest.front()) == 'r') {
    token.reverse = true;
    rest.remove_prefix(1);
  }
  if (rest.find_first_not_of(delimiters) != std::string_view::npos)
    return bad_macro("bad_macro delimiter in macro", token.text);
  token.split_at = rest;
  return token;
}

/// The first token of `text`, which is not empty.
smtp::Result<Token> read_token(std::string_view text) {
  if (text.front() != '%') return Token{.kind = Token::Kind::literal, .text = text.substr(0, text.find('%'))};
  const char next = text.size() > 1 ? text[1] : ' ';
  const std::string_view two = text.substr(0, 2);
  switch (next) {
  case '%': return Token{.kind = Token::Kind::percent, .text = two};
  case '_': return Token{.kind = Token::Kind::space, .text = two};
  case '-': return Token{.kind = Token::Kind::url_space, .text = two};
  case '{': return read_macro(text);
  default: return bad_macro("'%' that begins no macro in", text);
  }
}

/// toplabel = ( *alphanum ALPHA *alphanum ) / ( 1*alphanum "-" *( alphanum / "-" ) alphanum ).
bool is_toplabel(std::string_view label) {
  const auto is_alphanum = [](char c) { return smtp::is_alpha(c) || smtp::is_digit(c); };
  if (label.empty() || !is_alphanum(label.front()) || !is_alphanum(label.back())) return false;
  return std::all_of(label.begin(), label.end(), [&](char c) { return is_alphanum(c) || c == '-'; }) &&
         !std::all_of(label.begin(), label.end(), smtp::is_digit);
}

/// "2001:db8::1" as %{i} has it: 32 nibbles with dots. Upper case, as the RFC 7208 test suite has it.
std::string dotted(const smtp::IpAddress &address) {
  if (!address.is_v6()) return address.to_string();
  std::string text;
  for (const std::uint8_t octet : address.octets()) text += fmt::format("{:X}.{:X}.", octet >> 4, octet & 15);
  text.pop_back();
  return text;
}

std::string value_of(char letter, const MacroValues &values) {
  switch (letter) {
  case 's': return values.local_part + '@' + values.sender_domain;
  case 'l': return values.local_part;
  case 'o': return values.sender_domain;
  case 'd': return values.current_domain;
  case 'i': return dotted(values.client);
  case 'p': return values.validated_name;
  case 'v': return values.client.is_v6() ? "ip6" : "in-addr";
  case 'h': return values.helo;
  case 'c': return values.client.to_string();
  case 'r': return values.receiver.empty() ? "unknown" : values.receiver;
  default: return fmt::format("{}", values.now); // t
  }
}

/// Splits, reverses, takes the right-hand parts and joins them with dots (section 7.3).
std::string transform(const std::string &value, const Token &token) {
  if (token.keep == 0 && !token.reverse && token.split_at.empty()) return value;
  const std::string_view split_at = token.split_at.empty() ? std::string_view(".") : token.split_at;
  std::vector<std::string_view> parts;
  std::string_view rest = value;
  for (auto at = rest.find_first_of(split_at); at != std::string_view::npos; at = rest.find_first_of(split_at)) {
    parts.push_back(rest.substr(0, at));
    rest.remove_prefix(at + 1);
  }
  parts.push_back(rest);
  if (token.reverse) std::reverse(parts.begin(), parts.end());
  const std::size_t skip = token.keep != 0 && token.keep < parts.size() ? parts.size() - token.keep : 0;
  std::string joined;
  for (std::size_t i = skip; i < parts.size(); ++i) {
    if (i > skip) joined += '.';
    joined += parts[i];
  }
  return joined;
}

/// All octets but unreserved ones (RFC 3986 section 2.3) as %XX.
std::string url_escape(std::string_view value) {
  std::string text;
  for (const char c : value) {
    if (smtp::is_alpha(c) || smtp::is_digit(c) || std::string_view("-._~").find(c) != std::string_view::npos)
      text += c;
    else
      text += fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  }
  return text;
}

} // namespace

smtp::Result<void> check_macro_string(std::string_view text, MacroPlace place) {
  while (!text.empty()) {
    const auto token = read_token(text);
    if (!token) return tl::unexpected(token.error());
    if (place == MacroPlace::domain_spec && token->kind == Token::Kind::macro &&
        std::string_view("crt").find(token->letter) != std::string_view::npos)
      return bad_macro("macro for explanations only in a domain-spec:", token->text);
    text.remove_prefix(token->text.size());
  }
  return {};
}

smtp::Result<void> check_domain_spec(std::string_view text) {
  if (text.empty()) return smtp::fail(smtp::ErrorCode::bad_syntax, "empty domain-spec");
  if (text.size() > spf_domain_spec_limit)
    return smtp::fail(smtp::ErrorCode::too_long,
                      fmt::format("domain-spec is {} octets, limit is {}", text.size(), spf_domain_spec_limit));
  if (const auto checked = check_macro_string(text, MacroPlace::domain_spec); !checked) return checked;
  // domain-end = ( "." toplabel [ "." ] ) / macro-expand
  std::string_view literal; // behind the last macro
  for (std::string_view rest = text; !rest.empty();) {
    const Token token = *read_token(rest);
    literal = token.kind == Token::Kind::literal ? token.text : std::string_view();
    rest.remove_prefix(token.text.size());
  }
  if (literal.empty()) return {};
  std::string_view end = literal;
  if (end.ends_with('.')) end.remove_suffix(1);
  const auto dot = end.rfind('.');
  if (dot == std::string_view::npos || !is_toplabel(end.substr(dot + 1)))
    return bad_macro("no valid top label in", text);
  return {};
}

bool uses_validated_name(std::string_view text) {
  while (!text.empty()) {
    const auto token = read_token(text);
    if (!token) return false;
    if (token->letter == 'p') return true;
    text.remove_prefix(token->text.size());
  }
  return false;
}

std::optional<std::string> expand_macros(std::string_view text, const MacroValues &values) {
  std::string expanded;
  while (!text.empty()) {
    const auto token = read_token(text);
    if (!token) return std::nullopt;
    switch (token->kind) {
    case Token::Kind::literal: expanded += token->text; break;
    case Token::Kind::percent: expanded += '%'; break;
    case Token::Kind::space: expanded += ' '; break;
    case Token::Kind::url_space: expanded += "%20"; break;
    case Token::Kind::macro: {
      const std::string value = transform(value_of(token->letter, values), *token);
      expanded += token->url_escape ? url_escape(value) : value;
      break;
    }
    }
    if (expanded.size() > spf_expansion_limit) return std::nullopt;
    text.remove_prefix(token->text.size());
  }
  return expanded;
}

std::string fit_domain_name(std::string name) {
  if (name.ends_with('.')) name.pop_back();
  while (name.size() > 253) {
    const auto dot = name.find('.');
    if (dot == std::string::npos) break;
    name.erase(0, dot + 1);
  }
  return name;
}

} // namespace auth
