#include "mta/report/report_settings.hpp"

namespace mta {

namespace {

/// RFC 9989 section 4.10: a tree walk takes at most 8 queries, and there are two of them and one for the consent.
constexpr int longest_walk = 24;

} // namespace

std::string tally_folder(const Config &config) {
  return tally_folder(config.spool.path);
}

std::string tally_folder(const std::string &spool) {
  return spool + "/tally";
}

DmarcReportSettings make_report_settings(const Config &config) {
  const DmarcReportConfig &from = config.dmarc_reports;
  DmarcReportSettings settings;
  settings.enabled = from.enabled && from.from;
  settings.org_name = from.org_name;
  settings.from = from.from;
  settings.submitter = config.server.hostname;
  settings.extra_contact = from.extra_contact;
  settings.hour = from.hour;
  settings.spread = from.spread;
  settings.max_size = from.max_size;
  settings.keep_days = from.keep_days;
  settings.form = from.form;
  return settings;
}

TlsReportSettings make_tls_report_settings(const Config &config) {
  const TlsReportConfig &from = config.tls_reports;
  TlsReportSettings settings;
  settings.enabled = from.enabled && from.from;
  settings.org_name = from.org_name;
  settings.from = from.from;
  settings.submitter = config.server.hostname;
  settings.hour = from.hour;
  settings.spread = from.spread;
  settings.max_size = from.max_size;
  settings.give_up_days = 1; // RFC 8460 section 5.5: for 24 hours
  settings.keep_days = from.keep_days;
  settings.contact = from.contact;
  settings.https = from.https;
  return settings;
}

Task<auth::DestinationVerdict> check_report_destination(Resolver *resolver, std::chrono::milliseconds timeout,
                                                        std::string policy_domain, auth::DmarcUri uri) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  auth::DnsFacts facts;
  for (int round = 0; round < longest_walk; ++round) {
    auth::DestinationVerdict verdict = auth::judge_destination(policy_domain, uri, facts);
    if (facts.missing().empty()) co_return verdict;
    co_await fetch_missing(*resolver, facts, deadline);
  }
  auth::DestinationVerdict verdict;
  verdict.status = auth::DestinationStatus::temporary;
  verdict.reason = "the DNS led from question to question";
  co_return verdict;
}

} // namespace mta
