// describe_certificates: our own certificates, and those of partners, hosts of routes and CAs that end soon, for the
// answer of `status`.
#pragma once

#include <chrono>
#include <vector>

#include <boost/json/object.hpp>

#include "mta/config/config.hpp"
#include "mta/tally/ending_certificates.hpp"

namespace mta {

/// Adds "certificates", "partner_certificates", "route_certificates" and "authorities".
void describe_certificates(boost::json::object &answer, const Config &config,
                           const std::vector<EndingCertificate> &ending, std::chrono::system_clock::time_point now);

} // namespace mta
