// describe_own_results: what our own checks said of the mail that brought a report.
#pragma once

#include <string>
#include <string_view>

namespace mta {

/// "dmarc=pass example.org", of the Authentication-Results fields with our authserv-id in the trace that acceptance
/// made (Envelope::trace; forged fields were removed from the body). Without a dmarc result "dkim=pass example.org" or
/// "spf=pass example.org"; empty when there is none.
[[nodiscard]] std::string describe_own_results(std::string_view trace, std::string_view authserv_id);

} // namespace mta
