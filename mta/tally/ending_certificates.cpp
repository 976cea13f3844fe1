#include "mta/tally/ending_certificates.hpp"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "mta/config/trust_files.hpp"
#include "mta/tally/tls_evidence.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

constexpr unsigned looked_at_days = 7;
constexpr std::int64_t first_step = 30;

using Whose = EndingCertificate::Whose;

/// Which rule judges a certificate that was shown.
struct Judge {
  Whose whose = Whose::partner;
  std::string partner;
  std::string place;
};

std::optional<Judge> judged_by(const Config &config, const policy::EvidenceRow &row) {
  const auto domain = smtp::Domain::parse(row.domain);
  if (!domain) return std::nullopt;
  const policy::Partner *partner = config.partners.find(*domain);
  if (row.direction != policy::Direction::outbound) {
    // Anybody may claim to be the partner: only who has proven it counts.
    const bool proven = row.got >= tls::Level::authenticated;
    if (!partner || !partner->inbound || partner->inbound->level != tls::Level::authenticated || !proven)
      return std::nullopt;
    return Judge{Whose::partner, partner->name, partner->inbound->place};
  }
  if (partner && partner->outbound && partner->outbound->level == tls::Level::authenticated)
    return Judge{Whose::partner, partner->name, partner->outbound->place};
  if (!row.by_route || config.outbound_defaults(*domain).level != tls::Level::authenticated) return std::nullopt;
  const policy::Route *route = config.find_route(*domain);
  if (!route) return std::nullopt; // it went by one that is no more
  return Judge{Whose::route, {}, route->place};
}

/// Some rule could judge what was shown.
bool demands_authenticated(const Config &config) {
  const auto &partners = config.partners.partners();
  const bool by_partner = std::any_of(partners.begin(), partners.end(), [](const policy::Partner &partner) {
    return (partner.outbound && partner.outbound->level == tls::Level::authenticated) ||
           (partner.inbound && partner.inbound->level == tls::Level::authenticated);
  });
  return by_partner || config.outbound.level == tls::Level::authenticated ||
         std::any_of(config.routes.begin(), config.routes.end(),
                     [](const RouteConfig &route) { return route.tls == tls::Level::authenticated; });
}

const char *to_word(Whose whose) noexcept {
  switch (whose) {
  case Whose::ours: return "ours";
  case Whose::partner: return "partner";
  case Whose::route: return "route";
  case Whose::authority: return "ca";
  }
  return "?";
}

const char *what_to_do(Whose whose) noexcept {
  switch (whose) {
  case Whose::ours: return "renew it, and reload";
  case Whose::partner: return "ask the partner for its next certificate";
  case Whose::route: return "renew it on the host of the route, or call who runs it";
  case Whose::authority: return "put the next certificate of the CA into the file, and reload";
  }
  return "?";
}

struct SeenLeaf {
  EndingCertificate certificate;
  std::chrono::sys_seconds last;
};

void add_shown(const Config &config, const DayFiles &evidence, MailLog &log, std::chrono::system_clock::time_point now,
               std::vector<EndingCertificate> &ending) {
  const auto read =
      read_evidence(evidence, std::chrono::floor<std::chrono::days>(now), looked_at_days,
                    [&](const policy::EvidenceRow &row) { return row.not_after && judged_by(config, row); });
  if (!read) {
    log.write(Event("certificate_expires", LogLevel::error).with("problem", read.error().detail));
    return;
  }
  std::map<std::tuple<std::string, std::string, std::string, std::chrono::sys_seconds>, SeenLeaf> leaves;
  for (const policy::Evidence &each : read->rows) {
    const policy::EvidenceRow &row = each.row;
    const auto judge = judged_by(config, row);
    if (!judge) continue;
    const std::string pin = row.keys.empty() ? std::string() : row.keys.front().spki_sha256;
    SeenLeaf &leaf = leaves[{judge->partner, row.host, pin, *row.not_after}];
    leaf.certificate = {judge->whose, judge->partner, {},          row.host, policy::to_string(row.direction), pin,
                        {},           *row.not_after, judge->place};
    leaf.last = std::max(leaf.last, each.last);
  }
  for (const auto &[key, leaf] : leaves) {
    if (days_until(leaf.certificate.not_after, now) > first_step) continue;
    const bool has_successor = std::any_of(leaves.begin(), leaves.end(), [&](const auto &other) {
      const SeenLeaf &candidate = other.second;
      return candidate.certificate.partner == leaf.certificate.partner &&
             candidate.certificate.host == leaf.certificate.host &&
             candidate.certificate.not_after > leaf.certificate.not_after && candidate.last >= leaf.last;
    });
    if (!has_successor) ending.push_back(leaf.certificate);
  }
}

} // namespace

std::int64_t days_until(std::chrono::system_clock::time_point end, std::chrono::system_clock::time_point now) noexcept {
  return std::chrono::floor<std::chrono::days>(end - now).count();
}

std::optional<int> ending_step(std::int64_t days) noexcept {
  if (days < 0) return 0;
  for (const int step : {1, 7, 14, 30})
    if (days <= step) return step;
  return std::nullopt;
}

std::vector<EndingCertificate> find_ending_certificates(const Config &config, const DayFiles &evidence, MailLog &log,
                                                        std::chrono::system_clock::time_point now) {
  std::vector<EndingCertificate> ending;
  for (const CertificateConfig &certificate : config.certificates)
    if (certificate.not_after && days_until(*certificate.not_after, now) <= first_step)
      ending.push_back({Whose::ours, {}, certificate.name, {}, {}, {}, {}, *certificate.not_after, certificate.place});
  for (EndingAuthority &one : find_ending_authorities(config, DiskFiles(), now))
    ending.push_back({Whose::authority,
                      {},
                      std::move(one.file),
                      {},
                      {},
                      {},
                      std::move(one.subject),
                      one.not_after,
                      fmt::format("{} {}", one.place, one.key)});
  if (demands_authenticated(config)) add_shown(config, evidence, log, now, ending);
  return ending;
}

void tell_ending_certificates(const std::vector<EndingCertificate> &ending, ToldSteps &told, MailLog &log,
                              std::chrono::system_clock::time_point now) {
  ToldSteps still;
  for (const EndingCertificate &one : ending) {
    const auto days = days_until(one.not_after, now);
    const auto step = ending_step(days);
    if (!step) continue;
    const std::string key = fmt::format("{}\n{}\n{}\n{}\n{}\n{}", one.partner, one.name, one.host, one.pin, one.subject,
                                        one.not_after.time_since_epoch().count());
    const auto before = told.find(key);
    still[key] = *step;
    if (before != told.end() && before->second == *step && *step > 1) continue;
    log.write(Event("certificate_expires", *step <= 1 ? LogLevel::error : LogLevel::warning)
                  .with("whose", to_word(one.whose))
                  .with_if("certificate", one.name)
                  .with_if("partner", one.partner)
                  .with_if("subject", one.subject)
                  .with_if("host", one.host)
                  .with_if("direction", one.direction)
                  .with("expires", format_day(std::chrono::floor<std::chrono::days>(one.not_after)))
                  .with("days", days)
                  .with("state", days < 0 ? "expired" : "valid")
                  .with("note", what_to_do(one.whose))
                  .with("place", one.place));
  }
  told = std::move(still);
}

} // namespace mta
