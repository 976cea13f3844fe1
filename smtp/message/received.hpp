// The Received trace field (RFC 5321 section 4.4) with the protocol words of RFC 3848 and RFC 6531 and the TLS facts.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "smtp/names/ip_address.hpp"
#include "smtp/names/mailbox.hpp"

namespace smtp {

struct ReceivedFacts {
  std::string helo;
  IpAddress client;
  std::string by; ///< our host name
  std::string id; ///< queue id
  bool extended = true;
  bool tls = false;
  bool authenticated_by_smtp_auth = false; ///< the A of ESMTPA; SMTP AUTH comes later
  bool smtputf8 = false;
  std::string tls_version; ///< "TLSv1.3"
  std::string tls_suite;
  int tls_bits = 0;
  std::string client_certificate; ///< the verified name, or empty
  bool client_certificate_verified = false;
  bool hide_client = false;              ///< neither name, address nor certificate of the client is written
  std::optional<Mailbox> only_recipient; ///< the `for` clause: only when there is exactly one recipient
  std::chrono::system_clock::time_point now;
};

/// "SMTP", "ESMTP", "ESMTPS", "UTF8SMTPS", … (RFC 3848, RFC 6531 section 4.3).
[[nodiscard]] std::string protocol_word(const ReceivedFacts &facts);
/// The whole field, folded, with CRLF at its end. Foreign text is made safe for a comment.
[[nodiscard]] std::string format_received(const ReceivedFacts &facts);
/// RFC 5322 section 3.3 date-time in UTC: "Sun, 22 Nov 2026 03:39:00 +0000".
[[nodiscard]] std::string format_date(std::chrono::system_clock::time_point time);

} // namespace smtp
