// What a key's DNS answer means for one signature (RFC 6376 section 6.1.2): shared by DKIM and ARC.
#pragma once

#include <memory>
#include <string>

#include "auth/core/dns_facts.hpp"
#include "auth/core/results.hpp"
#include "auth/dkim/key_cache.hpp"
#include "auth/dkim/signature.hpp"

namespace auth {

/// A key that may check the signature, or why there is none.
struct KeyChoice {
  enum class State { ready, unusable, temporary, missing };
  State state = State::missing;
  std::string reason; ///< for unusable and temporary
  /// For ready: its record and key are there.
  std::shared_ptr<const PreparedKey> prepared;
  [[nodiscard]] const KeyRecord &record() const { return *prepared->record; }
  [[nodiscard]] const PublicKey &key() const { return **prepared->key; }
};

/// Looks up `signature`'s key. With several records the first that fits the signature counts (section 6.1.2 step 5
/// leaves the choice); when none fits, the first one's fault is the reason.
/// `cache` may be null.
[[nodiscard]] KeyChoice choose_key(const SignatureBase &signature, DnsFacts &facts, KeyCache *cache);

} // namespace auth
