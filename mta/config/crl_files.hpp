// Where revocation lists are: local files, or http addresses of which the daemon keeps what it fetched.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/config/config.hpp"
#include "tls/context.hpp"

namespace mta {

/// An entry of `crls` that is fetched ("http://…"); the others are local files.
[[nodiscard]] bool is_crl_url(std::string_view entry) noexcept;

/// What was last fetched from an address; empty where nothing is kept. Blocks.
using KeptCrls = std::function<std::string(const std::string &url)>;

/// The entries of a rule as a trust store takes them; without `kept` nothing was fetched yet.
[[nodiscard]] std::vector<tls::CrlSource> crl_sources(const std::vector<std::string> &entries, const KeptCrls &kept);

/// Every entry of `crls` in the partner files, each once, sorted: files and URLs.
[[nodiscard]] std::vector<std::string> all_crls(const Config &config);

} // namespace mta
