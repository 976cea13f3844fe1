#include "mta/cli/evidence_text.hpp"

#include <algorithm>

#include <boost/json.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include "mta/tally/day_files.hpp"
#include "smtp/base/text.hpp"

namespace mta::cli {

namespace {

namespace json = boost::json;

constexpr std::size_t names_shown = 5;

std::string time_text(std::chrono::sys_seconds time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

std::string range_text(const std::optional<tls::Version> &best, const std::optional<tls::Version> &worst) {
  if (!best || !worst) return "no TLS";
  if (*best == *worst) return tls::to_string(*best);
  return fmt::format("{} at best, {} at worst", tls::to_string(*best), tls::to_string(*worst));
}

json::value version_json(const std::optional<tls::Version> &version) {
  return version ? json::value(tls::to_string(*version)) : json::value(nullptr);
}

std::int64_t days_left(std::chrono::sys_seconds end, std::chrono::system_clock::time_point now) {
  return std::chrono::floor<std::chrono::days>(end - std::chrono::floor<std::chrono::seconds>(now)).count();
}

/// Names come from the peer.
std::string names_text(const std::vector<std::string> &names) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < names_shown; ++i)
    text += (i == 0 ? "" : ", ") + smtp::escape(names[i], 100);
  if (names.size() > names_shown) text += fmt::format(" and {} more", names.size() - names_shown);
  return text.empty() ? "no name" : text;
}

json::array to_array(const std::vector<std::string> &values) {
  json::array array;
  for (const auto &value : values) array.emplace_back(smtp::escape(value, 500));
  return array;
}

std::string format_certificate(const policy::SeenCertificate &seen, std::chrono::system_clock::time_point now) {
  const auto left = days_left(seen.not_after, now);
  std::string text =
      fmt::format("{}: {}; issuer {}; {} {} ({} days)", smtp::escape(seen.host, 100), names_text(seen.names),
                  smtp::escape(seen.issuer, 150), left < 0 ? "expired" : "expires",
                  format_day(std::chrono::floor<std::chrono::days>(seen.not_after)), left);
  text += seen.is_trusted ? "; trusted" : "; not trusted";
  if (seen.is_pinned_leaf)
    text += ", its key is pinned";
  else if (!seen.pinned.empty())
    text += ", a key of its chain is pinned";
  if (seen.has_successor) text += "; has a successor";
  return text;
}

} // namespace

std::string format_summary(const policy::EvidenceSummary &summary, std::chrono::system_clock::time_point now) {
  std::string text;
  const auto line = [&text](std::string_view title, const std::string &what) {
    text += fmt::format("  {:<16}{}\n", title, what);
  };
  line("seen", fmt::format("{} messages over {} sessions on {} of {} days{}", summary.messages, summary.sessions,
                           summary.distinct_days, summary.days_asked,
                           summary.last ? ", last " + time_text(*summary.last) : std::string()));
  if (summary.sessions > 0) {
    line("TLS", fmt::format("{}; {} sessions without TLS, with {} messages", range_text(summary.best, summary.worst),
                            summary.clear_sessions, summary.clear_messages));
    line("authenticated", fmt::format("{} of {} sessions, with {} messages", summary.authenticated_sessions,
                                      summary.sessions, summary.authenticated_messages));
  }
  if (summary.passed_over > 0)
    line("passed over", fmt::format("{} times, because DANE or MTA-STS forbade the host", summary.passed_over));
  for (const auto &host : summary.hosts)
    line("host",
         fmt::format("{}: {} sessions, {} messages, {}{}, {} authenticated{}", smtp::escape(host.name, 100),
                     host.sessions, host.messages, range_text(host.best, host.worst),
                     host.clear_sessions > 0 ? fmt::format(", {} without TLS", host.clear_sessions) : "",
                     host.authenticated_sessions,
                     host.refused_sessions > 0 ? fmt::format(", {} would be refused", host.refused_sessions) : ""));
  if (summary.unknown_sessions + summary.unknown_messages > 0)
    line("unknown", fmt::format("{} sessions with {} messages were not judged by the rule's CAs: they were before it",
                                summary.unknown_sessions, summary.unknown_messages));
  if (summary.domains.size() > 1)
    for (const auto &domain : summary.domains)
      line("domain",
           fmt::format("{}: {} sessions, {} messages, {}{}{}", smtp::escape(domain.name, 100), domain.sessions,
                       domain.messages, range_text(domain.best, domain.worst),
                       domain.clear_sessions > 0 ? fmt::format(", {} without TLS", domain.clear_sessions) : "",
                       domain.refused_sessions > 0 ? fmt::format(", {} would be refused", domain.refused_sessions)
                                                   : ""));
  for (const auto &seen : summary.certificates) line("certificate", format_certificate(seen, now));
  for (const auto &cause : summary.causes)
    line("would refuse", fmt::format("{} sessions at {}, with {} messages, last {}: {}: {}", cause.sessions,
                                     smtp::escape(cause.host, 100), cause.messages, time_text(cause.last),
                                     policy::to_string(cause.kind), smtp::escape(cause.reason, 500)));
  for (const auto &warning : summary.warnings) line("mind", warning);
  std::string because;
  for (const auto &reason : summary.because) because += (because.empty() ? "" : "; ") + reason;
  line("safe to enforce", fmt::format("{}, because {}", summary.is_safe ? "yes" : "no", because));
  return text;
}

