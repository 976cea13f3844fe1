// KeyRecord: see the header.
#include "auth/dkim/key_record.hpp"

#include <fmt/format.h>

#include "auth/core/tag_list.hpp"
#include "smtp/base/base64.hpp"
#include "smtp/base/text.hpp"

namespace auth {

namespace {

/// Whether a colon-separated list (h=, s=, t=) names `word`. The words of these lists are written in the grammar of RFC
/// 5234, where case does not tell.
bool names(std::string_view list, std::string_view word) {
  for (const std::string_view part : smtp::split(list, ':'))
    if (smtp::equals_ignoring_case(remove_folds(part), word)) return true;
  return false;
}

} // namespace

std::string_view to_string(KeyType type) noexcept {
  return type == KeyType::rsa ? "rsa" : "ed25519";
}

smtp::Result<KeyRecord> KeyRecord::parse(std::string_view text) {
  using smtp::ErrorCode;
  if (text.size() > max_key_record)
    return smtp::fail(ErrorCode::too_long,
                      fmt::format("key record is {} octets, limit is {}", text.size(), max_key_record));
  if (!smtp::is_utf8(text)) return smtp::fail(ErrorCode::bad_syntax, "key record is not text");
  const auto tags = TagList::parse(text);
  if (!tags) return smtp::fail(ErrorCode::bad_syntax, "key record: " + tags.error().detail);
  KeyRecord record;
  // RFC 6376 section 3.6.1: v= is optional, comes first, and any other value discards the record.
  if (const auto version = tags->get("v")) {
    if (*version != "DKIM1")
      return smtp::fail(ErrorCode::bad_syntax,
                        fmt::format("key record has version \"{}\"", smtp::escape(*version, 40)));
    if (tags->tags().front().name != "v")
      return smtp::fail(ErrorCode::bad_syntax, "key record does not begin with its version");
  }
  if (const auto type = tags->get("k")) {
    if (smtp::equals_ignoring_case(*type, "ed25519"))
      record.type = KeyType::ed25519;
    else if (!smtp::equals_ignoring_case(*type, "rsa"))
      return smtp::fail(ErrorCode::bad_syntax, fmt::format("key record has type \"{}\"", smtp::escape(*type, 40)));
  }
  if (const auto hashes = tags->get("h")) {
    record.allows_sha1 = names(*hashes, "sha1");
    record.allows_sha256 = names(*hashes, "sha256");
  }
  if (const auto services = tags->get("s")) record.allows_email = names(*services, "*") || names(*services, "email");
  if (const auto flags = tags->get("t")) {
    record.testing = names(*flags, "y");
    record.no_subdomain = names(*flags, "s");
  }
  if (const auto granularity = tags->get("g")) record.granularity = std::string(*granularity);
  const auto key = tags->get("p");
  if (!key) return smtp::fail(ErrorCode::bad_syntax, "key record without a key");
  auto octets = smtp::from_base64(*key);
  if (!octets) return smtp::fail(ErrorCode::bad_syntax, "key record: p= is not base64");
  record.public_key = std::move(*octets);
  return record;
}

} // namespace auth
