// The values that several sections have: paths, trust, pins, names, levels.
#include <algorithm>
#include <functional>

#include <fmt/format.h>

#include "mta/config/loading.hpp"
#include "mta/config/partner_values.hpp"
#include "mta/config/units.hpp"
#include "smtp/base/base64.hpp"
#include "smtp/base/text.hpp"
#include "tls/crl.hpp"
#include "tls/profile.hpp"

namespace mta {

namespace {

/// "sha256//" and 32 octets in base64 (44 characters, the last '='), as curl and RFC 7469 write them. Kept without the
/// prefix.
smtp::Result<std::string> parse_pin(std::string_view text) {
  constexpr std::string_view prefix = "sha256//";
  constexpr std::size_t digits = 44;
  const auto wrong = [whole = text](std::string_view why) {
    return smtp::fail(
        smtp::ErrorCode::bad_syntax,
        fmt::format("\"{}\" is not a pin: {}; a pin is \"sha256//\" and 44 characters of base64, the last one \"=\"",
                    smtp::escape(whole, 80), why));
  };
  if (!text.starts_with(prefix)) return wrong("it does not start with \"sha256//\"");
  text.remove_prefix(prefix.size());
  if (text.size() != digits) return wrong(fmt::format("{} characters follow \"sha256//\"", text.size()));
  const auto octets = smtp::from_base64(text);
  if (!octets || octets->size() != 32) return wrong("it is not base64");
  if (smtp::to_base64(*octets) != text) return wrong("its last digit is not that of 32 octets");
  return std::string(text);
}

} // namespace

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

smtp::Result<void> check_trust_file(const ConfigFiles &files, const std::string &path, std::string_view shown) {
  if (const auto certificates = files.certificates(path); !certificates)
    return smtp::fail(certificates.error().code,
                      fmt::format("{}: {}", smtp::escape(shown), certificates.error().detail));
  return {};
}

namespace {

/// http-URL = "http://" host [ ":" port ] "/" path, in printable ASCII.
smtp::Result<std::string> parse_crl_url(std::string_view text) {
  constexpr std::size_t limit = 2000;
  const auto wrong = [text](std::string_view why) {
    return smtp::fail(smtp::ErrorCode::bad_syntax, fmt::format("\"{}\" {}", smtp::escape(text, 100), why));
  };
  // RFC 5280 section 8: a list behind TLS may need itself to be fetched.
  if (text.starts_with("https://"))
    return wrong("is an https address: a list of revoked certificates is signed, and is fetched by http, so that "
                 "fetching it never waits for another list; write the http address that the certificates name");
  if (!text.starts_with("http://")) return wrong("is neither a file nor an http:// address");
  if (text.size() > limit) return wrong(fmt::format("is {} octets, the limit is {}", text.size(), limit));
  if (std::any_of(text.begin(), text.end(), [](char octet) { return octet <= ' ' || octet > '~'; }))
    return wrong("has a space or an octet that is not ASCII; write it as %20 and the like");
  const auto host = text.substr(7, text.find_first_of("/?#", 7) - 7);
  if (host.empty() || host.starts_with(':')) return wrong("names no host");
  if (host.find('@') != std::string_view::npos) return wrong("has a user name, which is not sent");
  return std::string(text);
}

/// What is wrong with a local file of lists, or empty.
std::string check_crl_file(const std::string &path, const Loading &loading) {
  const auto octets = loading.files.read(path, tls::max_crl_octets);
  if (!octets) return octets.error().detail;
  const auto facts = tls::read_crl(*octets);
  return facts ? std::string() : facts.error().detail;
}

} // namespace

std::string Loading::absolute(std::string_view path) const {
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
  const auto text = loading.files.read(out, limit);
  if (text)
    loading.config.start_files[fmt::format("{}.{}", section.prefix(), key)] = std::hash<std::string>()(*text);
  else
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
    if (const auto checked = check_trust_file(loading.files, out, path); !checked)
      known->second = checked.error().detail;
  if (!known->second.empty()) section.error(key, known->second);
}

void read_pins(Section &section, std::string_view key, std::vector<std::string> &out) {
  section.read_list(key, out, parse_pin);
}

void read_crls(Section &section, std::string_view key, std::vector<std::string> &out, Loading &loading) {
  constexpr std::size_t limit = 32;
  section.read_list(key, out, [&loading](std::string_view text) -> smtp::Result<std::string> {
    if (text.find("://") != std::string_view::npos) return parse_crl_url(text);
    if (text.empty()) return smtp::fail(smtp::ErrorCode::bad_syntax, "is empty; write a file or an http:// address");
    // Lists are replaced all the time: a kept copy serves only where the file itself cannot.
    std::string path = loading.absolute(text);
    const auto [known, fresh] = loading.checked_crls.try_emplace(path);
    if (fresh) known->second = check_crl_file(path, loading);
    if (std::string kept = loading.resolve(text);
        !known->second.empty() && kept != path && check_crl_file(kept, loading).empty())
      return kept;
    if (!known->second.empty())
      return smtp::fail(smtp::ErrorCode::bad_syntax, fmt::format("{}: {}", smtp::escape(text, 200), known->second));
    return path;
  });
  if (out.size() > limit) section.error(key, fmt::format("has {} lists, the limit is {}", out.size(), limit));
}

void read_from(Section &section, policy::Mode mode, std::optional<std::chrono::sys_days> &out) {
  section.read_date("from", out);
  if (out && mode == policy::Mode::observe)
    section.error("from", "is the day from which mode = \"enforce\" counts; the mode here is \"observe\"");
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
  for (const auto level : {tls::Level::none, tls::Level::opportunistic, tls::Level::encrypted,
                           tls::Level::authenticated, tls::Level::dane})
    if (level >= least && level <= most) known.emplace_back(tls::to_string(level));
  const auto level = tls::parse_level(word);
  if (!level) {
    section.unknown_word(key, word, known);
    return;
  }
  if (*level == tls::Level::none && least > tls::Level::none)
    section.error(
        key,
        fmt::format("\"none\" switches TLS off, which only an [[exception]] with an end date may do; known here: {}",
                    fmt::join(known, ", ")));
  else if (*level < least || *level > most)
    section.error(key, fmt::format("\"{}\" is not possible here; known: {}", word, fmt::join(known, ", ")));
  else
    out = *level;
}

void check_dane(Section &section, tls::Level level, const policy::Route *route, const Loading &loading) {
  if (level != tls::Level::dane || !section.has("tls")) return;
  if (!loading.config.dns.dnssec)
    section.error("tls", "\"dane\" needs DNSSEC, which dnssec = false in [dns] switches off: no mail could be sent");
  if (!loading.config.outbound.dane)
    section.error("tls", "\"dane\" is demanded, and dane = false in [outbound] switches it off: no mail could be sent");
  if (!route) return;
  for (const auto &host : route->hosts)
    if (smtp::IpAddress::parse(host.host))
      section.error(
          "tls", fmt::format("\"dane\" needs hosts with names: {} is an address, and has no TLSA records", host.host));
}

void read_mode(Section &section, policy::Mode &out) {
  section.read_word<policy::Mode>("mode", out,
                                  {{"observe", policy::Mode::observe}, {"enforce", policy::Mode::enforce}});
}

void read_networks(Section &section, std::string_view key, std::vector<smtp::Network> &out) {
  section.read_list(key, out, [](std::string_view text) { return smtp::Network::parse(text); });
}

} // namespace mta
