// The values that several sections have: paths, trust, pins, names, levels.
#include <algorithm>

#include <fmt/format.h>

#include "mta/config/loading.hpp"
#include "mta/config/units.hpp"
#include "smtp/base/text.hpp"
#include "tls/profile.hpp"

namespace mta {

namespace {

/// "sha256//" and 32 octets in base64 (44 characters, the last '='), as curl and RFC 7469 write them. Kept without the
/// prefix.
smtp::Result<std::string> parse_pin(std::string_view text) {
  constexpr std::string_view prefix = "sha256//";
  constexpr std::size_t digits = 44;
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto wrong = [whole = text](std::string_view why) {
    return smtp::fail(
        smtp::ErrorCode::bad_syntax,
        fmt::format("\"{}\" is not a pin: {}; a pin is \"sha256//\" and 44 characters of base64, the last one \"=\"",
                    smtp::escape(whole, 80), why));
  };
  if (!text.starts_with(prefix)) return wrong("it does not start with \"sha256//\"");
  text.remove_prefix(prefix.size());
  if (text.size() != digits) return wrong(fmt::format("{} characters follow \"sha256//\"", text.size()));
  if (text.back() != '=' || text.substr(0, digits - 1).find_first_not_of(alphabet) != std::string_view::npos)
    return wrong("it is not base64");
  if (alphabet.find(text[digits - 2]) % 4 != 0) return wrong("its last digit is not that of 32 octets");
  return std::string(text);
}

smtp::Result<std::string> parse_name_pattern(std::string_view text) {
  const bool wildcard = text.starts_with("*.");
  const auto domain = smtp::Domain::parse(wildcard ? text.substr(2) : text);
  if (!domain)
    return smtp::fail(
        smtp::ErrorCode::bad_syntax,
        fmt::format(
            "\"{}\" is not a certificate name: write \"mx.example.org\", or \"*.example.org\" for any one label",
            smtp::escape(text, 80)));
  if (!wildcard) return domain->ascii();
  if (domain->label_count() < 2)
    return smtp::fail(smtp::ErrorCode::bad_syntax,
                      fmt::format("\"{}\" would cover a whole top-level domain: two labels must follow \"*.\"",
                                  smtp::escape(text, 80)));
  return "*." + domain->ascii();
}

} // namespace

std::string Loading::resolve(std::string_view path) const {
  if (path.empty() || path.front() == '/') return std::string(path);
  return fmt::format("{}{}{}", folder, folder.ends_with('/') ? "" : "/", path);
}

void read_path(Section &section, std::string_view key, std::string &out, const Loading &loading) {
  std::string path = out;
  section.read(key, path);
  out = loading.resolve(path);
}

void read_file_path(Section &section, std::string_view key, std::string &out, Loading &loading) {
  constexpr std::size_t limit = 16 * 1024 * 1024;
  std::string path;
  section.read(key, path);
  if (!section.has(key)) return;
  out = loading.resolve(path);
  if (path.empty()) return;
  if (const auto text = loading.files.read(out, limit); !text)
    section.error(key, fmt::format("{}: {}", smtp::escape(path), text.error().detail));
}

void read_trust(Section &section, std::string_view key, std::string &out, Loading &loading) {
  std::string path = out;
  section.read(key, path);
  if (!section.has(key) || path == "system") {
    out = path;
    return;
  }
  if (path.empty()) {
    section.error(key, "is empty; write \"system\" or the path of a PEM file with CA certificates");
    return;
  }
  out = loading.resolve(path);
  const auto [known, fresh] = loading.checked_trust.try_emplace(out);
  if (fresh)
    if (const auto certificates = loading.files.certificates(out); !certificates)
      known->second = certificates.error().detail;
  if (!known->second.empty()) section.error(key, fmt::format("{}: {}", smtp::escape(path), known->second));
}

void read_pins(Section &section, std::string_view key, std::vector<std::string> &out) {
  section.read_list(key, out, parse_pin);
}

void read_name_patterns(Section &section, std::string_view key, std::vector<std::string> &out) {
  section.read_list(key, out, parse_name_pattern);
}

void read_profile(Section &section, std::string_view key, std::string &out) {
  std::string name;
  section.read(key, name);
  if (!section.has(key) || name.empty()) {
    if (section.has(key) && name.empty() && std::get_if<std::string>(&section.value(key)->data))
      section.error(key, "is empty; name a TLS profile");
    return;
  }
  if (tls::find_profile(name)) {
    out = name;
    return;
  }
  std::vector<std::string> known;
  for (const auto &profile : tls::all_profiles()) known.push_back(profile.name);
  const auto nearest = nearest_word(name, known);
  section.error(key, fmt::format("unknown profile \"{}\"{} known: {}", smtp::escape(name, 80),
                                 nearest.empty() ? ";" : fmt::format(", did you mean \"{}\"?", nearest),
                                 fmt::join(known, ", ")));
}

void read_level(Section &section, std::string_view key, tls::Level &out, tls::Level least, tls::Level most) {
  std::string word;
  section.read(key, word);
  if (!section.has(key) || !std::get_if<std::string>(&section.value(key)->data)) return;
  std::vector<std::string> known;
  for (const auto level :
       {tls::Level::none, tls::Level::opportunistic, tls::Level::encrypted, tls::Level::authenticated})
    if (level >= least && level <= most) known.emplace_back(tls::to_string(level));
  const auto level = tls::parse_level(word);
  if (!level) {
    section.unknown_word(key, word, known);
    return;
  }
  if (*level == tls::Level::dane)
    section.error(key, "\"dane\" cannot be demanded by this version; write \"authenticated\"");
  else if (*level == tls::Level::none && least > tls::Level::none)
    section.error(
        key,
        fmt::format("\"none\" switches TLS off, which only an [[exception]] with an end date may do; known here: {}",
                    fmt::join(known, ", ")));
  else if (*level < least || *level > most)
    section.error(key, fmt::format("\"{}\" is not possible here; known: {}", word, fmt::join(known, ", ")));
  else
    out = *level;
}

void read_mode(Section &section, policy::Mode &out) {
  section.read_word<policy::Mode>("mode", out,
                                  {{"observe", policy::Mode::observe}, {"enforce", policy::Mode::enforce}});
}

void read_networks(Section &section, std::string_view key, std::vector<smtp::Network> &out) {
  section.read_list(key, out, [](std::string_view text) { return smtp::Network::parse(text); });
}

} // namespace mta
