// The grammar of RFC 5321 section 4.1.2, without CFWS.
#include "smtp/names/mailbox.hpp"

#include "smtp/base/text.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

namespace smtp {

namespace {

constexpr std::size_t longest_local_part = 256; // with its quotes; RFC 5321 section 4.5.3.1.1 asks for 64 at least
constexpr std::size_t longest_mailbox = 510;    // with the longest domain; RFC 5321 section 4.5.3.1.3 asks for 254
constexpr std::size_t longest_path = 1024;      // what is read at all: a source route comes on top of the mailbox

/// atext of RFC 5322 section 3.2.3, and every octet of UTF-8 beyond ASCII (RFC 6531 section 3.3).
constexpr std::array<bool, 256> atext_table = [] {
  std::array<bool, 256> table{};
  for (const char c :
       std::string_view("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~"))
    table[static_cast<unsigned char>(c)] = true;
  for (std::size_t i = 128; i < 256; ++i) table[i] = true;
  return table;
}();

bool is_atext(char c) noexcept {
  return atext_table[static_cast<unsigned char>(c)];
}
bool is_printable(char c) noexcept {
  return c >= 32 && c <= 126;
}

tl::unexpected<Error> bad_address(std::string_view text, std::string_view why) {
  return fail(ErrorCode::bad_syntax, fmt::format("address \"{}\" {}", escape(text, 120), why));
}

tl::unexpected<Error> too_long(std::string_view text, std::size_t size) {
  return fail(ErrorCode::too_long,
              fmt::format("address \"{}\" is {} octets, limit is {}", escape(text, 80), size, longest_mailbox));
}

/// Dot-string = Atom *("." Atom)
bool is_dot_string(std::string_view text) noexcept {
  char previous = '.';
  for (const char c : text) {
    if (c == '.' ? previous == '.' : !is_atext(c)) return false;
    previous = c;
  }
  return previous != '.';
}

/// Atoms with dots anywhere, also at its ends and beside each other.
bool is_loose_dot_string(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) { return c == '.' || is_atext(c); });
}

struct LocalPart {
  std::string value;      ///< without quotes and quoted pairs
  std::size_t length = 0; ///< octets that it takes in the text
  bool loose_dots = false;
};

/// Quoted-string = DQUOTE *( qtextSMTP / quoted-pairSMTP ) DQUOTE, at the start of `text`.
Result<LocalPart> parse_quoted(std::string_view text) {
  LocalPart local;
  for (std::size_t i = 1; i < text.size(); ++i) {
    char c = text[i];
    if (c == '"') {
      local.length = i + 1;
      return local;
    }
    if (c == '\\') {
      if (++i == text.size() || !is_printable(text[i])) return bad_address(text, "has a bad quoted pair");
      c = text[i];
    } else if (!is_printable(c) && static_cast<unsigned char>(c) < 128) {
      return bad_address(text, "has a control character in its quoted local part");
    }
    local.value += c;
  }
  return bad_address(text, "has a quoted local part without end");
}

Result<LocalPart> parse_local_part(std::string_view text) {
  if (text.starts_with('"')) return parse_quoted(text);
  const auto at = text.find('@');
  if (at == std::string_view::npos) return bad_address(text, "has no \"@\"");
  const auto local = text.substr(0, at);
  if (local.empty()) return bad_address(text, "has no local part");
  if (is_dot_string(local)) return LocalPart{std::string(local), at};
  if (!is_loose_dot_string(local)) return bad_address(text, "has a local part that is neither a dot-string nor quoted");
  return LocalPart{std::string(local), at, true};
}

/// RFC 5321 section 4.1.3: in an address literal "::" stands for at least two groups, where RFC 4291 says one.
bool has_short_gap(std::string_view text) noexcept {
  if (text.find("::") == std::string_view::npos) return false;
  std::size_t groups = text.find('.') != std::string_view::npos ? 1 : 0; // an IPv4 tail counts twice
  bool in_group = false;
  for (const char c : text) {
    if (c != ':' && !in_group) ++groups;
    in_group = c != ':';
  }
  return groups > 6;
}

/// address-literal = "[" ( IPv4-address-literal / "IPv6:" IPv6-addr ) "]"; no other tag is registered.
Result<IpAddress> parse_literal(std::string_view address, std::string_view text) {
  if (!text.ends_with(']')) return bad_address(address, "has an address literal without end");
  text = text.substr(1, text.size() - 2);
  const bool v6 = starts_with_ignoring_case(text, "IPv6:");
  if (v6) text.remove_prefix(5);
  const auto ip = IpAddress::parse(text);
  const bool has_colon = text.find(':') != std::string_view::npos;
  if (!ip || has_colon != v6 || has_short_gap(text)) return bad_address(address, "has a bad address literal");
  return *ip;
}

/// How many octets the local part takes on the wire, and whether that needs quotes.
struct WireLength {
  std::size_t octets = 0;
  bool quoted = false;
};

WireLength wire_length(std::string_view local) noexcept {
  if (is_dot_string(local)) return {local.size(), false};
  const auto escaped = std::count_if(local.begin(), local.end(), [](char c) { return c == '"' || c == '\\'; });
  return {local.size() + static_cast<std::size_t>(escaped) + 2, true};
}

