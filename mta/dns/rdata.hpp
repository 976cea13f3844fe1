// Reading resource record data as it stands on the wire (RFC 1035 section 3.3), with limits; libunbound hands it out
// uncompressed.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "smtp/base/result.hpp"
#include "smtp/dns/answer.hpp"

namespace mta {

/// What one answer may hold; more is refused with a text that names the limit.
inline constexpr std::size_t dns_record_limit = 100;
inline constexpr std::size_t dns_text_limit = 65'536; ///< octets of all records of an answer together

using Rdata = std::span<const unsigned char>;

/// An uncompressed name that fills `data` to its end: lower case, no final dot, the root is empty. At most 255 octets
/// on the wire; a label may hold printable ASCII except the dot.
[[nodiscard]] smtp::Result<std::string> parse_wire_name(Rdata data);
/// preference, exchange (RFC 1035 section 3.3.9).
[[nodiscard]] smtp::Result<smtp::MxRecord> parse_mx(Rdata data);
/// The character-strings joined without anything between them (RFC 7208 section 3.3).
[[nodiscard]] smtp::Result<std::string> parse_txt(Rdata data);
/// usage, selector, matching type, association data (RFC 6698 section 2.1). A record without data, or cut within its
/// numbers, is read as far as it goes (numbers that are missing are 255): no such record can be used, and that it is
/// there must count, for a set of records that cannot be used demands TLS (RFC 7672 section 2.2).
[[nodiscard]] smtp::Result<smtp::TlsaRecord> parse_tlsa(Rdata data);
[[nodiscard]] smtp::Result<smtp::IpAddress> parse_a(Rdata data);
[[nodiscard]] smtp::Result<smtp::IpAddress> parse_aaaa(Rdata data);

} // namespace mta
