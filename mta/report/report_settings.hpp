// What the daemon gives the daily reports: settings from the configuration file, and the check of destinations by DNS.
#pragma once

#include <chrono>
#include <string>

#include "auth/core/dmarc_destination.hpp"
#include "mta/auth/dns_fetch.hpp"
#include "mta/base/async.hpp"
#include "mta/config/config.hpp"
#include "mta/report/dmarc_report.hpp"
#include "mta/report/tls_report.hpp"

namespace mta {

/// [dmarc_reports], with our host name as the submitter.
[[nodiscard]] DmarcReportSettings make_report_settings(const Config &config);

/// [tls_reports], with our host name as the submitter.
[[nodiscard]] TlsReportSettings make_tls_report_settings(const Config &config);

/// Where the tally is: "…/tally" in the spool's folder.
[[nodiscard]] std::string tally_folder(const Config &config);
[[nodiscard]] std::string tally_folder(const std::string &spool);

/// A CheckDestination once `resolver` is bound: asks until auth::judge_destination() misses nothing, or `timeout` has
/// passed (temporary). The executor must run on one thread; `resolver` must outlive the coroutine.
[[nodiscard]] Task<auth::DestinationVerdict> check_report_destination(Resolver *resolver,
                                                                      std::chrono::milliseconds timeout,
                                                                      std::string policy_domain, auth::DmarcUri uri);

} // namespace mta
