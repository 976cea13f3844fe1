// Durations and sizes with units, dates, and the nearest known word: the small texts of the configuration.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mta {

/// "250ms", "5m", "1h30m": whole numbers with ms, s, m, h, d or w, at most 10 years.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) noexcept;
/// "512B", "64KiB", "25MiB", "2GiB", "1TiB": one whole number with a unit.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text) noexcept;

/// The shortest text that parse_duration() reads back.
[[nodiscard]] std::string format_duration(std::chrono::milliseconds duration);
/// The same in days where weeks would not be whole, for people who compare it with theirs: "30d", "365d6h (a year)".
[[nodiscard]] std::string format_limit(std::chrono::milliseconds duration);
[[nodiscard]] std::string format_size(std::uint64_t octets);
/// "2027-04-01"
[[nodiscard]] std::string format_date(std::chrono::sys_days day);

/// The candidate that `word` is most likely a misspelling of; empty when none is near.
[[nodiscard]] std::string_view nearest_word(std::string_view word, const std::vector<std::string> &candidates);

} // namespace mta
