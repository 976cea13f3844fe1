// Limits: every bound that the server side of SMTP puts on a stranger's input, with its default.
#pragma once

#include <cstddef>
#include <cstdint>

namespace smtp {

/// The most that [limits] recipients may be: what the queue can store of one message, and read again.
inline constexpr std::size_t most_recipients = 65'536;

/// Configuration section [limits]; each name is the key's name.
struct Limits {
  std::size_t command_line =
      512; ///< octets with CRLF (RFC 5321 section 4.5.3.1.4); what each extension adds is added to it
  std::size_t text_line = 8192;  ///< octets with CRLF; 1,000 is the RFC's, longer is passed on up to this
  std::size_t recipients = 1000; ///< per transaction (452 beyond; RFC 5321 section 4.5.3.1.8 wants at least 100)
  std::uint64_t message_size = 52'428'800; ///< octets; announced with SIZE, 552 beyond
  std::size_t header_size = 262'144;       ///< octets of the header section
  std::size_t received_hops = 50; ///< Received fields (RFC 5321 section 6.3 wants at least 100 or fewer by choice)
  std::size_t errors = 10;        ///< refused commands between two accepted messages, then 421
  /// Commands between two accepted messages that bring no mail on (NOOP, RSET, VRFY, HELP, EHLO, put-off MAIL, tiny
  /// BDAT chunks), then 421.
  std::size_t idle_commands = 100;
  std::size_t refused_recipients = 200; ///< recipients refused for good between two accepted messages, then 421
  std::size_t transactions = 0;         ///< MAIL commands per session; 0: no limit (LIMITS MAILMAX, RFC 9422)

  friend bool operator==(const Limits &, const Limits &) = default;
};

} // namespace smtp
