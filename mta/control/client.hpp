// ControlClient: the operator's side of the control socket; blocking, for the command line.
#pragma once

#include <chrono>
#include <string>

#include <boost/json/object.hpp>

#include "smtp/base/result.hpp"

namespace mta {

/// Sends one request and waits for its answer. Errors: not_found (no daemon answers there), not_permitted, io. An
/// answer is at most 256 MiB, and may be silent for as long as `patience`; 0: for ever.
[[nodiscard]] smtp::Result<boost::json::object> call_daemon(const std::string &socket_path,
                                                            const boost::json::object &request,
                                                            std::chrono::seconds patience = std::chrono::seconds(0));

} // namespace mta
