// FieldIndex: see the header.
#include "auth/dkim/field_index.hpp"

#include <algorithm>

#include "smtp/base/text.hpp"

namespace auth {

namespace {

/// FNV-1a over the lower-case name.
std::uint64_t hash_name(std::string_view name) {
  std::uint64_t hash = 14695981039346656037U;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(smtp::to_lower(c))) * 1099511628211U;
  return hash;
}

} // namespace

FieldIndex::FieldIndex(const HeaderFields &fields) : fields_(fields.all()) {
  entries_.reserve(fields_.size());
  for (std::size_t i = 0; i < fields_.size(); ++i)
    entries_.push_back({hash_name(fields_[i].name), static_cast<std::uint32_t>(i)});
  std::sort(entries_.begin(), entries_.end(), [](const Entry &left, const Entry &right) {
    return left.hash != right.hash ? left.hash < right.hash : left.position < right.position;
  });
  restart();
}

void FieldIndex::restart() {
  taken_.assign(entries_.size(), 0);
  cursor_.assign(entries_.size(), 0);
  for (std::size_t begin = 0; begin < entries_.size();) {
    std::size_t end = begin + 1;
    while (end < entries_.size() && entries_[end].hash == entries_[begin].hash) ++end;
    cursor_[begin] = end;
    begin = end;
  }
}

FieldIndex::Range FieldIndex::range_of(std::uint64_t hash) const {
  const auto by_hash = [](const Entry &entry, std::uint64_t value) { return entry.hash < value; };
  const auto begin = std::lower_bound(entries_.begin(), entries_.end(), hash, by_hash);
  auto end = begin;
  while (end != entries_.end() && end->hash == hash) ++end;
  return {static_cast<std::size_t>(begin - entries_.begin()), static_cast<std::size_t>(end - entries_.begin())};
}

const HeaderField *FieldIndex::pick(std::string_view name) {
  const std::uint64_t hash = hash_name(name);
  const auto found = std::lower_bound(entries_.begin(), entries_.end(), hash,
                                      [](const Entry &entry, std::uint64_t value) { return entry.hash < value; });
  if (found == entries_.end() || found->hash != hash) return nullptr;
  const auto begin = static_cast<std::size_t>(found - entries_.begin());
  for (std::size_t at = cursor_[begin]; at > begin; --at) {
    const HeaderField &field = fields_[entries_[at - 1].position];
    if (taken_[at - 1] != 0 || !smtp::equals_ignoring_case(field.name, name)) continue; // another name, the same hash
    taken_[at - 1] = 1;
    while (cursor_[begin] > begin && taken_[cursor_[begin] - 1] != 0) --cursor_[begin];
    return &field;
  }
  return nullptr;
}

void FieldIndex::leave_out(const HeaderField &field) {
  const Range range = range_of(hash_name(field.name));
  for (std::size_t at = range.begin; at < range.end; ++at)
    if (&fields_[entries_[at].position] == &field) taken_[at] = 1;
}

std::size_t FieldIndex::count(std::string_view name) const {
  const Range range = range_of(hash_name(name));
  std::size_t count = 0;
  for (std::size_t at = range.begin; at < range.end; ++at)
    if (smtp::equals_ignoring_case(fields_[entries_[at].position].name, name)) ++count;
  return count;
}

std::string FieldIndex::canonical_fields(const std::vector<std::string> &names, Canonical canonical,
                                         const HeaderField *own) {
  restart();
  if (own != nullptr) leave_out(*own);
  std::string text;
  text.reserve(2048);
  for (const std::string &name : names)
    if (const HeaderField *field = pick(name)) append_canonical_field(canonical, *field, text);
  return text;
}

} // namespace auth
