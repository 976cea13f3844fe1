// HeaderScanner: watches a message stream past and notes what the MTA must know of it, holding none of the body.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "smtp/base/result.hpp"

namespace smtp {

/// What was seen of one message.
struct MessageFacts {
  std::uint64_t size = 0;        ///< octets
  std::uint64_t header_size = 0; ///< octets of the header section with its empty line
  std::size_t received_hops = 0; ///< Received fields
  bool has_8bit = false;         ///< any octet above 127
  bool header_has_8bit = false;  ///< an octet above 127 in the header section: needs SMTPUTF8 (RFC 6532)
  bool has_date = false;
  bool has_message_id = false;
  bool has_from = false;
  /// "TLS-Required: No" (RFC 8689 section 3), in any case and with comments; the only field of its name.
  bool tls_optional = false;
  std::string message_id;       ///< as written, at most 998 octets
  std::string subject_excerpt;  ///< not logged by default; at most 100 octets
  std::size_t longest_line = 0; ///< octets with CRLF
};

/// Feed the body as ServerSession hands it out. Errors (too_long) are latched: header section over `header_limit`,
/// more than `hop_limit` Received fields (code protocol: "mail loop"). The header section ends with the empty line or
/// in front of the first line that cannot be a field (RFC 5322 section 2.2). Memory: the start of one header line.
class HeaderScanner {
public:
  HeaderScanner(std::size_t header_limit, std::size_t hop_limit) : header_limit_(header_limit), hop_limit_(hop_limit) {}
  Result<void> feed(std::string_view octets);
  [[nodiscard]] const MessageFacts &facts() const noexcept { return facts_; }
  /// The header section has ended: facts().header_size is final.
  [[nodiscard]] bool is_header_complete() const noexcept { return !in_header_; }

private:
  enum class Field : std::uint8_t { none, other, message_id, subject, tls_required };

  /// Takes header lines from `octets` and returns what is behind them: body, or nothing.
  std::string_view feed_header(std::string_view octets);
  void feed_body(std::string_view octets);
  /// `line` is the line without its line end, or its first octets when it is very long; `length` counts all with CRLF.
  void header_line(std::string_view line, std::size_t length);
  void begin_field(std::string_view name, std::string_view value);
  void add_value(std::string_view text);

  std::size_t header_limit_;
  std::size_t hop_limit_;
  MessageFacts facts_;
  std::string line_start_;         ///< the first octets of a header line that a cut has split
  std::size_t line_length_ = 0;    ///< octets of the unfinished line so far
  bool fields_have_8bit_ = false;  ///< an octet above 127 in the complete header lines
  bool line_has_8bit_ = false;     ///< of the unfinished header line
  std::uint64_t header_lines_ = 0; ///< octets of the complete header lines
  Field field_ = Field::none;      ///< the field that a folded line continues
  std::size_t tls_required_fields_ = 0;
  std::string tls_required_; ///< the value of the first TLS-Required field, unfolded, up to its limit
  bool in_header_ = true;
  std::optional<Error> error_;
};

/// Where the body of a whole message begins: behind the empty line, or at the first line that cannot be a field; its
/// size when it is all header. The rule of HeaderScanner.
[[nodiscard]] std::size_t find_body(std::string_view message);

} // namespace smtp
