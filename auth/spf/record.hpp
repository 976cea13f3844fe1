// SpfRecord: an SPF record as its grammar has it (RFC 7208 section 12), or what is wrong with it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "auth/core/results.hpp"
#include "smtp/base/result.hpp"
#include "smtp/names/ip_address.hpp"

namespace auth {

/// Octets of one record. RFC 7208 section 3.4 wants answers that fit 512 octets; a record so long is an attack or a
/// fault.
inline constexpr std::size_t spf_record_limit = 4096;

enum class Mechanism : std::uint8_t { all, include, a, mx, ptr, ip4, ip6, exists };

/// A directive: a mechanism with its qualifier. The views go into the text of the record.
struct SpfTerm {
  SpfResult qualifier = SpfResult::pass; ///< pass, fail, softfail or neutral
  Mechanism mechanism = Mechanism::all;
  std::string_view text;                  ///< as published
  std::string_view domain_spec;           ///< empty: the current domain
  std::array<std::uint8_t, 16> network{}; ///< ip4: in the first four; ip6
  unsigned prefix4 = 32;                  ///< ip4, a, mx
  unsigned prefix6 = 128;                 ///< ip6, a, mx

  /// For a and mx: does `address`, one of the name's, match `client` under the prefix of their family?
  [[nodiscard]] bool covers(const smtp::IpAddress &address, const smtp::IpAddress &client) const noexcept;
  /// For ip4 and ip6.
  [[nodiscard]] bool contains(const smtp::IpAddress &client) const noexcept;
  /// True for the mechanisms that ask the DNS (RFC 7208 section 4.6.4).
  [[nodiscard]] bool asks_dns() const noexcept;
};

struct SpfRecord {
  std::vector<SpfTerm> terms;                  ///< in their order
  std::optional<std::string_view> redirect;    ///< the domain-spec
  std::optional<std::string_view> explanation; ///< the domain-spec of exp=
};

/// Whether a TXT record is an SPF record: "v=spf1", whatever its case, then a space or the end (section 4.5).
[[nodiscard]] bool is_spf_record(std::string_view text) noexcept;

/// `text` must outlive the record. Errors: bad_syntax, too_long, naming the term: each is a permerror (section 4.6).
[[nodiscard]] smtp::Result<SpfRecord> parse_spf_record(std::string_view text);

} // namespace auth
