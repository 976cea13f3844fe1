#include "mta/config/trust_files.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "mta/config/faults.hpp"
#include "mta/config/units.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace {

constexpr std::chrono::days told_before{30};
constexpr std::size_t own_file_size = 20; ///< certificates; more are a collection

/// Which key names the file, and where.
struct TrustUse {
  std::string key;
  std::string place;
};

/// By path; the first use stands for all.
std::map<std::string, TrustUse> trust_uses(const Config &config) {
  std::map<std::string, TrustUse> uses;
  const auto add = [&uses](const std::string &path, std::string key, const std::string &place) {
    if (!path.empty() && path != "system") uses.try_emplace(path, TrustUse{std::move(key), place});
  };
  for (const ListenerConfig &listener : config.listeners) {
    add(listener.trusted_ca, "listener.trusted_ca", listener.place);
    add(listener.required_ca, "listener.required_ca", listener.place);
  }
  for (const policy::Partner &partner : config.partners.partners()) {
    if (partner.outbound) add(partner.outbound->trust, "outbound.trust", partner.outbound->place);
    if (partner.inbound) add(partner.inbound->trust, "inbound.trust", partner.inbound->place);
  }
  for (const RouteConfig &route : config.routes) add(route.tls_trust, "route.trust", route.route.place);
  add(config.mta_sts.trust, "mta_sts.trust", config.file);
  add(config.tls_reports.https_trust, "tls_reports.https_trust", config.file);
  return uses;
}

} // namespace

std::vector<EndingAuthority> find_ending_authorities(const Config &config, const ConfigFiles &files,
                                                     std::chrono::system_clock::time_point now) {
  std::vector<EndingAuthority> ending;
  for (const auto &[path, use] : trust_uses(config)) {
    const auto read = files.certificates(path);
    if (!read || read->empty()) continue;
    const auto &all = *read;
    const auto by_end = [](const auto &left, const auto &right) { return left.not_after < right.not_after; };
    const tls::CertificateFacts &last = *std::max_element(all.begin(), all.end(), by_end);
    const bool nothing_left = last.not_after <= now;
    const auto tell = [&, &file = path, &named = use](const tls::CertificateFacts &one) {
      ending.push_back({file, one.subject, one.not_after, nothing_left, named.key, named.place});
    };
    if (all.size() > own_file_size) {
      if (last.not_after - now <= told_before) tell(last);
      continue;
    }
    for (const tls::CertificateFacts &one : all) {
      const bool is_succeeded = std::any_of(all.begin(), all.end(), [&](const tls::CertificateFacts &other) {
        return other.subject == one.subject && other.not_after > one.not_after;
      });
      if (one.not_after - now <= told_before && !is_succeeded) tell(one);
    }
  }
  return ending;
}

std::vector<Finding> find_authority_faults(const Config &config, const ConfigFiles &files,
                                           std::chrono::system_clock::time_point now) {
  std::vector<Finding> findings;
  for (const EndingAuthority &one : find_ending_authorities(config, files, now)) {
    const bool ended = one.not_after <= now;
    std::string text =
        fmt::format("{}: the CA certificate \"{}\" {} on {}", one.file, smtp::escape(one.subject, 100),
                    ended ? "expired" : "expires", format_date(std::chrono::floor<std::chrono::days>(one.not_after)));
    if (!ended)
      text += fmt::format(", in {} days", std::chrono::duration_cast<std::chrono::days>(one.not_after - now).count());
    if (one.nothing_left) text += ", and no other of the file is valid: nobody can be proven by it";
    findings.push_back(
        finding_at(one.nothing_left ? Severity::fault : Severity::warning, one.place, one.key, std::move(text)));
  }
  return findings;
}

} // namespace mta
