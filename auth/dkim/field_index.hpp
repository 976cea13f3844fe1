// FieldIndex: finds the fields that h= names, from the bottom up, each once (RFC 6376 section 5.4.2).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "auth/core/header_fields.hpp"
#include "auth/dkim/canonical.hpp"

namespace auth {

/// Made once for a message; the fields must outlive it. A lookup costs the same in a header section of ten thousand
/// fields.
class FieldIndex {
public:
  explicit FieldIndex(const HeaderFields &fields);

  /// Begins a new selection: every field may be picked again.
  void restart();
  /// The lowest field of this name that was not picked yet; nullptr when there is none (it is signed as absent).
  [[nodiscard]] const HeaderField *pick(std::string_view name);
  /// No pick gives this field until the next restart(): a signature never covers itself as one of h= (section 3.5).
  void leave_out(const HeaderField &field);
  /// How many fields have this name.
  [[nodiscard]] std::size_t count(std::string_view name) const;
  /// The canonical fields that `names` select, in their order. `own` is the signature's field, where it is there
  /// already.
  [[nodiscard]] std::string canonical_fields(const std::vector<std::string> &names, Canonical canonical,
                                             const HeaderField *own = nullptr);

private:
  struct Entry {
    std::uint64_t hash = 0;
    std::uint32_t position = 0;
  };
  struct Range {
    std::size_t begin = 0;
    std::size_t end = 0;
  };
  /// The fields of this name: names are compared too, since hashes that fall together can be made.
  [[nodiscard]] Range range_of(std::string_view name) const;
  [[nodiscard]] bool is_before(const Entry &entry, std::uint64_t hash, std::string_view name) const;

  const std::vector<HeaderField> &fields_;
  std::vector<Entry> entries_;      ///< sorted by hash and name, then from the top down
  std::vector<std::uint8_t> taken_; ///< for each of entries_
  std::vector<std::size_t> cursor_; ///< at a range's begin: nothing at or above this entry is left
};

} // namespace auth
