// build_report_xml: a DMARC aggregate report as the XML of RFC 9990 or of RFC 7489.
#pragma once

#include <string>

#include "mta/report/dmarc_report.hpp"

namespace mta {

/// UTF-8 with an XML declaration, valid against the form's schema for any octets in the rows: what XML 1.0 cannot hold
/// becomes '?'. The report must have at least one row.
[[nodiscard]] std::string build_report_xml(const DmarcReport &report, const DmarcReportSettings &settings);

} // namespace mta
