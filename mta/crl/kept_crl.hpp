// The revocation lists that are kept: what is taken, and what it replaces.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mta/config/crl_files.hpp"
#include "mta/store/crl_lists.hpp"
#include "smtp/base/result.hpp"
#include "tls/crl.hpp"

namespace mta {

/// For snapshots; the reader must outlive it.
[[nodiscard]] KeptCrls kept_crls(store::Reader &reader);

/// What is kept of the address; nothing when it is missing or damaged. Blocks.
[[nodiscard]] std::optional<tls::CrlFacts> read_kept_crl(store::Reader &reader, const std::string &url);

struct StoredCrl {
  tls::CrlFacts facts;
  bool changed = false; ///< false: these octets were kept already
};
/// Keeps the octets in place of what is kept of the address; on the disk when it returns. `trust` are the stores of the
/// rules that name the list: where they hold its issuer, its signature must be that issuer's. What is kept is not
/// replaced by an older list, by another issuer's while it is in date, nor, if it was verified, by one that is not.
/// Blocks. Errors: bad_syntax (for one of these, no list, or one whose time has passed or not come), too_long, and
/// those of the store.
[[nodiscard]] smtp::Result<StoredCrl> store_crl(store::Store &store, const std::string &url, const std::string &octets,
                                                const std::vector<std::shared_ptr<const tls::TrustStore>> &trust,
                                                std::chrono::system_clock::time_point now);

} // namespace mta
