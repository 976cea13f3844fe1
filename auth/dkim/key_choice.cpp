// The choice of a key: see the header.
#include "auth/dkim/key_choice.hpp"

#include <fmt/format.h>

#include "smtp/base/text.hpp"

namespace auth {

namespace {

/// No more records of one name are looked at.
constexpr std::size_t max_records = 8;

KeyChoice unusable(std::string reason) {
  return {KeyChoice::State::unusable, std::move(reason), {}};
}

/// RFC 6376 section 6.1.2 steps 6 to 9, for one record.
KeyChoice judge_record(const SignatureBase &signature, std::string_view text, KeyCache *cache) {
  auto prepared = cache != nullptr ? cache->find(text) : std::make_shared<const PreparedKey>(prepare_key(text));
  const auto &record = prepared->record;
  if (!record) return unusable(record.error().detail);
  if (!record->allows_email) return unusable("key is not for e-mail");
  if (signature.hash == HashKind::sha1 ? !record->allows_sha1 : !record->allows_sha256)
    return unusable("key does not allow this hash algorithm");
  if (record->public_key.empty()) return unusable("key is revoked");
  if (record->type != signature.key_type) return unusable(fmt::format("key is of type {}", to_string(record->type)));
  if (!*prepared->key) return unusable(prepared->key->error().detail);
  return {KeyChoice::State::ready, {}, std::move(prepared)};
}

} // namespace

KeyChoice choose_key(const SignatureBase &signature, DnsFacts &facts, KeyCache *cache) {
  const DnsFact *const fact = facts.find(signature.key_name(), RecordType::txt);
  if (fact == nullptr) return {KeyChoice::State::missing, "key not looked up yet", {}};
  switch (fact->status) {
  case smtp::DnsStatus::temporary:
    return {KeyChoice::State::temporary,
            "key lookup: " + smtp::escape(fact->detail.empty() ? "no answer" : fact->detail),
            {}};
  case smtp::DnsStatus::no_data:
  case smtp::DnsStatus::no_name: return unusable("no key for signature");
  case smtp::DnsStatus::ok: break;
  }
  if (fact->texts.empty()) return unusable("no key for signature");
  KeyChoice first;
  for (std::size_t i = 0; i < fact->texts.size() && i < max_records; ++i) {
    KeyChoice choice = judge_record(signature, fact->texts[i], cache);
    if (choice.state == KeyChoice::State::ready) return choice;
    if (i == 0) first = std::move(choice);
  }
  return first;
}

} // namespace auth
