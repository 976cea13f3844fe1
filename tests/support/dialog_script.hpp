// Dialogue scripts: the format of tests/dialog/README.md, read into steps that any runner can play.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "smtp/base/text.hpp"

namespace test {

struct DialogStep {
  enum class Kind : std::uint8_t {
    send,           ///< C: C~ C*  octets, those of several lines joined
    expect,         ///< S:  a reply that begins with one of the alternatives
    expect_line,    ///< S+  a line of the last reply begins with the text
    expect_no_line, ///< S-  none does
    closed,         ///< S!
    tls,            ///< TLS
    hang_up,        ///< EOF
    body,           ///< BODY  the octets of the next message
    envelope,       ///< ENVELOPE  <from> <to>…  of the next message
    messages,       ///< MESSAGES  how many were accepted in all
  };
  Kind kind = Kind::send;
  std::string text;
  std::size_t line = 0; ///< of the script
};

struct DialogScript {
  std::map<std::string, std::string> options;
  std::vector<DialogStep> steps;
};

/// \r \n \t \0 \\ \xNN; anything else after a backslash is a mistake in the script.
inline std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    const char c = ++i < text.size() ? text[i] : ' ';
    switch (c) {
    case 'r': out += '\r'; break;
    case 'n': out += '\n'; break;
    case 't': out += '\t'; break;
    case '0': out += '\0'; break;
    case '\\': out += '\\'; break;
    case 'x':
      out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
      break;
    default: throw std::runtime_error("bad escape in: " + std::string(text));
    }
  }
  return out;
}

inline DialogScript parse_dialog(std::istream &in, const std::string &name) {
  using Kind = DialogStep::Kind;
  static const std::map<std::string, Kind, std::less<>> kinds = {
      {"C:", Kind::send},   {"C~", Kind::send},           {"C*", Kind::send},
      {"S:", Kind::expect}, {"S+", Kind::expect_line},    {"S-", Kind::expect_no_line},
      {"S!", Kind::closed}, {"TLS", Kind::tls},           {"EOF", Kind::hang_up},
      {"BODY", Kind::body}, {"ENVELOPE", Kind::envelope}, {"MESSAGES", Kind::messages},
  };
  DialogScript script;
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    if (line.empty() || line.front() == '#') continue;
    const auto space = line.find(' ');
    const auto word = line.substr(0, space);
    std::string text = space == std::string::npos ? "" : line.substr(space + 1);
    const auto fail = [&](const std::string &why) {
      throw std::runtime_error(name + ":" + std::to_string(number) + ": " + why);
    };
    if (word == "OPTION") {
      const auto end = text.find(' ');
      if (end == std::string::npos || !script.steps.empty()) fail("OPTION name value, before all steps");
      script.options[text.substr(0, end)] = text.substr(end + 1);
      continue;
    }
    const auto kind = kinds.find(word);
    if (kind == kinds.end()) fail("unknown word \"" + word + "\"");
    if (word == "C:") text += "\r\n";
    if (word == "C~" || word == "BODY") text = unescape(text);
    if (word == "C*") {
      const auto end = text.find(' ');
      const auto count = smtp::parse_number(text.substr(0, end));
      if (!count || end == std::string::npos) fail("C* count text");
      const auto piece = unescape(text.substr(end + 1));
      text.clear();
      for (std::uint64_t i = 0; i < *count; ++i) text += piece;
    }
    if (kind->second == Kind::send && !script.steps.empty() && script.steps.back().kind == Kind::send) {
      script.steps.back().text += text;
    } else {
      script.steps.push_back({kind->second, std::move(text), number});
    }
  }
  return script;
}

inline DialogScript load_dialog(const std::filesystem::path &path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  return parse_dialog(in, path.filename().string());
}

/// Takes one complete reply (all its lines, with CRLF) off the front of `output`; empty when there is none.
inline std::string take_reply(std::string &output) {
  std::size_t at = 0;
  for (;;) {
    const auto end = output.find("\r\n", at);
    if (end == std::string::npos) return {};
    const bool last = end - at < 4 || output[at + 3] != '-';
    at = end + 2;
    if (last) break;
  }
  auto reply = output.substr(0, at);
  output.erase(0, at);
  return reply;
}

/// True when `reply` begins with one of the alternatives, which "|" separates; the hyphen of a multi-line reply counts
/// as a space.
inline bool begins_with(std::string reply, std::string_view alternatives) {
  if (reply.size() > 3 && reply[3] == '-') reply[3] = ' ';
  for (const auto wanted : smtp::split(alternatives, '|'))
    if (reply.starts_with(smtp::trim(wanted))) return true;
  return false;
}

/// True when a line of `reply` begins with `text` behind its code.
inline bool has_line(const std::string &reply, std::string_view text) {
  for (const auto line : smtp::split(reply, '\n'))
    if (line.size() >= 4 && line.substr(4).starts_with(text)) return true;
  return false;
}

} // namespace test
