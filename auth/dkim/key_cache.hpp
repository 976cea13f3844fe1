// KeyCache: key records that were parsed, and their keys made ready, kept by the record's text.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "auth/dkim/key_record.hpp"
#include "auth/dkim/public_key.hpp"
#include "smtp/base/text_map.hpp"

namespace auth {

/// A record with its key, or what is wrong with it.
struct PreparedKey {
  smtp::Result<KeyRecord> record;
  /// Nothing when the record is wrong or revoked.
  std::optional<smtp::Result<PublicKey>> key;
};
[[nodiscard]] PreparedKey prepare_key(std::string_view text);

/// A key that is met again costs neither base64 nor DER, and OpenSSL keeps what it computed for it: half of the cost of
/// an RSA check. What a text means never changes, so nothing expires; when it is full it begins anew. One thread's.
class KeyCache {
public:
  explicit KeyCache(std::size_t limit = 500) : limit_(limit) {}
  [[nodiscard]] std::shared_ptr<const PreparedKey> find(std::string_view text);
  [[nodiscard]] std::size_t size() const noexcept { return keys_.size(); }

private:
  const std::size_t limit_;
  smtp::TextMap<std::shared_ptr<const PreparedKey>> keys_;
};

} // namespace auth
