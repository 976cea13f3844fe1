// The MAIL and RCPT commands of the client, with the parameters that the hop offered (RFC 5321, 1870, 6152, 6531,
// 3461).
#pragma once

#include <string>

#include "smtp/session/client_session.hpp"

namespace smtp {

/// True when an address or a header field needs SMTPUTF8.
[[nodiscard]] bool needs_smtputf8(const Transaction &transaction) noexcept;

/// Appends the command with CRLF. `offered` must have what the transaction needs.
void append_mail_command(std::string &out, const Transaction &transaction, const Capabilities &offered);
/// `smtputf8`: the MAIL command gave SMTPUTF8.
void append_recipient_command(std::string &out, const Recipient &recipient, const Capabilities &offered, bool smtputf8);

} // namespace smtp
