// The lists of revoked certificates that were fetched, as rows of the store.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "mta/store/store.hpp"
#include "smtp/base/result.hpp"

namespace mta::store {

/// Durable when it returns; replaces what was kept of the address. Errors: those of the store.
[[nodiscard]] smtp::Result<void> keep_crl(Store &store, const std::string &url, const std::string &octets,
                                          std::chrono::sys_seconds now);
/// Error not_found when nothing is kept of the address.
[[nodiscard]] smtp::Result<std::string> read_crl(Reader &reader, const std::string &url);
/// The addresses of which a list is kept; none when there is no store yet.
[[nodiscard]] smtp::Result<std::vector<std::string>> list_crls(Reader &reader);
/// Removes the lists of addresses that are not in `named`. Soon.
void keep_only_crls(Store &store, const std::vector<std::string> &named);
/// By an operator, in a process of its own. Error not_found when nothing was kept.
[[nodiscard]] smtp::Result<void> forget_crl(const std::string &folder, const std::string &url);

} // namespace mta::store
