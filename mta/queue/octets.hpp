// OctetWriter and OctetReader: little-endian integers and length-prefixed text, for the blobs that the queue keeps in
// the spool.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "smtp/base/result.hpp"

namespace mta {

class OctetWriter {
public:
  explicit OctetWriter(std::size_t expected_size) { octets_.reserve(expected_size); }

  template <std::unsigned_integral Number> void number(Number value) {
    for (std::size_t i = 0; i < sizeof(Number); ++i)
      octets_ += static_cast<char>(static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> (8 * i)));
  }
  void truth(bool value) { number(static_cast<std::uint8_t>(value ? 1 : 0)); }
  /// Nanoseconds since 1970 in UTC.
  void time(std::chrono::system_clock::time_point value) {
    const auto since = std::chrono::duration_cast<std::chrono::nanoseconds>(value.time_since_epoch()).count();
    number(static_cast<std::uint64_t>(since));
  }
  void text(std::string_view value) {
    number(static_cast<std::uint32_t>(value.size()));
    octets_.append(value);
  }
  [[nodiscard]] std::string take() && { return std::move(octets_); }

private:
  std::string octets_;
};

/// Reads what OctetWriter wrote. The first failure is kept and every later value is empty, so that a decoder asks once,
/// at its end.
class OctetReader {
public:
  explicit OctetReader(std::string_view octets) : rest_(octets) {}

  template <std::unsigned_integral Number> [[nodiscard]] Number number(std::string_view field) {
    if (rest_.size() < sizeof(Number)) {
      set_error(fmt::format("field {} ends after {} of {} octets", field, rest_.size(), sizeof(Number)));
      return 0;
    }
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(Number); ++i)
      value |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(rest_[i])) << (8 * i);
    rest_.remove_prefix(sizeof(Number));
    return static_cast<Number>(value);
  }
  [[nodiscard]] bool truth(std::string_view field) {
    const auto value = number<std::uint8_t>(field);
    if (value > 1) set_error(fmt::format("field {} is {}, limit is 1", field, value));
    return value == 1;
  }
  /// An enumerator, whose values run from 0 to `last`.
  template <typename Enum> [[nodiscard]] Enum word(std::string_view field, Enum last) {
    const auto value = number<std::uint8_t>(field);
    if (value > static_cast<std::uint8_t>(last)) {
      set_error(fmt::format("field {} is {}, limit is {}", field, value, static_cast<std::uint8_t>(last)));
      return Enum{};
    }
    return static_cast<Enum>(value);
  }
  [[nodiscard]] std::chrono::system_clock::time_point time(std::string_view field) {
    const auto value = static_cast<std::int64_t>(number<std::uint64_t>(field));
    return std::chrono::system_clock::time_point(
        std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds(value)));
  }
  /// A view into the octets read from.
  [[nodiscard]] std::string_view text(std::string_view field, std::size_t limit) {
    const auto size = number<std::uint32_t>(field);
    if (size > limit) {
      set_error(fmt::format("field {} is {} octets, limit is {}", field, size, limit));
      return {};
    }
    if (size > rest_.size()) {
      set_error(fmt::format("field {} ends after {} of {} octets", field, rest_.size(), size));
      return {};
    }
    const auto value = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return value;
  }

  void set_error(std::string detail) {
    if (error_.empty()) error_ = std::move(detail);
    rest_ = {};
  }
  [[nodiscard]] bool has_failed() const noexcept { return !error_.empty(); }
  [[nodiscard]] const std::string &error() const noexcept { return error_; }
  [[nodiscard]] std::size_t remaining() const noexcept { return rest_.size(); }

private:
  std::string_view rest_;
  std::string error_;
};

} // namespace mta
