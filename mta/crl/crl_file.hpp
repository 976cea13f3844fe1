// The file of one fetched revocation list: what is taken, and how it is replaced.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "smtp/base/result.hpp"
#include "tls/crl.hpp"

namespace mta {

/// The list that a file holds; nothing when it is missing or damaged. Blocks.
[[nodiscard]] std::optional<tls::CrlFacts> read_crl_file(const std::string &path);

struct StoredCrl {
  tls::CrlFacts facts;
  bool changed = false; ///< false: the file held these octets already
};
/// Puts the octets in the place of the file, whole or not at all, and on the disk when it returns; makes its folder
/// (0700). `trust` are the stores of the rules that name the list: where they hold its issuer, its signature must be
/// that issuer's. What the file keeps is not replaced by an older list, by another issuer's while it is in date, nor,
/// if it was verified, by one that is not. Blocks. Errors: bad_syntax (for one of these, no list, or one whose time has
/// passed or not come), too_long, and those of the disk.
[[nodiscard]] smtp::Result<StoredCrl> store_crl(const std::string &path, const std::string &octets,
                                                const std::vector<std::shared_ptr<const tls::TrustStore>> &trust,
                                                std::chrono::system_clock::time_point now);

} // namespace mta
