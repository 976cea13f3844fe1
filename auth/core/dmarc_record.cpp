// DmarcRecord: see the header.
#include "auth/core/dmarc_record.hpp"

#include <algorithm>
#include <array>

#include <fmt/core.h>

#include "auth/core/tag_list.hpp"
#include "smtp/base/ascii.hpp"
#include "smtp/base/text.hpp"
#include "smtp/names/domain.hpp"
#include "smtp/names/mailbox.hpp"

namespace auth {

namespace {

constexpr std::size_t longest_uri = 1024;
constexpr std::size_t most_problems = 16;

/// dmarc-version *WSP: "v" *WSP "=" *WSP %s"DMARC1". What follows, or nothing.
std::optional<std::string_view> behind_version(std::string_view text) noexcept {
  const auto skip_blanks = [&] {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  };
  if (!text.starts_with('v') && !text.starts_with('V')) return std::nullopt;
  text.remove_prefix(1);
  skip_blanks();
  if (!text.starts_with('=')) return std::nullopt;
  text.remove_prefix(1);
  skip_blanks();
  constexpr std::string_view version = "DMARC1";
  if (!text.starts_with(version)) return std::nullopt;
  text.remove_prefix(version.size());
  skip_blanks();
  if (!text.empty() && text.front() != ';') return std::nullopt;
  return text;
}

std::optional<DmarcPolicy> parse_policy(std::string_view value) noexcept {
  for (const DmarcPolicy policy : {DmarcPolicy::none, DmarcPolicy::quarantine, DmarcPolicy::reject})
    if (smtp::equals_ignoring_case(value, to_string(policy))) return policy;
  return std::nullopt;
}

/// Nothing for a bad percent-encoding.
std::optional<std::string> percent_decode(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      plain += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = smtp::hex_digit(text[i + 1]);
    const int low = smtp::hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    plain += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return plain;
}

/// obs-dmarc-report-size = "!" 1*DIGIT [ "k" / "m" / "g" / "t" ], in octets (RFC 7489 section 6.2).
std::optional<std::uint64_t> parse_size(std::string_view text) noexcept {
  if (text.empty()) return std::nullopt;
  unsigned shift = 0;
  switch (smtp::to_lower(text.back())) {
  case 'k': shift = 10; break;
  case 'm': shift = 20; break;
  case 'g': shift = 30; break;
  case 't': shift = 40; break;
  default: break;
  }
  if (shift > 0) text.remove_suffix(1);
  const auto number = smtp::parse_number(text);
  if (!number || *number > (UINT64_MAX >> shift)) return std::nullopt;
  return *number << shift;
}

/// The characters of RFC 3986; commas and exclamation points have been dealt with.
bool is_uri_text(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < 127 && std::string_view("\"<>\\^`{|}").find(c) == std::string_view::npos;
  });
}

/// scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." ) (RFC 3986 section 3.1).
bool is_scheme(std::string_view scheme) noexcept {
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  if (scheme.empty() || !is_letter(scheme.front())) return false;
  return std::all_of(scheme.begin(), scheme.end(), [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
  });
}

/// authority = [ userinfo "@" ] host [ ":" port ] (RFC 3986 section 3.2); empty when there is none.
std::string authority_host(std::string_view behind_scheme) {
  if (!behind_scheme.starts_with("//")) return {};
  std::string_view authority = behind_scheme.substr(2);
  authority = authority.substr(0, authority.find_first_of("/?#"));
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) authority.remove_prefix(at + 1);
  authority = authority.substr(0, authority.find(':'));
  const auto domain = smtp::Domain::parse(authority);
  return domain ? domain->ascii() : std::string();
}

class RecordReader {
public:
  explicit RecordReader(std::string_view text) { record_.text = std::string(text); }

  DmarcRecord read(std::string_view tags_text) {
    const TagList tags = TagList::parse_tolerant(tags_text);
    record_.rua = uris(tags, "rua");
    record_.ruf = uris(tags, "ruf");
    read_policies(tags);
    record_.strict_dkim = one_of(tags, "adkim", "rs", 'r') == 's';
    record_.strict_spf = one_of(tags, "aspf", "rs", 'r') == 's';
    record_.testing = one_of(tags, "t", "yn", 'n') == 'y';
    switch (one_of(tags, "psd", "ynu", 'u')) {
    case 'y': record_.psd = DmarcPsd::yes; break;
    case 'n': record_.psd = DmarcPsd::no; break;
    default: break;
    }
    read_failure_options(tags);
    return std::move(record_);
  }

private:
  void problem(std::string text) {
    if (record_.problems.size() < most_problems) record_.problems.push_back(std::move(text));
  }

  /// RFC 9989 section 4.7 takes the syntax of RFC 6376 section 3.2, which forbids that; section 4.8: a syntax error is
  /// "discarded in favor of default values (if any) or ignored outright". So neither value counts.
  bool is_given_twice(const TagList &tags, std::string_view tag) {
    if (!tags.is_repeated(tag)) return false;
    problem(fmt::format("{} is given more than once, and none of them counts", tag));
    return true;
  }

