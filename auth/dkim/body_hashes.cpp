// BodyHashes: see the header.
#include "auth/dkim/body_hashes.hpp"

#include <algorithm>
#include <utility>

namespace auth {

std::optional<std::size_t> BodyHashes::find(Canonical canonical, HashKind hash,
                                            std::optional<std::uint64_t> limit) const {
  for (std::size_t i = 0; i < entries_.size(); ++i)
    if (entries_[i].canonical == canonical && entries_[i].hash == hash && entries_[i].limit == limit) return i;
  return std::nullopt;
}

std::size_t BodyHashes::want(Canonical canonical, HashKind hash, std::optional<std::uint64_t> limit) {
  if (const auto found = find(canonical, hash, limit)) return *found;
  entries_.push_back({canonical, hash, limit, 0, {}});
  return entries_.size() - 1;
}

void BodyHashes::begin() {
  if (std::exchange(begun_, true)) return;
  std::vector<std::vector<Entry *>> members;
  std::vector<const Entry *> first;
  for (Entry &entry : entries_) {
    const auto same = std::find_if(first.begin(), first.end(), [&](const Entry *other) {
      return other->canonical == entry.canonical && other->hash == entry.hash;
    });
    entry.stream = static_cast<std::size_t>(same - first.begin());
    if (same == first.end()) {
      first.push_back(&entry);
      members.emplace_back();
      streams_.emplace_back(entry.canonical, entry.hash);
    }
    members[entry.stream].push_back(&entry);
  }
  for (std::size_t i = 0; i < streams_.size(); ++i) streams_[i].begin(std::move(members[i]));
}

void BodyHashes::write(std::string_view octets) {
  begin();
  for (Stream &stream : streams_) stream.body(octets);
}

void BodyHashes::end() {
  begin();
  for (Stream &stream : streams_) stream.end();
}

std::uint64_t BodyHashes::length(std::size_t number) const {
  return streams_[entries_[number].stream].length();
}

void BodyHashes::Stream::begin(std::vector<Entry *> entries) {
  std::sort(entries.begin(), entries.end(), [](const Entry *left, const Entry *right) {
    if (!left->limit || !right->limit) return !left->limit && right->limit;
    return *left->limit > *right->limit;
  });
  canonicaliser_.emplace(canonical_, entries.front()->limit); // none, or the largest
  open_ = std::move(entries);
}

void BodyHashes::Stream::write(std::string_view octets) {
  while (!open_.empty() && open_.back()->limit && *open_.back()->limit - count_ <= octets.size()) {
    const auto part = static_cast<std::size_t>(*open_.back()->limit - count_);
    digest_.write(octets.substr(0, part));
    octets.remove_prefix(part);
    count_ += part;
    open_.back()->result = Digest(digest_).finish();
    open_.pop_back();
  }
  digest_.write(octets);
  count_ += octets.size();
}

void BodyHashes::Stream::end() {
  canonicaliser_->end(*this);
  for (Entry *entry : open_) entry->result = Digest(digest_).finish();
  open_.clear();
}

} // namespace auth
