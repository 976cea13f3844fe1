// DNS answers as values: records, their DNSSEC state, and temporary and permanent failures told apart.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "smtp/names/ip_address.hpp"

namespace smtp {

enum class DnsStatus : std::uint8_t {
  ok,        ///< at least one record; MX: or only unreadable ones
  no_data,   ///< the name exists, the type does not
  no_name,   ///< NXDOMAIN
  temporary, ///< SERVFAIL, bogus, timeout: the reason is in `detail`
};

/// DNSSEC state of an answer, also of a negative one.
enum class DnsTrust : std::uint8_t { insecure, secure };

struct MxRecord {
  std::uint16_t preference = 0;
  std::string host; ///< lower case, no final dot; empty is the root: null MX (RFC 7505)
  friend auto operator<=>(const MxRecord &, const MxRecord &) = default;
};

/// RFC 6698 section 2.1. Any values: what can be used, policy says.
struct TlsaRecord {
  std::uint8_t usage = 0;         ///< 0 PKIX-TA, 1 PKIX-EE, 2 DANE-TA, 3 DANE-EE
  std::uint8_t selector = 0;      ///< 0 certificate, 1 SubjectPublicKeyInfo
  std::uint8_t matching_type = 0; ///< 0 exact, 1 SHA-256, 2 SHA-512
  std::string data;               ///< certificate association data, raw octets
  friend auto operator<=>(const TlsaRecord &, const TlsaRecord &) = default;
};

/// The outcome of one question.
template <typename Record> struct DnsAnswer {
  DnsStatus status = DnsStatus::temporary;
  DnsTrust trust = DnsTrust::insecure;
  std::vector<Record> records;
  std::size_t unreadable =
      0; ///< records that were passed over; with none left, MX is still ok and everything else no_data
  std::string canonical_name; ///< the end of the CNAME chain, when there was one
  std::chrono::seconds ttl{0};
  /// For temporary: "SERVFAIL from the resolver", "bogus: signature expired", "no answer in 10 s". With unreadable
  /// records: what is wrong with the first of them.
  std::string detail;
};

} // namespace smtp
