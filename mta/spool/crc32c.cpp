#include "mta/spool/crc32c.hpp"

#include <array>
#include <cstddef>
#include <cstring>

namespace mta::spool {

namespace {

constexpr std::uint32_t polynomial = 0x82F63B78; // Castagnoli, reflected

using Tables = std::array<std::array<std::uint32_t, 256>, 4>;

constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t octet = 0; octet < 256; ++octet) {
    std::uint32_t value = octet;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1U) != 0 ? polynomial : 0U);
    tables[0][octet] = value;
  }
  for (std::size_t octet = 0; octet < 256; ++octet) {
    for (std::size_t table = 1; table < 4; ++table) {
      const std::uint32_t before = tables[table - 1][octet];
      tables[table][octet] = (before >> 8) ^ tables[0][before & 0xFFU];
    }
  }
  return tables;
}

constexpr Tables tables = make_tables();

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t crc32c_by_instruction(std::string_view octets,
                                                                      std::uint32_t previous) noexcept {
  const char *at = octets.data();
  std::size_t left = octets.size();
  std::uint64_t value = ~previous;
  for (; left >= 8; at += 8, left -= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    value = __builtin_ia32_crc32di(value, word);
  }
  auto short_value = static_cast<std::uint32_t>(value);
  for (; left > 0; ++at, --left) short_value = __builtin_ia32_crc32qi(short_value, static_cast<unsigned char>(*at));
  return ~short_value;
}

bool has_instruction() noexcept {
  __builtin_cpu_init();
  return __builtin_cpu_supports("sse4.2") != 0;
}
#endif

} // namespace

std::uint32_t crc32c_by_table(std::string_view octets, std::uint32_t previous) noexcept {
  const char *at = octets.data();
  std::size_t left = octets.size();
  std::uint32_t value = ~previous;
  const auto octet = [&at](std::size_t index) { return std::uint32_t{static_cast<unsigned char>(at[index])}; };
  for (; left >= 4; at += 4, left -= 4) {
    value ^= octet(0) | octet(1) << 8 | octet(2) << 16 | octet(3) << 24;
    value = tables[3][value & 0xFFU] ^ tables[2][(value >> 8) & 0xFFU] ^ tables[1][(value >> 16) & 0xFFU] ^
            tables[0][value >> 24];
  }
  for (; left > 0; ++at, --left) value = (value >> 8) ^ tables[0][(value ^ octet(0)) & 0xFFU];
  return ~value;
}

std::uint32_t crc32c(std::string_view octets, std::uint32_t previous) noexcept {
#if defined(__x86_64__)
  static const bool fast = has_instruction();
  if (fast) return crc32c_by_instruction(octets, previous);
#endif
  return crc32c_by_table(octets, previous);
}

} // namespace mta::spool
