#include "mta/config/crl_files.hpp"

#include <set>

#include <fmt/format.h>

#include "tls/digest.hpp"

namespace mta {

bool is_crl_url(std::string_view entry) noexcept {
  return entry.starts_with("http://");
}

std::string crl_cache_file(const Config &config, std::string_view url) {
  return fmt::format("{}/crl/{}.crl", config.spool.path, tls::sha256_hex(url));
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
