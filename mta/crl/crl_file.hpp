// The file of one fetched revocation list: what is taken, and how it is replaced.
#pragma once

#include <chrono>
#include <optional>
#include <string>

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
/// (0700). Blocks. Errors: bad_syntax (no list, one whose time has passed, or an older one than the kept), too_long,
/// and those of the disk.
[[nodiscard]] smtp::Result<StoredCrl> store_crl(const std::string &path, const std::string &octets,
                                                std::chrono::system_clock::time_point now);

} // namespace mta
