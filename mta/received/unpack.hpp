// unpack: a report as it is attached, gzip, zip or plain, to its text, with limits against compression bombs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "smtp/base/result.hpp"

namespace mta {

struct UnpackLimits {
  std::uint64_t max_size = 52'428'800; ///< octets of the text
  /// Unpacked to packed, from `ratio_from` octets of text on. Aggregate reports reach 60; deflate can reach 1032.
  std::uint64_t max_ratio = 250;
  std::uint64_t ratio_from = 1'048'576;
  std::size_t members = 100;          ///< of a gzip file
  std::size_t entries = 16;           ///< of a zip file that are looked at
  std::size_t listed_entries = 1'000; ///< of a zip file's central directory
  std::size_t name_size = 1'024;
};

enum class Packing : std::uint8_t { xml, json, gzip, zip, unknown };

/// By the first octets, whatever the name says; white space and a byte order mark in front are passed over.
[[nodiscard]] Packing sniff(std::string_view octets) noexcept;

/// The text of `octets`: itself, the gzip contents (every member; what follows the last is passed over), or the first
/// entry of a zip file that is named as a report (*.xml, *.json), else its first file. What is packed twice is refused.
/// Errors: bad_syntax; too_long with the limit.
[[nodiscard]] smtp::Result<std::string> unpack(std::string octets, const UnpackLimits &limits);

/// gzip alone, and zip alone (libarchive; stored and deflated entries). A zip file must have a central directory; no
/// entry but the chosen one is unpacked.
[[nodiscard]] smtp::Result<std::string> inflate_gzip(std::string_view octets, const UnpackLimits &limits);
[[nodiscard]] smtp::Result<std::string> read_zip_entry(std::string_view octets, const UnpackLimits &limits);

/// Nothing when `text_size` octets may come of `packed_size`.
[[nodiscard]] smtp::Result<void> check_expansion(std::uint64_t text_size, std::uint64_t packed_size,
                                                 const UnpackLimits &limits);

} // namespace mta