/// A path without its brackets: [ A-d-l ":" ] Mailbox, A-d-l = At-domain *( "," At-domain ), At-domain = "@" Domain.
Result<std::string_view> drop_source_route(std::string_view path) {
  if (!path.starts_with('@')) return path;
  const auto whole = path;
  for (;;) {
    path.remove_prefix(1);
    const auto end = path.find_first_of(",:");
    if (end == std::string_view::npos) return bad_address(whole, "has a source route without mailbox");
    if (!Domain::parse(path.substr(0, end))) return bad_address(whole, "has a bad domain in its source route");
    const bool last = path[end] == ':';
    path.remove_prefix(end + 1);
    if (last) return path;
    if (!path.starts_with('@')) return bad_address(whole, "has a bad source route");
  }
}

/// The text between "<" and ">".
Result<std::string_view> strip_brackets(std::string_view text) {
  if (text.size() > longest_path)
    return fail(ErrorCode::too_long, fmt::format("path is {} octets, limit is {}", text.size(), longest_path));
  if (text.size() < 2 || text.front() != '<' || text.back() != '>') return bad_address(text, "needs angle brackets");
  return text.substr(1, text.size() - 2);
}

} // namespace

Result<Mailbox> Mailbox::parse(std::string_view text) {
  if (text.size() > longest_mailbox) return too_long(text, text.size());
  auto local = parse_local_part(text);
  if (!local) return tl::unexpected<Error>(std::move(local).error());
  if (local->length > longest_local_part)
    return fail(ErrorCode::too_long, fmt::format("local part of \"{}\" is {} octets, limit is {}", escape(text, 120),
                                                 local->length, longest_local_part));
  if (!is_utf8(local->value)) return bad_address(text, "has a local part that is not UTF-8");
  auto host = text.substr(local->length);
  if (!host.starts_with('@')) return bad_address(text, "has something other than \"@\" after its local part");
  host.remove_prefix(1);
  if (host.empty()) return bad_address(text, "has no domain");
  if (host.starts_with('[')) {
    const auto literal = parse_literal(text, host);
    if (!literal) return tl::unexpected<Error>(literal.error());
    return Mailbox(std::move(local->value), *literal, local->loose_dots);
  }
  // The root's dot (RFC 1034 section 3.1), which RFC 5321 leaves out.
  if (host.ends_with('.')) host.remove_suffix(1);
  auto domain = Domain::parse(host);
  if (!domain) return tl::unexpected<Error>(std::move(domain).error());
  // A-labels may be longer than the U-labels that were written.
  if (const auto size = local->length + 1 + domain->ascii().size(); size > longest_mailbox) return too_long(text, size);
  return Mailbox(std::move(local->value), std::move(*domain), local->loose_dots);
}

Result<Mailbox> Mailbox::create(std::string local_part, Domain domain) {
  const auto wire = wire_length(local_part);
  if (wire.octets > longest_local_part)
    return fail(ErrorCode::too_long, fmt::format("local part \"{}\" is {} octets, limit is {}", escape(local_part, 80),
                                                 wire.octets, longest_local_part));
  if (!is_utf8(local_part)) return bad_address(local_part, "has a local part that is not UTF-8");
  for (const char c : local_part)
    if (static_cast<unsigned char>(c) < 32 || c == 127)
      return bad_address(local_part, "has a control character in its local part");
  if (const auto size = wire.octets + 1 + domain.ascii().size(); size > longest_mailbox)
    return too_long(local_part + "@" + domain.ascii(), size);
  return Mailbox(std::move(local_part), std::move(domain));
}

std::string Mailbox::host() const {
  if (const auto *name = domain()) return name->ascii();
  return literal()->to_literal();
}

std::string Mailbox::to_string() const {
  std::string text;
  text.reserve(local_part_.size() + 48);
  if (loose_dots_ || !wire_length(local_part_).quoted) {
    text = local_part_;
  } else {
    text += '"';
    for (const char c : local_part_) {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
    text += '"';
  }
  text += '@';
  return text += host();
}

bool Mailbox::needs_smtputf8() const noexcept {
  return !is_ascii(local_part_);
}

Result<ReversePath> ReversePath::parse(std::string_view text) {
  if (text == "<>") return ReversePath();
  const auto path = strip_brackets(text);
  if (!path) return tl::unexpected<Error>(path.error());
  const auto address = drop_source_route(*path);
  if (!address) return tl::unexpected<Error>(address.error());
  auto mailbox = Mailbox::parse(*address);
  if (!mailbox) return tl::unexpected<Error>(std::move(mailbox).error());
  return ReversePath(std::move(*mailbox));
}

std::string ReversePath::to_string() const {
  return mailbox_ ? "<" + mailbox_->to_string() + ">" : "<>";
}

Result<ForwardPath> ForwardPath::parse(std::string_view text) {
  const auto path = strip_brackets(text);
  if (!path) return tl::unexpected<Error>(path.error());
  if (equals_ignoring_case(*path, "postmaster")) return postmaster();
  const auto address = drop_source_route(*path);
  if (!address) return tl::unexpected<Error>(address.error());
  auto mailbox = Mailbox::parse(*address);
  if (!mailbox) return tl::unexpected<Error>(std::move(mailbox).error());
  return ForwardPath(std::move(*mailbox));
}

std::string ForwardPath::to_string() const {
  return mailbox_ ? "<" + mailbox_->to_string() + ">" : "<Postmaster>";
}

} // namespace smtp
