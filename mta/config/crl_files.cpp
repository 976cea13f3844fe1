// Tells the two kinds of revocation lists apart.
#include "mta/config/crl_files.hpp"

#include <set>

namespace mta {

bool is_crl_url(std::string_view entry) noexcept {
  return entry.starts_with("http://");
}

std::vector<tls::CrlSource> crl_sources(const std::vector<std::string> &entries, const KeptCrls &kept) {
  std::vector<tls::CrlSource> sources;
  for (const std::string &entry : entries) {
    if (is_crl_url(entry))
      sources.push_back({entry, kept ? kept(entry) : std::string()});
    else
      sources.push_back({entry, std::nullopt});
  }
  return sources;
}

std::vector<std::string> all_crls(const Config &config) {
  std::set<std::string> entries;
  for (const auto &partner : config.partners.partners()) {
    if (partner.outbound) entries.insert(partner.outbound->crls.begin(), partner.outbound->crls.end());
    if (partner.inbound) entries.insert(partner.inbound->crls.begin(), partner.inbound->crls.end());
  }
  for (const auto &listener : config.listeners) entries.insert(listener.crls.begin(), listener.crls.end());
  return {entries.begin(), entries.end()};
}

} // namespace mta
