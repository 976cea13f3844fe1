// The figures of the running daemon in the text form that Prometheus and its kin read.
#pragma once

#include <string>

#include <boost/json/object.hpp>

namespace mta::cli {

/// `status`: the daemon's answer to the request "status". Lines of the text exposition format 0.0.4: "# HELP", "#
/// TYPE", then name, labels and value; names begin with "portcullis_", times are in seconds, sizes in octets ("bytes").
[[nodiscard]] std::string format_metrics(const boost::json::object &status);

} // namespace mta::cli
