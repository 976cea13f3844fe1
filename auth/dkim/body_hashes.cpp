// BodyHashes: see the header.
#include "auth/dkim/body_hashes.hpp"

namespace auth {

std::optional<std::size_t> BodyHashes::find(Canonical canonical, HashKind hash,
                                            std::optional<std::uint64_t> limit) const {
  for (std::size_t i = 0; i < entries_.size(); ++i)
    if (entries_[i].canonical == canonical && entries_[i].hash == hash && entries_[i].limit == limit) return i;
  return std::nullopt;
}

std::size_t BodyHashes::want(Canonical canonical, HashKind hash, std::optional<std::uint64_t> limit) {
  if (const auto found = find(canonical, hash, limit)) return *found;
  entries_.push_back({canonical, hash, limit, BodyCanonicaliser(canonical, limit), Digest(hash), {}});
  return entries_.size() - 1;
}

void BodyHashes::write(std::string_view octets) {
  for (Entry &entry : entries_) entry.canonicaliser.write(octets, entry.digest);
}

void BodyHashes::end() {
  for (Entry &entry : entries_) {
    entry.canonicaliser.end(entry.digest);
    entry.result = entry.digest.finish();
  }
}

} // namespace auth
