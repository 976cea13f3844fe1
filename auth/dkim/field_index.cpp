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

/// Less than 0, 0, or more, ignoring case.
int compare_names(std::string_view left, std::string_view right) {
  const std::size_t common = std::min(left.size(), right.size());
  for (std::size_t i = 0; i < common; ++i) {
    const int difference = smtp::to_lower(left[i]) - smtp::to_lower(right[i]);
    if (difference != 0) return difference;
  }
  return left.size() < right.size() ? -1 : left.size() > right.size() ? 1 : 0;
}

} // namespace

FieldIndex::FieldIndex(const HeaderFields &fields) : fields_(fields.all()) {
  entries_.reserve(fields_.size());
  for (std::size_t i = 0; i < fields_.size(); ++i)
    entries_.push_back({hash_name(fields_[i].name), static_cast<std::uint32_t>(i)});
  std::sort(entries_.begin(), entries_.end(), [this](const Entry &left, const Entry &right) {
    if (left.hash != right.hash) return left.hash < right.hash;
    const int names = compare_names(fields_[left.position].name, fields_[right.position].name);
    return names != 0 ? names < 0 : left.position < right.position;
  });
  restart();
}

void FieldIndex::restart() {
  taken_.assign(entries_.size(), 0);
  cursor_.assign(entries_.size(), 0);
  for (std::size_t begin = 0; begin < entries_.size();) {
    const std::string_view name = fields_[entries_[begin].position].name;
    std::size_t end = begin + 1;
    while (end < entries_.size() && entries_[end].hash == entries_[begin].hash &&
           smtp::equals_ignoring_case(fields_[entries_[end].position].name, name))
      ++end;
    cursor_[begin] = end;
    begin = end;
  }
}

bool FieldIndex::is_before(const Entry &entry, std::uint64_t hash, std::string_view name) const {
  if (entry.hash != hash) return entry.hash < hash;
  return compare_names(fields_[entry.position].name, name) < 0;
}

FieldIndex::Range FieldIndex::range_of(std::string_view name) const {
  const std::uint64_t hash = hash_name(name);
  const auto begin = std::partition_point(entries_.begin(), entries_.end(),
                                          [&](const Entry &entry) { return is_before(entry, hash, name); });
  auto end = begin;
  while (end != entries_.end() && end->hash == hash && smtp::equals_ignoring_case(fields_[end->position].name, name))
    ++end;
  return {static_cast<std::size_t>(begin - entries_.begin()), static_cast<std::size_t>(end - entries_.begin())};
}

const HeaderField *FieldIndex::pick(std::string_view name) {
  const std::uint64_t hash = hash_name(name);
  const auto found = std::partition_point(entries_.begin(), entries_.end(),
                                          [&](const Entry &entry) { return is_before(entry, hash, name); });
  if (found == entries_.end() || found->hash != hash ||
      !smtp::equals_ignoring_case(fields_[found->position].name, name))
    return nullptr;
  const auto begin = static_cast<std::size_t>(found - entries_.begin());
  std::size_t &cursor = cursor_[begin];
  while (cursor > begin && taken_[cursor - 1] != 0) --cursor;
  if (cursor == begin) return nullptr;
  taken_[--cursor] = 1;
  return &fields_[entries_[cursor].position];
}

void FieldIndex::leave_out(const HeaderField &field) {
  const Range range = range_of(field.name);
  for (std::size_t at = range.begin; at < range.end; ++at)
    if (&fields_[entries_[at].position] == &field) taken_[at] = 1;
}

std::size_t FieldIndex::count(std::string_view name) const {
  const Range range = range_of(name);
  return range.end - range.begin;
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
