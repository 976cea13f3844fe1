// tls-memory on the control socket: list, show and release.
#pragma once

#include <string>

#include <boost/json/object.hpp>

#include "mta/tally/tls_memory.hpp"

namespace mta {

/// Answers {"command":"tls-memory","action":"list"|"show"|"release",…}. "ok" is false, with "error", when it is
/// refused. A release waits for the disk. It is logged with `by`.
[[nodiscard]] boost::json::object answer_tls_memory(TlsMemory &memory, const boost::json::object &request,
                                                    const std::string &by);

} // namespace mta
