// SevenBitConverter: a message with 8-bit content made into one for a hop without 8BITMIME (RFC 6152 section 3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace smtp {

/// Which parts of a message hold octets above 127: one entry for each header section in it, in their order.
using EightBitParts = std::vector<bool>;

/// One message, header and body, in pieces of any cut. Parts become quoted-printable (text) or base64 (anything else),
/// multiparts and message/rfc822 say 7bit (also those that said base64 or quoted-printable, which RFC 2045 section 6.4
/// forbids, and hold 8-bit content), a message that is not MIME becomes MIME (RFC 1428: charset unknown-8bit).
/// Octets above 127 in a header section go on as they came: nothing else could say them. In
/// front of, between and behind the parts of a multipart, where nobody reads, they become "?".
/// Memory: the header section of one part (over `longest_header` it goes on unconverted) and one line.
class SevenBitConverter {
public:
  enum class Mode : std::uint8_t {
    survey,     ///< gives nothing out and fills parts()
    as_found,   ///< converts what a survey found
    as_labelled ///< in one pass: converts what says of itself that it is 8bit or binary
  };
  explicit SevenBitConverter(Mode mode) : mode_(mode) {}
  /// After a survey of the same message.
  explicit SevenBitConverter(EightBitParts found) : mode_(Mode::as_found), parts_(std::move(found)) {}

  /// Appends to `out` what goes on.
  void feed(std::string_view octets, std::string &out);
  /// The message is complete.
  void end(std::string &out);

  [[nodiscard]] const EightBitParts &parts() const noexcept { return parts_; }
  /// Survey: about the size of the result (SIZE is an estimate, RFC 1870 section 3).
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  /// Some part was converted, or would be.
  [[nodiscard]] bool changes() const noexcept { return changes_; }

  static constexpr std::size_t longest_header = 1'048'576;
  static constexpr std::size_t deepest_multipart = 50;

private:
  enum class Place : std::uint8_t { header, copy, quoted, base64, repair_quoted, repair_base64, masked };
  struct Multipart {
    std::string boundary;
    bool digest = false; ///< parts are message/rfc822 unless they say something else
  };

  /// A multipart or message/rfc822 that says base64 or quoted-printable.
  struct Mislabelled {
    std::size_t number = 0; ///< in parts_
    std::size_t depth = 0;  ///< multiparts around it
    bool is_multipart = false;
  };

  void take_line(std::string_view line, std::string &out);
  void take_header_line(std::string_view line, std::string &out);
  void end_header(std::string &out);
  void write_header(std::string_view encoding, bool needs_type, std::string &out);
  /// True when the line is a delimiter of an open multipart.
  bool take_boundary(std::string_view line, std::string &out);
  void end_part(std::string &out);
  void take_body_line(std::string_view line, std::string &out);
  void write_base64(std::string_view octets, bool last, std::string &out);

  Mode mode_;
  EightBitParts parts_;
  std::uint64_t size_ = 0;
  bool changes_ = false;
  Place place_ = Place::header;
  std::string line_;                     ///< what came of a line that is not complete
  std::string header_;                   ///< of the part that begins
  bool part_begins_ = false;             ///< the header section is the first behind a delimiter
  std::size_t part_ = 0;                 ///< header sections that ended
  std::vector<Multipart> open_;          ///< the innermost last
  std::vector<Mislabelled> mislabelled_; ///< survey: those that we are in, and in which nothing was found yet
  std::string group_;                    ///< base64: octets of an incomplete line
  bool line_end_waits_ = false;          ///< base64: a CRLF that is the delimiter's if one follows
};

/// The whole message, with a survey first.
[[nodiscard]] std::string to_seven_bit(std::string_view message);

/// Lines of text in quoted-printable (RFC 2045 section 6.7). Ends with CRLF when `lines` does.
[[nodiscard]] std::string quoted_printable(std::string_view lines);

} // namespace smtp
