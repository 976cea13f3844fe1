// message_file: a queued message's envelope as JSON, as `queue export` writes it beside the message and `queue import`
// reads it.
#pragma once

#include <boost/json/object.hpp>

#include "mta/queue/message.hpp"

namespace mta {

/// The recipients that still wait, with what they asked for; not the history of the attempts.
[[nodiscard]] boost::json::object describe_envelope(const QueuedMessage &message);

/// The message without id, sizes and trace. Errors: bad_syntax, naming the member that is wrong.
[[nodiscard]] smtp::Result<QueuedMessage> read_envelope_file(const boost::json::object &file);

} // namespace mta
