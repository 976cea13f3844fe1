// HeaderGate: stands in front of everything that reads a message; what it lets on begins with a header section that all
// readers read alike: fields up to an empty line (RFC 5322 sections 2.1 and 2.2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace smtp {

/// What becomes of a line that does not belong into a header section.
enum class HeaderRule : std::uint8_t {
  refuse, ///< nothing more is let on; fault() says why
  split,  ///< the empty line that is missing is put in front of it: it and all behind it is body
  mend, ///< for clients of ours: a mailbox file's "From " lines are dropped, white space in front of a colon too; else
        ///< as split
};

/// The first such line.
struct HeaderFault {
  std::uint64_t line = 0; ///< from 1, as the client sent it
  std::string octets;     ///< the line, escaped to printable ASCII, cut
  std::string problem;    ///< "begins no field", …

  /// "line 3 of the header begins no field: \"x\"".
  [[nodiscard]] std::string to_string() const;
};

/// One message. Feed what ServerSession hands out (lines end in CRLF). Memory: one header line, and the header lines of
/// one feed.
class HeaderGate {
public:
  explicit HeaderGate(HeaderRule rule) noexcept : rule_(rule) {}

  /// What goes on of these octets: a view of them, or into this object until its next call. Nothing goes on once a
  /// message is refused.
  [[nodiscard]] std::string_view feed(std::string_view octets);
  /// The message is complete: what was held back of a line without its end.
  [[nodiscard]] std::string_view end();

  /// With every rule, also where the section was mended.
  [[nodiscard]] const std::optional<HeaderFault> &fault() const noexcept { return fault_; }
  [[nodiscard]] bool is_refused() const noexcept { return place_ == Place::refused; }

private:
  enum class Place : std::uint8_t { start, fields, body, refused };

  /// One header line with its line end; appends to out_ what goes on of it.
  void take_line(std::string_view line);
  /// `line` is where the body begins although no empty line was there.
  void leave_header(std::string_view line, std::string_view problem);
  void note(std::string_view line, std::string_view problem);

  HeaderRule rule_;
  Place place_ = Place::start;
  std::uint64_t line_ = 0;
  std::string held_; ///< of a header line that a cut has split
  std::string out_;
  std::optional<HeaderFault> fault_;
};

} // namespace smtp