  /// RFC 9989 section 4.10.1.
  void read_policies(const TagList &tags) {
    const auto read = [&](std::string_view tag, bool &bad) -> std::optional<DmarcPolicy> {
      const auto value = tags.get(tag);
      if (!value) return std::nullopt;
      if (is_given_twice(tags, tag)) {
        bad = true;
        return std::nullopt;
      }
      const auto policy = parse_policy(*value);
      if (!policy) {
        bad = true;
        problem(fmt::format("{}={} is not a policy", tag, smtp::escape_to_ascii(*value)));
      }
      return policy;
    };
    bool bad_p = false;
    bool bad_subdomain = false;
    const auto policy = read("p", bad_p);
    record_.subdomain_policy = read("sp", bad_subdomain);
    record_.nonexistent_policy = read("np", bad_subdomain);
    record_.policy = policy.value_or(DmarcPolicy::none);
    if (policy && !bad_subdomain) return;
    if (!policy && !bad_p) problem("there is no p");
    // "MUST act as if a record containing p=none was retrieved": where sp or np is bad, nothing of the three counts;
    // where only p is missing or bad, good sp and np of the same record stay (section 4.7, p).
    if (bad_subdomain) {
      record_.policy = DmarcPolicy::none;
      record_.subdomain_policy.reset();
      record_.nonexistent_policy.reset();
    }
    record_.applies = !record_.rua.empty();
    problem(record_.applies ? "read as p=none" : "without a valid rua no DMARC applies");
  }

  /// A tag of one letter, whatever its case; the default when it is absent or bad.
  char one_of(const TagList &tags, std::string_view tag, std::string_view letters, char fallback) {
    const auto value = tags.get(tag);
    if (!value || is_given_twice(tags, tag)) return fallback;
    if (value->size() == 1) {
      const char letter = smtp::to_lower(value->front());
      if (letters.find(letter) != std::string_view::npos) return letter;
    }
    problem(fmt::format("{}={} is passed over", tag, smtp::escape_to_ascii(*value)));
    return fallback;
  }

  /// dmarc-urilist, each of its members for itself.
  std::vector<DmarcUri> uris(const TagList &tags, std::string_view tag) {
    std::vector<DmarcUri> found;
    const auto value = tags.get(tag);
    if (!value) return found;
    for (const std::string_view part : smtp::split(*value, ',')) {
      auto uri = parse_dmarc_uri(part);
      if (!uri) {
        problem(fmt::format("{}: \"{}\" is not a URI for reports", tag, smtp::escape_to_ascii(smtp::trim(part))));
      } else if (found.size() == most_dmarc_uris) {
        problem(fmt::format("{} has more than {} URIs", tag, most_dmarc_uris));
        break;
      } else {
        found.push_back(std::move(*uri));
      }
    }
    return found;
  }

  /// dmarc-fo: one of "0" and "1" at most, "d" and "s" at most once each. Ignored without ruf (section 4.7).
  void read_failure_options(const TagList &tags) {
    const auto value = tags.get("fo");
    if (!value || !tags.get("ruf")) return;
    std::string options;
    for (const std::string_view part : smtp::split(*value, ':')) {
      const std::string_view option = smtp::trim(part);
      const char letter = option.size() == 1 ? smtp::to_lower(option.front()) : '?';
      const bool digit = letter == '0' || letter == '1';
      const bool known = digit || letter == 'd' || letter == 's';
      const bool repeated =
          options.find(letter) != std::string::npos || (digit && options.find_first_of("01") != std::string::npos);
      if (!known || repeated) {
        problem(fmt::format("fo={} is passed over", smtp::escape_to_ascii(*value)));
        return;
      }
      if (!options.empty()) options += ':';
      options += letter;
    }
    record_.failure_options = options;
  }

  DmarcRecord record_;
};

} // namespace

std::optional<DmarcUri> parse_dmarc_uri(std::string_view text) {
  text = smtp::trim(text);
  if (text.empty() || text.size() > longest_uri) return std::nullopt;
  DmarcUri uri;
  uri.published = std::string(text);
  if (const auto mark = text.find('!'); mark != std::string_view::npos) {
    uri.size_limit = parse_size(smtp::trim(text.substr(mark + 1)));
    if (!uri.size_limit) return std::nullopt;
    text = smtp::trim(text.substr(0, mark));
  }
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || !is_uri_text(text)) return std::nullopt;
  uri.uri = std::string(text);
  uri.scheme = smtp::to_lower(text.substr(0, colon));
  const std::string_view rest = text.substr(colon + 1);
  if (!is_scheme(uri.scheme) || rest.empty()) return std::nullopt;
  if (uri.scheme != "mailto") {
    uri.host = authority_host(rest);
    return uri;
  }
  // mailtoURI = "mailto:" [ to ] [ hfields ] (RFC 6068 section 2); its fields are not for reports.
  const auto address = percent_decode(rest.substr(0, rest.find_first_of("?#")));
  if (!address) return std::nullopt;
  const auto mailbox = smtp::Mailbox::parse(*address);
  if (!mailbox || !mailbox->domain()) return std::nullopt;
  uri.address = mailbox->to_string();
  uri.host = mailbox->domain()->ascii();
  return uri;
}

bool is_dmarc_record(std::string_view text) noexcept {
  return behind_version(text).has_value();
}

std::optional<DmarcRecord> parse_dmarc_record(std::string_view text) {
  if (text.size() > longest_dmarc_record) return std::nullopt;
  const auto tags = behind_version(text);
  if (!tags) return std::nullopt;
  return RecordReader(text).read(*tags);
}

} // namespace auth
