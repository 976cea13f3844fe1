// Signature: see the header.
#include "auth/dkim/signature.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "smtp/base/base64.hpp"
#include "smtp/base/text.hpp"
#include "smtp/names/domain.hpp"

namespace auth {

using smtp::ErrorCode;

namespace {

tl::unexpected<smtp::Error> bad(std::string detail) {
  return smtp::fail(ErrorCode::bad_syntax, std::move(detail));
}

/// A domain or selector as it can be looked up: labels of letters, digits, hyphens and (some do) underscores; U-labels
/// become A-labels (RFC 8616 section 4).
std::optional<std::string> to_dns_name(std::string_view text) {
  if (!smtp::is_ascii(text)) {
    const auto domain = smtp::Domain::parse(text);
    if (!domain) return std::nullopt;
    return domain->ascii();
  }
  if (text.empty() || text.size() > 253) return std::nullopt;
  for (const std::string_view label : smtp::split(text, '.')) {
    if (label.empty() || label.size() > 63) return std::nullopt;
    for (const char c : label) {
      const char lower = smtp::to_lower(c);
      if (!((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')) return std::nullopt;
    }
  }
  return smtp::to_lower(text);
}

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10); // not allowed, and seen
  return std::nullopt;
}

/// RFC 6376 section 2.11: dkim-quoted-printable; white space is passed over, '=' without two hex digits stays.
std::string decode_quoted_printable(std::string_view text) {
  const std::string plain = remove_folds(text);
  std::string decoded;
  decoded.reserve(plain.size());
  for (std::size_t at = 0; at < plain.size(); ++at) {
    const auto high = plain[at] == '=' && at + 2 < plain.size() ? hex_digit(plain[at + 1]) : std::nullopt;
    const auto low = high ? hex_digit(plain[at + 2]) : std::nullopt;
    if (low) {
      decoded += static_cast<char>(*high << 4 | *low);
      at += 2;
    } else {
      decoded += plain[at];
    }
  }
  return decoded;
}

/// A tag that must be there and hold something.
smtp::Result<std::string_view> required(const TagList &tags, std::string_view name) {
  const auto value = tags.get(name);
  if (!value) return bad(fmt::format("no {}= tag", name));
  if (value->empty()) return bad(fmt::format("{}= is empty", name));
  return *value;
}

std::optional<Canonical> to_canonical(std::string_view word) {
  if (smtp::equals_ignoring_case(word, "simple")) return Canonical::simple;
  if (smtp::equals_ignoring_case(word, "relaxed")) return Canonical::relaxed;
  return std::nullopt;
}

/// c=: "header" or "header/body"; the body's default is simple (RFC 6376 section 3.5).
smtp::Result<void> read_canonical(const TagList &tags, Signature &signature) {
  const auto value = tags.get("c");
  if (!value) return {};
  const auto slash = value->find('/');
  const auto header = to_canonical(value->substr(0, slash));
  const auto body = slash == std::string_view::npos ? Canonical::simple : to_canonical(value->substr(slash + 1));
  if (!header || !body) return bad(fmt::format("unknown c= \"{}\"", smtp::escape(*value, 40)));
  signature.header = *header;
  signature.body = *body;
  return {};
}

/// h=: From must be among the names (RFC 6376 section 5.4; 6.1.1: PERMFAIL "From field not signed").
smtp::Result<void> read_names(const TagList &tags, Signature &signature) {
  const auto value = required(tags, "h");
  if (!value) return tl::unexpected(value.error());
  const std::string list = remove_folds(*value);
  for (const std::string_view name : smtp::split(list, ':'))
    if (!name.empty()) signature.names.emplace_back(name);
  if (signature.names.size() > max_signed_names)
    return bad(fmt::format("h= names {} fields, limit is {}", signature.names.size(), max_signed_names));
  const bool from = std::any_of(signature.names.begin(), signature.names.end(),
                                [](const auto &name) { return smtp::equals_ignoring_case(name, "from"); });
  if (!from) return bad("h= does not name From");
  return {};
}

/// l=: 1*76DIGIT; what does not fit 64 bits is larger than any body.
smtp::Result<void> read_length(const TagList &tags, Signature &signature) {
  const auto value = tags.get("l");
  if (!value) return {};
  const bool digits = !value->empty() && value->size() <= 76 &&
                      std::all_of(value->begin(), value->end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits) return bad("l= is not a number");
  signature.length = smtp::parse_number(*value).value_or(std::numeric_limits<std::uint64_t>::max());
  return {};
}

/// i=: its domain is d= or below it (RFC 6376 section 3.5).
smtp::Result<void> read_identity(const TagList &tags, Signature &signature) {
  const auto value = tags.get("i");
  signature.identity = value ? remove_folds(*value) : '@' + signature.domain;
  const std::string decoded = decode_quoted_printable(signature.identity);
  const auto at = decoded.rfind('@');
  if (at == std::string::npos) return bad("i= has no '@'");
  signature.identity_local = decoded.substr(0, at);
  const auto domain = to_dns_name(std::string_view(decoded).substr(at + 1));
  if (!domain) return bad("i= does not end in a domain");
  signature.identity_domain = *domain;
  if (*domain != signature.domain && !domain->ends_with('.' + signature.domain))
    return bad(fmt::format("i= is not within d={}", signature.domain));
  return {};
}

} // namespace

std::string SignatureBase::key_name() const {
  return selector + "._domainkey." + domain;
}

smtp::Result<void> read_base(const TagList &tags, SignatureBase &base) {
  // First what names the signature in the results, then what is wrong with it.
  if (const auto domain = tags.get("d")) base.domain = to_dns_name(*domain).value_or("");
  if (const auto selector = tags.get("s")) base.selector = to_dns_name(*selector).value_or("");
  if (const auto algorithm = tags.get("a")) base.algorithm = smtp::to_lower(*algorithm);
  const std::string encoded = remove_folds(tags.get("b").value_or(""));
  base.start = encoded.substr(0, 8);
  for (const std::string_view name : {"a", "b", "d", "s"})
    if (const auto value = required(tags, name); !value) return tl::unexpected(value.error());
  if (base.domain.empty()) return bad("d= is not a domain");
  if (base.selector.empty()) return bad("s= is not a selector");
  if (base.algorithm == "rsa-sha1")
    base.hash = HashKind::sha1;
  else if (base.algorithm == "ed25519-sha256")
    base.key_type = KeyType::ed25519;
  else if (base.algorithm != "rsa-sha256")
    return bad(fmt::format("unknown algorithm \"{}\"", smtp::escape(base.algorithm, 40)));
  auto signature = smtp::from_base64(encoded);
  if (!signature || signature->empty()) return bad("b= is not base64");
  base.signature = std::move(*signature);
  return {};
}

smtp::Result<std::optional<std::uint64_t>> read_time(const TagList &tags, std::string_view name) {
  const auto value = tags.get(name);
  if (!value) return std::nullopt;
  const auto seconds = smtp::parse_number(*value);
  if (!seconds) return bad(fmt::format("{}= is not a number of seconds", name));
  return seconds;
}

smtp::Result<void> read_message_signature(const TagList &tags, Signature &signature) {
  if (const auto read = read_base(tags, signature); !read) return read;
  if (const auto read = read_canonical(tags, signature); !read) return read;
  if (const auto read = read_names(tags, signature); !read) return read;
  if (const auto read = read_length(tags, signature); !read) return read;
  const auto encoded = required(tags, "bh");
  if (!encoded) return tl::unexpected(encoded.error());
  auto hash = smtp::from_base64(*encoded);
  if (!hash || hash->size() != digest_size(signature.hash)) return bad("bh= is not a digest in base64");
  signature.body_hash = std::move(*hash);
  const auto signed_at = read_time(tags, "t");
  if (!signed_at) return tl::unexpected(signed_at.error());
  const auto expires = read_time(tags, "x");
  if (!expires) return tl::unexpected(expires.error());
  signature.signed_at = *signed_at;
  signature.expires = *expires;
  // RFC 6376 section 3.5: the value of x= MUST be greater than that of t= if both are there.
  if (signature.signed_at && signature.expires && *signature.expires <= *signature.signed_at)
    return bad("x= is not after t=");
  return {};
}

smtp::Result<void> read_dkim_signature(std::string_view value, Dialect dialect, Signature &signature) {
  const auto tags = TagList::parse(value);
  if (!tags) {
    (void)read_base(TagList::parse_tolerant(value), signature); // so that the result can name it
    return tl::unexpected(tags.error());
  }
  const auto read = read_message_signature(*tags, signature);
  if (!signature.domain.empty() && signature.identity.empty()) signature.identity = '@' + signature.domain;
  // A version that we do not know makes all else unknown (RFC 6376 section 6.1.1).
  const auto version = tags->get("v");
  const bool draft = dialect == Dialect::drafts && version.value_or("0.5") == "0.5";
  if (!version && !draft) return bad("no v= tag");
  if (version != "1" && !draft) return bad(fmt::format("unknown version \"{}\"", smtp::escape(*version, 40)));
  if (!read) return read;
  if (const auto identity = read_identity(*tags, signature); !identity) return identity;
  if (const auto query = tags->get("q")) {
    // Unknown methods are passed over, one known must be left. "dns" alone is how drafts of RFC 4871 wrote it.
    const std::string plain = remove_folds(*query);
    const auto methods = smtp::split(plain, ':');
    const bool known = std::any_of(methods.begin(), methods.end(), [](std::string_view method) {
      return smtp::equals_ignoring_case(method, "dns/txt") || smtp::equals_ignoring_case(method, "dns");
    });
    if (!known) return bad(fmt::format("unknown q= \"{}\"", smtp::escape(plain, 40)));
  }
  return {};
}

std::string to_printable(std::string text) {
  for (char &c : text)
    if (c < ' ' || c > '~') c = '?';
  return text;
}

std::string without_signature(std::string_view value) {
  std::size_t at = 0;
  while (at < value.size()) {
    const std::size_t end = std::min(value.find(';', at), value.size());
    const std::string_view tag = value.substr(at, end - at);
    const auto equals = tag.find('=');
    if (equals != std::string_view::npos && remove_folds(tag.substr(0, equals)) == "b") {
      std::string out(value.substr(0, at + equals + 1));
      return out.append(value.substr(end));
    }
    at = end + 1;
  }
  return std::string(value);
}

} // namespace auth
