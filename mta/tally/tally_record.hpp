// TallyRecord: a row of any kind with its count, as it stands in a day's file, and the scan that passes over damage.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace mta {

/// A record of a day's file: a row that occurred `count` times up to `last`.
struct TallyRecord {
  std::string_view row; ///< the row's octets; what they mean is the codec's business
  std::uint64_t count = 0;
  std::chrono::sys_seconds last;
};

/// Octets of the longest row that a record may hold.
inline constexpr std::size_t longest_tally_row = 65'520;

/// Octets of a record in front of its row.
inline constexpr std::size_t tally_record_head = 32;

/// The record with its length and checksum in front.
void append_record(std::string &out, const TallyRecord &record);

/// Reads the records of a file that comes in pieces. Damage is passed over: the scan goes on at the next octet where a
/// record with a right checksum begins. The visitor's views live for its call.
class TallyRecordScanner {
public:
  using Visit = std::function<void(const TallyRecord &)>;
  /// Takes the next octets of the file.
  void feed(std::string_view octets, const Visit &visit);
  /// The file is at its end: what is left is a torn tail.
  void finish(const Visit &visit);
  /// Stretches passed over so far.
  [[nodiscard]] std::uint64_t damaged() const noexcept { return damaged_; }
  /// After finish(): the last of them reaches to the end, as a write that a crash cut short does.
  [[nodiscard]] bool is_torn() const noexcept { return in_damage_; }

private:
  void scan(const Visit &visit, bool at_end);
  std::string held_;
  std::uint64_t damaged_ = 0;
  bool in_damage_ = false;
};

} // namespace mta
