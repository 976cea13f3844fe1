#include "mta/config/units.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include <fmt/format.h>

#include "smtp/base/text.hpp"

namespace mta {

namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array<Unit, 6> duration_units{
    {{"w", 604'800'000}, {"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}}};
constexpr std::array<Unit, 5> size_units{
    {{"TiB", 1ULL << 40U}, {"GiB", 1ULL << 30U}, {"MiB", 1ULL << 20U}, {"KiB", 1ULL << 10U}, {"B", 1}}};
constexpr std::uint64_t longest_duration = 315'576'000'000; // ten years in milliseconds
constexpr std::uint64_t largest_size = 1ULL << 60U;

/// Takes "123unit" off the front of `text`; nothing when it does not start so, the unit is unknown, or `limit` is
/// passed.
template <std::size_t Count>
std::optional<std::uint64_t> take(std::string_view &text, const std::array<Unit, Count> &units,
                                  std::uint64_t limit) noexcept {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto digits = static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_digit) - text.begin());
  const auto number = smtp::parse_number(text.substr(0, digits));
  if (!number) return std::nullopt;
  text.remove_prefix(digits);
  const auto letters = static_cast<std::size_t>(std::find_if(text.begin(), text.end(), is_digit) - text.begin());
  const auto unit =
      std::find_if(units.begin(), units.end(), [&](const Unit &u) { return u.name == text.substr(0, letters); });
  if (unit == units.end() || *number > limit / unit->factor) return std::nullopt;
  text.remove_prefix(letters);
  return *number * unit->factor;
}

std::size_t edit_distance(std::string_view left, std::string_view right) {
  std::vector<std::size_t> row(right.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < left.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < right.size(); ++j) {
      const std::size_t substituted = diagonal + (left[i] == right[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

} // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) noexcept {
  if (text.empty()) return std::nullopt;
  std::uint64_t total = 0;
  while (!text.empty()) {
    const auto part = take(text, duration_units, longest_duration);
    if (!part || *part > longest_duration - total) return std::nullopt;
    total += *part;
  }
  return std::chrono::milliseconds(total);
}

std::optional<std::uint64_t> parse_size(std::string_view text) noexcept {
  const auto size = take(text, size_units, largest_size);
  return text.empty() ? size : std::nullopt;
}

std::string format_duration(std::chrono::milliseconds duration) {
  auto rest = static_cast<std::uint64_t>(duration.count());
  std::string text;
  for (const auto &unit : duration_units) {
    if (rest < unit.factor) continue;
    text += fmt::format("{}{}", rest / unit.factor, unit.name);
    rest %= unit.factor;
  }
  return text.empty() ? "0s" : text;
}

std::string format_limit(std::chrono::milliseconds duration) {
  const auto days = std::chrono::floor<std::chrono::days>(duration);
  if (days.count() < 7 || duration % std::chrono::weeks(1) == duration.zero()) return format_duration(duration);
  const auto rest = duration - days;
  return fmt::format("{}d{}{}", days.count(), rest.count() == 0 ? "" : format_duration(rest),
                     days.count() == 365 ? " (a year)" : "");
}

std::string format_size(std::uint64_t octets) {
  for (const auto &unit : size_units)
    if (octets >= unit.factor && octets % unit.factor == 0) return fmt::format("{}{}", octets / unit.factor, unit.name);
  return "0B";
}

std::string format_date(std::chrono::sys_days day) {
  const std::chrono::year_month_day date(day);
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()));
}

std::string_view nearest_word(std::string_view word, const std::vector<std::string> &candidates) {
  if (word.size() > 64) return {};
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const auto &candidate : candidates) {
    if (word.size() >= 3 && candidate.starts_with(word)) return candidate;
    const std::size_t distance = edit_distance(smtp::to_lower(word), candidate);
    if (distance < best_distance && distance < candidate.size()) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

} // namespace mta
