// OctetSource: octets that are read once from the front: a message in the spool, a file, a text.
#pragma once

#include <cstddef>
#include <cstring>
#include <functional>
#include <span>
#include <string_view>

#include "smtp/base/result.hpp"

namespace mta {

/// Fills at most the span from where the last call ended; 0 at the end. Errors: io.
using OctetSource = std::function<smtp::Result<std::size_t>(std::span<char>)>;

/// Of a text that outlives the source.
[[nodiscard]] inline OctetSource source_of(std::string_view text) {
  return [text](std::span<char> into) mutable -> smtp::Result<std::size_t> {
    const std::size_t size = text.copy(into.data(), into.size());
    text.remove_prefix(size);
    return size;
  };
}

} // namespace mta
