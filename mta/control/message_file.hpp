// message_file: a queued message's envelope as JSON, as `queue export` writes it beside the message and `queue import`
// reads it.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "mta/queue/message.hpp"

namespace mta {

/// The recipients that still wait, with what they asked for; not the history of the attempts. An operator's override is
/// carried where it demands TLS; one that lets a message leave with less is to be said anew where it goes.
[[nodiscard]] boost::json::object describe_envelope(const QueuedMessage &message);

/// The message without id, sizes and trace. Errors: bad_syntax, naming the member that is wrong.
[[nodiscard]] smtp::Result<QueuedMessage> read_envelope_file(const boost::json::object &file);

/// More recipients of the same file: its envelope may be longer than one request. Errors: as above, and the message has
/// those before the wrong one.
[[nodiscard]] smtp::Result<void> read_more_recipients(const boost::json::array &rows, QueuedMessage &message);

} // namespace mta
