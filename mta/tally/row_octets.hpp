// RowWriter and RowReader: the fields of a tally's row as octets, equal for equal rows. Numbers are LEB128 (seven bits
// an octet, the lowest first), texts have their length in front.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace mta {

class RowWriter {
public:
  RowWriter() { octets_.reserve(384); }
  void number(std::uint64_t value);
  /// Cut at `limit`.
  void text(std::string_view value, std::size_t limit);
  template <typename Enum> void word(Enum value) { number(static_cast<std::uint64_t>(value)); }
  template <typename Enum> void optional_word(const std::optional<Enum> &value) {
    number(value ? 1 + static_cast<std::uint64_t>(*value) : 0);
  }
  void octets(std::string_view value) { octets_ += value; }
  [[nodiscard]] std::string take() && { return std::move(octets_); }

private:
  std::string octets_;
};

/// The first failure is kept and every later value is empty, so that the decoder asks once, at its end.
class RowReader {
public:
  explicit RowReader(std::string_view octets) : rest_(octets) {}

  /// `field` names the value in the error.
  std::uint64_t number(std::string_view field, std::uint64_t limit);
  bool truth(std::string_view field) { return number(field, 1) == 1; }
  template <typename Enum> Enum word(std::string_view field, Enum last) {
    return static_cast<Enum>(number(field, static_cast<std::uint64_t>(last)));
  }
  template <typename Enum> std::optional<Enum> optional_word(std::string_view field, Enum last) {
    const auto value = number(field, 1 + static_cast<std::uint64_t>(last));
    if (value == 0) return std::nullopt;
    return static_cast<Enum>(value - 1);
  }
  std::string text(std::string_view field, std::size_t limit) { return std::string(octets(field, limit)); }
  std::string_view octets(std::string_view field, std::size_t limit);
  std::uint64_t fail(std::string why);
  [[nodiscard]] bool is_at_end() const noexcept { return rest_.empty(); }
  [[nodiscard]] const std::string &error() const noexcept { return error_; }

private:
  std::string_view rest_;
  std::string error_;
};

} // namespace mta
