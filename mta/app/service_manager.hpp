// notify_service_manager: tells whoever supervises the daemon how it is, in the way of sd_notify(3).
#pragma once

#include <string>

namespace mta {

/// Sends `state` ("READY=1", "STOPPING=1", "STATUS=text", lines of them) as one datagram to the socket that the
/// environment's NOTIFY_SOCKET names: a path, or "@name" in Linux's abstract space. Without the variable it does
/// nothing; what cannot be sent is passed over, for mail does not depend on it. Does not wait.
void notify_service_manager(const std::string &state) noexcept;

} // namespace mta
