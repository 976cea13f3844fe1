// post_report: hands a TLS report to an https: address (RFC 8460 section 5.4).
#pragma once

#include <string>

#include "mta/base/async.hpp"
#include "mta/http/fetch.hpp"
#include "smtp/base/result.hpp"

namespace mta {

/// Posts `body`, the gzipped report. Success is any 2xx. Errors: those of fetch(); protocol for every other status; a
/// redirect is not followed, because the address is the domain owner's word.
[[nodiscard]] Task<smtp::Result<void>> post_report(HttpServices services, Url url, std::string body);

} // namespace mta
