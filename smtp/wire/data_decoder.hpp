// DataDecoder: message octets as DATA or BDAT carries them, with dot-stuffing undone and every line end checked; copied
// are only lines around a stuffed dot or a bare LF that is converted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace smtp {

/// How bare LF in message data is treated. A bare CR is always refused, and only CRLF.CRLF ever ends data.
enum class BareLf : std::uint8_t { refuse, convert };

/// Where the message ends: at CRLF.CRLF (DATA), or where the octets that were counted end (BDAT).
enum class Framing : std::uint8_t { dot, counted };

/// What the decoder met.
enum class DataEvent : std::uint8_t {
  need_more,     ///< all input is used up
  octets,        ///< message octets; `DataStep::octets` is a view of the input, of the decoder, or of a constant
  end,           ///< the message is complete; what is left of the input is not part of it
  bare_cr,       ///< CR without LF: the octets that follow cannot be trusted to be data or commands
  bare_lf,       ///< LF without CR, where that is refused
  line_too_long, ///< reported once; from here on nothing is handed out any more
  nul, ///< a NUL octet, which 7BIT and 8BITMIME data never has (RFC 2045 sections 2.7, 2.8); reported likewise
};

struct DataStep {
  DataEvent event = DataEvent::need_more;
  std::string_view octets;
};

/// Reads one message.
///
///   dot framing:  line start --"."--> dot --CR--> dot CR --LF--> end (only when the line began after CRLF)
///                     ^                |--other: the dot was stuffing (RFC 5321 section 4.5.2)
///                 in line --CR--> CR --LF--> line start
///
/// NUL octets are refused, not passed on: some servers drop them, and would then see "CRLF NUL . CRLF" as an end of
/// data. With BareLf::convert a bare LF becomes CRLF and begins a line whose stuffed dot is removed; but a lone dot
/// whose line began or ends with a bare LF is content, and never an end.
class DataDecoder {
public:
  /// `line_limit`: octets with CRLF, without a stuffed dot.
  DataDecoder(Framing framing, BareLf bare_lf, std::size_t line_limit) noexcept
      : framing_(framing), bare_lf_(bare_lf), line_limit_(line_limit) {}

  /// Takes octets from the front of `input`. Call until need_more or end; after bare_cr or bare_lf it is of no more
  /// use. A view that is handed out holds until the next call.
  [[nodiscard]] DataStep next(std::string_view &input);
  /// Counted framing: the last chunk is used up. octets when a final CRLF is missing (to be handed out, then call
  /// again), bare_cr, or end.
  [[nodiscard]] DataStep finish();
  /// Hand out nothing any more, only find the end and the bare line ends before it.
  void discard() noexcept { discarding_ = true; }

private:
  enum class State : std::uint8_t { line_start, in_line, cr, dot, dot_cr };
  [[nodiscard]] DataStep after_dot(std::string_view &input) noexcept;
  [[nodiscard]] DataStep run(std::string_view &input) noexcept;
  [[nodiscard]] DataStep hand_out(std::string_view octets) noexcept;
  /// At the start of a line: puts whole short lines that are in order into `gathered_`, as they are to be handed out.
  /// Stops in front of anything else: the end, what is to be refused, a line that is not complete.
  [[nodiscard]] std::string_view gather(std::string_view &input);
  void begin_line(bool after_crlf) noexcept;
  /// Adds to the current line's length. False: the line has just become too long.
  [[nodiscard]] bool count(std::size_t octets) noexcept;

  Framing framing_;
  BareLf bare_lf_;
  State state_ = State::line_start;
  bool line_began_after_crlf_ = true; ///< the CRLF of the DATA command counts
  bool discarding_ = false;
  bool line_was_too_long_ = false;
  std::size_t line_limit_;
  std::size_t line_length_ = 0;
  std::string gathered_; ///< room for lines, once one had to be copied
};

} // namespace smtp
