// parse_capabilities: what a server's EHLO reply offers (RFC 5321 section 4.1.1.1).
#pragma once

#include "smtp/session/client_session.hpp"

namespace smtp {

/// `reply` is the 250 reply to EHLO. Unknown keywords and malformed parameters are passed over.
[[nodiscard]] Capabilities parse_capabilities(const Reply &reply);

} // namespace smtp
