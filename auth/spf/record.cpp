// SpfRecord: see the header. record = version *( 1*SP ( directive / modifier ) ) *SP (RFC 7208 section 4.6.1).
#include "auth/spf/record.hpp"

#include <algorithm>

#include <fmt/core.h>

#include "auth/spf/macro.hpp"
#include "smtp/base/ascii.hpp"
#include "smtp/base/text.hpp"

namespace auth {

namespace {

constexpr std::string_view version = "v=spf1";

tl::unexpected<smtp::Error> bad(std::string_view what, std::string_view term) {
  return smtp::fail(smtp::ErrorCode::bad_syntax, fmt::format("{} in \"{}\"", what, smtp::escape(term, 80)));
}

/// An error of a part, with the term that it stands in.
tl::unexpected<smtp::Error> bad_part(const smtp::Error &error, std::string_view term) {
  return smtp::fail(error.code, fmt::format("\"{}\": {}", smtp::escape(term, 80), error.detail));
}

/// Whether the first `bits` of both are equal.
bool same_prefix(const std::uint8_t *left, const std::uint8_t *right, unsigned bits) noexcept {
  const unsigned octets = bits / 8;
  if (!std::equal(left, left + octets, right)) return false;
  const unsigned rest = bits % 8;
  return rest == 0 || ((left[octets] ^ right[octets]) >> (8 - rest)) == 0;
}

/// ip4-cidr-length = "/" ("0" / %x31-39 0*1DIGIT), ip6-cidr-length alike with 0*2DIGIT. `text` is behind the slash.
std::optional<unsigned> parse_prefix(std::string_view text, unsigned largest) {
  if (text.empty() || text.size() > 3 || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  const auto number = smtp::parse_number(text);
  if (!number || *number > largest) return std::nullopt;
  return static_cast<unsigned>(*number);
}

/// Where the digits at the end of `text` begin, when `mark` ("/" or "//") stands before them and no third slash.
std::optional<std::size_t> find_prefix(std::string_view text, std::string_view mark) {
  std::size_t at = text.size();
  while (at > 0 && smtp::is_digit(text[at - 1])) --at;
  if (at == text.size() || !text.substr(0, at).ends_with(mark)) return std::nullopt;
  if (mark.size() == 1 && text.substr(0, at).ends_with("//")) return std::nullopt;
  return at;
}

/// [ ip4-cidr-length ] [ "/" ip6-cidr-length ] at the end of `value`, which is cut off there. A domain-spec may hold
/// slashes, so that the lengths are read from the end.
bool take_prefixes(std::string_view &value, SpfTerm &term) {
  if (const auto at = find_prefix(value, "//")) {
    const auto prefix = parse_prefix(value.substr(*at), 128);
    if (!prefix) return false;
    term.prefix6 = *prefix;
    value = value.substr(0, *at - 2);
  }
  if (const auto at = find_prefix(value, "/")) {
    const auto prefix = parse_prefix(value.substr(*at), 32);
    if (!prefix) return false;
    term.prefix4 = *prefix;
    value = value.substr(0, *at - 1);
  }
  return true;
}

/// IP4 = "ip4" ":" ip4-network [ ip4-cidr-length ], IP6 alike. `value` is behind the colon.
bool parse_network(std::string_view value, SpfTerm &term) {
  const bool v6 = term.mechanism == Mechanism::ip6;
  const auto slash = value.find('/');
  if (slash != std::string_view::npos) {
    const auto prefix = parse_prefix(value.substr(slash + 1), v6 ? 128 : 32);
    if (!prefix) return false;
    (v6 ? term.prefix6 : term.prefix4) = *prefix;
    value = value.substr(0, slash);
  }
  if ((value.find(':') != std::string_view::npos) != v6) return false;
  const auto address = smtp::IpAddress::parse(value);
  if (!address) return false;
  term.network = address->octets();
  if (v6 && !address->is_v6()) { // "::ffff:192.0.2.1" came back as IPv4
    term.network = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    std::copy_n(address->octets().begin(), 4, term.network.begin() + 12);
  }
  return true;
}

std::optional<Mechanism> find_mechanism(std::string_view name) {
  struct Row {
    std::string_view name;
    Mechanism mechanism;
  };
  static constexpr Row rows[] = {{"all", Mechanism::all}, {"include", Mechanism::include}, {"a", Mechanism::a},
                                 {"mx", Mechanism::mx},   {"ptr", Mechanism::ptr},         {"ip4", Mechanism::ip4},
                                 {"ip6", Mechanism::ip6}, {"exists", Mechanism::exists}};
  for (const Row &row : rows)
    if (smtp::equals_ignoring_case(row.name, name)) return row.mechanism;
  return std::nullopt;
}

/// directive = [ qualifier ] mechanism.
smtp::Result<SpfTerm> parse_directive(std::string_view text) {
  SpfTerm term;
  term.text = text;
  std::string_view rest = text;
  switch (rest.front()) {
  case '+': break;
  case '-': term.qualifier = SpfResult::fail; break;
  case '~': term.qualifier = SpfResult::softfail; break;
  case '?': term.qualifier = SpfResult::neutral; break;
  default: rest = {};
  }
  rest = rest.empty() ? text : text.substr(1);
  const auto name_end = std::min(rest.find_first_of(":/"), rest.size());
  const auto mechanism = find_mechanism(rest.substr(0, name_end));
  if (!mechanism) return bad("unknown mechanism", text);
  term.mechanism = *mechanism;
  std::string_view value = rest.substr(name_end);
  const bool has_colon = value.starts_with(':');

  switch (term.mechanism) {
  case Mechanism::all:
    if (!value.empty()) return bad("an argument that \"all\" does not take", text);
    return term;
  case Mechanism::ip4:
  case Mechanism::ip6:
    if (!has_colon || !parse_network(value.substr(1), term)) return bad("not a network", text);
    return term;
  case Mechanism::a:
  case Mechanism::mx:
    if (!take_prefixes(value, term)) return bad("bad prefix length", text);
    break;
  case Mechanism::ptr: break;
  case Mechanism::include:
  case Mechanism::exists:
    if (!has_colon) return bad("no domain-spec", text);
    break;
  }
  if (value.empty()) return term;
  if (!has_colon) return bad("bad prefix length", text); // "ptr/0", "a/24/64"
  term.domain_spec = value.substr(1);
  if (const auto checked = check_domain_spec(term.domain_spec); !checked) return bad_part(checked.error(), text);
  return term;
}

/// Where the '=' of a modifier stands: name "=" with name = ALPHA *( ALPHA / DIGIT / "-" / "_" / "." ).
std::optional<std::size_t> find_modifier(std::string_view text) {
  const auto equals = text.find_first_of("=:/");
  if (equals == std::string_view::npos || text[equals] != '=' || !smtp::is_alpha(text.front())) return std::nullopt;
  const bool is_name = std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(equals), [](char c) {
    return smtp::is_alpha(c) || smtp::is_digit(c) || c == '-' || c == '_' || c == '.';
  });
  return is_name ? std::optional(equals) : std::nullopt;
}

smtp::Result<void> parse_modifier(std::string_view text, std::size_t equals, SpfRecord &record) {
  const std::string_view name = text.substr(0, equals);
  const std::string_view value = text.substr(equals + 1);
  const bool is_redirect = smtp::equals_ignoring_case(name, "redirect");
  if (!is_redirect && !smtp::equals_ignoring_case(name, "exp")) {
    const auto checked = check_macro_string(value, MacroPlace::free_text);
    if (!checked) return bad_part(checked.error(), text);
    return {};
  }
  // Section 6: each at most once, else permerror. A bad one is not an unknown modifier (section 6.1, 6.2).
  auto &place = is_redirect ? record.redirect : record.explanation;
  if (place) return bad("a second modifier of this name", text);
  if (const auto checked = check_domain_spec(value); !checked) return bad_part(checked.error(), text);
  place = value;
  return {};
}

} // namespace

bool SpfTerm::covers(const smtp::IpAddress &address, const smtp::IpAddress &client) const noexcept {
  return address.is_v6() == client.is_v6() &&
         same_prefix(address.octets().data(), client.octets().data(), client.is_v6() ? prefix6 : prefix4);
}

bool SpfTerm::contains(const smtp::IpAddress &client) const noexcept {
  const bool v6 = mechanism == Mechanism::ip6;
  return client.is_v6() == v6 && same_prefix(network.data(), client.octets().data(), v6 ? prefix6 : prefix4);
}

bool SpfTerm::asks_dns() const noexcept {
  return mechanism != Mechanism::all && mechanism != Mechanism::ip4 && mechanism != Mechanism::ip6;
}

bool is_spf_record(std::string_view text) noexcept {
  return smtp::starts_with_ignoring_case(text, version) &&
         (text.size() == version.size() || text[version.size()] == ' ');
}

smtp::Result<SpfRecord> parse_spf_record(std::string_view text) {
  if (text.size() > spf_record_limit)
    return smtp::fail(smtp::ErrorCode::too_long,
                      fmt::format("record is {} octets, limit is {}", text.size(), spf_record_limit));
  if (!is_spf_record(text)) return smtp::fail(smtp::ErrorCode::bad_syntax, "no \"v=spf1\" at the start");
  // Section 3.1: US-ASCII; section 4.6.1: terms are separated by spaces, so that no control character can stand
  // anywhere.
  const auto foreign = std::find_if(text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; });
  if (foreign != text.end())
    return smtp::fail(smtp::ErrorCode::bad_syntax,
                      fmt::format("octet {} is not printable ASCII but 0x{:02x}", foreign - text.begin(),
                                  static_cast<unsigned>(static_cast<unsigned char>(*foreign))));
  SpfRecord record;
  for (const std::string_view term : smtp::split(text.substr(version.size()), ' ')) {
    if (term.empty()) continue;
    if (const auto equals = find_modifier(term)) {
      if (const auto parsed = parse_modifier(term, *equals, record); !parsed) return tl::unexpected(parsed.error());
      continue;
    }
    const auto parsed = parse_directive(term);
    if (!parsed) return tl::unexpected(parsed.error());
    record.terms.push_back(*parsed);
  }
  return record;
}

} // namespace auth