json::object describe_summary(const policy::EvidenceSummary &summary, std::chrono::system_clock::time_point now) {
  json::object object{{"direction", policy::to_string(summary.direction)},
                      {"level", tls::to_string(summary.level)},
                      {"rule", summary.rule},
                      {"days", summary.days_asked},
                      {"distinct_days", summary.distinct_days},
                      {"sessions", summary.sessions},
                      {"messages", summary.messages},
                      {"clear_sessions", summary.clear_sessions},
                      {"clear_messages", summary.clear_messages},
                      {"authenticated_sessions", summary.authenticated_sessions},
                      {"authenticated_messages", summary.authenticated_messages},
                      {"refused_sessions", summary.refused_sessions},
                      {"refused_messages", summary.refused_messages},
                      {"unknown_sessions", summary.unknown_sessions},
                      {"unproven_sessions", summary.unproven_sessions},
                      {"unproven_messages", summary.unproven_messages},
                      {"passed_over", summary.passed_over}};
  object["last"] = summary.last ? json::value(time_text(*summary.last)) : json::value(nullptr);
  object["best"] = version_json(summary.best);
  object["worst"] = summary.clear_sessions > 0 ? json::value("none") : version_json(summary.worst);
  json::array hosts;
  for (const auto &host : summary.hosts) {
    json::object row{{"host", smtp::escape(host.name)},
                     {"sessions", host.sessions},
                     {"messages", host.messages},
                     {"clear_sessions", host.clear_sessions},
                     {"authenticated_sessions", host.authenticated_sessions},
                     {"refused_sessions", host.refused_sessions}};
    row["best"] = version_json(host.best);
    row["worst"] = host.clear_sessions > 0 ? json::value("none") : version_json(host.worst);
    hosts.push_back(std::move(row));
  }
  object["hosts"] = std::move(hosts);
  json::array domains;
  for (const auto &domain : summary.domains)
    domains.push_back(json::object{{"domain", smtp::escape(domain.name)},
                                   {"sessions", domain.sessions},
                                   {"messages", domain.messages},
                                   {"clear_sessions", domain.clear_sessions},
                                   {"refused_sessions", domain.refused_sessions}});
  object["domains"] = std::move(domains);
  json::array certificates;
  for (const auto &seen : summary.certificates) {
    json::object row{{"host", smtp::escape(seen.host)},
                     {"issuer", smtp::escape(seen.issuer, 300)},
                     {"not_after", time_text(seen.not_after)},
                     {"days_left", days_left(seen.not_after, now)},
                     {"last_seen", time_text(seen.last_seen)},
                     {"pin", seen.leaf_pin},
                     {"pinned", seen.pinned},
                     {"pinned_leaf", seen.is_pinned_leaf},
                     {"trusted", seen.is_trusted},
                     {"successor", seen.has_successor}};
    row["names"] = to_array(seen.names);
    certificates.push_back(std::move(row));
  }
  object["certificates"] = std::move(certificates);
  json::array causes;
  for (const auto &cause : summary.causes)
    causes.push_back(json::object{{"verdict", policy::to_string(cause.kind)},
                                  {"reason", smtp::escape(cause.reason, 500)},
                                  {"host", smtp::escape(cause.host)},
                                  {"sessions", cause.sessions},
                                  {"messages", cause.messages},
                                  {"last", time_text(cause.last)}});
  object["would_refuse"] = std::move(causes);
  object["safe"] = summary.is_safe;
  object["because"] = to_array(summary.because);
  object["warnings"] = to_array(summary.warnings);
  return object;
}

} // namespace mta::cli
