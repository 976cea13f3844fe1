// Reply: an SMTP reply with its enhanced status code (RFC 5321 section 4.2, RFC 3463), written and read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "smtp/base/result.hpp"

namespace smtp {

/// "5.7.1": class 2, 4 or 5; subject and detail up to 999 (RFC 3463 section 2).
struct EnhancedCode {
  std::uint8_t status_class = 0;
  std::uint16_t subject = 0;
  std::uint16_t detail = 0;

  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] static std::optional<EnhancedCode> parse(std::string_view text) noexcept;
  friend auto operator<=>(const EnhancedCode &, const EnhancedCode &) = default;
};

/// One reply. `text` may have several lines, separated by '\n'; never CR. Without an enhanced code none is written
/// (greeting, EHLO, 354).
struct Reply {
  std::uint16_t code = 0;
  std::optional<EnhancedCode> enhanced;
  std::string text;
  bool mixed = false; ///< as read: some of its lines said yes and others no; `code` is the worse

  [[nodiscard]] bool is_positive() const noexcept { return code >= 200 && code < 400; }
  [[nodiscard]] bool is_temporary() const noexcept { return code >= 400 && code < 500; }
  [[nodiscard]] bool is_permanent() const noexcept { return code >= 500; }
  /// "550 5.1.1 no such user": one line for logs, bounces and the queue list; line breaks become spaces.
  [[nodiscard]] std::string to_line() const;
  friend bool operator==(const Reply &, const Reply &) = default;
};

/// Octets for the wire: every line with code, '-' or ' ', the enhanced code, text, CRLF; each at most 512 octets
/// (longer text is folded onto further lines of the same reply).
[[nodiscard]] std::string format_reply(const Reply &reply);

/// Reads replies from octets that arrive in any cut. Limits: 2,048 octets a line (RFC 5321 asks for 512), 128 lines
/// and 64 KiB a reply. Bare CR or LF inside a line or a code outside 200-599 is an error. RFC 5321 section 4.2.1 wants
/// the same code on every line; where lines differ ("220-welcome", then "521 no mail here") the worse class counts, of
/// one class the last, and the text of all of them stays.
class ReplyParser {
public:
  void feed(std::string_view octets);
  /// The next complete reply; nothing while octets are missing.
  [[nodiscard]] Result<std::optional<Reply>> next();
  /// Octets received but not yet part of a returned reply (RFC 3207: there must be none when TLS starts).
  [[nodiscard]] bool has_pending_octets() const noexcept { return start_ < buffer_.size(); }
  void clear();

private:
  Reply take_reply();
  std::string buffer_;
  std::size_t start_ = 0; ///< of the reply that is being read
  std::size_t line_ = 0;  ///< of the first line that is not yet complete
  std::size_t lines_ = 0; ///< complete lines from start_ on
};

} // namespace smtp
