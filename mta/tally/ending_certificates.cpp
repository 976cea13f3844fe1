// Certificates that end soon: see ending_certificates.hpp.
#include "mta/tally/ending_certificates.hpp"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "mta/tally/tls_evidence.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

constexpr unsigned looked_at_days = 7;
constexpr std::int64_t first_step = 30;

/// The place of the rule by which a partner's certificate is judged; null: none is.
const std::string *judged_by(const Config &config, const policy::EvidenceRow &row, const policy::Partner *&partner) {
  const auto domain = smtp::Domain::parse(row.domain);
  partner = domain ? config.partners.find(*domain) : nullptr;
  if (!partner) return nullptr;
  if (row.direction == policy::Direction::outbound)
    return partner->outbound && partner->outbound->level == tls::Level::authenticated ? &partner->outbound->place : nullptr;
  // Anybody may claim to be the partner: only who has proven it counts.
  const bool proven = row.got >= tls::Level::authenticated;
  return partner->inbound && partner->inbound->level == tls::Level::authenticated && proven ? &partner->inbound->place : nullptr;
}

struct SeenLeaf {
  EndingCertificate certificate;
  std::chrono::sys_seconds last;
};

void add_partners(const Config &config, const DayFiles &evidence, MailLog &log, std::chrono::system_clock::time_point now,
                  std::vector<EndingCertificate> &ending) {
  const policy::Partner *partner = nullptr;
  const auto read = read_evidence(evidence, std::chrono::floor<std::chrono::days>(now), looked_at_days,
                                  [&](const policy::EvidenceRow &row) { return row.not_after && judged_by(config, row, partner); });
  if (!read) {
    log.write(Event("certificate_expires", LogLevel::error).with("problem", read.error().detail));
    return;
  }
  std::map<std::tuple<std::string, std::string, std::string, std::chrono::sys_seconds>, SeenLeaf> leaves;
  for (const policy::Evidence &each : read->rows) {
    const policy::EvidenceRow &row = each.row;
    const std::string *place = judged_by(config, row, partner);
    if (!place) continue;
    const std::string pin = row.keys.empty() ? std::string() : row.keys.front().spki_sha256;
    SeenLeaf &leaf = leaves[{partner->name, row.host, pin, *row.not_after}];
    leaf.certificate = {partner->name, {}, row.host, policy::to_string(row.direction), pin, *row.not_after, *place};
    leaf.last = std::max(leaf.last, each.last);
  }
  for (const auto &[key, leaf] : leaves) {
    if (days_until(leaf.certificate.not_after, now) > first_step) continue;
    const bool has_successor = std::any_of(leaves.begin(), leaves.end(), [&](const auto &other) {
      const SeenLeaf &candidate = other.second;
      return candidate.certificate.partner == leaf.certificate.partner && candidate.certificate.host == leaf.certificate.host &&
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
      ending.push_back({{}, certificate.name, {}, {}, {}, *certificate.not_after, certificate.place});
  const bool judges = std::any_of(
      config.partners.partners().begin(), config.partners.partners().end(), [](const policy::Partner &partner) {
        return (partner.outbound && partner.outbound->level == tls::Level::authenticated) ||
               (partner.inbound && partner.inbound->level == tls::Level::authenticated);
      });
  if (judges) add_partners(config, evidence, log, now, ending);
  return ending;
}

void tell_ending_certificates(const std::vector<EndingCertificate> &ending, ToldSteps &told, MailLog &log,
                              std::chrono::system_clock::time_point now) {
  ToldSteps still;
  for (const EndingCertificate &one : ending) {
    const auto days = days_until(one.not_after, now);
    const auto step = ending_step(days);
    if (!step) continue;
    const std::string key = fmt::format("{}\n{}\n{}\n{}\n{}", one.partner, one.name, one.host, one.pin,
                                        one.not_after.time_since_epoch().count());
    const auto before = told.find(key);
    still[key] = *step;
    if (before != told.end() && before->second == *step && *step > 1) continue;
    log.write(Event("certificate_expires", *step <= 1 ? LogLevel::error : LogLevel::warning)
                  .with("whose", one.partner.empty() ? "ours" : "partner")
                  .with_if("certificate", one.name)
                  .with_if("partner", one.partner)
                  .with_if("host", one.host)
                  .with_if("direction", one.direction)
                  .with("expires", format_day(std::chrono::floor<std::chrono::days>(one.not_after)))
                  .with("days", days)
                  .with("state", days < 0 ? "expired" : "valid")
                  .with("note", one.partner.empty() ? "renew it, and reload" : "ask the partner for its next certificate")
                  .with("place", one.place));
  }
  told = std::move(still);
}

} // namespace mta
