// How many TCP segments with data a socket has received: shows what a peer sent together.
#pragma once

#include <cstdint>

namespace test {

/// Of a connected TCP socket; Linux's TCP_INFO.
[[nodiscard]] std::uint32_t data_segments_in(int descriptor);

} // namespace test
