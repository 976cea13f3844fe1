// KeyCache: see the header.
#include "auth/dkim/key_cache.hpp"

namespace auth {

PreparedKey prepare_key(std::string_view text) {
  PreparedKey prepared{KeyRecord::parse(text), std::nullopt};
  if (prepared.record && !prepared.record->public_key.empty())
    prepared.key = PublicKey::make(prepared.record->type, prepared.record->public_key);
  return prepared;
}

std::shared_ptr<const PreparedKey> KeyCache::find(std::string_view text) {
  if (const auto found = keys_.find(text); found != keys_.end()) return found->second;
  if (keys_.size() >= limit_) keys_.clear();
  auto prepared = std::make_shared<const PreparedKey>(prepare_key(text));
  keys_.emplace(std::string(text), prepared);
  return prepared;
}

} // namespace auth
