// TextMap: a hash map by text that is asked with a view.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace smtp {

/// For look-ups with a view.
struct TextHash {
  using is_transparent = void;
  /// Not noexcept: libstdc++ keeps the hash beside each key only for functions that may throw or are slow, and without
  /// it every step along a bucket hashes the neighbour's text anew.
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

template <typename Value> using TextMap = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;

} // namespace smtp
