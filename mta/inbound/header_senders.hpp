// judge_header_senders: whether a message's From and Sender are among the senders that its client may use.
#pragma once

#include <optional>
#include <string>

#include "auth/core/header_fields.hpp"
#include "policy/allowed_senders.hpp"
#include "smtp/wire/reply.hpp"

namespace mta::inbound {

/// The refusal; nothing when the client may send this. A message without From has no author, and passes. Where a field
/// cannot be read, or shows an address that the permit does not name in any place where a reader might see it, it is
/// refused.
[[nodiscard]] std::optional<smtp::Reply> judge_header_senders(const auth::HeaderFields &fields,
                                                              const policy::SenderPermit &permit);

/// 550 5.7.1 for an envelope sender.
[[nodiscard]] smtp::Reply refuse_envelope_sender(const std::string &sender);

} // namespace mta::inbound
