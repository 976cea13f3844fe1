// CRC32C (Castagnoli): the checksum of every record of the spool, with the processor's instruction where it has one.
#pragma once

#include <cstdint>
#include <string_view>

namespace mta::spool {

/// The CRC32C of `octets`; `previous` continues an earlier call, so that a payload may come in pieces.
[[nodiscard]] std::uint32_t crc32c(std::string_view octets, std::uint32_t previous = 0) noexcept;

/// The same by table, for processors without the instruction; the test holds the two against each other.
[[nodiscard]] std::uint32_t crc32c_by_table(std::string_view octets, std::uint32_t previous = 0) noexcept;

} // namespace mta::spool
