// DataEncoder: makes stored message octets fit for the wire, and lets no bare CR or bare LF out (RFC 5321
// sections 2.3.8, 4.5.2).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "smtp/base/result.hpp"

namespace smtp {

/// DATA wants leading dots doubled and an end mark; BDAT counts octets and changes none (RFC 3030).
enum class DataForm : std::uint8_t { dot_stuffed, counted };

/// One message, fed in any cut. Every CR that leaves is followed by LF and every LF follows a CR, so that a receiver
/// with other ideas of a line end sees the same message (SMTP smuggling). After an error nothing more may be encoded.
class DataEncoder {
public:
  explicit DataEncoder(DataForm form = DataForm::dot_stuffed) noexcept : form_(form) {}

  /// Appends the wire form of `octets` to `out`. Errors: bad_syntax for a NUL, a bare CR or LF, with its place in the
  /// message; `out` then ends before the faulty octet.
  [[nodiscard]] Result<void> encode(std::string_view octets, std::string &out);
  /// Ends the message: adds CRLF when the last line has none and, for DATA, the line with a single dot. Errors:
  /// bad_syntax when the message ends in a bare CR.
  [[nodiscard]] Result<void> finish(std::string &out);
  /// Octets of the message seen so far.
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

private:
  enum class Place : std::uint8_t { line_start, in_line, after_cr };
  DataForm form_;
  Place place_ = Place::line_start;
  std::uint64_t size_ = 0;
};

} // namespace smtp
