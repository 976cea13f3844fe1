// Where revocation lists lie: local files as they are written, those of http URLs in the spool's own folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mta/config/config.hpp"

namespace mta {

/// An entry of `crls` that is fetched ("http://…"); the others are local files.
[[nodiscard]] bool is_crl_url(std::string_view entry) noexcept;

/// The file that holds what was last fetched from the URL: <spool.path>/crl/<sha256 of the URL>.crl. It may be missing.
[[nodiscard]] std::string crl_cache_file(const Config &config, std::string_view url);

/// Every entry of `crls` in the partner files, each once, sorted: files and URLs.
[[nodiscard]] std::vector<std::string> all_crls(const Config &config);

} // namespace mta
